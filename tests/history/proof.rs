//! The proof of the judge: each planted flaw is caught by name, and a right server is not accused, however bad the line.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fake::{Fake, Flaw};
use super::{History, Kind, Snapshot, Summary, Violation, verify};
use crate::harness::{Database, System, eventually, on_both};
use crate::workload::{self, WorkloadOptions};

/// How many requests the load makes.
const LOAD: u32 = 1000;

macro_rules! caught {
    ($($name:ident: $flaw:ident is $($kind:ident)|+;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let (history, snapshot) = played(Some(Flaw::$flaw), false, 1).await;
                let violations = verify(&history, &snapshot);
                assert!(violations.iter().any(|violation| matches!(violation.kind, $(Kind::$kind)|+)), "{}{}", Summary::of(&history), report(&violations));
            }
        )*
    };
}

caught! {
    a_lost_update_is_caught: UpdateLost is LostWrite;
    a_lost_create_is_caught: CreateLost is LostWrite;
    a_late_update_is_caught: UpdateLate is Reordered;
    an_update_made_twice_is_caught: UpdateTwice is Reordered;
    a_forgotten_rename_is_caught: RenameForgotten is LostWrite;
    a_lost_reactivation_is_caught: ReactivationLost is LostWrite;
    a_user_who_is_active_again_is_caught: ActiveAgain is StuckActive;
    an_older_image_written_over_a_deactivation_is_caught: ActiveOverwritten is StuckActive;
    a_user_who_is_there_again_is_caught: UserAgain is Resurrected;
    a_lost_deletion_is_caught: DeletionLost is Undeleted;
    a_lost_member_is_caught: MemberLost is LostMember;
    members_written_over_by_an_older_list_are_caught: MembersOverwritten is LostMember | GhostMember;
    a_removed_member_who_stays_is_caught: MemberStays is GhostMember;
    a_deleted_user_who_stays_a_member_is_caught: MemberDangles is GhostMember;
    two_users_of_one_name_are_caught: NameTwice is Doubled;
    two_users_of_one_create_are_caught: CreateTwice is Doubled;
    a_refused_create_that_was_made_is_caught: RefusedAndMade is GhostWrite;
    a_stale_read_is_caught: ReadStale is StaleRead;
    a_list_that_misses_somebody_is_caught: ListMisses is Unlisted;
    a_list_that_is_not_kept_up_is_caught: ListOutdated is ListingDiffers;
    an_update_of_another_user_is_caught: UpdateCrossed is Invented;
    a_read_of_another_user_is_caught: ReadCrossed is WrongAnswer;
    a_version_with_two_contents_is_caught: VersionKept is ForkedVersion;
    a_refused_token_is_caught: Unauthorized is WrongRefusal;
    a_user_who_is_not_found_is_caught: NotFound is StaleRead;
}

/// Clients that send the same value again would not notice.
#[tokio::test]
async fn a_user_whom_an_abandoned_reactivation_revives_is_caught() {
    let fake = Fake::start(Some(Flaw::AbandonedComesLate), false, 6).await;
    let until = CancellationToken::new();
    let (pause, until_then) = (Duration::from_millis(2), until.clone());
    let options = WorkloadOptions { clients: 8, impatient: 8, pause, until: until_then, ..Default::default() };
    let urls = [fake.base_url.clone()];
    let load = tokio::spawn(async move { workload::run(&urls, "token", options).await });
    eventually("somebody was revived", async || (fake.revived() > 2).then_some(())).await;
    until.cancel();
    let history = load.await.unwrap();
    fake.come_to_rest();
    let violations = verify(&history, &workload::snapshot(&fake.base_url, "token", &history).await);
    assert!(violations.iter().any(|violation| violation.kind == Kind::StuckActive), "{}", report(&violations));
}

