//! Dead letters and their replays, as the database sees them.

use std::time::{Duration, Instant};

use protocol::message::operator::{
    ActedBy, AuditLog, DeadCause, DeadLetterDiscard, DeadLetterEdit, DeadLetterFilter, DeadLetterList, DeadLetterShow,
    OperatorError, Replay, ReplayPlan, ReplayShow, ReplayStart,
};
use protocol::replay::{ReplayEnd, Replayed};
use protocol::scim::resource_type::ResourceType;
use sea_orm::ConnectionTrait;
use serde_json::json;
use worker::accepted::Accepted;
use worker::apply::Ending;
use worker::store::DeadMessage;

use crate::log::{
    Log, NOW, add_members, delete, new_group, new_user, patch, put_user, remove_member, sent_as, set, user,
};
use crate::test_database::{TestDatabase, on_both, status};

/// Which seeds the property is tried with.
const SEEDS: std::ops::Range<u64> = 1..6;

fn by(reason: Option<&str>) -> ActedBy {
    ActedBy { actor: "ann".to_owned(), reason: reason.map(str::to_owned) }
}

fn filter(text: &str) -> DeadLetterFilter {
    text.parse().unwrap()
}

async fn bury(db: &TestDatabase, accepted: &Accepted) {
    db.store.bury(&[DeadMessage::of(accepted, DeadCause::Data, "a test")], NOW).await.unwrap();
}

/// The same command as the log has it again at a later place.
fn replayed(accepted: &Accepted, number: u32, place: u64, forced: bool) -> Accepted {
    let replayed = Some(Replayed { number, letter: accepted.sequence, forced });
    Accepted { sequence: place, replayed, ..accepted.clone() }
}

async fn end(db: &TestDatabase, accepted: Accepted) -> u16 {
    match db.endings(&[accepted]).await.remove(0) {
        Ending::Answered(outcome) => status(&outcome),
        Ending::Dead(_) => 500,
        ending => panic!("{ending:?}"),
    }
}

async fn plan(db: &TestDatabase, text: &str) -> Replay {
    let call = ReplayPlan { filter: filter(text), force: false, predict: true, by: by(None) };
    db.call(call).await.unwrap()
}

async fn title_of(db: &TestDatabase, id: u128) -> Option<String> {
    let resource = db.get("acme", ResourceType::User, user(id)).await?;
    resource.attributes.string("title").map(str::to_owned)
}

#[tokio::test]
async fn a_replay_takes_effect_where_its_command_was_accepted_first_and_only_once() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.user(1, new_user("alice"))).await;
        let (doctor, professor) = (log.user(1, set("title", "Dr.")), log.user(1, set("title", "Prof.")));
        bury(db, &doctor).await;
        bury(db, &professor).await;
        // In the order of the log: the first does not make the second an older word.
        assert_eq!(end(db, replayed(&doctor, 1, 10, false)).await, 200);
        assert_eq!(end(db, replayed(&professor, 1, 11, false)).await, 200);
        assert_eq!(title_of(db, 1).await.as_deref(), Some("Prof."));
        // Again, by another operator, or as a copy: nothing.
        for place in [12, 11] {
            assert_eq!(end(db, replayed(&doctor, 1, place, false)).await, 200);
        }
        assert_eq!(end(db, replayed(&doctor, 2, 13, false)).await, 200);
        assert_eq!(title_of(db, 1).await.as_deref(), Some("Prof."));
        let states = "SELECT COUNT(*) FROM dead_letters WHERE state = 'applied' AND replay = 1";
        assert_eq!((db.value::<i64>(states).await, db.count("operations").await), (2, 3));
        assert_eq!(db.store.settled(&[10, 11, 12, 13]).await.unwrap().len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_stale_replay_is_superseded_and_a_forced_one_is_applied() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.user(1, new_user("alice"))).await;
        let on = [log.user(1, set("active", true)), log.user(1, set("active", true))];
        for activate in &on {
            bury(db, activate).await;
        }
        db.apply_one(log.user(1, set("active", false))).await;
        assert_eq!(end(db, replayed(&on[0], 1, 10, false)).await, 409);
        let is_active = async || {
            let resource = db.get("acme", ResourceType::User, user(1)).await.unwrap();
            resource.attributes.user().active().unwrap()
        };
        assert!(!is_active().await);
        let why = db.value::<String>("SELECT detail FROM operations WHERE state = 'superseded'").await;
        assert_eq!(why, "message 4, which was accepted later, has changed the resource");
        assert_eq!(end(db, replayed(&on[1], 1, 11, true)).await, 200);
        assert!(is_active().await);
    })
    .await;
}

