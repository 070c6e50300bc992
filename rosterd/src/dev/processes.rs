//! What runs now, for the program that drives the system: kept in memory and, if asked for, in a file that is always current.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// nats-server.
    Broker,
    /// `rosterd worker`.
    Worker,
    /// `rosterd ingress`.
    Ingress,
}

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// What it does.
    pub role: Role,
    /// Its name: `broker`, `worker-1`, `ingress-1`.
    pub name: String,
    /// Its process id, not that of its guard.
    pub pid: u32,
    /// Its command line.
    pub argv: Vec<String>,
    /// Where it can be reached; workers have none.
    pub url: Option<String>,
}

/// The content of the ready file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// The Base URL of the workspace, at the first ingress.
    pub base_url: String,
    /// The workspace's bearer token.
    pub token: String,
    /// Where the broker is.
    pub nats_url: String,
    /// Where the database is.
    pub database_url: String,
    /// What runs, by name.
    pub processes: Vec<Process>,
}

/// The board on which every start is noted.
#[derive(Debug, Clone, Default)]
pub struct ProcessTable(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    processes: BTreeMap<String, Process>,
    file: Option<ReadyFile>,
}

#[derive(Debug)]
struct ReadyFile {
    path: PathBuf,
    content: Ready,
}

impl ProcessTable {
    /// Notes that a process runs, in place of its predecessor of the same name.
    pub(crate) fn note(&self, process: Process) -> std::io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.processes.insert(process.name.clone(), process);
        state.write()
    }

    /// Notes that a process has ended.
    pub(crate) fn remove(&self, name: &str) -> std::io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.processes.remove(name);
        state.write()
    }

    /// Writes the ready file now and at every change from now on.
    pub(crate) fn keep_in(&self, path: PathBuf, content: Ready) -> std::io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.file = Some(ReadyFile { path, content });
        state.write()
    }

    /// What runs, by name.
    pub fn processes(&self) -> Vec<Process> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).processes.values().cloned().collect()
    }
}

impl State {
    /// In one step, so that half of it is never read; for the owner's eyes only, since it holds a token.
    fn write(&mut self) -> std::io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.content.processes = self.processes.values().cloned().collect();
        let folder = file.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut next = tempfile::Builder::new().tempfile_in(folder.unwrap_or_else(|| ".".as_ref()))?;
        serde_json::to_writer_pretty(&mut next, &file.content)?;
        next.write_all(b"\n")?;
        next.persist(&file.path).map(drop).map_err(|error| error.error)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use expect_test::expect;

    use super::*;

    fn worker(pid: u32) -> Process {
        let argv = vec!["rosterd".to_owned(), "worker".to_owned()];
        Process { role: Role::Worker, name: "worker-1".to_owned(), pid, argv, url: None }
    }

    #[test]
    fn the_ready_file_is_current_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (processes, path) = (ProcessTable::default(), folder.path().join("ready.json"));
        processes.note(worker(1)).unwrap();
        let content = Ready {
            base_url: "http://127.0.0.1:8080/scim/v2/acme".to_owned(),
            token: "rst_x".to_owned(),
            nats_url: "nats://127.0.0.1:4222".to_owned(),
            database_url: "sqlite://rosterd.db".to_owned(),
            processes: Vec::new(),
        };
        processes.keep_in(path.clone(), content).unwrap();
        processes.note(worker(2)).unwrap();
        expect![[r#"
            {
              "base_url": "http://127.0.0.1:8080/scim/v2/acme",
              "token": "rst_x",
              "nats_url": "nats://127.0.0.1:4222",
              "database_url": "sqlite://rosterd.db",
              "processes": [
                {
                  "role": "worker",
                  "name": "worker-1",
                  "pid": 2,
                  "argv": [
                    "rosterd",
                    "worker"
                  ],
                  "url": null
                }
              ]
            }
        "#]]
        .assert_eq(&std::fs::read_to_string(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
