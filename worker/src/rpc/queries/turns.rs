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
        let query = Query::decode(&message.payload).ok();
        Self { message, query, query_id, expires }
    }

    pub(super) fn query(&self) -> Option<&Query> {
        self.query.as_ref()
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// Whether answering it may take long.
    fn is_list(&self) -> bool {
        matches!(self.query, Some(Query::List(_) | Query::Members(_)))
    }

    pub(super) fn query_id(&self) -> Option<&str> {
        self.query_id.as_deref()
    }
}

/// How many queries are answered at once, and how many of each kind wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) quick: usize,
    pub(super) lists: usize,
    pub(super) waiting: usize,
}

/// What waits for its turn.
#[derive(Debug)]
pub(super) struct Turns {
    quick: VecDeque<Attempt>,
    lists: VecDeque<Attempt>,
    /// How many of each are being answered, and how many may be.
    running_quick: usize,
    running_lists: usize,
    limits: Limits,
    /// Each query that waits or is being answered.
    open: HashSet<String>,
}

impl Turns {
    pub(super) fn new(limits: Limits) -> Self {
        let (quick, lists, open) = Default::default();
        Self { quick, lists, running_quick: 0, running_lists: 0, limits, open }
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.quick.is_empty() || !self.lists.is_empty()
    }

    /// Whether one more query may be put in line. Lists do not count: those beyond their limit are dropped.
    pub(super) fn has_room(&self) -> bool {
        self.quick.len() < self.limits.waiting
    }

    /// How many wait or are being answered.
    pub(super) fn load(&self) -> usize {
        self.quick.len() + self.lists.len() + self.running_quick + self.running_lists
    }

    /// Puts it in line, unless the same query is there already, or too many lists are: then nothing is said, so that the
    /// ingress goes on looking for a worker that may be faster. Gives back the attempt that was put in line.
    pub(super) fn enqueue(&mut self, attempt: Attempt, now: Instant) -> Option<&Attempt> {
        if attempt.is_list() && self.lists.len() >= self.limits.waiting {
            self.drop_expired_lists(now);
            if self.lists.len() >= self.limits.waiting {
                return None;
            }
        }
        if attempt.query_id().is_some_and(|id| !self.open.insert(id.to_owned())) {
            return None;
        }
        let waiting = if attempt.is_list() { &mut self.lists } else { &mut self.quick };
        waiting.push_back(attempt);
        waiting.back()
    }

    fn drop_expired_lists(&mut self, now: Instant) {
        let all = std::mem::take(&mut self.lists);
        let (expired, kept): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(|attempt| attempt.is_expired(now));
        self.lists = kept;
        for attempt in &expired {
            self.forget(attempt);
        }
    }

    /// The next one for whose answer an ingress still waits: first what is quick. Neither kind takes the places of the
    /// other.
    pub(super) fn next(&mut self, now: Instant) -> Option<Attempt> {
        while let Some(attempt) = self.pop() {
            if attempt.is_expired(now) {
                self.forget(&attempt);
                continue;
            }
            *self.running(attempt.is_list()) += 1;
            return Some(attempt);
        }
        None
    }

    fn pop(&mut self) -> Option<Attempt> {
        let quick = if self.running_quick < self.limits.quick { self.quick.pop_front() } else { None };
        quick.or_else(|| if self.running_lists < self.limits.lists { self.lists.pop_front() } else { None })
    }

    const fn running(&mut self, list: bool) -> &mut usize {
        if list { &mut self.running_lists } else { &mut self.running_quick }
    }

    /// It is answered.
    #[expect(clippy::needless_pass_by_value, reason = "an attempt that is finished is not used again")]
    pub(super) fn finished(&mut self, attempt: Attempt) {
        *self.running(attempt.is_list()) -= 1;
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
    use protocol::message::query::{GetProfile, ListMembers};
    use sea_orm::prelude::Uuid;

    use super::*;

    const LIMITS: Limits = Limits { quick: 1, lists: 1, waiting: 2 };

    fn turns() -> Turns {
        Turns::new(LIMITS)
    }

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
        let (now, mut turns) = (Instant::now(), turns());
        let again = || attempt("inbox.a.1", Some("1000"), now);
        let _ = turns.enqueue(attempt("inbox.a.0", Some("1000"), now), now);
        let _ = turns.enqueue(again(), now);
        let _ = turns.enqueue(attempt("inbox.b.0", Some("1000"), now), now);
        assert_eq!(turns.quick.len(), 2);
        let first = turns.next(now).unwrap();
        let _ = turns.enqueue(again(), now);
        assert_eq!(turns.quick.len(), 1, "it is being answered");
        turns.finished(first);
        let _ = turns.enqueue(again(), now);
        assert_eq!(turns.quick.len(), 2, "its answer was lost: it is answered again");
    }

    #[test]
    fn a_query_that_no_ingress_waits_for_is_dropped() {
        let (now, mut turns) = (Instant::now(), turns());
        let _ = turns.enqueue(attempt("inbox.a.0", Some("1000"), now), now);
        let _ = turns.enqueue(attempt("inbox.b.0", Some("9000"), now), now);
        let next = turns.next(now + Duration::from_secs(2)).unwrap();
        assert_eq!(next.query_id(), Some("inbox.b"));
        let _ = turns.enqueue(attempt("inbox.a.1", Some("1000"), now), now);
        assert_eq!(turns.quick.len(), 1);
    }

    #[test]
    fn what_is_not_numbered_is_answered_each_time() {
        let (now, mut turns) = (Instant::now(), turns());
        for _ in 0..2 {
            let _ = turns.enqueue(attempt("inbox.a", None, now), now);
        }
        assert_eq!(turns.quick.len(), 2);
    }

    #[test]
    fn a_list_waits_for_another_one_and_nothing_quick_waits_for_lists() {
        let (now, mut turns) = (Instant::now(), turns());
        let asked = |query: &Query| {
            let mut attempt = attempt("inbox.a", None, now);
            attempt.message.payload = query.encode().unwrap().into();
            Attempt::new(attempt.message, now)
        };
        let members = ListMembers { group: ResourceId(Uuid::nil()), after: None, count: 1, display: false };
        let list = || asked(&members.clone().into());
        let _ = turns.enqueue(list(), now);
        let _ = turns.enqueue(list(), now);
        let first = turns.next(now).unwrap();
        assert!(turns.next(now).is_none());
        let _ = turns.enqueue(asked(&GetProfile {}.into()), now);
        assert_eq!(turns.next(now).unwrap().query(), Some(&GetProfile {}.into()));
        turns.finished(first);
        assert!(turns.next(now).unwrap().is_list());
    }
}
