//! The creates whose answers went out through this ingress: a repetition of one is a 409, of any other the original 201.
//!
//! Workers record them in SQL, in batches; until then, and a little longer, this memory answers for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Client, Message, SubscribeError};
use futures::StreamExt;
use protocol::id::{Namespace, OperationId};
use protocol::message::answered::{Answered, AnsweredReport, WasAnswered};
use runtime::connection::Connection;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// How long an ingress that asks waits, and how long an answer that is just being written is waited for here.
const ASK_TIMEOUT: Duration = Duration::from_millis(250);
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);
/// How old an answer is when it is reported: by then it is known whether the client took it.
const REPORT_AGE: Duration = Duration::from_secs(1);
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a reported answer is still known here: a worker may have looked before it was recorded.
const FORGET_AFTER: Duration = Duration::from_mins(1);
/// The most answers in this memory; beyond it the oldest are forgotten unreported.
const MAX_REMEMBERED: usize = 200_000;
/// Questions that are answered at a time.
const MAX_CONCURRENT_QUESTIONS: usize = 1024;

/// A memory of answered creates.
#[derive(Debug, Clone, Default)]
pub(super) struct AnsweredCreates {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    marks: Mutex<HashMap<OperationId, Mark>>,
    /// Creates that are answered with what an earlier one created: both are answered then.
    originals: Mutex<HashMap<OperationId, Original>>,
    marked: Notify,
}

/// An earlier create, and since when another stands for it.
#[derive(Debug, Clone, Copy)]
struct Original {
    operation: OperationId,
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    answered: Instant,
    reported: Option<Instant>,
    /// The earlier create that was answered with this one.
    original: Option<OperationId>,
}

impl AnsweredCreates {
    /// The answer to a create is being written.
    pub(super) fn mark(&self, operation: OperationId) {
        let original = self.originals().remove(&operation).map(|original| original.operation);
        let mark = Mark { answered: Instant::now(), reported: None, original };
        {
            let mut marks = self.marks();
            for operation in [Some(operation), original].into_iter().flatten() {
                marks.insert(operation, mark);
            }
        }
        self.inner.marked.notify_waiters();
    }

    /// The answer did not reach the client: its connection was gone.
    pub(super) fn unmark(&self, operation: OperationId) {
        let mut marks = self.marks();
        if let Some(original) = marks.remove(&operation).and_then(|mark| mark.original) {
            marks.remove(&original);
        }
    }

    /// This create will be answered with what an earlier one created.
    pub(super) fn stands_for(&self, operation: OperationId, original: OperationId) {
        let original = Original { operation: original, since: Instant::now() };
        self.originals().insert(operation, original);
    }

    /// Whether a create's answer went out, here or through any other ingress.
    pub(super) async fn was_answered(
        &self,
        connection: &Connection,
        namespace: &Namespace,
        operation: OperationId,
    ) -> bool {
        tokio::select! {
            () = self.becomes_answered(operation) => true,
            () = ask_others(connection.client(), namespace, operation) => true,
            () = sleep(ASK_TIMEOUT) => false,
        }
    }

    /// Answers the questions of other ingresses, for as long as the client lives.
    pub(super) async fn listen(&self, client: Client, namespace: &Namespace) -> Result<(), SubscribeError> {
        let questions = client.subscribe(namespace.was_answered()).await?;
        let creates = self.clone();
        tokio::spawn(questions.for_each_concurrent(MAX_CONCURRENT_QUESTIONS, move |question| {
            let (creates, client) = (creates.clone(), client.clone());
            async move { creates.answer(&client, question).await }
        }));
        Ok(())
    }

    async fn answer(&self, client: &Client, question: Message) {
        let Some(inbox) = question.reply else { return };
        let Ok(WasAnswered { operation }) = serde_json::from_slice(&question.payload) else { return };
        if timeout(WRITE_TIMEOUT, self.becomes_answered(operation)).await.is_err() {
            return;
        }
        let Ok(payload) = serde_json::to_vec(&Answered { answered: true }) else { return };
        if let Err(error) = client.publish(inbox, payload.into()).await {
            tracing::debug!(%error, "a question for an answered create got no reply");
        }
    }

    async fn becomes_answered(&self, operation: OperationId) {
        loop {
            let marked = self.inner.marked.notified();
            if self.marks().contains_key(&operation) {
                return;
            }
            marked.await;
        }
    }

