//! `rosterd audit balance`: every message that the log has stored is accounted for, and one that is not is found.

use serde_json::json;
use uuid::Uuid;

use crate::harness::scim::user;
use crate::harness::{Database, System, eventually, on_both};

on_both!(every_stored_message_is_accounted_for_by_workspace);
async fn every_stored_message_is_accounted_for_by_workspace(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    for name in ["ann", "bob"] {
        scim.post("/Users", &user(name)).await.expect(201);
    }
    scim.post("/Users", &user("ann")).await.expect_error(409, Some("uniqueness"));
    system.publish(&format!("cmd.bulk.acme.Users.{}", Uuid::from_u128(1)), b"not an envelope").await;
    system.publish("cmd.bulk.nobody", b"not even a subject").await;
    eventually("the log is empty", async || (system.log().await.messages == 0).then_some(())).await;

    let balance = system.rosterd_json(&["audit", "balance"]).await;
    let of = |workspace, applied, rejected, dead| json!({ "workspace": workspace, "applied": applied, "rejected": rejected, "dead": dead, "copies": 0, "pending": 0 });
    assert_eq!(balance["workspaces"], json!([of(None, 0, 0, 1), of(Some("acme"), 2, 1, 1)]), "{balance:#}");
    let (stored, missing, at_rest) = (&balance["stored"], &balance["missing"], &balance["at_rest"]);
    assert_eq!((stored, missing, at_rest), (&json!(5), &json!(0), &json!(true)));
    let table = system.rosterd(&["audit", "balance"]).await.expect_success().stdout;
    assert!(table.contains("5 messages, 1 to 5: 0 missing, at rest"), "{table}");
}

on_both!(a_message_that_left_the_log_unsettled_is_missing);
async fn a_message_that_left_the_log_unsettled_is_missing(database: Database) {
    let system = System::start(database).await;
    system.scim().post("/Users", &user("ann")).await.expect(201);
    system.workers[0].kill().await;
    for name in ["1", "2", "3"] {
        system.publish(&format!("cmd.bulk.acme.Users.{name}"), b"not an envelope").await;
    }
    assert!(system.stream().await.delete_message(3).await.unwrap());
    system.workers[0].start().await;
    eventually("the log is empty", async || (system.log().await.messages == 0).then_some(())).await;

    let balance = system.rosterd(&["audit", "balance", "-o", "json"]).await.expect_failure(1).json();
    assert_eq!((&balance["balanced"], &balance["missing_sequences"]), (&json!(false), &json!([3])), "{balance:#}");
}
