//! The provider waits instead of failing while a worker or the broker is away.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::scim::user;
use crate::harness::{Database, Dev, System, eventually, on_both};

on_both!(a_request_waits_while_there_is_no_worker);
async fn a_request_waits_while_there_is_no_worker(database: Database) {
    let mut system = System::start(database).await;
    let scim = system.scim();
    let id = scim.post("/Users", &user("ann")).await.expect(201).id();
    for worker in system.workers.drain(..) {
        worker.kill().await;
    }
    let began = Instant::now();
    let (path, off) = (format!("/Users/{id}"), json!([{ "op": "replace", "path": "active", "value": false }]));
    let writes = async { futures::join!(scim.post_owned("/Users", user("bob")), scim.patch(&path, off)) };
    let outage = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        system.add_worker().await;
    };
    let ((created, deactivated), ()) = futures::join!(writes, outage);
    created.expect(201);
    assert_eq!(deactivated.expect(200).body["active"], false);
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert_eq!(scim.find("/Users", "userName eq \"bob\"").await.len(), 1);
}

#[tokio::test]
async fn a_request_waits_while_the_broker_restarts() {
    let dev = Dev::start(Database::Sqlite, &["--workers", "1"]).await;
    let scim = dev.scim();
    scim.post("/Users", &user("ann")).await.expect(201);
    let broker = dev.ready().process("broker").unwrap().clone();
    broker.kill();
    scim.post("/Users", &user("bob")).await.expect(201);
    assert_eq!(scim.find("/Users", "userName eq \"ann\"").await.len(), 1);
    let again = eventually("the broker is listed with its new pid", async || {
        dev.ready().process("broker").filter(|again| again.pid != broker.pid).cloned()
    })
    .await;
    assert_eq!(again.url, broker.url, "on the same port");
}
