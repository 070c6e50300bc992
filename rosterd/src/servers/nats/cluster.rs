//! Three brokers that keep the log together, for tests of what a broker's failure does.

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{LogSync, NatsServer, NatsSettings, PAUSE, PROGRAM, READY_TIMEOUT, log_file, start_as};
use crate::servers::guard::last_lines;
use crate::servers::{ServerError, free_port};

/// One broker of a cluster, and what stays when its process is started again.
#[derive(Debug, Clone)]
pub struct Member {
    pub(super) name: String,
    cluster: String,
    /// Where the members talk to each other: its own port, and everybody's.
    route: u16,
    routes: Vec<u16>,
    settings: NatsSettings,
}

impl Member {
    /// The members of a new cluster, each with a folder below `directory`. None of them runs yet.
    pub fn three(guard: &Path, directory: &Path, log_sync: LogSync) -> Result<Vec<Self>, ServerError> {
        let cluster = format!("rosterd-{:016x}", rand::random::<u64>());
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect::<Result<_, _>>()?;
        let member = |(number, route): (usize, &u16)| {
            let name = format!("{cluster}-{number}");
            let directory = directory.join(number.to_string());
            let settings = NatsSettings { guard: guard.to_owned(), directory, port: Some(free_port()?), log_sync };
            Ok(Self { name, cluster: cluster.clone(), route: *route, routes: routes.clone(), settings })
        };
        routes.iter().enumerate().map(member).collect()
    }

    /// Starts this member, or starts it again; returns when it accepts connections, which may be before it finds the
    /// others. `say` hears what takes long.
    pub async fn start(&self, say: fn(&str)) -> Result<NatsServer, ServerError> {
        start_as(&self.settings, Some(self), say).await
    }

    /// How it runs.
    pub const fn settings(&self) -> &NatsSettings {
        &self.settings
    }

    pub(super) fn configuration(&self) -> Value {
        let routes = self.routes.iter().filter(|route| **route != self.route);
        json!({
            "name": self.cluster,
            "listen": format!("127.0.0.1:{}", self.route),
            "routes": routes.map(|route| format!("nats://127.0.0.1:{route}")).collect::<Vec<_>>(),
        })
    }
}

/// Waits until the cluster has chosen who decides about streams: before that nothing can be declared.
pub async fn until_led(member: &Member, url: &str) -> Result<(), ServerError> {
    let deadline = Instant::now() + READY_TIMEOUT;
    while Instant::now() < deadline {
        if is_led(url).await {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
    let path = log_file(&member.settings.directory);
    Err(ServerError::NotReady { program: PROGRAM, log: last_lines(&path, 10), path })
}

async fn is_led(url: &str) -> bool {
    let options = async_nats::ConnectOptions::new().request_timeout(Some(Duration::from_millis(500)));
    match options.connect(url).await {
        Ok(client) => jetstream::new(client).query_account().await.is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_knows_the_routes_of_the_others_and_keeps_its_name() {
        let members = Member::three(Path::new("rosterd"), Path::new("/data"), LogSync::Always).unwrap();
        for member in &members {
            let configuration = member.configuration();
            assert_eq!(configuration["routes"].as_array().unwrap().len(), 2);
            assert!(!configuration["routes"].to_string().contains(&member.route.to_string()));
            assert!(member.name.starts_with(&member.cluster));
        }
        assert_ne!(members[0].settings.directory, members[1].settings.directory);
    }
}
