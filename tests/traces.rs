//! A request's trace joins the log lines of every process that worked on it.

use reqwest::Method;

use crate::harness::scim::{send, user};
use crate::harness::{Database, System, eventually};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_request_is_followed_from_the_ingress_to_the_worker_by_its_trace() {
    let plan = System::plan(Database::Sqlite).log_filter("info,ingress::router=debug,worker::dispatch=debug");
    let system = plan.start().await;
    let create = system.scim().json(Method::POST, "/Users", &user("person"));
    let created = send(create.header("traceparent", TRACE)).await.expect(201);

    let traced = |text: &str, what: &str| text.lines().any(|line| line.contains(what) && line.contains(TRACE));
    let logs = eventually("both have logged it", async || {
        let logs = system.logs();
        (traced(&logs, "answered POST") && traced(&logs, "settled")).then_some(logs)
    });
    let logs = logs.await;
    let name = created.body["userName"].as_str().unwrap();
    assert!(!logs.contains(&format!("\"{name}\"")) && !logs.contains(system.token()), "no name and no token");
}