    /// Reports to workers, for as long as the process lives.
    pub(super) async fn report(self, connection: Connection, namespace: Namespace) {
        loop {
            sleep(REPORT_INTERVAL).await;
            while self.report_some(&connection, &namespace, REPORT_AGE).await {}
            self.tidy();
        }
    }

    /// Reports everything that is left, before the process ends.
    pub(super) async fn report_rest(&self, connection: &Connection, namespace: &Namespace) {
        while self.report_some(connection, namespace, Duration::ZERO).await {}
    }

    /// True if a full report was taken: there may be more.
    async fn report_some(&self, connection: &Connection, namespace: &Namespace, age: Duration) -> bool {
        let due = |mark: &Mark| mark.reported.is_none() && mark.answered.elapsed() >= age;
        let operations: Vec<OperationId> = {
            let marks = self.marks();
            let due = marks.iter().filter(|(_, mark)| due(mark)).map(|(operation, _)| *operation);
            due.take(AnsweredReport::MAX_OPERATIONS).collect()
        };
        if operations.is_empty() {
            return false;
        }
        let report = AnsweredReport { operations };
        let Ok(payload) = serde_json::to_vec(&report) else { return false };
        let asked = connection.client().request(namespace.answered_reports(), payload.into());
        let taken =
            timeout(REPORT_TIMEOUT, asked).await.is_ok_and(|reply| reply.is_ok_and(|reply| reply.payload.is_empty()));
        if taken {
            let now = Instant::now();
            let mut marks = self.marks();
            for operation in &report.operations {
                if let Some(mark) = marks.get_mut(operation) {
                    mark.reported = Some(now);
                }
            }
        }
        taken && report.operations.len() == AnsweredReport::MAX_OPERATIONS
    }

    fn tidy(&self) {
        self.originals().retain(|_, original| original.since.elapsed() < FORGET_AFTER);
        let mut marks = self.marks();
        marks.retain(|_, mark| mark.reported.is_none_or(|at| at.elapsed() < FORGET_AFTER));
        if marks.len() > MAX_REMEMBERED {
            let mut times: Vec<Instant> = marks.values().map(|mark| mark.answered).collect();
            times.sort_unstable();
            if let Some(oldest) = times.get(marks.len() - MAX_REMEMBERED).copied() {
                marks.retain(|_, mark| mark.answered >= oldest);
            }
        }
    }

    fn marks(&self) -> MutexGuard<'_, HashMap<OperationId, Mark>> {
        self.inner.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn originals(&self) -> MutexGuard<'_, HashMap<OperationId, Original>> {
        self.inner.originals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Comes back when an ingress says that the create was answered; never if none does.
async fn ask_others(client: &Client, namespace: &Namespace, operation: OperationId) {
    let asked = async {
        let payload = serde_json::to_vec(&WasAnswered { operation }).ok()?;
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await.ok()?;
        client.publish_with_reply(namespace.was_answered(), inbox, payload.into()).await.ok()?;
        while let Some(reply) = replies.next().await {
            if serde_json::from_slice::<Answered>(&reply.payload).is_ok_and(|answer| answer.answered) {
                return Some(());
            }
        }
        None
    };
    if asked.await.is_none() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn operation(number: u128) -> OperationId {
        OperationId(uuid::Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn an_answer_counts_for_the_create_that_it_stands_for() {
        let creates = AnsweredCreates::default();
        creates.stands_for(operation(2), operation(1));
        assert!(creates.becomes_answered(operation(1)).now_or_never().is_none());
        creates.mark(operation(2));
        assert!(creates.becomes_answered(operation(1)).now_or_never().is_some());
        assert!(creates.becomes_answered(operation(2)).now_or_never().is_some());
        creates.unmark(operation(2));
        assert!(creates.becomes_answered(operation(1)).now_or_never().is_none());
        assert!(creates.originals().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_reported_is_forgotten_after_a_while() {
        let creates = AnsweredCreates::default();
        creates.mark(operation(1));
        creates.mark(operation(2));
        creates.marks().get_mut(&operation(1)).unwrap().reported = Some(Instant::now());
        tokio::time::advance(FORGET_AFTER + Duration::from_secs(1)).await;
        creates.tidy();
        assert_eq!(creates.marks().keys().copied().collect::<Vec<_>>(), [operation(2)]);
    }
}
