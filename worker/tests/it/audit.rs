//! The audit log.

use sea_orm::ConnectionTrait;

use crate::test_database::on_both;

#[tokio::test]
async fn a_record_of_the_audit_log_cannot_be_changed_or_deleted() {
    on_both(async |db| {
        let raw = db.raw().await;
        let id = if db.is_postgres() { "'01900000-0000-7000-8000-000000000001'" } else { "X'01'" };
        let insert = format!("INSERT INTO audit_log VALUES ({id}, 1, 'ann', 'act', NULL, 'x', NULL, '{{}}')");
        raw.execute_unprepared(&insert).await.unwrap();
        for forbidden in ["UPDATE audit_log SET actor = 'bob'", "DELETE FROM audit_log"] {
            let refused = raw.execute_unprepared(forbidden).await.unwrap_err();
            assert!(refused.to_string().contains("append-only"), "{refused}");
        }
        assert_eq!(db.count("audit_log").await, 1);
    })
    .await;
}
