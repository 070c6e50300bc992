//! Answers the question how this process is, which is asked of all processes at once.

use std::pin::Pin;
use std::time::Duration;

use async_nats::{Client, Message, SubscribeError};
use futures::StreamExt;
use protocol::id::Namespace;
use protocol::message::status::{LogStatus, ProcessState, RoleStatus, Status};
use protocol::time::Timestamp;

/// How long finding out may take, so that the answer comes within 300 ms.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// Questions that are answered at a time.
const MAX_CONCURRENT_QUESTIONS: usize = 16;

/// Which process this is.
#[derive(Debug, Clone)]
pub struct ProcessIdentity {
    /// Its name, new at each start.
    pub instance: String,
    /// Its version of rosterd.
    pub version: &'static str,
    /// When it was started.
    pub started_at: Timestamp,
}

impl ProcessIdentity {
    /// What it says of itself.
    pub fn status(&self, state: ProcessState, role: RoleStatus, log: Option<LogStatus>) -> Status {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let Self { instance, version, started_at } = self;
        let (instance, version, started_at) = (instance.clone(), (*version).to_owned(), *started_at);
        Status { instance, host, version, state, started_at, role, log }
    }
}

/// What a process says when it is asked.
pub type SayStatus = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Status> + Send>> + Send + Sync>;

/// Answers for as long as the client lives.
pub async fn start(client: Client, namespace: &Namespace, say: SayStatus) -> Result<(), SubscribeError> {
    let questions = client.subscribe(namespace.status()).await?;
    tokio::spawn(async move {
        let answering = questions.for_each_concurrent(MAX_CONCURRENT_QUESTIONS, |question| {
            let saying = say();
            let client = client.clone();
            async move { answer(&client, question, saying.await).await }
        });
        answering.await;
    });
    Ok(())
}

async fn answer(client: &Client, question: Message, status: Status) {
    let Some(inbox) = question.reply else { return };
    let Ok(payload) = serde_json::to_vec(&status) else { return };
    if let Err(error) = client.publish(inbox, payload.into()).await {
        tracing::debug!(%error, "the question how this process is got no answer");
    }
}
