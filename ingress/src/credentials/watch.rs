//! Follows the bucket to which workers project credentials, through every restart of the broker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{Entry, Operation};
use futures::StreamExt;
use protocol::credential::Credential;
use protocol::id::{Namespace, TokenId};
use runtime::telemetry::error_chain;
use runtime::{backoff, clock};

use crate::credentials::Credentials;
use crate::health::Health;
use crate::metrics::METRICS;

/// The bucket's keys of credentials: `token.<token id>`.
const KEY_PREFIX: &str = "token.";
/// A watch is opened anew this often, in case it went silent.
const WATCH_FOR: Duration = Duration::from_mins(1);
/// How long opening a watch may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

type WatchError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps `credentials` as the bucket says, for ever. The bucket may not be there yet: a worker makes it.
pub(crate) async fn watch(context: Context, namespace: Namespace, credentials: Arc<Credentials>, health: Arc<Health>) {
    let delays = || backoff::delays(Duration::from_millis(100), Duration::from_secs(2));
    let mut delay = delays();
    let mut said = false;
    loop {
        match follow(&context, &namespace, &credentials, &health).await {
            Ok(()) => (delay, said) = (delays(), false),
            Err(error) => {
                health.credentials_watched.store(false, Ordering::Relaxed);
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(error = %error_chain(error.as_ref()), "credentials cannot be watched, trying again");
                }
                tokio::time::sleep(delay.next().unwrap_or(OPEN_TIMEOUT)).await;
            }
        }
    }
}

/// Opens one watch and follows it until it ends, fails, or is due to be opened anew.
async fn follow(
    context: &Context,
    namespace: &Namespace,
    credentials: &Credentials,
    health: &Health,
) -> Result<(), WatchError> {
    let open = async {
        let bucket = context.get_key_value(namespace.config_bucket()).await?;
        // The bucket has other keys, too.
        let mut tokens = bucket.stream.info_with_subjects(format!("$KV.{}.{KEY_PREFIX}*", bucket.name)).await?;
        let is_empty = tokens.next().await.is_none();
        let entries = bucket.watch_with_history(format!("{KEY_PREFIX}*")).await?;
        Ok::<_, WatchError>((entries, is_empty))
    };
    let opened = tokio::time::timeout(OPEN_TIMEOUT, open).await;
    let (mut entries, is_empty) = opened.map_err(|_| "the broker did not answer in time")??;
    if is_empty {
        health.credentials_loaded.store(true, Ordering::Relaxed);
    }
    health.credentials_watched.store(true, Ordering::Relaxed);
    note_sign_of_life();
    let followed = tokio::time::timeout(WATCH_FOR, async {
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            apply(credentials, &entry);
            note_sign_of_life();
            // From then on what comes are changes.
            if entry.seen_current {
                health.credentials_loaded.store(true, Ordering::Relaxed);
            }
        }
        Err(WatchError::from("the watch ended"))
    });
    followed.await.unwrap_or(Ok(()))
}

fn note_sign_of_life() {
    METRICS.credentials_heard_at.set(clock::now().as_millis());
}

fn apply(credentials: &Credentials, entry: &Entry) {
    let Some(Ok(token)) = entry.key.strip_prefix(KEY_PREFIX).map(str::parse::<TokenId>) else { return };
    match entry.operation {
        Operation::Delete | Operation::Purge => credentials.forget(&token),
        Operation::Put => match serde_json::from_slice::<Credential>(&entry.value) {
            Ok(credential) if credential.id == token => credentials.learn(credential),
            Ok(_) | Err(_) => tracing::warn!(%token, "the projected credential of token {token} is not readable"),
        },
    }
}
