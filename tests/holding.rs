//! An outage is waited for: whatever is away for a time, every request is answered as if nothing had been, or succeeds
//! when it comes again.
//!
//! `ROSTERD_TRIAL_PEOPLE=5000 ROSTERD_TRIAL_OUTAGE=60` onboards as many people over as long an outage as the design
//! speaks of, and `ROSTERD_TRIAL_ROUNDS` holds the limits of time to what is promised on a machine of its own.

mod load;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use rosterd::servers::nats::LogSync;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::harness::scim::{Scim, user};
use crate::harness::{Database, Haproxy, Part, System, eventually, trial};
use load::{Samples, load};

/// Answers after which the database stops.
const ANSWERED_BEFORE: usize = 20;
/// How much memory an ingress may take.
const MEMORY_KIB: u64 = 100 * 1024;
/// The longest that a request may take when its worker is killed, and when it is told to stop.
const KILLED: Duration = Duration::from_secs(5);
const STOPPED: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_onboarding_outlives_an_outage_of_the_database() {
    futures::join!(Box::pin(onboarding(16)), Box::pin(onboarding(300)));
}

/// So many requests are open at a time.
async fn onboarding(open: usize) {
    let (people, outage) = (trial::people(300), trial::outage(Duration::from_secs(8)));
    // Shorter than the outage, so that some are told to come again.
    let deadline = (outage.as_secs() * 5 / 6).clamp(6, 50).to_string();
    let plan = System::plan(Database::Postgresql).own_postgresql();
    let system = Box::pin(plan.ingress_setting("ROSTERD_ANSWER_DEADLINE", &deadline).start()).await;
    let (scim, done, asked_again) = (system.scim(), AtomicUsize::new(0), AtomicUsize::new(0));
    let names: Vec<String> = (0..people).map(|number| format!("person-{number}")).collect();
    let creates = names.iter().map(async |name| {
        let id = until_created(&scim, name, &asked_again).await;
        done.fetch_add(1, Ordering::Relaxed);
        id
    });
    let all = futures::stream::iter(creates).buffer_unordered(open).collect::<Vec<_>>();
    let stop = async {
        eventually("some are there", async || (done.load(Ordering::Relaxed) >= ANSWERED_BEFORE).then_some(())).await;
        system.postgresql().terminate().await;
        let before = done.load(Ordering::Relaxed);
        sleep(outage).await;
        system.postgresql().start_again().await;
        before
    };
    let (ids, before) = futures::join!(all, stop);

    let (again, memory) = (asked_again.into_inner(), peak_memory(&system.ingresses[0]));
    println!("{people} people, {open} open: {before} before the outage, {again} asked again, ingress {memory} KiB");
    assert!(before < people, "all were there before the outage");
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), people, "each has an id of its own");
    system.at_rest().await;
    assert_eq!(scim.get("/Users?count=0").await.expect(200).body["totalResults"], people);
    assert_eq!(system.number("SELECT COUNT(*) FROM dead_letters").await, 0);
    assert!(memory < MEMORY_KIB, "the ingress took {memory} KiB");
}

/// As a provider does: whoever is told to come again, or hears nothing, comes again.
async fn until_created(scim: &Scim, name: &str, asked_again: &AtomicUsize) -> String {
    loop {
        match scim.try_post("/Users", user(name)).await {
            Some(answer) if answer.status != 503 => return answer.expect(201).id(),
            Some(_) | None => asked_again.fetch_add(1, Ordering::Relaxed),
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_or_the_broker_less_is_a_pause_and_no_failure() {
    let plan = System::plan(Database::Postgresql).own_broker(LogSync::Interval).ingresses(2).workers(3);
    let system = Box::pin(plan.start()).await;
    // As providers come: by a load balancer that asks each ingress whether it is ready.
    let balancer = Haproxy::before(&[system.url_of(0), system.url_of(1)]).await;
    let ways = [system.scim_at(0), system.scim().by_way_of(&balancer.url)];
    // In a run beside all other tests there is no telling how long anything takes.
    let patience = if trial::is_full() { 1 } else { 2 };
    for round in 0..trial::rounds(1).div_ceil(20) {
        let worker = &system.workers[round % 3];
        let killed = during(&ways, KILLED + Duration::from_secs(1), worker.kill()).await;
        worker.start().await;
        answered_within("a worker was killed", &killed, KILLED * patience);
        let stopped = during(&ways, STOPPED * 2, async { assert_eq!(worker.terminate().await, Some(0)) }).await;
        worker.start().await;
        answered_within("a worker was stopped", &stopped, STOPPED * patience);
        let broken = Box::pin(during(&ways, KILLED, system.broker().node().restart())).await;
        answered_within("the broker was killed", &broken, Duration::MAX);
    }
    system.at_rest().await;
    assert_eq!(system.number("SELECT COUNT(*) FROM dead_letters").await, 0);
}

/// What requests experience from half a second before a fault until so long after it.
async fn during(ways: &[Scim], after: Duration, fault: impl Future<Output = ()>) -> Samples {
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    let (until, name) = (CancellationToken::new(), format!("time-{}", TIMES.fetch_add(1, Ordering::Relaxed)));
    let harm = async {
        sleep(Duration::from_millis(500)).await;
        fault.await;
        sleep(after).await;
        until.cancel();
    };
    futures::join!(load(ways, &name, &until), harm).0
}

fn answered_within(what: &str, samples: &Samples, limit: Duration) {
    let (requests, failed, slowest) = (samples.len(), samples.failed(), samples.slowest());
    println!("{what}: {requests} requests, {} failed, the slowest took {slowest:?}", failed.len());
    assert!(failed.is_empty(), "{what}: {} of {requests} failed: {:?}", failed.len(), &failed[..failed.len().min(5)]);
    assert!(slowest <= limit, "{what}: the slowest of {requests} took {slowest:?}");
}

/// The most memory that a part's process ever had, in KiB.
fn peak_memory(part: &Part) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", part.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}
