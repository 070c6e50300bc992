//! `rosterd demo`: everything at once in a temporary folder. A provider onboards a company, a worker is killed on the
//! way, three messages are broken on purpose; at the end everybody is there.

mod sabotage;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use comfy_table::{Table, presets};
use protocol::id::{Namespace, WorkspaceId};
use protocol::message::operator::{DeadLetter, DeadLetterList};
use runtime::settings::{BrokerSettings, Secret};
use tokio::time::Instant;

use crate::cli::management::Management;
use crate::dev::component::Programs;
use crate::dev::topology::{SystemPlan, Topology};
use crate::servers::nats::LogSync;
use crate::simulate::display::Display;
use crate::simulate::plan::Plan as Onboarding;
use crate::simulate::{self, Options, Phase, Progress, Report};

/// How many messages are broken on purpose.
const BROKEN: usize = 3;
/// How long the broken messages may take until they are dead letters.
const DEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of `rosterd demo`.
#[derive(Debug, Clone, clap::Args)]
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

/// Runs the demo; true if everybody is there exactly once and the broken messages are dead letters.
pub async fn run(args: DemoArgs) -> anyhow::Result<bool> {
    crate::say("rosterd demo: everything below runs on this machine and is deleted at the end\n");
    let folder = tempfile::Builder::new().prefix("rosterd-demo-").tempdir().context("making a temporary folder")?;
    let plan = plan(&args, folder.path())?;
    let topology = Topology::start(&plan, |line| crate::say(&format!("  {line}"))).await?;
    let played = play(&args, &plan, &topology).await;
    topology.stop().await;
    folder.close().context("removing the temporary folder")?;
    let (report, dead_letters) = played?;
    conclude(&report, &dead_letters).context("writing to standard output")
}

fn plan(args: &DemoArgs, data: &std::path::Path) -> anyhow::Result<SystemPlan> {
    Ok(SystemPlan {
        rosterd: std::env::current_exe().context("finding the rosterd binary")?,
        data: data.to_owned(),
        ingresses: 1,
        workers: usize::from(args.workers),
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
        seed: 1,
    };
    let company = Onboarding::new(options.seed, options.users, options.groups);
    let memberships: usize = company.teams.iter().map(|team| team.members.len()).sum();
    let (users, groups) = (args.users, args.groups);
    crate::say(&format!("\nActing as a provider: {users} people, {groups} groups, {memberships} memberships"));

    let (display, killed) = (Display::for_stderr(company.writes()), Arc::new(AtomicBool::new(false)));
    let breaking = sabotage::break_messages(&topology.ready.nats_url, &plan.namespace, &plan.workspace, BROKEN);
    let onboarding = simulate::run(options, |progress: Progress| {
        display.show(progress);
        let midway = progress.phase == Phase::Verification || progress.answered * 2 >= progress.total;
        if midway && !killed.swap(true, Ordering::Relaxed) {
            sabotage::kill_worker(&topology.processes);
        }
    });
    let (broken, report) = tokio::join!(breaking, onboarding);
    display.finish();
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
    writeln!(output, "Dead letters (messages that were broken on purpose)\n{}", table_of(dead_letters))?;
    let complete = report.is_clean() && dead_letters.len() == BROKEN;
    let verdict = if complete {
        "Everybody is there exactly once, although a worker was killed on the way."
    } else {
        "Something is missing, doubled or wrong: see above."
    };
    writeln!(output, "\n{verdict}\n\nNext: `rosterd dev` keeps a system running and prints a curl to try.")?;
    Ok(complete)
}

fn table_of(dead_letters: &[DeadLetter]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["sequence", "subject", "bytes", "reason"]);
    for letter in dead_letters {
        let (sequence, bytes) = (letter.sequence.to_string(), letter.bytes.to_string());
        table.add_row([sequence, letter.subject.clone(), bytes, letter.reason.clone()]);
    }
    table
}
