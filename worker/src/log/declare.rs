//! Declares the log, its three consumers and the bucket of credentials; checks those that exist.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{CreateKeyValueError, CreateStreamError, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{self, ConsumerError, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, kv};
use protocol::id::Namespace;
use protocol::message::lane::Lane;
use tracing::{info, warn};

use crate::config::Config;

/// A consumer of one lane, shared by all workers.
pub(crate) type LaneConsumer = jetstream::consumer::Consumer<pull::Config>;

/// How long a worker may be silent about a delivery before another gets it.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(4);
/// How many deliveries of one lane may be unsettled among all workers.
pub(crate) const MAX_ACK_PENDING: i64 = 20_000;
/// How long the broker remembers an operation id. A convenience: the ledger decides.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);

/// Why the log cannot be used. Each names the stream, lane or bucket.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// The stream cannot be created.
    #[error("creating stream {0}")]
    CreateStream(String, #[source] CreateStreamError),
    /// The stream cannot be read.
    #[error("reading stream {0}")]
    GetStream(String, #[source] GetStreamError),
    /// The stream exists and is not what the log needs: which setting, and what it must be.
    #[error("stream {0} exists with other settings: {1}; repair it or use another ROSTERD_NAMESPACE")]
    WrongStream(String, &'static str),
    /// A lane's consumer cannot be created.
    #[error("creating the consumer of lane {0}")]
    Consumer(Lane, #[source] ConsumerError),
    /// The bucket cannot be created.
    #[error("creating bucket {0}")]
    Bucket(String, #[source] CreateKeyValueError),
}

/// The log: created if it is missing.
pub(crate) async fn log(context: &jetstream::Context, config: &Config) -> Result<stream::Stream, DeclareError> {
    let name = config.broker.namespace.command_stream();
    let existing = match context.get_stream(&name).await {
        Ok(stream) => stream,
        Err(error) if missing(&error) => create(context, config).await?,
        Err(error) => return Err(DeclareError::GetStream(name, error)),
    };
    let settings = &existing.cached_info().config;
    check(&name, settings)?;
    if !settings.allow_atomic_publish {
        let settings = stream::Config { allow_atomic_publish: true, ..settings.clone() };
        if let Err(error) = context.update_stream(settings).await {
            // Slower, not wrong: an ingress that is refused a batch appends its commands one by one.
            warn!(stream = name, %error, "stream {name} takes no batches, so bulk requests are stored one by one");
        }
    }
    Ok(existing)
}

/// The three consumers, in the order of [`Lane::ALL`].
pub(crate) async fn consumers(
    stream: &stream::Stream,
    namespace: &Namespace,
) -> Result<Vec<(Lane, LaneConsumer)>, DeclareError> {
    let mut consumers = Vec::with_capacity(Lane::ALL.len());
    for lane in Lane::ALL {
        let settings = pull::Config {
            durable_name: Some(lane.to_string()),
            filter_subject: namespace.lane_commands(lane),
            ack_policy: AckPolicy::Explicit,
            deliver_policy: DeliverPolicy::All,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(settings).await;
        consumers.push((lane, consumer.map_err(|error| DeclareError::Consumer(lane, error))?));
    }
    Ok(consumers)
}

/// The bucket of what every ingress keeps in memory.
pub(crate) async fn bucket(context: &jetstream::Context, config: &Config) -> Result<kv::Store, DeclareError> {
    let name = config.broker.namespace.config_bucket();
    let settings = kv::Config {
        bucket: name.clone(),
        history: 1,
        storage: StorageType::File,
        num_replicas: usize::from(config.replicas),
        ..kv::Config::default()
    };
    context.create_or_update_key_value(settings).await.map_err(|error| DeclareError::Bucket(name, error))
}

fn missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.kind() == jetstream::ErrorCode::STREAM_NOT_FOUND)
}

async fn create(context: &jetstream::Context, config: &Config) -> Result<stream::Stream, DeclareError> {
    let name = config.broker.namespace.command_stream();
    let settings = stream::Config {
        name: name.clone(),
        subjects: vec![config.broker.namespace.all_commands()],
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: usize::from(config.replicas),
        max_bytes: i64::try_from(config.log_max_bytes).unwrap_or(i64::MAX),
        duplicate_window: DUPLICATE_WINDOW,
        allow_atomic_publish: true,
        ..stream::Config::default()
    };
    info!(stream = name, "stream {name} is missing, creating it");
    match context.create_stream(settings).await {
        Ok(stream) => Ok(stream),
        // Another worker was faster: the caller checks.
        Err(error) => context.get_stream(&name).await.map_err(|_| DeclareError::CreateStream(name, error)),
    }
}

fn check(name: &str, settings: &stream::Config) -> Result<(), DeclareError> {
    let wrong = if settings.retention != RetentionPolicy::WorkQueue {
        Some("retention must be workqueue")
    } else if settings.discard != DiscardPolicy::New {
        Some("discard must be new")
    } else if settings.storage != StorageType::File {
        Some("storage must be file")
    } else {
        None
    };
    wrong.map_or(Ok(()), |what| Err(DeclareError::WrongStream(name.to_owned(), what)))
}
