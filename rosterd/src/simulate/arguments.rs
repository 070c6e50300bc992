//! `rosterd simulate` on the command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use runtime::settings::Secret;

use super::display::Display;
use super::plan::Plan;
use super::{Options, Report, SimulateError, run};

/// Plays an identity provider and verifies the result.
///
/// Creates made-up people and groups as Okta and Entra do, changes some, removes a few, and
/// verifies through the API that everything which was acknowledged is there exactly once with the right values.
///
/// The token comes from `ROSTERD_TOKEN` or `--token-file`, never as an argument. Exits with 1 on any error or difference.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ROSTERD_TOKEN=rst_… rosterd simulate --base-url http://127.0.0.1:8080/scim/v2/acme"
)]
pub struct SimulateArgs {
    /// The workspace's Base URL; given several times, requests go to them in turn.
    #[arg(long = "base-url", env = "ROSTERD_BASE_URL", value_delimiter = ',', required = true)]
    base_urls: Vec<String>,

    /// File that holds the bearer token.
    #[arg(long, env = "ROSTERD_TOKEN_FILE")]
    token_file: Option<PathBuf>,

    /// How many people join.
    #[arg(long, default_value_t = 500, value_parser = at_most_a_million)]
    users: usize,

    /// How many groups there are; the first one is everybody's.
    #[arg(long, default_value_t = 20, value_parser = at_most_a_million)]
    groups: usize,

    /// How many operations are under way at a time.
    #[arg(long, default_value_t = 32, value_parser = at_least_one)]
    concurrency: usize,

    /// The most requests per second [default: as many as are answered].
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,

    /// Create without looking up first.
    #[arg(long)]
    no_probe: bool,

    /// Makes the names: the same seed plays the same people [default: random].
    #[arg(long)]
    seed: Option<u64>,

    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table and a line for each difference.
    Table,
    /// One JSON object: run, people, groups, memberships, deleted, seconds, operations, errors, differences.
    Json,
}

impl SimulateArgs {
    /// Plays the run and prints its report to standard output: success only when nothing failed or differs.
    pub async fn execute(self) -> Result<ExitCode, SimulateError> {
        let output = self.output;
        let options = self.options()?;
        let plan = Plan::new(options.seed, options.users, options.groups);
        let memberships: usize = plan.teams.iter().map(|team| team.members.len()).sum();
        let Options { users, groups, seed, .. } = &options;
        let writes = plan.writes();
        crate::say(&format!(
            "Acting as a provider: {users} people, {groups} groups, {memberships} memberships,\n  {writes} writes (seed {seed})"
        ));
        let display = Display::for_stderr();
        let report = run(options, |progress| display.show(progress)).await;
        drop(display);
        print(&report?, output)
    }

    fn options(self) -> Result<Options, SimulateError> {
        Ok(Options {
            base_urls: self.base_urls,
            token: Secret::given(self.token_file.as_deref(), &["ROSTERD_TOKEN"])?.ok_or(SimulateError::NoToken)?,
            users: self.users,
            groups: self.groups,
            concurrency: self.concurrency,
            rate: self.rate,
            probe: !self.no_probe,
            stall: None,
            seed: self.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
        })
    }
}

fn print(report: &Report, output: Format) -> Result<ExitCode, SimulateError> {
    let mut stdout = std::io::stdout().lock();
    let written = match output {
        Format::Table => write!(stdout, "{report}"),
        Format::Json => {
            serde_json::to_writer_pretty(&mut stdout, report).map_err(Into::into).and_then(|()| writeln!(stdout))
        }
    };
    written.map_err(SimulateError::Output)?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match at_most_a_million(text)? {
        0 => Err("must be 1 or more".to_owned()),
        number => Ok(number),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 => Ok(number),
        Ok(_) | Err(_) => Err("must be a number above 0".to_owned()),
    }
}

fn at_most_a_million(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 0..=1_000_000) => Ok(number),
        Ok(_) | Err(_) => Err("must be a number up to 1000000".to_owned()),
    }
}
