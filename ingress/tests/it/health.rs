//! Readiness is about this process; health is about everything that requests need.

use std::sync::atomic::Ordering;

use axum::body::Body;
use http::Request;
use ingress::gateway::QueryError;
use serde_json::{Value, json};

use crate::recording::{Answered, Server};

async fn get(server: &Server, path: &str) -> Answered {
    server.send_raw(Request::builder().uri(path.to_owned()).body(Body::empty()).unwrap()).await
}

/// All is well, as far as the process sees it.
fn healthy() -> Server {
    let server = Server::start().ready();
    server.health.broker.store(true, Ordering::Relaxed);
    server.health.credentials_watched.store(true, Ordering::Relaxed);
    server
}

#[tokio::test]
async fn readiness_needs_no_token_and_no_broker() {
    let server = Server::start();
    assert_eq!(get(&server, "/livez").await.status, 200);
    let starting = get(&server, "/readyz").await;
    assert_eq!((starting.status.as_u16(), starting.text.as_str()), (503, "the credentials are not loaded yet\n"));
    let server = Server::start().ready();
    server.health.clock_skewed.store(true, Ordering::Relaxed);
    *server.gateway.probed.lock().unwrap() = Some(Err(QueryError::Silent));
    assert_eq!(get(&server, "/readyz").await.status, 200);
}

#[tokio::test]
async fn while_it_stops_an_ingress_is_not_ready_and_each_answer_ends_its_connection() {
    let server = healthy();
    assert_eq!(get(&server, "/livez").await.header("connection"), None);
    server.health.draining.store(true, Ordering::Relaxed);
    let stopping = get(&server, "/readyz").await;
    assert_eq!((stopping.status.as_u16(), stopping.text.as_str()), (503, "this process is stopping\n"));
    for path in ["/livez", "/readyz", "/scim/v2/acme/Users", "/nothing"] {
        assert_eq!(get(&server, path).await.header("connection"), Some("close"), "{path}");
    }
}

#[tokio::test]
async fn health_tells_of_each_part() {
    let all_is_well = get(&healthy(), "/healthz").await;
    assert_eq!((all_is_well.status.as_u16(), all_is_well.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        all_is_well.json(),
        json!({
            "healthy": true,
            "broker": { "healthy": true, "state": "connected" },
            "credentials": { "healthy": true, "state": "changes are followed" },
            "clock": { "healthy": true, "state": "agrees with the broker's" },
            "workers": { "healthy": true, "state": "a worker answers" },
            "database": { "healthy": true, "state": "a worker reads from it" },
        })
    );
    for (probed, workers, database) in [
        (QueryError::NoWorker, "no worker listens", "unknown"),
        (QueryError::Silent, "no worker takes a query", "unknown"),
        (QueryError::Unavailable, "a worker answers", "the worker cannot reach it"),
        (QueryError::Slow, "a worker answers", "it did not answer the worker in time"),
    ] {
        let server = healthy();
        *server.gateway.probed.lock().unwrap() = Some(Err(probed));
        let report = get(&server, "/healthz").await;
        assert_eq!(report.status, 503, "{probed}");
        let state = |part: &str| report.json()[part]["state"].clone();
        assert_eq!((state("workers"), state("database")), (json!(workers), json!(database)), "{probed}");
    }
}

#[tokio::test]
async fn health_asks_no_worker_while_the_broker_is_away_and_seldom_otherwise() {
    let server = healthy();
    assert_eq!(get(&server, "/healthz").await.status, 200);
    server.health.broker.store(false, Ordering::Relaxed);
    assert_eq!(get(&server, "/healthz").await.status, 200, "told a moment ago");
    let server = healthy();
    server.health.broker.store(false, Ordering::Relaxed);
    let report = get(&server, "/healthz").await;
    assert_eq!(report.status, 503);
    assert_eq!(report.json()["workers"], json!({ "healthy": false, "state": "unknown" }));
    let healthy: Vec<Value> = ["broker", "clock"].map(|part| report.json()[part]["healthy"].clone()).to_vec();
    assert_eq!(healthy, [json!(false), json!(true)]);
}