#[tokio::test]
async fn a_replayed_create_brings_nobody_back_who_came_by_a_retry_and_left_again() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let dead = sent_as("POST alice", log.user(1, new_user("alice")));
        bury(db, &dead).await;
        // The provider tried again under another id, and removed the person later.
        db.apply_one(sent_as("POST alice", log.user(2, new_user("alice")))).await;
        db.apply_one(log.user(2, delete())).await;
        assert_eq!(end(db, replayed(&dead, 1, 10, false)).await, 409);
        assert_eq!(db.count("users").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_replay_yields_to_a_later_word_that_changed_nothing() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.group(1, new_group("Staff", &[]))]).await;
        let dead = [log.user(1, set("title", "Dr.")), log.group(1, add_members(&[user(1)]))];
        for letter in &dead {
            bury(db, letter).await;
        }
        // Later the provider says the opposite of what never came: nothing to change, and still its last word.
        let title = patch(ResourceType::User, &json!({ "op": "remove", "path": "title" }));
        db.apply(&[log.user(1, title), log.group(1, remove_member(user(1)))]).await;
        assert_eq!(db.value::<i64>("SELECT version FROM users").await, 1);
        for (letter, place) in dead.iter().zip(10..) {
            assert_eq!(end(db, replayed(letter, 1, place, false)).await, 409);
        }
        assert_eq!((title_of(db, 1).await, db.count("group_members").await), (None, 0));
    })
    .await;
}

