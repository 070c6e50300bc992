//! Whose turn it is among the queries that came in. An ingress asks again where it hears nothing, so one query can come
//! several times; it is answered once. Pure: time comes in as a parameter.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use async_nats::Message;
use protocol::message::header;
use tokio::time::Instant;

/// One attempt of an ingress to have a query answered, or an operator's call.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) message: Message,
    /// What the attempts of one query have in common; none from an ingress that does not number its attempts.
    query_id: Option<String>,
    /// From then on nobody waits for the answer.
    expires: Option<Instant>,
}

impl Attempt {
    pub(super) fn new(message: Message, now: Instant) -> Self {
        let within = message.headers.as_ref().and_then(|headers| headers.get(header::WITHIN));
        let within = within.and_then(|value| value.as_str().parse().ok()).map(Duration::from_millis);
        let expires = within.and_then(|within| now.checked_add(within));
        // An inbox, and the attempt's number as its last token.
        let inbox = message.reply.as_ref().and_then(|reply| reply.rsplit_once('.'));
        let query_id = inbox.filter(|_| within.is_some()).map(|(inbox, _)| inbox.to_owned());
        Self { message, query_id, expires }
    }

    pub(super) fn query_id(&self) -> Option<&str> {
        self.query_id.as_deref()
    }
}

/// What waits for its turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: VecDeque<Attempt>,
    /// Each query that waits or is being answered.
    open: HashSet<String>,
}

impl Turns {
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Puts it in line, unless the same query is there already: then nothing is said, so that the ingress goes on looking
    /// for a worker that may be faster.
    pub(super) fn enqueue(&mut self, attempt: Attempt) {
        if attempt.query_id().is_none_or(|id| self.open.insert(id.to_owned())) {
            self.waiting.push_back(attempt);
        }
    }

    /// The next one whose answer somebody waits for.
    pub(super) fn next(&mut self, now: Instant) -> Option<Attempt> {
        while let Some(attempt) = self.waiting.pop_front() {
            if attempt.expires.is_none_or(|expires| now < expires) {
                return Some(attempt);
            }
            self.finished(attempt);
        }
        None
    }

    /// It is answered, or nobody waits for it any more.
    #[expect(clippy::needless_pass_by_value, reason = "an attempt that is finished is not used again")]
    pub(super) fn finished(&mut self, attempt: Attempt) {
        if let Some(id) = attempt.query_id() {
            self.open.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;

    fn attempt(reply: &str, within: Option<&str>, now: Instant) -> Attempt {
        let headers = within.map(|within| {
            let mut headers = HeaderMap::new();
            headers.insert(header::WITHIN, within);
            headers
        });
        let message = Message {
            subject: "rosterd.query.acme".into(),
            reply: Some(reply.into()),
            payload: bytes::Bytes::new(),
            headers,
            status: None,
            description: None,
            length: 0,
        };
        Attempt::new(message, now)
    }

    #[test]
    fn a_query_that_is_asked_again_is_answered_once() {
        let (now, mut turns) = (Instant::now(), Turns::default());
        let again = || attempt("inbox.a.1", Some("1000"), now);
        turns.enqueue(attempt("inbox.a.0", Some("1000"), now));
        turns.enqueue(again());
        turns.enqueue(attempt("inbox.b.0", Some("1000"), now));
        assert_eq!(turns.waiting(), 2);
        let first = turns.next(now).unwrap();
        turns.enqueue(again());
        assert_eq!(turns.waiting(), 1, "it is being answered");
        turns.finished(first);
        turns.enqueue(again());
        assert_eq!(turns.waiting(), 2, "its answer was lost: it is answered again");
    }

    #[test]
    fn a_query_that_nobody_waits_for_is_dropped() {
        let (now, mut turns) = (Instant::now(), Turns::default());
        turns.enqueue(attempt("inbox.a.0", Some("1000"), now));
        turns.enqueue(attempt("inbox.b.0", Some("9000"), now));
        let next = turns.next(now + Duration::from_secs(2)).unwrap();
        assert_eq!(next.query_id(), Some("inbox.b"));
        turns.enqueue(attempt("inbox.a.1", Some("1000"), now));
        assert_eq!(turns.waiting(), 1);
    }

    #[test]
    fn what_is_not_numbered_is_answered_each_time() {
        let (now, mut turns) = (Instant::now(), Turns::default());
        for _ in 0..2 {
            turns.enqueue(attempt("inbox.a", None, now));
        }
        assert_eq!(turns.waiting(), 2);
    }
}
