//! Which query is answered next. An ingress asks again where it hears nothing, so one query can come several times; it is
//! answered once. Few lists are answered at a time, so that what is quick does not wait for them. Pure: time comes in as a
//! parameter.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use async_nats::Message;
use protocol::message::header;
use protocol::message::query::Query;
use tokio::time::Instant;

/// One attempt of an ingress to have a query answered, or an operator's call.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) message: Message,
    /// What is asked; none if that cannot be read, or if it is an operator's call.
    query: Option<Query>,
    /// What the attempts of one query have in common; none from an ingress that does not number its attempts.
    query_id: Option<String>,
    /// From then on no ingress waits for the answer.
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
        let query = serde_json::from_slice(&message.payload).ok();
        Self { message, query, query_id, expires }
    }

    pub(super) fn query(&self) -> Option<&Query> {
        self.query.as_ref()
    }

    /// Whether answering it may take long.
    fn is_list(&self) -> bool {
        matches!(self.query, Some(Query::List { .. } | Query::Members { .. }))
    }

    pub(super) fn query_id(&self) -> Option<&str> {
        self.query_id.as_deref()
    }
}

/// What waits for its turn.
#[derive(Debug)]
pub(super) struct Turns {
    quick: VecDeque<Attempt>,
    lists: VecDeque<Attempt>,
    /// Lists that are being answered, and how many may be.
    running_lists: usize,
    max_lists: usize,
    /// Each query that waits or is being answered.
    open: HashSet<String>,
}

impl Turns {
    /// Answers at most so many lists at once.
    pub(super) fn new(max_lists: usize) -> Self {
        let (quick, lists, open) = Default::default();
        Self { quick, lists, running_lists: 0, max_lists, open }
    }

    pub(super) fn waiting(&self) -> usize {
        self.quick.len() + self.lists.len()
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.waiting() > 0
    }

    /// Puts it in line, unless the same query is there already: then nothing is said, so that the ingress goes on looking
    /// for a worker that may be faster.
    pub(super) fn enqueue(&mut self, attempt: Attempt) {
        if attempt.query_id().is_none_or(|id| self.open.insert(id.to_owned())) {
            let waiting = if attempt.is_list() { &mut self.lists } else { &mut self.quick };
            waiting.push_back(attempt);
        }
    }

    /// The next one for whose answer an ingress still waits: first what is quick.
    pub(super) fn next(&mut self, now: Instant) -> Option<Attempt> {
        while let Some(attempt) = self.pop() {
            if attempt.expires.is_none_or(|expires| now < expires) {
                self.running_lists += usize::from(attempt.is_list());
                return Some(attempt);
            }
            self.forget(&attempt);
        }
        None
    }

    fn pop(&mut self) -> Option<Attempt> {
        let may_list = self.running_lists < self.max_lists;
        self.quick.pop_front().or_else(|| may_list.then(|| self.lists.pop_front()).flatten())
    }

    /// It is answered.
    #[expect(clippy::needless_pass_by_value, reason = "an attempt that is finished is not used again")]
    pub(super) fn finished(&mut self, attempt: Attempt) {
        self.running_lists -= usize::from(attempt.is_list());
        self.forget(&attempt);
    }

    fn forget(&mut self, attempt: &Attempt) {
        if let Some(id) = attempt.query_id() {
            self.open.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use protocol::id::ResourceId;
    use sea_orm::prelude::Uuid;

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
        let (now, mut turns) = (Instant::now(), Turns::new(1));
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
        let (now, mut turns) = (Instant::now(), Turns::new(1));
        turns.enqueue(attempt("inbox.a.0", Some("1000"), now));
        turns.enqueue(attempt("inbox.b.0", Some("9000"), now));
        let next = turns.next(now + Duration::from_secs(2)).unwrap();
        assert_eq!(next.query_id(), Some("inbox.b"));
        turns.enqueue(attempt("inbox.a.1", Some("1000"), now));
        assert_eq!(turns.waiting(), 1);
    }

    #[test]
    fn what_is_not_numbered_is_answered_each_time() {
        let (now, mut turns) = (Instant::now(), Turns::new(1));
        for _ in 0..2 {
            turns.enqueue(attempt("inbox.a", None, now));
        }
        assert_eq!(turns.waiting(), 2);
    }

    #[test]
    fn a_list_waits_for_another_one_and_nothing_quick_waits_for_lists() {
        let (now, mut turns) = (Instant::now(), Turns::new(1));
        let asked = |query: &Query| {
            let mut attempt = attempt("inbox.a", None, now);
            attempt.message.payload = serde_json::to_vec(query).unwrap().into();
            Attempt::new(attempt.message, now)
        };
        let list = || asked(&Query::Members { group: ResourceId(Uuid::nil()), after: None, count: 1, display: false });
        turns.enqueue(list());
        turns.enqueue(list());
        let first = turns.next(now).unwrap();
        assert!(turns.next(now).is_none());
        turns.enqueue(asked(&Query::Profile));
        assert_eq!(turns.next(now).unwrap().query(), Some(&Query::Profile));
        turns.finished(first);
        assert!(turns.next(now).unwrap().is_list());
    }
}
