//! What the broker says to a publish.

use async_nats::client::RequestErrorKind;
use async_nats::jetstream::{ErrorCode, publish::PublishAck, response::Response};

/// The answer to one attempt to append a command.
#[derive(Debug, PartialEq, Eq)]
pub enum PublishResult {
    /// The log has it.
    Stored {
        /// Under this sequence of the stream.
        sequence: u64,
        /// It had it before: an earlier publish was stored, though we did not hear so.
        duplicate: bool,
    },
    /// Another command of this resource is pending: this sequence is the predecessor.
    Pending(u64),
    /// Another command of this resource is just being stored; its sequence is not known yet.
    InFlight,
    /// The log takes no more now.
    Full,
    /// The log never takes a message of this size.
    TooLarge,
    /// The log does not exist yet: a worker declares it.
    NoLog,
    /// Nothing was heard: it may be stored or not.
    Unknown,
    /// Not now, for another reason: the broker's code.
    Refused(u64),
}

/// Reads the broker's reply.
pub fn read(payload: &[u8]) -> PublishResult {
    match serde_json::from_slice::<Response<PublishAck>>(payload) {
        Ok(Response::Ok(ack)) => PublishResult::Stored { sequence: ack.sequence, duplicate: ack.duplicate },
        Ok(Response::Err { error }) => refused(error.error_code(), &error.to_string()),
        Err(_) => PublishResult::Unknown,
    }
}

/// Reads the client's failure.
pub const fn failed(kind: RequestErrorKind) -> PublishResult {
    match kind {
        RequestErrorKind::NoResponders => PublishResult::NoLog,
        RequestErrorKind::MaxPayloadExceeded => PublishResult::TooLarge,
        RequestErrorKind::TimedOut | RequestErrorKind::InvalidSubject | RequestErrorKind::Other => {
            PublishResult::Unknown
        }
    }
}

/// NATS ADR-4 and the server's `errors.json`.
fn refused(code: ErrorCode, description: &str) -> PublishResult {
    match code {
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE => {
            wrong_last_sequence(description).map_or(PublishResult::InFlight, PublishResult::Pending)
        }
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => PublishResult::InFlight,
        ErrorCode::STREAM_STORE_FAILED if description.contains("maximum") => PublishResult::Full,
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED => PublishResult::Full,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => PublishResult::TooLarge,
        ErrorCode::STREAM_NOT_FOUND => PublishResult::NoLog,
        ErrorCode(other) => PublishResult::Refused(other),
    }
}

/// The sequence stands only in the text: `wrong last sequence: 7`.
fn wrong_last_sequence(description: &str) -> Option<u64> {
    let (_, rest) = description.split_once("wrong last sequence: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u64, description: &str) -> PublishResult {
        let body = format!(
            r#"{{"error":{{"code":400,"err_code":{code},"description":"{description}"}},"stream":"rosterd_CMD","seq":0}}"#
        );
        read(body.as_bytes())
    }

    #[test]
    fn an_acknowledgement_says_whether_the_log_had_it() {
        assert_eq!(
            read(br#"{"stream":"rosterd_CMD","seq":5}"#),
            PublishResult::Stored { sequence: 5, duplicate: false }
        );
        assert_eq!(
            read(br#"{"stream":"rosterd_CMD","seq":5,"duplicate":true}"#),
            PublishResult::Stored { sequence: 5, duplicate: true }
        );
    }

    #[test]
    fn the_predecessor_is_read_from_the_description() {
        assert_eq!(error(10071, "wrong last sequence: 1234"), PublishResult::Pending(1234));
        assert_eq!(error(10071, "wrong last sequence: 0"), PublishResult::Pending(0));
        assert_eq!(error(10071, "wrong last sequence"), PublishResult::InFlight);
        assert_eq!(error(10164, "wrong last sequence"), PublishResult::InFlight);
    }

    #[test]
    fn a_full_log_is_told_apart_from_a_sick_one() {
        assert_eq!(error(10077, "maximum messages exceeded"), PublishResult::Full);
        assert_eq!(error(10077, "maximum bytes exceeded"), PublishResult::Full);
        assert_eq!(error(10077, "store is closed"), PublishResult::Refused(10077));
        assert_eq!(error(10047, "insufficient storage resources available"), PublishResult::Full);
        assert_eq!(error(10008, "JetStream system temporarily unavailable"), PublishResult::Refused(10008));
        assert_eq!(read(b"garbage"), PublishResult::Unknown);
    }
}