#[tokio::test]
async fn a_plan_acts_on_nothing_that_was_edited_after_it() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.user(1, new_user("alice"))).await;
        let dead = log.user(1, put_user(json!({ "userName": "alice", "title": "Dr." })));
        bury(db, &dead).await;
        let planned = plan(db, "workspace:acme").await;
        let body =
            json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "alice", "title": "X" });
        db.call(DeadLetterEdit { letter: dead.sequence, body, by: by(None) }).await.unwrap();
        let shown = db.call(ReplayShow { replay: planned.id, items: true }).await.unwrap();
        let [item] = &shown.items[..] else { panic!("{shown:?}") };
        assert_eq!(
            (item.state.as_str(), item.detail.as_deref()),
            ("skipped", Some("it was edited after this was planned"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_replay_that_is_dead_again_adds_an_error_and_can_be_replayed_again() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let evil = log.user(1, new_user("evil"));
        crate::poison::refuse_evil(db).await;
        assert_eq!(end(db, evil.clone()).await, 500);
        let seen = plan(db, "1").await;
        assert_eq!(seen.items[0].prediction.as_ref().unwrap().end, Some(ReplayEnd::Dead), "the database has its say");
        assert_eq!(end(db, replayed(&evil, 1, 10, false)).await, 500);
        let repaired = if db.is_postgres() {
            "ALTER TABLE users DROP CONSTRAINT refused_name"
        } else {
            "DROP TRIGGER refused_name"
        };
        db.raw().await.execute_unprepared(repaired).await.unwrap();
        let shown = db.call(DeadLetterShow { letter: 1, reveal: false, by: by(None) }).await.unwrap();
        assert_eq!(
            (shown.letter.replays, shown.errors.len(), shown.prediction.unwrap().end),
            (1, 2, Some(ReplayEnd::Applied))
        );
        assert_eq!(shown.payload.unwrap()["userName"], "e•••");
        assert_eq!(end(db, replayed(&evil, 2, 11, false)).await, 201);
        assert_eq!((db.count("users").await, db.count("operations").await, db.count("dead_letters").await), (1, 1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_plan_keeps_to_its_set_and_begins_once() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        bury(db, &log.user(1, new_user("alice"))).await;
        let planned = plan(db, "workspace:acme kind:create").await;
        bury(db, &log.user(2, new_user("bob"))).await;
        let start = ReplayStart { replay: planned.id, rate: Some(20), max_failures: None, by: by(Some("repaired")) };
        assert_eq!(db.call(start.clone()).await.unwrap().total, 1);
        let Err(OperatorError::Conflict { detail }) = db.call(start).await else { panic!() };
        assert!(detail.contains("is running"), "{detail}");
        let force = ReplayPlan { filter: filter("1"), force: true, predict: false, by: by(None) };
        assert!(matches!(db.call(force).await, Err(OperatorError::Invalid { .. })));
        let records = db.call(AuditLog { act: Some("replay".to_owned()), ..AuditLog::default() }).await.unwrap();
        let acts: Vec<&str> = records.iter().map(|record| record.act.as_str()).collect();
        assert_eq!(acts, ["replay-start", "replay-plan"]);
        assert_eq!((records[0].reason.as_deref(), &records[0].counts["letters"]), (Some("repaired"), &json!(1)));
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_is_edited_only_into_valid_scim_and_discarded_only_for_a_reason() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        bury(db, &log.user(1, new_user("alice"))).await;
        let edit = |body| DeadLetterEdit { letter: 1, body, by: by(Some("typo")) };
        assert!(matches!(db.call(edit(json!({ "title": "x" }))).await, Err(OperatorError::Invalid { .. })));
        assert!(db.call(edit(json!({ "userName": "alicia" }))).await.unwrap().edited);
        let shown = db.call(DeadLetterShow { letter: 1, reveal: true, by: by(None) }).await.unwrap();
        assert_eq!(
            (&shown.payload.unwrap()["userName"], &shown.original.unwrap()["userName"]),
            (&json!("alicia"), &json!("alice"))
        );
        let added: Vec<_> = shown.difference.iter().map(|difference| difference.attribute.as_str()).collect();
        assert_eq!(added, ["active", "userName"]);

        let discard = |reason| DeadLetterDiscard { filter: filter("1"), by: by(reason) };
        assert!(matches!(db.call(discard(None)).await, Err(OperatorError::Invalid { .. })));
        assert_eq!(db.call(discard(Some("a test"))).await.unwrap().count, 1);
        assert_eq!(db.call(discard(Some("a test"))).await.unwrap().count, 0);
        let list = |text| DeadLetterList { filter: filter(text), ..DeadLetterList::default() };
        assert_eq!(
            (db.call(list("")).await.unwrap().total, db.call(list("state:discarded")).await.unwrap().total),
            (0, 1)
        );
        let acts = db.call(AuditLog::default()).await.unwrap();
        let acts: Vec<&str> = acts.iter().map(|record| record.act.as_str()).collect();
        assert_eq!(acts, ["dead-letter-discard", "dead-letter-discard", "dead-letter-reveal", "dead-letter-edit"]);
    })
    .await;
}

/// A random number below `most`, and the next state.
fn dice(state: &mut u64, most: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % most
}

#[tokio::test]
async fn a_dry_run_says_what_happens_if_nothing_changes_in_between() {
    on_both(async |db| {
        for seed in SEEDS {
            let (mut state, mut dead) = (seed, Vec::new());
            let mut log = Log::from("acme", seed * 10_000);
            for _ in 0..60 {
                let (id, name) =
                    (u128::from(seed * 100 + dice(&mut state, 6)), format!("p{seed}-{}", dice(&mut state, 5)));
                let command = match dice(&mut state, 7) {
                    0 | 1 => new_user(&name),
                    2 => put_user(json!({ "userName": name, "title": "put" })),
                    3 => set("title", format!("t{}", dice(&mut state, 3))),
                    4 => set("active", dice(&mut state, 2) == 0),
                    5 => patch(ResourceType::User, &json!({ "op": "replace", "path": "userName", "value": name })),
                    _ => delete(),
                };
                let accepted = log.user(id, command);
                if dice(&mut state, 5) < 2 {
                    bury(db, &accepted).await;
                    dead.push(accepted);
                } else {
                    db.apply_one(accepted).await;
                }
            }
            let planned = plan(db, "workspace:acme").await;
            assert_eq!(planned.items.len(), dead.len());
            for (item, accepted) in planned.items.iter().zip(&dead) {
                let expected = match item.prediction.as_ref().unwrap().end.unwrap() {
                    ReplayEnd::Applied => "applied",
                    end => end.as_str(),
                };
                db.endings(&[replayed(accepted, 1, accepted.sequence + 1_000, false)]).await;
                let became = format!("SELECT state FROM dead_letters WHERE sequence = {}", item.letter);
                assert_eq!(db.value::<String>(&became).await, expected, "seed {seed}, letter {}", item.letter);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_hundred_thousand_dead_letters_are_listed_at_once() {
    on_both(async |db| {
        let columns =
            "sequence, workspace, subject, headers, payload, reason, error_fingerprint, dead_at, cause, state, replay";
        let (numbers, bytes) = if db.is_postgres() {
            ("generate_series(1, 100000) AS numbers(n)", "decode(repeat('ab', 600), 'hex')")
        } else {
            (
                "(WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 100000) SELECT n FROM up)",
                "randomblob(600)",
            )
        };
        let insert = format!(
            "INSERT INTO dead_letters ({columns}) SELECT n, 'w' || (n % 10), 'rosterd.cmd.bulk.x', '[]', {bytes}, \
             'cause ' || (n % 7), 'f' || (n % 7), n, 'data', 'dead', 0 FROM {numbers}"
        );
        let raw = db.raw().await;
        raw.execute_unprepared(&insert).await.unwrap();
        raw.execute_unprepared("ANALYZE").await.unwrap();
        for text in ["", "workspace:w3", "error:data since:2026-01-01T00:00:00Z", "fingerprint:f2"] {
            let list = DeadLetterList { filter: filter(text), ..DeadLetterList::default() };
            db.call(list.clone()).await.unwrap();
            // The machine may be busy with something else for a moment.
            let mut took = Duration::MAX;
            for _ in 0..3 {
                let began = Instant::now();
                db.call(DeadLetterList { before: Some(50_000), ..list.clone() }).await.unwrap();
                took = took.min(began.elapsed());
            }
            println!("{text:?}: {took:?}");
            assert!(took < Duration::from_millis(300), "{text:?} took {took:?}");
        }
    })
    .await;
}
