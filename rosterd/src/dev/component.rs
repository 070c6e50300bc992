//! The parts of a system, and how each is started: again on the same port when it has died.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::dev::processes::{Process, Role};
use crate::servers::guard::{Guarded, Launch, last_lines};
use crate::servers::nats;

/// How long a part may take until it is ready.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// The programs that ingresses and workers are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Programs {
    /// Subcommands of the rosterd binary.
    #[default]
    Subcommands,
    /// The binaries `ingress` and `worker` in this folder, as images run them.
    Standalone(PathBuf),
}

/// What every part of one system shares.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    /// The rosterd binary.
    pub(crate) rosterd: PathBuf,
    /// What ingresses and workers are.
    pub(crate) programs: Programs,
    /// A folder that is of no use when the process that started the system is gone.
    pub(crate) remove: Option<PathBuf>,
    /// Where logs are written.
    pub(crate) logs: PathBuf,
    /// Environment of ingresses and workers: secrets, too.
    pub(crate) environment: Vec<(String, OsString)>,
}

/// A part that can be started, and started again.
#[derive(Debug)]
pub(crate) enum Component {
    /// The broker; keeps its port once it has one.
    Broker(nats::NatsSettings),
    /// A worker, by number from 1.
    Worker(usize, Common),
    /// An ingress, by number from 1, on this port; 0 until it has one.
    Ingress(usize, u16, Common),
}

/// A part that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) guarded: Guarded,
    pub(crate) process: Process,
}

impl Component {
    /// The part's name in lists and logs.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Broker(_) => "broker".to_owned(),
            Self::Worker(number, _) => format!("worker-{number}"),
            Self::Ingress(number, ..) => format!("ingress-{number}"),
        }
    }

    /// Where the part's standard error goes.
    pub(crate) fn log(&self) -> PathBuf {
        match self {
            Self::Broker(settings) => nats::log_file(&settings.directory),
            Self::Worker(_, common) | Self::Ingress(.., common) => common.log(&self.name()),
        }
    }

    /// Starts the part and waits until it is ready.
    pub(crate) async fn start(&mut self) -> anyhow::Result<Running> {
        let name = self.name();
        match self {
            Self::Broker(settings) => {
                let server = nats::start(settings, crate::say).await?;
                settings.port = Some(server.port());
                let (argv, url) = (server.argv().to_vec(), Some(server.url()));
                let process = Process { role: Role::Broker, name, pid: server.pid(), argv, url };
                Ok(Running { guarded: server.into_guarded(), process })
            }
            Self::Worker(_, common) => {
                let guarded = common.launch(&name, "worker", Vec::new(), "ready").await?.0;
                let process = common.process(Role::Worker, name, guarded.pid(), None);
                Ok(Running { guarded, process })
            }
            Self::Ingress(_, port, common) => {
                let listen = ("ROSTERD_LISTEN".to_owned(), OsString::from(format!("127.0.0.1:{port}")));
                // There is no load balancer that would have to see it stop.
                let delay = ("ROSTERD_DRAIN_DELAY".to_owned(), OsString::from("0"));
                let (guarded, line) = common.launch(&name, "ingress", vec![listen, delay], "listening ").await?;
                let url = line.strip_prefix("listening ").unwrap_or_default().trim_end_matches('/').to_owned();
                let own_port = url.rsplit(':').next().and_then(|port| port.parse().ok());
                *port = own_port.with_context(|| format!("{name} said where it listens, but not on which port"))?;
                let process = common.process(Role::Ingress, name, guarded.pid(), Some(url));
                Ok(Running { guarded, process })
            }
        }
    }
}

impl Common {
    /// Starts an ingress or a worker and waits for the line by which it says that it is ready.
    async fn launch(
        &self,
        name: &str,
        program: &str,
        environment: Vec<(String, OsString)>,
        ready: &str,
    ) -> anyhow::Result<(Guarded, String)> {
        let log = self.log(name);
        let launch = Launch {
            guard: self.rosterd.clone(),
            command: self.argv(program),
            environment: self.environment.iter().cloned().chain(environment).collect(),
            directory: None,
            log: log.clone(),
            user: None,
            // By one of the guards: it ends when all parts do.
            remove: self.remove.clone().filter(|_| program == "ingress"),
        };
        let mut guarded = Guarded::start(launch).await?;
        while let Some(line) = guarded.line(READY_TIMEOUT).await {
            if line.starts_with(ready) {
                return Ok((guarded, line));
            }
        }
        bail!("{name} did not become ready; the end of its log, {}:\n{}", log.display(), last_lines(&log, 10))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn argv(&self, program: &str) -> Vec<OsString> {
        match &self.programs {
            Programs::Subcommands => vec![self.rosterd.clone().into(), program.into()],
            Programs::Standalone(folder) => vec![folder.join(program).into()],
        }
    }

    fn process(&self, role: Role, name: String, pid: u32, url: Option<String>) -> Process {
        let argv = self.argv(if role == Role::Worker { "worker" } else { "ingress" });
        let argv = argv.into_iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
        Process { role, name, pid, argv, url }
    }
}
