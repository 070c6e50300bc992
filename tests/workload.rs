//! Plays providers that change the same people and groups at the same time, and records what they see.

mod choice;
mod client;
mod http;
mod population;
mod snapshot;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::history::{History, Recorder};
use client::Client;
use http::Http;
use population::Population;

pub(crate) use snapshot::snapshot;

/// How the load looks.
#[derive(Debug, Clone)]
pub(crate) struct WorkloadOptions {
    /// The same seed makes the same choices; what the server answers may still lead elsewhere.
    pub(crate) seed: u64,
    /// Logical clients; each has one request under way.
    pub(crate) clients: usize,
    /// How many of them give up after a moment, and then ask for the contrary.
    pub(crate) impatient: usize,
    /// Users that all clients share.
    pub(crate) users: usize,
    /// Groups that all clients share.
    pub(crate) groups: usize,
    /// The pause between two requests of a client.
    pub(crate) pause: Duration,
    /// Cancelled when no further request is to begin.
    pub(crate) until: CancellationToken,
    /// How long requests under way may take after that; what is not answered by then is pending.
    pub(crate) grace: Duration,
}

impl Default for WorkloadOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            clients: 16,
            impatient: 0,
            users: 6,
            groups: 3,
            pause: Duration::from_millis(5),
            until: CancellationToken::new(),
            grace: Duration::from_secs(65),
        }
    }
}

/// Runs until it is told to stop. Each request goes to one of the Base URLs, such as
/// `http://127.0.0.1:8080/scim/v2/acme`, at random.
pub(crate) async fn run(base_urls: &[String], token: &str, options: WorkloadOptions) -> History {
    let recorder = Arc::new(Recorder::new());
    let http = Http::new(base_urls, token);
    let population = Arc::new(Population::new(&options));
    let mut clients = JoinSet::new();
    for number in 0..options.clients {
        let client = Client::new(number, options.seed, http.clone(), Arc::clone(&population), Arc::clone(&recorder));
        let client = if number < options.impatient { client.impatient() } else { client };
        clients.spawn(client.run(options.pause, options.until.clone()));
    }
    options.until.cancelled().await;
    let all = async {
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    };
    // Whoever is still waiting is dropped with the set: those attempts stay pending.
    let _ = timeout(options.grace, all).await;
    recorder.history()
}