#[tokio::test]
async fn a_right_server_is_not_accused() {
    let (history, snapshot) = played(None, false, 2).await;
    let violations = verify(&history, &snapshot);
    assert!(violations.is_empty(), "{}", report(&violations));
    let summary = Summary::of(&history);
    assert!(summary.acknowledged_writes > 200 && summary.unknown.is_empty(), "{summary}");
}

#[tokio::test]
async fn a_right_server_behind_a_bad_line_is_not_accused() {
    for seed in [3, 4] {
        let (history, snapshot) = played(None, true, seed).await;
        let violations = verify(&history, &snapshot);
        assert!(violations.is_empty(), "seed {seed}\n{}", report(&violations));
        let summary = Summary::of(&history);
        assert!(summary.server_errors > 10 && summary.unknown.len() > 1, "{summary}");
    }
}

#[tokio::test]
async fn a_saved_history_is_judged_alike() {
    let (history, snapshot) = played(Some(Flaw::UpdateLost), true, 5).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    history.save(Some(&snapshot), file.path()).unwrap();
    let (again, last) = History::load(file.path()).unwrap();
    assert_eq!(again, history);
    assert_eq!(verify(&again, &last.unwrap()), verify(&history, &snapshot));
}

#[tokio::test]
async fn what_is_not_answered_before_the_end_is_pending() {
    // It connects, and nobody ever answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let until = CancellationToken::new();
    let grace = Duration::from_millis(50);
    let options = WorkloadOptions { clients: 4, grace, until: until.clone(), ..WorkloadOptions::default() };
    let url = format!("http://{}", silent.local_addr().unwrap());
    let load = tokio::spawn(async move { workload::run(&[url], "token", options).await });
    let mut asked = Vec::new();
    for _ in 0..4 {
        let (connection, _) = silent.accept().await.unwrap();
        connection.readable().await.unwrap();
        asked.push(connection);
    }
    until.cancel();
    let Summary { attempts, acknowledged_writes, .. } = Summary::of(&load.await.unwrap());
    assert!(attempts.keys().all(|(_, outcome)| *outcome == "pending") && !attempts.is_empty(), "{attempts:?}");
    assert_eq!((attempts.values().sum::<u64>(), acknowledged_writes), (4, 0));
}

on_both!(rosterd_without_faults_is_not_accused);
async fn rosterd_without_faults_is_not_accused(database: Database) {
    let system = Box::pin(System::start_with(database, 2, 2)).await;
    let urls = [0, 1].map(|ingress| system.scim_at(ingress).base_url);
    let until = CancellationToken::new();
    let options = WorkloadOptions { until: until.clone(), ..WorkloadOptions::default() };
    let (token, all) = (system.token().to_owned(), urls.clone());
    let load = tokio::spawn(async move { workload::run(&all, &token, options).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    until.cancel();
    let history = load.await.unwrap();
    let violations = verify(&history, &workload::snapshot(&urls[0], system.token(), &history).await);
    assert!(violations.is_empty(), "{}", report(&violations));
}

/// The real workload against a fake server.
async fn played(flaw: Option<Flaw>, noisy: bool, seed: u64) -> (History, Snapshot) {
    let fake = Fake::start(flaw, noisy, seed).await;
    let until = CancellationToken::new();
    let (pause, until_then) = (Duration::ZERO, until.clone());
    let options =
        WorkloadOptions { seed, clients: 12, users: 3, groups: 2, pause, until: until_then, ..Default::default() };
    let urls = [fake.base_url.clone(), fake.base_url.clone()];
    let load = tokio::spawn(async move { workload::run(&urls, "token", options).await });
    eventually("the load was made", async || (fake.requests() >= LOAD).then_some(())).await;
    until.cancel();
    let history = load.await.unwrap();
    fake.come_to_rest();
    let snapshot = match flaw {
        Some(Flaw::Unauthorized) => Snapshot::default(),
        _ => workload::snapshot(&fake.base_url, "token", &history).await,
    };
    (history, snapshot)
}

fn report(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
