//! The parts of one reply, which arrive in any order: a reply may be larger than a message.

use std::collections::BTreeMap;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use protocol::message::header;

/// The largest reply, in bytes.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The most parts of a reply.
const MAX_PARTS: usize = 4096;

/// A reply that cannot be put together: its parts contradict each other, or it is larger than 64 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reply cannot be put together from its parts")]
pub struct UnreadableReply;

/// The parts of a reply that have arrived.
#[derive(Debug, Default)]
pub struct ReplyParts {
    received: BTreeMap<usize, Bytes>,
    bytes: usize,
}

impl ReplyParts {
    /// Takes a reply; returns the whole answer when it was the last part missing.
    pub fn add(&mut self, reply: &Message) -> Result<Option<Bytes>, UnreadableReply> {
        let Some((part, parts)) = numbers(reply.headers.as_ref())? else { return Ok(Some(reply.payload.clone())) };
        self.bytes = self.bytes.saturating_add(reply.payload.len());
        if part >= parts || parts > MAX_PARTS || self.bytes > MAX_BYTES {
            return Err(UnreadableReply);
        }
        self.received.insert(part, reply.payload.clone());
        Ok((self.received.len() == parts).then(|| self.received.values().flatten().copied().collect()))
    }
}

/// The number of this part and of all parts; none for an answer in one message.
fn numbers(headers: Option<&HeaderMap>) -> Result<Option<(usize, usize)>, UnreadableReply> {
    let number =
        |name: &str| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str().parse::<usize>());
    match (number(header::PART), number(header::PARTS)) {
        (None, None) => Ok(None),
        (Some(Ok(part)), Some(Ok(parts))) => Ok(Some((part, parts))),
        _ => Err(UnreadableReply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply: to an answer of this many parts, this one.
    fn reply(payload: &'static str, numbers: Option<(&str, &str)>) -> Message {
        let headers = numbers.map(|(part, parts)| {
            let mut headers = HeaderMap::new();
            headers.insert(header::PART, part);
            headers.insert(header::PARTS, parts);
            headers
        });
        let payload = Bytes::from_static(payload.as_bytes());
        Message {
            subject: "inbox.0".into(),
            reply: None,
            length: payload.len(),
            payload,
            headers,
            status: None,
            description: None,
        }
    }

    #[test]
    fn parts_make_one_answer_in_any_order() {
        let mut parts = ReplyParts::default();
        assert!(parts.add(&reply("lo ", Some(("1", "3")))).unwrap().is_none());
        assert!(parts.add(&reply("world", Some(("2", "3")))).unwrap().is_none());
        assert_eq!(parts.add(&reply("hel", Some(("0", "3")))).unwrap().unwrap(), "hello world");
        assert_eq!(ReplyParts::default().add(&reply("all", None)).unwrap().unwrap(), "all");
    }

    #[test]
    fn parts_that_make_no_sense_are_refused() {
        for numbers in [("3", "3"), ("0", "5000"), ("x", "2")] {
            assert!(ReplyParts::default().add(&reply("", Some(numbers))).is_err(), "{numbers:?}");
        }
    }
}
