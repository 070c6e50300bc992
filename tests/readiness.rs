//! What load balancers see of an ingress: readiness is its own state, idle connections stay, and it leaves in order.

use std::time::{Duration, Instant};

use rosterd::servers::nats::LogSync;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::scim::{Answer, Scim, user};
use crate::harness::{Database, Haproxy, System, eventually, is_running};

/// How long `HAProxy` needs to see, twice, that an ingress is not ready, with a margin.
const SEEN_BY_HAPROXY: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hits_all_ingresses_alike_leaves_them_ready_and_is_told_by_healthz() {
    let system = System::plan(Database::Sqlite).own_broker(LogSync::Interval).start().await;
    let ingress = bare(&system);
    let is = async |status: u16| {
        let health = ingress.get("/healthz").await;
        (health.status == status).then_some(health)
    };
    eventually("all is well", async || is(200).await).await;

    system.workers[0].pause();
    let health = eventually("the worker is missed", async || is(503).await).await;
    assert_eq!(health.body["workers"]["state"], "no worker takes a query", "{:#}", health.body);
    assert_eq!((health.body["broker"]["healthy"].as_bool(), ready(&ingress).await), (Some(true), 200));
    system.workers[0].resume();
    eventually("all is well again", async || is(200).await).await;

    system.broker().node().kill().await;
    let health = eventually("the broker is missed", async || is(503).await).await;
    assert_eq!(health.body["broker"]["state"], "not connected", "{:#}", health.body);
    assert_eq!(ready(&ingress).await, 200);
    system.broker().node().start_again().await;
    eventually("all is well in the end", async || is(200).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_leaves_an_ingress_ready_and_is_told_by_healthz() {
    let system = System::plan(Database::Postgresql).proxied().start().await;
    let ingress = bare(&system);
    system.workers[0].database_link().cut();
    let missed = async || {
        let health = ingress.get("/healthz").await;
        (health.status == 503 && health.body["database"]["healthy"] == false).then_some(health)
    };
    let health = eventually("the database is missed", missed).await;
    assert_eq!(health.body["broker"]["healthy"], true, "{:#}", health.body);
    assert_eq!(ready(&ingress).await, 200);
    system.workers[0].database_link().heal();
    eventually("all is well again", async || (ingress.get("/healthz").await.status == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_through_haproxy_is_held_while_the_broker_is_stopped() {
    let mut system = balanced_system().await;
    system.broker().node().kill().await;
    tokio::time::sleep(SEEN_BY_HAPROXY).await;
    let back = async |system: &System| system.broker().node().start_again().await;
    assert_held_by_haproxy(&mut system, back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_through_haproxy_is_held_while_the_broker_is_frozen() {
    let mut system = balanced_system().await;
    system.broker().node().pause();
    // By then every client has given its connection up.
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_held_by_haproxy(&mut system, async |system| system.broker().node().resume()).await;
}

async fn balanced_system() -> System {
    System::plan(Database::Sqlite).own_broker(LogSync::Interval).ingresses(2).start().await
}

async fn assert_held_by_haproxy(system: &mut System, back: impl AsyncFnOnce(&System)) {
    let addresses = addresses(system);
    let balancer = Haproxy::before(&addresses.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // Its servers count as ready until they were asked.
    tokio::time::sleep(SEEN_BY_HAPROXY).await;
    let scim = Scim::new(format!("{}/scim/v2/acme", balancer.url), system.token());
    let began = Instant::now();
    let back = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        back(system).await;
    };
    let (created, found, ()) = futures::join!(scim.post_owned("/Users", user("ann")), scim.get("/Users?count=0"), back);
    created.expect(201);
    found.expect(200);
    assert!(began.elapsed() > Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingress_told_to_stop_accepts_for_a_while_and_says_that_each_answer_is_the_last() {
    let system = System::start(Database::Sqlite).await;
    let ingress = &system.ingresses[0];
    ingress.kill().await;
    ingress.set("ROSTERD_DRAIN_DELAY", "3");
    ingress.start().await;
    let (scim, address) = (system.scim(), addresses(&system).remove(0));
    let mut pooled = Connection::to(&address).await;
    assert!(!pooled.get("/livez").await.unwrap().contains("connection: close"));
    let told = Instant::now();
    ingress.tell_to_stop();
    let probe = bare(&system);
    let stopping = async || probe.try_get("/readyz").await.filter(|answer| answer.status == 503);
    eventually("it is not ready", stopping).await;
    assert!(pooled.get("/livez").await.unwrap().contains("connection: close"));
    let created = new_client(&scim).post("/Users", &user("ann")).await.expect(201);
    assert_eq!(created.header("connection"), "close");
    assert!(told.elapsed() < Duration::from_secs(3), "it took too long to see anything");
    assert_eq!(ingress.end().await, Some(0));
    assert!(told.elapsed() >= Duration::from_secs(3), "it stopped after {:?}", told.elapsed());
    assert!(TcpStream::connect(address.trim_start_matches("http://")).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_an_ingress_at_once() {
    let system = System::start(Database::Sqlite).await;
    let ingress = &system.ingresses[0];
    ingress.kill().await;
    ingress.set("ROSTERD_DRAIN_DELAY", "60");
    ingress.start().await;
    ingress.tell_to_stop();
    let probe = bare(&system);
    let stopping = async || probe.try_get("/readyz").await.filter(|answer| answer.status == 503);
    eventually("it is not ready", stopping).await;
    assert!(is_running(ingress.pid()));
    ingress.tell_to_stop();
    assert_eq!(ingress.end().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_may_be_idle_between_requests_but_a_head_must_come() {
    let system = System::start(Database::Sqlite).await;
    let address = addresses(&system).remove(0);
    let idle = async {
        let mut connection = Connection::to(&address).await;
        connection.get("/livez").await.unwrap();
        tokio::time::sleep(Duration::from_secs(12)).await;
        connection.get("/livez").await
    };
    let trickled = async {
        let mut connection = Connection::to(&address).await;
        connection.get("/livez").await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        connection.trickle().await
    };
    let silent = async { Connection::to(&address).await.end().await };
    let (idle, trickled, silent) = futures::join!(idle, trickled, silent);
    assert!(idle.is_some_and(|answer| answer.contains("ok")), "closed after 12 s");
    for (what, lasted) in [("a head that trickles", trickled), ("a connection that says nothing", silent)] {
        assert!(lasted > Duration::from_secs(9) && lasted < Duration::from_secs(12), "{what}: {lasted:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_idle_timeout_is_a_setting() {
    let system = System::start(Database::Sqlite).await;
    let ingress = &system.ingresses[0];
    ingress.kill().await;
    ingress.set("ROSTERD_IDLE_TIMEOUT", "1");
    ingress.start().await;
    let mut connection = Connection::to(&addresses(&system)[0]).await;
    connection.get("/livez").await.unwrap();
    let lasted = connection.end().await;
    assert!(lasted > Duration::from_millis(800) && lasted < Duration::from_secs(4), "{lasted:?}");
}

/// The first ingress, outside SCIM.
fn bare(system: &System) -> Scim {
    Scim::new(addresses(system).remove(0), "")
}

/// The same server, by connections that nobody has used.
fn new_client(scim: &Scim) -> Scim {
    let bearer = scim.request(reqwest::Method::GET, "").build().unwrap().headers()["authorization"].clone();
    Scim::new(scim.base_url.clone(), bearer.to_str().unwrap().trim_start_matches("Bearer "))
}

async fn ready(ingress: &Scim) -> u16 {
    let Answer { status, .. } = ingress.get("/readyz").await;
    status
}

fn addresses(system: &System) -> Vec<String> {
    let urls = system.base_urls();
    urls.iter().map(|url| url.split("/scim/").next().unwrap().to_owned()).collect()
}

/// One connection, which a client keeps.
struct Connection(TcpStream);

impl Connection {
    async fn to(url: &str) -> Self {
        Self(TcpStream::connect(url.trim_start_matches("http://")).await.unwrap())
    }

    /// The answer's head and body in lower case; none if the connection has ended.
    async fn get(&mut self, path: &str) -> Option<String> {
        self.0.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await.ok()?;
        let mut buffer = [0; 4096];
        match self.0.read(&mut buffer).await {
            Ok(bytes @ 1..) => Some(String::from_utf8_lossy(&buffer[..bytes]).to_lowercase()),
            Ok(_) | Err(_) => None,
        }
    }

    /// Sends a head that never ends; how long it was listened to.
    async fn trickle(mut self) -> Duration {
        let began = Instant::now();
        self.0.write_all(b"GET /livez HTTP/1.1\r\nX-Long: ").await.unwrap();
        let mut buffer = [0; 64];
        loop {
            if self.0.write_all(b"x").await.is_err() {
                return began.elapsed();
            }
            let read = tokio::time::timeout(Duration::from_millis(200), self.0.read(&mut buffer)).await;
            if matches!(read, Ok(Ok(0) | Err(_))) {
                return began.elapsed();
            }
        }
    }

    /// Says nothing more; how long the other side waited.
    async fn end(mut self) -> Duration {
        let began = Instant::now();
        let mut rest = Vec::new();
        drop(self.0.read_to_end(&mut rest).await);
        began.elapsed()
    }
}
