//! Order: whatever dies meanwhile, each resource ends as the fold of its commands in the order in which the log accepted
//! them.
//!
//! Two ingresses send overlapping changes to a few resources; three workers apply them and are killed. The ledger says in
//! which order the log has accepted which request, and which were held on their way and yielded; the model, which shares no code with rosterd, says what that must
//! have come to.

mod ledger;
mod model;
mod plan;
mod request;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use rosterd::servers::nats::LogSync;

use self::ledger::Ledger;
use self::model::Model;
pub(crate) use self::plan::{Cast, plan};
use self::request::Request;
use crate::harness::scim::Scim;
use crate::harness::{Database, System, on_both, within};

/// How many requests are on their way at any time.
const IN_FLIGHT: usize = 128;
/// How many are answered before the next process dies.
const ANSWERS_BETWEEN_DEATHS: usize = 150;
/// Three brokers take seconds to choose a new leader; workers and ingresses ask once in a few seconds.
const BROKER_ELECTION: Duration = Duration::from_mins(1);

on_both!(commands_take_effect_in_the_order_in_which_the_log_accepted_them);
async fn commands_take_effect_in_the_order_in_which_the_log_accepted_them(database: Database) {
    let system = System::plan(database).ingresses(2).workers(3).start().await;
    let deaths = async |answers: &Answers| {
        for (death, worker) in (1..).zip(&system.workers) {
            answers.reach(death * ANSWERS_BETWEEN_DEATHS).await;
            worker.restart().await;
        }
    };
    Run { count: 600, seed: 3 }.check(&system, deaths).await;
}

#[tokio::test]
async fn the_order_survives_the_death_of_each_of_three_brokers_in_turn() {
    let plan = System::plan(Database::Postgresql).three_brokers(LogSync::Always);
    let system = plan.ingresses(2).workers(3).start().await;
    let deaths = async |answers: &Answers| {
        for (death, (worker, node)) in (1..).zip(system.workers.iter().zip(&system.broker().nodes)) {
            answers.reach(death * ANSWERS_BETWEEN_DEATHS).await;
            futures::join!(worker.kill(), node.kill());
            // The worker is ready again whenever the brokers let it be.
            worker.launch().await;
            node.start_again().await;
            system.broker().until_led().await;
        }
    };
    Run { count: 600, seed: 7 }.check(&system, deaths).await;
}

/// Many overlapping requests, the same for the same seed.
struct Run {
    count: usize,
    seed: u64,
}

impl Run {
    /// Sends the requests while processes die, and judges what is left when nothing is pending any more.
    async fn check(self, system: &System, deaths: impl AsyncFnOnce(&Answers)) {
        let scims = [system.scim_at(0), system.scim_at(1)];
        let cast = Cast::create(&scims[0]).await;
        let requests = plan(&cast, self.count, self.seed);
        let answers = Answers::default();
        let (statuses, ()) = futures::join!(play(&scims, &requests, &answers), deaths(&answers));
        assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
        at_rest(system).await;
        let differences = differences(system, &scims[0], &cast, &requests).await;
        let shown = &differences[..differences.len().min(20)];
        assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), shown.join("\n"));
    }
}

/// Waits until everything that was accepted is settled.
pub(crate) async fn at_rest(system: &System) {
    let (context, stream) = (system.jetstream().await, system.namespace().command_stream());
    let empty = async || {
        let stream = context.get_stream(&stream).await.ok()?;
        (stream.cached_info().state.messages == 0).then_some(())
    };
    within(BROKER_ELECTION, "the log is empty", empty).await;
}

/// How many requests were answered.
#[derive(Default)]
pub(crate) struct Answers(AtomicUsize);

impl Answers {
    /// Waits until there are so many.
    async fn reach(&self, count: usize) {
        within(BROKER_ELECTION, "requests are answered", async || {
            (self.0.load(Ordering::Relaxed) >= count).then_some(())
        })
        .await;
    }
}

/// Sends all requests, in turn through each ingress; their statuses.
pub(crate) async fn play(scims: &[Scim], requests: &[Request], answers: &Answers) -> Vec<u16> {
    let send = async |(number, request): (usize, &Request)| {
        let status = request.send(&scims[number % scims.len()]).await;
        answers.0.fetch_add(1, Ordering::Relaxed);
        status
    };
    let mut statuses = Vec::with_capacity(requests.len());
    let mut answered = stream::iter(requests.iter().enumerate()).map(send).buffer_unordered(IN_FLIGHT);
    while let Some(status) = answered.next().await {
        statuses.push(status);
    }
    statuses
}

/// What is not as the ledger's order says.
pub(crate) async fn differences(system: &System, scim: &Scim, cast: &Cast, requests: &[Request]) -> Vec<String> {
    let ledger = Ledger::open(system).await;
    let known: BTreeMap<String, &Request> =
        requests.iter().map(|request| (request.fingerprint(scim), request)).collect();
    let accepted = ledger.changes(&system.logs()).await;
    let sent = sorted(requests.iter().map(|request| request.fingerprint(scim)));
    assert_eq!(sorted(accepted.iter().map(|operation| operation.fingerprint.clone())), sent, "each request once");
    let mut model = Model::new(cast);
    for operation in accepted.iter().filter(|operation| operation.came_first) {
        model.expect_first_effect(known[&operation.fingerprint].target, operation.sequence);
    }
    let judged = accepted.iter().filter_map(|operation| model.apply(known[&operation.fingerprint], operation));
    let operations: Vec<String> = judged.collect();
    let mut differences = Vec::new();
    for id in cast.all() {
        let (expected, found) = (model.shown(id), cast.read(scim, &ledger, id).await);
        if expected != found {
            differences.push(format!("{id} is {found:?}, its commands come to {expected:?}"));
        }
    }
    differences.extend(operations);
    differences
}

fn sorted(fingerprints: impl Iterator<Item = String>) -> Vec<String> {
    let mut fingerprints: Vec<String> = fingerprints.collect();
    fingerprints.sort_unstable();
    fingerprints
}
