//! Projects credentials from SQL, the truth, to the bucket that every ingress watches.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::kv;
use protocol::credential::Credential;
use runtime::clock;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::metrics::METRICS;
use crate::store::{Store, StoreError};

/// How often everything is compared.
const RECONCILE: Duration = Duration::from_secs(10);

/// The bucket, and what of each credential is known to be in it.
pub(crate) struct CredentialProjection {
    bucket: kv::Store,
    known: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    version: i64,
    revision: u64,
}

/// Why credentials were not projected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectionError {
    #[error("reading the credentials")]
    Read(#[from] StoreError),
    #[error("writing a credential as JSON")]
    Encode(#[from] serde_json::Error),
    #[error("reading the bucket")]
    Entry(#[from] kv::EntryError),
    #[error("writing the bucket")]
    Update(#[from] kv::UpdateError),
}

impl CredentialProjection {
    /// Into this bucket.
    pub(crate) fn new(bucket: kv::Store) -> Self {
        Self { bucket, known: Mutex::default() }
    }

    /// Reconciles at once and every ten seconds until `stop`.
    pub(crate) async fn run(&self, store: Store, stop: CancellationToken) {
        let mut tick = tokio::time::interval(RECONCILE);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if let Err(error) = self.project(&store).await {
                warn!(%error, "credentials were not projected, trying again");
            }
        }
    }

    /// Writes every credential that is newer in SQL than in the bucket.
    pub(crate) async fn project(&self, store: &Store) -> Result<(), ProjectionError> {
        let began = Instant::now();
        let credentials = store.credentials().await?;
        let mut known = self.known.lock().await;
        for credential in credentials {
            self.project_one(&mut known, &credential).await?;
        }
        METRICS.projection_duration.took(began.elapsed());
        METRICS.projected_at.set(clock::now().as_millis() / 1000);
        Ok(())
    }

    async fn project_one(
        &self,
        known: &mut HashMap<String, Entry>,
        credential: &Credential,
    ) -> Result<(), ProjectionError> {
        let key = format!("token.{}", credential.id);
        let value = serde_json::to_vec(credential)?;
        loop {
            let entry = match known.get(&key) {
                Some(entry) => *entry,
                None => self.entry(&key).await?,
            };
            if entry.version >= credential.version {
                known.insert(key, entry);
                return Ok(());
            }
            // Compare-and-set: a worker that reads an older row later cannot overwrite a newer one.
            match self.bucket.update(&key, value.clone().into(), entry.revision).await {
                Ok(revision) => {
                    known.insert(key, Entry { version: credential.version, revision });
                    return Ok(());
                }
                Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => {
                    known.remove(&key);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What the bucket has; nothing counts as version 0.
    async fn entry(&self, key: &str) -> Result<Entry, ProjectionError> {
        let Some(entry) = self.bucket.entry(key).await? else { return Ok(Entry { version: 0, revision: 0 }) };
        let version = match entry.operation {
            kv::Operation::Put => serde_json::from_slice::<Credential>(&entry.value).map_or(0, |known| known.version),
            kv::Operation::Delete | kv::Operation::Purge => 0,
        };
        Ok(Entry { version, revision: entry.revision })
    }
}
