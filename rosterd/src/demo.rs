//! `rosterd demo`: everything at once in a temporary folder. A provider onboards a company, a worker is killed on the
//! way, three messages are broken on purpose; at the end everybody is there.

mod sabotage;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use protocol::id::{Namespace, WorkspaceId};
use protocol::message::operator::{DeadLetter, DeadLetterList};
use runtime::settings::{BrokerSettings, Secret};
use runtime::signals::Signals;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::cli::management::Management;
use crate::dev::component::Programs;
use crate::dev::topology::{SystemPlan, Topology};
use crate::servers::nats::LogSync;
use crate::simulate::display::Display;
use crate::simulate::plan::{Phase, Plan};
use crate::simulate::{self, Options, Progress, Report};

/// How many messages are broken on purpose.
const BROKEN: usize = 3;
/// How long the broken messages may take until they are dead letters.
const DEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Without an answer for so long something is wrong that waiting does not mend, such as a full disk.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// How a command ends that was interrupted, as shells say it.
const INTERRUPTED: u8 = 130;

/// The settings of `rosterd demo`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Example:\n  rosterd demo --users 2000 --groups 40\n\nCtrl-C stops and deletes everything. If the demo fails, it keeps its data and logs and says where."
)]
pub struct DemoArgs {
    /// How many people join.
    #[arg(long, default_value_t = 500)]
    pub users: usize,

    /// How many groups there are.
    #[arg(long, default_value_t = 20)]
    pub groups: usize,

    /// How many workers share the log.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub workers: u8,
}

/// Runs the demo: success if everybody is there exactly once and the broken messages are dead letters. A signal ends it and
/// removes everything.
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    crate::say("rosterd demo: everything below runs on this machine and is deleted at the end\n");
    let folder = tempfile::Builder::new().prefix("rosterd-demo-").tempdir().context("making a temporary folder")?;
    let plan = plan(&args, folder.path())?;
    let started = tokio::select! {
        started = Topology::start(&plan, |line| crate::say(&format!("  {line}"))) => started,
        () = signals.next() => return Ok(interrupted(folder).await),
    };
    let topology = match started {
        Ok(topology) => topology,
        Err(failure) => return Err(failure.context(kept(folder))),
    };
    let played = tokio::select! {
        played = play(&args, &plan, &topology) => Some(played),
        () = signals.next() => None,
    };
    let stopped = tokio::select! {
        () = topology.stop() => true,
        () = signals.next() => false,
    };
    match played {
        Some(Ok((report, dead_letters))) if stopped => {
            if conclude(&report, &dead_letters).context("writing to standard output")? {
                folder.close().context("removing the temporary folder")?;
                return Ok(ExitCode::SUCCESS);
            }
            crate::say(&kept(folder));
            Ok(ExitCode::FAILURE)
        }
        Some(Err(failure)) if stopped => Err(failure.context(kept(folder))),
        Some(_) | None => Ok(interrupted(folder).await),
    }
}

