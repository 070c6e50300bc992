//! Errors of the database of which nobody knows whose they are.

use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};

use crate::harness::scim::{Scim, user};
use crate::harness::{Database, System, eventually, on_both};

/// How long the database fails.
const FAILING: Duration = Duration::from_secs(8);
/// Creates while it fails, and how many of them are in flight.
const PEOPLE: usize = 200;
const IN_FLIGHT: usize = 128;
/// How often a stranger is created.
const PACE: Duration = Duration::from_millis(100);

on_both!(a_database_that_fails_for_a_while_condemns_nothing);
async fn a_database_that_fails_for_a_while_condemns_nothing(database: Database) {
    let system = System::start_with(database, 1, 2).await;
    let (scim, sql) = (system.scim(), system.sql().await);
    fail(&sql, "TRUE").await;
    let posts = futures::stream::iter(0..PEOPLE)
        .map(|n| scim.post_owned("/Users", user(&format!("person{n}"))))
        .buffer_unordered(IN_FLIGHT)
        .map(|answer| answer.expect(201))
        .count();
    let healed = async {
        tokio::time::sleep(FAILING).await;
        heal(&sql).await;
    };
    let (created, ()) = futures::join!(posts, healed);
    assert_eq!(created, PEOPLE);
    assert_eq!(dead_letters(&system).await, 0);
}

#[tokio::test]
async fn an_outage_is_held_against_no_command() {
    let plan = System::plan(Database::Postgresql).own_postgresql().worker_arguments(&["--dead-letter-after", "1"]);
    let system = plan.start().await;
    let scim = system.scim();
    for round in 0..2 {
        system.postgresql().kill().await;
        let posts = (0..20).map(|n| scim.post_owned("/Users", user(&format!("person{round}-{n}"))));
        let back = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            system.postgresql().start_again().await;
        };
        let (created, ()) = futures::join!(join_all(posts), back);
        for answer in created {
            answer.expect(201);
        }
    }
    assert_eq!(dead_letters(&system).await, 0);
    let log = system.logs();
    assert!(log.contains("pulling nothing") && log.contains("the database answers again"), "{log}");
}

on_both!(a_command_that_fails_while_others_are_applied_is_a_dead_letter_in_time);
async fn a_command_that_fails_while_others_are_applied_is_a_dead_letter_in_time(database: Database) {
    let system = System::plan(database).worker_arguments(&["--dead-letter-after", "4"]).start().await;
    let (scim, sql) = (system.scim(), system.sql().await);
    fail(&sql, "NEW.user_name = 'evil'").await;
    let evil = {
        let scim = scim.clone();
        tokio::spawn(async move { scim.post("/Users", &user("evil")).await })
    };
    // Alone it is never condemned: nothing shows that another would have been applied.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(dead_letters(&system).await, 0);
    let condemned = eventually("one is a dead letter", async || (dead_letters(&system).await == 1).then_some(()));
    tokio::select! {
        () = condemned => {}
        () = create_strangers(&scim) => {}
    }
    assert_eq!(evil.await.unwrap().status, 500);
    assert_eq!(dead_letters(&system).await, 1);
    heal(&sql).await;
    scim.post("/Users", &user("evil")).await.expect(201);
}

async fn create_strangers(scim: &Scim) {
    for n in 0.. {
        scim.post("/Users", &user(&format!("stranger{n}"))).await.expect(201);
        tokio::time::sleep(PACE).await;
    }
}

async fn dead_letters(system: &System) -> i64 {
    system.rosterd_json(&["dead-letters", "list"]).await["total"].as_i64().unwrap()
}

/// From now on every insert of a user for whom the condition holds fails in a way that says nothing of the data.
async fn fail(sql: &DatabaseConnection, condition: &str) {
    if sql.get_database_backend() == DbBackend::Postgres {
        let function = format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN IF {condition} THEN RAISE EXCEPTION 'no' USING ERRCODE = 'XX000'; END IF; RETURN NEW; END $$"
        );
        sql.execute_unprepared(&function).await.unwrap();
        let trigger = "CREATE TRIGGER fail BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION fail()";
        sql.execute_unprepared(trigger).await.unwrap();
    } else {
        // An overflow is a plain SQLITE_ERROR.
        let overflow = "SELECT abs(-9223372036854775807 - 1)";
        let trigger = format!("CREATE TRIGGER fail BEFORE INSERT ON users WHEN {condition} BEGIN {overflow}; END");
        sql.execute_unprepared(&trigger).await.unwrap();
    }
}

async fn heal(sql: &DatabaseConnection) {
    let postgres = sql.get_database_backend() == DbBackend::Postgres;
    let drop = if postgres { "DROP FUNCTION fail CASCADE" } else { "DROP TRIGGER fail" };
    sql.execute_unprepared(drop).await.unwrap();
}
