//! What cannot be applied harms only itself.

use std::collections::HashSet;

use bytes::Bytes;
use protocol::message::operator::{DeadCause, DeadLetterList, DeadLetters};
use protocol::message::outcome::Outcome;
use protocol::message::query::{Fate, GetFate};
use sea_orm::ConnectionTrait;
use worker::accepted::RawMessage;
use worker::apply::Ending;
use worker::store::DeadMessage;

use crate::log::{Log, NOW, new_user};
use crate::test_database::{TestDatabase, on_both, status};

/// From now on the database refuses one userName, as it would refuse a value that only it knows to be wrong.
pub(crate) async fn refuse_evil(db: &TestDatabase) {
    let sql = if db.is_postgres() {
        "ALTER TABLE users ADD CONSTRAINT refused_name CHECK (user_name <> 'evil')"
    } else {
        "CREATE TRIGGER refused_name BEFORE INSERT ON users WHEN NEW.user_name = 'evil' BEGIN SELECT RAISE(ABORT, 'no'); END"
    };
    db.raw().await.execute_unprepared(sql).await.unwrap();
}

#[tokio::test]
async fn one_bad_operation_harms_only_itself() {
    on_both(async |db| {
        refuse_evil(db).await;
        let mut log = Log::of("acme");
        let names = ["alice", "evil", "bob"];
        let batch: Vec<_> = names.iter().enumerate().map(|(n, name)| log.user(n as u128, new_user(name))).collect();
        for _ in 0..2 {
            let endings = db.endings(&batch).await;
            assert!(matches!(&endings[0], Ending::Answered(outcome) if status(outcome) == 201));
            assert!(matches!(&endings[1], Ending::Dead(reason) if !reason.contains("evil")), "{:?}", endings[1]);
            assert!(matches!(&endings[2], Ending::Answered(outcome) if status(outcome) == 201));
        }
        let counts = (db.count("users").await, db.count("operations").await, db.count("dead_letters").await);
        assert_eq!(counts, (2, 3, 1));
        assert_eq!(db.value::<i64>("SELECT sequence FROM operations WHERE state = 'dead'").await, 2);
        let query = GetFate { operation: batch[1].envelope.operation, sequence: None };
        assert_eq!(db.ask("acme", query).await, Fate::Ended(Outcome::dead_letter(2)));
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_message_is_kept_byte_for_byte_and_settles_its_sequence() {
    on_both(async |db| {
        let payload = Bytes::from_static(b"\0not json \xff");
        let headers = vec![("Nats-Msg-Id".to_owned(), "x\0".to_owned())];
        let raw = RawMessage { subject: "rosterd.cmd.bulk.acme.Users.1".to_owned(), headers, payload };
        let reason = "not an envelope";
        let dead = DeadMessage {
            sequence: 9,
            workspace: None,
            command: None,
            raw: &raw,
            cause: DeadCause::Undecodable,
            reason,
        };
        for _ in 0..2 {
            db.store.bury(std::slice::from_ref(&dead), NOW).await.unwrap();
        }
        assert_eq!(db.store.settled(&[9]).await.unwrap(), HashSet::from([9]));
        let DeadLetters { total, dead_letters, .. } = db.call(DeadLetterList::default()).await.unwrap();
        assert_eq!((total, dead_letters[0].sequence, dead_letters[0].bytes), (1, 9, 11));
        assert_eq!(db.value::<Vec<u8>>("SELECT payload FROM dead_letters").await, b"\0not json \xff");
    })
    .await;
}

#[tokio::test]
async fn a_command_that_crashes_workers_is_buried_with_its_operation() {
    on_both(async |db| {
        let accepted = Log::of("acme").user(1, new_user("alice"));
        let operation = accepted.envelope.operation;
        for n in 1..=3 {
            assert_eq!(db.store.record_attempt(operation, NOW).await.unwrap(), n);
        }
        let reason = "three attempts ended in a crash";
        let dead = DeadMessage::of(&accepted, DeadCause::Crash, reason);
        db.store.bury(&[dead], NOW).await.unwrap();
        db.store.clear_attempts(operation).await.unwrap();
        assert_eq!(db.store.record_attempt(operation, NOW).await.unwrap(), 1);
        // Its redelivery changes nothing.
        assert!(matches!(db.endings(&[accepted]).await[0], Ending::Dead(_)));
        let counts = (db.count("users").await, db.count("operations").await, db.count("settled_copies").await);
        assert_eq!(counts, (0, 1, 0));
    })
    .await;
}