/// Removes everything. Processes that were ended a moment ago may still write: some attempts.
async fn interrupted(folder: TempDir) -> ExitCode {
    crate::say("interrupted: everything is stopped and deleted");
    let path = folder.keep();
    for _ in 0..100 {
        if std::fs::remove_dir_all(&path).is_ok() || !path.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ExitCode::from(INTERRUPTED)
}

/// Keeps the folder, and says where it is.
fn kept(folder: TempDir) -> String {
    format!("the demo failed; its data and logs are kept in {}", folder.keep().display())
}

fn plan(args: &DemoArgs, data: &std::path::Path) -> anyhow::Result<SystemPlan> {
    Ok(SystemPlan {
        rosterd: std::env::current_exe().context("finding the rosterd binary")?,
        data: data.to_owned(),
        ingresses: 1,
        workers: usize::from(args.workers),
        temporary: true,
        port: 0,
        nats_url: None,
        database_url: None,
        namespace: "demo".parse::<Namespace>()?,
        log_sync: LogSync::Always,
        workspace: "acme".parse::<WorkspaceId>()?,
        programs: Programs::default(),
        worker_environment: Vec::new(),
    })
}

async fn play(args: &DemoArgs, plan: &SystemPlan, topology: &Topology) -> anyhow::Result<(Report, Vec<DeadLetter>)> {
    let options = Options {
        base_urls: vec![topology.ready.base_url.clone()],
        token: Secret::new(topology.ready.token.clone()),
        users: args.users,
        groups: args.groups,
        concurrency: 32,
        rate: None,
        probe: true,
        stall: Some(STALL_TIMEOUT),
        seed: 1,
    };
    let company = Plan::new(options.seed, options.users, options.groups);
    let memberships: usize = company.teams.iter().map(|team| team.members.len()).sum();
    let (users, groups) = (args.users, args.groups);
    crate::say(&format!("\nActing as a provider: {users} people, {groups} groups, {memberships} memberships"));

    let (display, killed) = (Display::for_stderr(), Arc::new(AtomicBool::new(false)));
    let breaking = sabotage::break_messages(&topology.ready.nats_url, &plan.namespace, &plan.workspace, BROKEN);
    let onboarding = simulate::run(options, |progress: Progress| {
        display.show(progress);
        let midway = progress.phase == Phase::Verification || progress.answered * 2 >= progress.total;
        if midway && !killed.swap(true, Ordering::Relaxed) {
            sabotage::kill_worker(&topology.processes);
        }
    });
    let (broken, report) = tokio::join!(breaking, onboarding);
    drop(display);
    broken.context("breaking messages on purpose")?;
    let management =
        Management::connect(&BrokerSettings::known(&topology.ready.nats_url, plan.namespace.clone())).await?;
    Ok((report.context("onboarding")?, dead_letters(&management).await?))
}

/// Waits until the broken messages have been set aside.
async fn dead_letters(management: &Management) -> anyhow::Result<Vec<DeadLetter>> {
    let until = Instant::now() + DEAD_TIMEOUT;
    loop {
        let dead_letters = management.call(DeadLetterList::default()).await?.dead_letters;
        if dead_letters.len() >= BROKEN || Instant::now() >= until {
            return Ok(dead_letters);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn conclude(report: &Report, dead_letters: &[DeadLetter]) -> std::io::Result<bool> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "\n{report}")?;
    writeln!(output, "Dead letters (messages that were broken on purpose)")?;
    for letter in dead_letters {
        writeln!(output, "{}", two_lines(letter))?;
    }
    let complete = report.is_clean() && dead_letters.len() == BROKEN;
    let verdict = if complete {
        "Everybody is there exactly once, although a worker was killed on the way."
    } else {
        "Something is missing, doubled or wrong: see above."
    };
    writeln!(output, "\n{verdict}\n\nNext: `rosterd dev` keeps a system running and prints a curl to try.")?;
    Ok(complete)
}

/// A dead letter in two lines of less than 80 columns; of the id its beginning.
fn two_lines(letter: &DeadLetter) -> String {
    let DeadLetter { sequence, subject, bytes, reason, .. } = letter;
    let shortened =
        subject.rsplit_once('.').map(|(kind, id)| format!("{kind}.{}…", id.chars().take(8).collect::<String>()));
    let subject = shortened.unwrap_or_else(|| subject.clone());
    format!("  {sequence:<4} {subject}, {bytes} bytes\n       {reason}")
}

#[cfg(test)]
mod tests {
    use protocol::message::operator::{DeadCause, DeadLetterState};
    use protocol::time::Timestamp;

    use super::*;

    #[test]
    fn a_dead_letter_fits_80_columns() {
        let letter = DeadLetter {
            sequence: 1039,
            operation: None,
            workspace: None,
            resource: None,
            kind: None,
            cause: DeadCause::Undecodable,
            fingerprint: "0f".to_owned(),
            state: DeadLetterState::Dead,
            replays: 0,
            edited: false,
            subject: "demo.cmd.interactive.acme.Users.7aef3958-c7d6-9b87-b872-9951e92c538e".to_owned(),
            reason: "not an envelope: it is not JSON, at line 1 column 2".to_owned(),
            bytes: 24,
            dead_at: Timestamp::from_millis(0),
        };
        let lines = "  1039 demo.cmd.interactive.acme.Users.7aef3958…, 24 bytes
       not an envelope: it is not JSON, at line 1 column 2";
        assert_eq!(two_lines(&letter), lines);
    }
}
