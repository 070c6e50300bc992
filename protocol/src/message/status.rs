//! How a process is, asked of all at once: every ingress and every worker answers on `<ns>.status`, without a queue group.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::message::lane::Lane;
use crate::time::Timestamp;

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The name of this process, new at each start.
    pub instance: String,
    /// The machine that it runs on.
    pub host: String,
    /// Its version of rosterd.
    pub version: String,
    /// Whether it works.
    pub state: ProcessState,
    /// When it was started.
    pub started_at: Timestamp,
    /// What only an ingress, or only a worker, can say.
    pub role: RoleStatus,
    /// The log, as the broker tells this process; none if the broker did not answer in time.
    pub log: Option<LogStatus>,
}

/// Whether a process works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessState {
    /// Not yet.
    Starting,
    /// It does.
    Ready,
    /// It was told to stop, and finishes what it has.
    Draining,
}

/// What a process says of its own work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleStatus {
    /// An ingress.
    Ingress(IngressStatus),
    /// A worker.
    Worker(WorkerStatus),
}

/// What an ingress has to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IngressStatus {
    /// Requests that are being answered.
    pub in_flight: u64,
    /// Commands by lane.
    pub lanes: Vec<IngressLane>,
    /// Credentials that are known here.
    pub credentials: u64,
    /// Whether changes of credentials are followed.
    pub credentials_watched: bool,
    /// By how many milliseconds this clock is ahead of the broker's.
    pub clock_ahead_ms: i64,
}

/// The commands of one lane in an ingress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressLane {
    /// The lane.
    pub lane: Lane,
    /// Those that wait to be let into the log.
    pub waiting: u64,
}

/// What a worker does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Messages in the batches that run.
    pub in_flight: u64,
    /// Messages that wait here for a batch.
    pub queued: u64,
    /// Messages that wait here for a predecessor, or until they are tried again.
    pub held: u64,
    /// How many of these could not be applied.
    pub parked: u64,
    /// Batches that run.
    pub batches: u64,
    /// The share of the last seconds in which a batch ran, from 0 to 1.
    pub busy: f64,
    /// Messages settled since the start, by lane.
    pub settled: Vec<Settled>,
    /// The newest form of a message that it reads.
    pub envelope: u16,
    /// The database, if it answered in time.
    pub database: DatabaseStatus,
}

/// How many messages of a lane a worker has settled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The lane.
    pub lane: Lane,
    /// Since the start.
    pub total: u64,
    /// In each of the last seconds.
    pub per_second: f64,
}

/// The database, as a worker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseStatus {
    /// `sqlite` or `postgres`.
    pub kind: String,
    /// What it said; none if it did not answer in time.
    pub answered: Option<DatabaseAnswer>,
}

/// What the database says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseAnswer {
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// Whether its schema is the one that this worker needs.
    pub schema_is_current: bool,
    /// Whether the session has the time limits that were asked for; a pooler may drop them.
    pub settings_hold: bool,
    /// Dead letters.
    pub dead_letters: u64,
    /// How often the log was renumbered.
    pub epoch: u32,
    /// The highest number that is settled.
    pub highest: u64,
    /// How many numbers the log's acknowledgements are above that: more than 0 means that the database lost what it had.
    pub behind_log: u64,
    /// The last balance that this worker has drawn.
    pub balance: Option<BalanceShort>,
}

/// A balance in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceShort {
    /// How many messages are missing.
    pub missing: u64,
    /// When it was drawn.
    pub drawn_at: Timestamp,
}

/// The log, as the broker describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStatus {
    /// The broker's version.
    pub broker: String,
    /// Messages that it holds.
    pub messages: u64,
    /// Bytes that it holds.
    pub bytes: u64,
    /// The most bytes that it may hold; none without a limit.
    pub max_bytes: Option<u64>,
    /// The last sequence that it has given out.
    pub last_sequence: u64,
    /// How many servers of the broker are to keep it.
    pub replicas_wanted: u64,
    /// How many keep it and are not behind.
    pub replicas_actual: u64,
    /// By lane.
    pub lanes: Vec<LaneStatus>,
}

/// One lane of the log, as its consumer tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// The lane.
    pub lane: Lane,
    /// Messages that were delivered to no worker yet.
    pub pending: u64,
    /// Messages that were delivered and are not acknowledged.
    pub ack_pending: u64,
    /// Up to where everything is acknowledged.
    pub ack_floor: u64,
    /// How long ago the oldest message that the lane still holds was stored, in milliseconds.
    pub oldest_ms: Option<u64>,
    /// Why the lane is paused.
    pub paused: Option<LanePause>,
}

/// Why a lane is paused: workers pull nothing from it. The value of the bucket's key `lane.<lane>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePause {
    /// What the operator gave as the reason.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// Asks any worker to pause a lane or to let it go on, on `<ns>.lanes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetLane {
    /// Which one; never the urgent one.
    pub lane: Lane,
    /// Why it is paused; none lets it go on.
    pub pause: Option<LanePause>,
}

impl LaneStatus {
    /// What the lane still holds.
    pub const fn in_log(&self) -> u64 {
        self.pending + self.ack_pending
    }
}

impl LanePause {
    /// The bucket's keys of lanes begin with this.
    pub const KEY_PREFIX: &'static str = "lane.";

    /// The bucket's key of a lane.
    pub fn key(lane: Lane) -> String {
        format!("{}{lane}", Self::KEY_PREFIX)
    }
}

impl ProcessState {
    /// The state's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
