//! Requests whose clients gave up: they do not undo later what another client was told since.
//!
//! A round is one person in one outage: a request waits in an ingress, its client gives up, a contrary one is
//! acknowledged, the outage ends. Many rounds share an outage. `ROSTERD_TRIAL_ROUNDS=200` tries each case so often.

mod change;
mod outage;
mod round;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use rosterd::servers::nats::LogSync;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::harness::scim::Scim;
use crate::harness::{Database, Haproxy, System, trial};
use change::{ACCESS, ALONE, Case, VALUES};
use outage::Outage;
use round::{HangUp, Round};

/// Rounds of a case in one outage and workspace: what one ingress may have in the log of a workspace and lane sets the
/// limit.
const AT_ONCE: usize = 4;
/// In how many workspaces at most: more would keep an ingress from reading a request before its client gives up.
const MAX_WORKSPACES: usize = 5;
/// With this deadline nothing is appended any more 15 seconds after a request came: time enough for a broker to be back.
const ANSWER_DEADLINE: &str = "20";
/// When the clients give up, when somebody asks for the contrary, when the outage ends, all since the old requests were
/// sent; and when no ingress may append them any more.
const PATIENCE: Duration = Duration::from_secs(1);
const HEALED_AT: Duration = Duration::from_millis(5200);
const FORGOTTEN_AT: Duration = Duration::from_millis(15_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_late_undoes_a_newer_change_with_one_ingress() {
    let outages = [Outage::LinkCut, Outage::LinkStalled, Outage::BrokerRestarted, Outage::Frozen];
    all_of(outages.map(|outage| Trial::of(outage, 1))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_late_undoes_a_newer_change_with_two_ingresses() {
    let outages = [Outage::LinkCut, Outage::LinkStalled, Outage::BrokerRestarted, Outage::Frozen];
    // No ingress has read such a request: one that is abandoned need not take effect, and behind a proxy it comes when the
    // ingress wakes.
    let rounds = cases(&[(ACCESS, HangUp::Seen), (VALUES, HangUp::Seen)]);
    let frozen_before = Trial { rounds, ..Trial::of(Outage::FrozenBefore, 2) };
    all_of(outages.map(|outage| Trial::of(outage, 2)).into_iter().chain([frozen_before])).await;
}

/// What is in the socket arrives when it is no longer valid, and its client waits all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_stored_late_and_appended_again_is_applied_once_and_answered() {
    let system = System::plan(Database::Postgresql).proxied().start().await;
    let (scim, link) = (system.scim(), system.ingresses[0].broker_link());
    let names: Vec<String> = (0..trial::rounds(20)).map(|number| format!("person-{number}")).collect();
    for some in names.chunks(60) {
        let created = join_all(some.iter().map(|name| scim.post_owned("/Users", change::person(name, true)))).await;
        let paths: Vec<String> = created.into_iter().map(|user| format!("/Users/{}", user.expect(201).id())).collect();
        link.stall();
        let began = Instant::now();
        let title = || json!([{ "op": "replace", "path": "title", "value": "Dr." }]);
        let changes = join_all(paths.iter().map(|path| scim.patch(path, title())));
        let heal = async {
            sleep_until(began + HEALED_AT).await;
            link.heal();
        };
        let (answers, ()) = futures::join!(changes, heal);
        for answer in answers {
            let answer = answer.expect(200);
            assert_eq!((&answer.body["title"], answer.header("etag")), (&json!("Dr."), "W/\"2\""));
        }
    }
    system.at_rest().await;
    let late = "SELECT COUNT(*) FROM settled_copies WHERE reason = 'late'";
    assert!(system.number(late).await > 0, "no copy was stored late: nothing was tried");
}

/// One outage after the other on one system.
struct Trial {
    outage: Outage,
    ingresses: usize,
    rounds: Vec<(Case, HangUp)>,
}

/// How many rounds of a case there were, how many went wrong, and how the first one did.
type Tally = BTreeMap<(HangUp, Case), (usize, usize, String)>;

/// Two side by side, each on a system of its own: they wait most of the time. More of them would keep an ingress from
/// reading a request before its client gives up.
async fn all_of(trials: impl IntoIterator<Item = Trial>) {
    let trials = stream::iter(trials).map(|trial| Box::pin(trial.run())).buffer_unordered(2);
    let wrong = trials.collect::<Vec<String>>().await.concat();
    assert!(wrong.is_empty(), "not as the newest acknowledged change says:\n{wrong}");
}

impl Trial {
    fn of(outage: Outage, ingresses: usize) -> Self {
        let rounds = cases(&[
            (ACCESS, HangUp::Seen),
            (ACCESS, HangUp::Hidden),
            (ALONE, HangUp::Seen),
            (ALONE, HangUp::Hidden),
            (VALUES, HangUp::Seen),
        ]);
        Self { outage, ingresses, rounds }
    }

    /// A line for each case that went wrong.
    async fn run(self) -> String {
        let plan = System::plan(self.database()).proxied().ingresses(self.ingresses);
        let plan = plan.own_broker(LogSync::Interval).ingress_setting("ROSTERD_ANSWER_DEADLINE", ANSWER_DEADLINE);
        let system = Box::pin(plan.start()).await;
        let proxy = Haproxy::hiding(system.url_of(0)).await;
        let (mut tally, mut left) = (Tally::new(), trial::rounds(2));
        let mut workspaces = vec![system.scim()];
        while workspaces.len() < left.div_ceil(AT_ONCE).min(MAX_WORKSPACES) {
            workspaces.push(system.enable(&format!("workspace-{}", workspaces.len())).await);
        }
        while left > 0 {
            let some = left.min(AT_ONCE * workspaces.len());
            Box::pin(self.one_outage(&system, (&proxy, &workspaces), (left, some), &mut tally)).await;
            left -= some;
        }
        self.report(&tally)
    }

    /// By turns: what runs side by side on PostgreSQL shares its connections with all other tests.
    fn database(&self) -> Database {
        match (self.outage, self.ingresses) {
            (Outage::LinkCut | Outage::BrokerRestarted, 2) | (Outage::LinkStalled, 1) => Database::Postgresql,
            _ => Database::Sqlite,
        }
    }

    fn report(&self, tally: &Tally) -> String {
        let mut wrong_ones = String::new();
        for ((hang_up, Case { old, newer }), (rounds, wrong, example)) in tally {
            let line = format!(
                "{:?}, {} ingresses, hang-up {hang_up:?}: {old:?}, then {newer:?}: {wrong} of {rounds} wrong",
                self.outage, self.ingresses
            );
            println!("{line}");
            if *wrong > 0 {
                writeln!(wrong_ones, "{line}: {example}").unwrap();
            }
        }
        wrong_ones
    }

    /// So many rounds of every case, spread over the workspaces.
    async fn one_outage(
        &self,
        system: &System,
        (proxy, workspaces): (&Haproxy, &[Scim]),
        (left, some): (usize, usize),
        tally: &mut Tally,
    ) {
        let mut rounds: Vec<(usize, Round)> = Vec::new();
        for (index, (case, hang_up)) in self.rounds.iter().enumerate() {
            let old_server = match hang_up {
                HangUp::Seen => system.url_of(0),
                HangUp::Hidden => &proxy.url,
            };
            let newer_server = if self.ingresses == 1 { old_server } else { system.url_of(1) };
            rounds.extend((0..some).zip(workspaces.iter().cycle()).map(|(number, workspace)| {
                let ways = (workspace.by_way_of(old_server), workspace.by_way_of(newer_server));
                (number, Round::new(*case, *hang_up, ways, format!("person-{index}-{left}-{number}")))
            }));
        }
        join_all(rounds.iter_mut().map(|(turn, round)| round.prepare(*turn))).await;
        self.outage.begin(system).await;
        let began = Instant::now();
        let abandoned = join_all(rounds.iter().map(|(_, round)| round.abandon(PATIENCE)));
        let (answers, ()) = futures::join!(abandoned, self.outage.go_on(system, began));
        assert!(answers.iter().all(Option::is_none), "answered in the outage: {answers:?}");

        // Where the other ingress goes on, the newer ones are acknowledged before the outage ends.
        let first = self.ingresses > 1 && self.outage.spares_the_other();
        let newer = join_all(rounds.iter_mut().map(|(_, round)| round.overtake()));
        let heal = async {
            sleep_until(began + HEALED_AT).await;
            self.outage.end(system).await;
        };
        if first {
            newer.await;
            heal.await;
        } else {
            futures::join!(newer, heal);
        }
        // A frozen ingress reads what came before it woke only then.
        let read = if self.outage == Outage::FrozenBefore { HEALED_AT } else { Duration::ZERO };
        sleep_until(began + read + FORGOTTEN_AT).await;
        system.at_rest().await;
        for (_, round) in &rounds {
            let entry = tally.entry((round.hang_up, round.case)).or_default();
            entry.0 += 1;
            if let Some(wrong) = round.verdict().await {
                entry.1 += 1;
                entry.2 = wrong;
            }
        }
    }
}

fn cases(groups: &[(&[Case], HangUp)]) -> Vec<(Case, HangUp)> {
    groups.iter().flat_map(|(cases, hang_up)| cases.iter().map(|case| (*case, *hang_up))).collect()
}
