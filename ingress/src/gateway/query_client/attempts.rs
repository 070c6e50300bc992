//! The attempts of one query, and when the next one is due. Pure: time comes in as a parameter.

use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use runtime::backoff::doubled;
use runtime::reply_parts::ReplyParts;
use tokio::time::Instant;

use super::QueryError;

/// A worker says at once that it took a query. Where that is not heard for so long, another is asked. The second time
/// sooner: a healthy worker's word takes a millisecond, and the broker may choose the silent worker again.
const FIRST_SILENCE: Duration = Duration::from_millis(250);
const FURTHER_SILENCE: Duration = Duration::from_millis(100);
/// So many attempts go out at that pace; from then on the pause doubles up to the longest.
const QUICK_ATTEMPTS: u32 = 10;
const LONGEST_SILENCE: Duration = Duration::from_secs(1);
/// A query that was taken and is not answered for so long is asked again, then after twice as long, and so on: it may be
/// a heavy one, and each attempt is work for a database.
const FIRST_SLOWNESS: Duration = Duration::from_secs(1);
const MAX_DOUBLINGS: usize = 4;
/// The pause after an attempt that failed, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// All attempts of one query.
#[derive(Debug)]
pub(super) struct Attempts {
    all: Vec<Attempt>,
    next_at: Instant,
    /// How many attempts no worker has taken in time.
    silent: u32,
    failures: u32,
}

#[derive(Debug, Default)]
struct Attempt {
    state: State,
    parts: ReplyParts,
}

/// What is known of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// It was sent.
    #[default]
    Sent,
    /// A worker has it.
    Taken,
    /// Nothing will come of it.
    Failed(QueryError),
}

impl Attempts {
    pub(super) const fn new(now: Instant) -> Self {
        Self { all: Vec::new(), next_at: now, silent: 0, failures: 0 }
    }

    /// How many there are; the number of the next one.
    pub(super) const fn count(&self) -> usize {
        self.all.len()
    }

    /// When the next one is due, unless something is heard before.
    pub(super) const fn next_at(&self) -> Instant {
        self.next_at
    }

    /// One more was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        let unheard = self.all.last().is_some_and(|attempt| attempt.state == State::Sent);
        self.silent += u32::from(unheard);
        self.all.push(Attempt::default());
        self.next_at = now + silence(self.silent);
    }

    /// A worker has this one.
    pub(super) fn taken(&mut self, attempt: usize, now: Instant) {
        let slow = self.at_work();
        let Some(attempt) = self.all.get_mut(attempt) else { return };
        if attempt.state == State::Sent {
            attempt.state = State::Taken;
            self.next_at = self.next_at.max(now + slowness(slow));
        }
    }

    /// A part of an answer came, or all of it; the whole answer if nothing of it is missing.
    pub(super) fn part(&mut self, attempt: usize, reply: &Message, now: Instant) -> Result<Option<Bytes>, QueryError> {
        let Some(attempt) = self.all.get_mut(attempt) else { return Ok(None) };
        let answer = attempt.parts.add(reply).map_err(|_| QueryError::Unreadable)?;
        // Its worker is at work, whatever it has said.
        attempt.state = State::Taken;
        self.next_at = self.next_at.max(now + FIRST_SLOWNESS);
        Ok(answer)
    }

    /// Nothing will come of this one. Another follows soon, unless a worker has one of the others.
    pub(super) fn failed(&mut self, attempt: usize, error: QueryError, now: Instant) {
        let Some(attempt) = self.all.get_mut(attempt) else { return };
        attempt.state = State::Failed(error);
        self.failures += 1;
        if self.at_work() == 0 {
            self.next_at = self.next_at.min(now + pause(self.failures));
        }
    }

    /// Whether there is nothing left to wait for.
    pub(super) fn have_all_failed(&self) -> bool {
        self.all.iter().all(|attempt| matches!(attempt.state, State::Failed(_)))
    }

    /// Why there is no answer, if there is none.
    pub(super) fn reason(&self) -> QueryError {
        let failed = self.all.iter().rev().find_map(|attempt| match attempt.state {
            State::Failed(error) => Some(error),
            State::Sent | State::Taken => None,
        });
        failed.unwrap_or_else(|| if self.at_work() > 0 { QueryError::Slow } else { QueryError::Silent })
    }

    /// How many workers have the query now.
    fn at_work(&self) -> usize {
        self.all.iter().filter(|attempt| attempt.state == State::Taken).count()
    }
}

/// How long the next attempt may stay unheard of, after so many that did.
fn silence(silent: u32) -> Duration {
    match silent {
        0 => FIRST_SILENCE,
        quick if quick <= QUICK_ATTEMPTS => FURTHER_SILENCE,
        slow => FURTHER_SILENCE.saturating_mul(1 << (slow - QUICK_ATTEMPTS).min(10)).min(LONGEST_SILENCE),
    }
}

