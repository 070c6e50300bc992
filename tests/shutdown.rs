//! SIGTERM: what was begun is finished, nothing is lost, the exit status is 0.

use std::time::Duration;

use futures::future::join_all;

use crate::harness::scim::user;
use crate::harness::{Database, Process, System, eventually, on_both};

on_both!(a_worker_told_to_stop_drains_and_loses_nothing);
async fn a_worker_told_to_stop_drains_and_loses_nothing(database: Database) {
    let mut system = System::start_with(database, 1, 2).await;
    let scim = system.scim();
    let names: Vec<String> = (0..60).map(|index| format!("person-{index}")).collect();
    let creates = join_all(names.iter().map(|name| scim.post_owned("/Users", user(name))));
    let worker = system.workers.remove(0);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        worker.terminate().await
    };
    let (answers, status) = futures::join!(creates, stop);
    assert_eq!(status, Some(0), "{}", system.logs());
    for answer in answers {
        answer.expect(201);
    }
    assert_eq!(scim.get("/Users?count=0").await.expect(200).body["totalResults"], 60);
    eventually("the log is empty", async || (system.log().await.messages == 0).then_some(())).await;
}

#[tokio::test]
async fn an_ingress_told_to_stop_answers_what_it_has_begun() {
    let mut system = System::start_with(Database::Sqlite, 2, 1).await;
    let (first, second) = (system.scim_at(0), system.scim_at(1));
    let names: Vec<String> = (0..40).map(|index| format!("person-{index}")).collect();
    let warm = join_all((0..names.len()).map(|_| first.get("/Users?count=0"))).await;
    assert!(warm.iter().all(|answer| answer.status == 200));

    let creates = join_all(names.iter().map(|name| first.try_post("/Users", user(name))));
    let ingress = system.ingresses.remove(0);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        ingress.terminate().await
    };
    let (answers, status) = futures::join!(creates, stop);
    assert_eq!(status, Some(0), "{}", system.logs());
    // A request that found the door closed was never accepted; one that was accepted got its answer.
    let answered: Vec<&String> =
        names.iter().zip(&answers).filter_map(|(name, answer)| answer.as_ref().map(|_| name)).collect();
    assert!(answers.iter().flatten().all(|answer| answer.status == 201), "{answers:?}");
    assert!(!answered.is_empty(), "nothing was under way when the ingress was told to stop");
    for name in answered {
        assert_eq!(second.find("/Users", &format!("userName eq \"{name}\"")).await.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_worker_without_a_broker_still_ends_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let (url, log) = (format!("sqlite://{}", folder.path().join("rosterd.db").display()), folder.path().join("log"));
    let broker = ("ROSTERD_NATS_URL", "nats://127.0.0.1:1");
    let environment = [broker, ("ROSTERD_DATABASE_URL", url.as_str()), ("ROSTERD_MIGRATE", "true")];
    let worker = Process::start(&["worker"], &environment, &log).await;
    eventually("the worker misses its broker", async || {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains("no session with the broker"))
    })
    .await;
    assert_eq!(worker.terminate().await, Some(0));
}
