//! Message headers. Those of the broker are its own words (NATS ADR-4, ADR-42); ours begin with `Rosterd-`.

/// Set by the publisher: the attempt ([`AttemptId`](super::attempt::AttemptId)), by which the broker drops a publish that
/// it has already stored.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Set by the publisher: until when the broker may store this attempt, in milliseconds since the Unix epoch by the
/// broker's clock. A copy that is stored later is late: it ends no operation.
pub const VALID_UNTIL: &str = "Rosterd-Valid-Until";

/// Set by the publisher: when the request was complete, in milliseconds since the Unix epoch by the broker's clock.
pub const ARRIVED: &str = "Rosterd-Arrived";

/// Set by the publisher: when this was published, in milliseconds since the Unix epoch by the broker's clock.
pub const SENT: &str = "Rosterd-Sent";

/// Set by the publisher: how old the request could be at [`SENT`], in milliseconds, by a clock that does not step.
pub const AGE: &str = "Rosterd-Age";

/// Set by the publisher: by how much [`ARRIVED`] may be wrong in either direction, in milliseconds.
pub const ARRIVED_ERROR: &str = "Rosterd-Arrived-Error";

/// Set by the publisher and kept by the broker: the sequence of this command's predecessor, 0 for none pending.
pub const PREDECESSOR: &str = "Nats-Expected-Last-Subject-Sequence";

/// Set by the publisher: the subjects over which [`PREDECESSOR`] is checked (all lanes of the resource).
pub const PREDECESSOR_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// On each part of a reply that does not fit into one message: this part's number, from 0.
pub const PART: &str = "Rosterd-Part";

/// On each part of such a reply: how many parts there are.
pub const PARTS: &str = "Rosterd-Parts";

/// On a query: for how many milliseconds its answer is of use. Who sets it understands [`TAKEN`], and gives each attempt
/// of one query a reply subject that differs in the last token only.
pub const WITHIN: &str = "Rosterd-Within";

/// On a reply without a body, before the answer: a worker has taken the query.
pub const TAKEN: &str = "Rosterd-Taken";

/// On a replayed command: which replay of its operation it is, from 1.
pub const REPLAY: &str = "Rosterd-Replay";

/// On a replayed command: its dead letter, the sequence at which the log accepted it first.
pub const ORIGINAL_SEQUENCE: &str = "Rosterd-Original-Sequence";

/// On a replayed command: when the log accepted it first, in milliseconds since the Unix epoch by the broker's clock.
pub const ORIGINAL_ACCEPTED: &str = "Rosterd-Original-Accepted";

/// On a replayed command that takes effect at its new place.
pub const FORCED: &str = "Rosterd-Forced";