/// How long a worker may take for its answer while so many others have the query, too.
fn slowness(others: usize) -> Duration {
    FIRST_SLOWNESS.saturating_mul(1 << others.min(MAX_DOUBLINGS))
}

/// It doubles at every second failure: the first may all come from the one worker that has lost its database. Half of it
/// is chance, so that those who wait for a database do not come back in step.
fn pause(failures: u32) -> Duration {
    doubled(FIRST_PAUSE, LONGEST_PAUSE, failures / 2)
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use protocol::message::header;

    use super::*;

    /// A reply: to an answer of this many parts, this one.
    fn reply(payload: &'static str, (part, parts): (&str, &str)) -> Message {
        let mut headers = HeaderMap::new();
        headers.insert(header::PART, part);
        headers.insert(header::PARTS, parts);
        let (subject, payload) = ("inbox.0".into(), Bytes::from_static(payload.as_bytes()));
        let length = payload.len();
        Message { subject, reply: None, length, payload, headers: Some(headers), status: None, description: None }
    }

    /// The milliseconds at which attempts go out while nothing is heard.
    fn unheard(count: usize) -> Vec<u128> {
        let began = Instant::now();
        let mut attempts = Attempts::new(began);
        let mut times = Vec::new();
        for _ in 0..count {
            let now = attempts.next_at();
            times.push((now - began).as_millis());
            attempts.sent(now);
        }
        times
    }

    #[test]
    fn a_query_that_no_worker_takes_goes_to_others_soon_and_then_less_often() {
        assert_eq!(unheard(14), [0, 250, 350, 450, 550, 650, 750, 850, 950, 1050, 1150, 1250, 1450, 1850]);
        assert!(unheard(1000).last().unwrap() / 1000 > 900, "every second in the end");
    }

    #[test]
    fn a_query_that_is_taken_is_asked_again_only_when_its_answer_is_slow() {
        let began = Instant::now();
        let mut attempts = Attempts::new(began);
        attempts.sent(began);
        attempts.taken(0, began);
        assert_eq!(attempts.next_at() - began, Duration::from_secs(1));
        attempts.sent(attempts.next_at());
        assert_eq!(attempts.next_at() - began, Duration::from_millis(1250), "the second may be silent, too");
        attempts.taken(1, began + Duration::from_secs(1));
        assert_eq!(attempts.next_at() - began, Duration::from_secs(3));
    }

    #[test]
    fn a_worker_that_cannot_answer_makes_room_for_another_at_once() {
        let began = Instant::now();
        let mut attempts = Attempts::new(began);
        attempts.sent(began);
        attempts.failed(0, QueryError::Unavailable, began);
        assert!(attempts.next_at() - began <= Duration::from_millis(40));
        assert!(attempts.have_all_failed());
        attempts.sent(attempts.next_at());
        assert!(!attempts.have_all_failed());
        assert_eq!(attempts.reason(), QueryError::Unavailable);
    }

    #[test]
    fn a_worker_that_took_a_query_and_failed_makes_the_next_one_no_slower() {
        let began = Instant::now();
        let mut attempts = Attempts::new(began);
        for attempt in 0..3 {
            attempts.sent(began);
            attempts.taken(attempt, began);
            assert_eq!(attempts.next_at() - began, Duration::from_secs(1));
            attempts.failed(attempt, QueryError::Unavailable, began);
            assert!(attempts.next_at() - began < Duration::from_millis(100));
        }
    }

    #[test]
    fn a_worker_that_cannot_answer_does_not_hurry_one_that_is_at_work() {
        let began = Instant::now();
        let mut attempts = Attempts::new(began);
        attempts.sent(began);
        attempts.sent(began);
        attempts.taken(1, began);
        attempts.failed(0, QueryError::Unavailable, began);
        assert_eq!(attempts.next_at() - began, Duration::from_secs(1));
    }

    #[test]
    fn the_parts_of_two_workers_answers_never_mix() {
        let now = Instant::now();
        let mut attempts = Attempts::new(now);
        attempts.sent(now);
        attempts.sent(now);
        let mut part = |attempt, text, numbers| attempts.part(attempt, &reply(text, numbers), now).unwrap();
        // The second answer was read later: the directory has changed, and it has another number of parts.
        assert_eq!(part(0, "old-", ("0", "2")), None);
        assert_eq!(part(1, "-new", ("2", "3")), None);
        assert_eq!(part(1, "new-", ("0", "3")), None);
        assert_eq!(part(1, "new", ("1", "3")).unwrap(), "new-new-new");
        assert_eq!(part(0, "-old", ("1", "2")).unwrap(), "old--old");
    }
}
