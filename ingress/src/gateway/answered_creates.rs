//! The creates whose answers went out through this ingress: a repetition of one is a 409, of any other the original 201.
//!
//! Workers record them in SQL, in batches; until then, and a little longer, this memory answers for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Message, SubscribeError};
use futures::StreamExt;
use protocol::id::{Namespace, OperationId};
use protocol::message::answered::{Answered, AnsweredReport, WasAnswered};
use protocol::message::outcome::Outcome;
use protocol::scim::error::ScimError;
use runtime::connection::Connection;
use runtime::lock::locked;
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
/// The most creates in this memory; beyond it the oldest are forgotten unreported.
const MAX_REMEMBERED: usize = 200_000;
/// Questions that are answered at a time.
const MAX_CONCURRENT_QUESTIONS: usize = 1024;

/// Answered creates, and what other ingresses and workers are told of them.
#[derive(Debug, Clone)]
pub(super) struct AnsweredCreates {
    connection: Connection,
    namespace: Namespace,
    pub(super) memory: Arc<Memory>,
}

/// The creates that are known here.
#[derive(Debug, Default)]
pub(super) struct Memory {
    creates: Mutex<HashMap<OperationId, Create>>,
    marked: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Create {
    /// Its answer is written, or was. Until then it is only known what it repeats.
    is_answered: bool,
    since: Instant,
    reported: Option<Instant>,
    /// The earlier create that it is answered with: both are answered then.
    original: Option<OperationId>,
}

impl AnsweredCreates {
    /// Starts to answer the questions of other ingresses and to report to workers, for as long as the client lives.
    pub(super) async fn start(connection: Connection, namespace: Namespace) -> Result<Self, SubscribeError> {
        let questions = connection.client().subscribe(namespace.was_answered()).await?;
        let creates = Self { connection, namespace, memory: Arc::default() };
        let (answering, reporting) = (creates.clone(), creates.clone());
        tokio::spawn(questions.for_each_concurrent(MAX_CONCURRENT_QUESTIONS, move |question| {
            let creates = answering.clone();
            async move { creates.answer(question).await }
        }));
        tokio::spawn(async move {
            loop {
                sleep(REPORT_INTERVAL).await;
                while reporting.report_some(REPORT_AGE).await {}
                reporting.memory.tidy();
            }
        });
        Ok(creates)
    }

    /// The outcome as the client sees it: whether a create that repeats an earlier one is the original 201 depends on
    /// whether that one's answer went out.
    pub(super) async fn answer_of(&self, operation: OperationId, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Superseded => Outcome::Rejected { error: ScimError::superseded() },
            Outcome::Duplicate { operation: original, resource, .. } => {
                if self.was_answered(original).await {
                    return Outcome::Rejected { error: ScimError::duplicate(resource.resource_type) };
                }
                tracing::info!(%operation, %original, "a repeated create is answered with the original");
                self.memory.stands_for(operation, original);
                Outcome::Created { resource }
            }
            outcome => outcome,
        }
    }

    /// Whether a create's answer went out, here or through any other ingress.
    async fn was_answered(&self, operation: OperationId) -> bool {
        tokio::select! {
            () = self.memory.becomes_answered(operation) => true,
            Some(()) = self.ask_others(operation) => true,
            () = sleep(ASK_TIMEOUT) => false,
        }
    }

    /// Comes back when an ingress says that the create was answered; with none if it cannot be asked.
    async fn ask_others(&self, operation: OperationId) -> Option<()> {
        let client = self.connection.client();
        let payload = serde_json::to_vec(&WasAnswered { operation }).ok()?;
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await.ok()?;
        client.publish_with_reply(self.namespace.was_answered(), inbox, payload.into()).await.ok()?;
        while let Some(reply) = replies.next().await {
            if serde_json::from_slice::<Answered>(&reply.payload).is_ok_and(|answer| answer.answered) {
                return Some(());
            }
        }
        None
    }

    async fn answer(&self, question: Message) {
        let Some(inbox) = question.reply else { return };
        let Ok(WasAnswered { operation }) = serde_json::from_slice(&question.payload) else { return };
        if timeout(WRITE_TIMEOUT, self.memory.becomes_answered(operation)).await.is_err() {
            return;
        }
        let Ok(payload) = serde_json::to_vec(&Answered { answered: true }) else { return };
        if let Err(error) = self.connection.client().publish(inbox, payload.into()).await {
            tracing::debug!(%error, "a question for an answered create got no reply");
        }
    }

    /// Reports everything that is left, before the process ends.
    pub(super) async fn report_rest(&self) {
        while self.report_some(Duration::ZERO).await {}
    }

    /// True if a full report was taken: there may be more.
    async fn report_some(&self, age: Duration) -> bool {
        let report = AnsweredReport { operations: self.memory.due(age) };
        if report.operations.is_empty() {
            return false;
        }
        let Ok(payload) = serde_json::to_vec(&report) else { return false };
        let asked = self.connection.client().request(self.namespace.answered_reports(), payload.into());
        let taken =
            timeout(REPORT_TIMEOUT, asked).await.is_ok_and(|reply| reply.is_ok_and(|reply| reply.payload.is_empty()));
        if taken {
            self.memory.were_reported(&report.operations);
        }
        taken && report.operations.len() == AnsweredReport::MAX_OPERATIONS
    }
}

impl Memory {
    /// The answer to a create is being written.
    pub(super) fn mark(&self, operation: OperationId) {
        {
            let mut creates = locked(&self.creates);
            let original = creates.get(&operation).and_then(|create| create.original);
            let create = Create { is_answered: true, since: Instant::now(), reported: None, original };
            creates.extend([Some(operation), original].into_iter().flatten().map(|operation| (operation, create)));
        }
        self.marked.notify_waiters();
    }

    /// The answer did not reach the client: its connection was gone.
    pub(super) fn unmark(&self, operation: OperationId) {
        let mut creates = locked(&self.creates);
        if let Some(original) = creates.remove(&operation).and_then(|create| create.original) {
            creates.remove(&original);
        }
    }

    /// This create will be answered with what an earlier one created.
    fn stands_for(&self, operation: OperationId, original: OperationId) {
        let create = Create { is_answered: false, since: Instant::now(), reported: None, original: Some(original) };
        locked(&self.creates).insert(operation, create);
    }

    async fn becomes_answered(&self, operation: OperationId) {
        loop {
            let marked = self.marked.notified();
            if locked(&self.creates).get(&operation).is_some_and(|create| create.is_answered) {
                return;
            }
            marked.await;
        }
    }

    /// Those to be reported next.
    fn due(&self, age: Duration) -> Vec<OperationId> {
        let is_due = |create: &Create| create.is_answered && create.reported.is_none() && create.since.elapsed() >= age;
        let creates = locked(&self.creates);
        let due = creates.iter().filter(|(_, create)| is_due(create)).map(|(operation, _)| *operation);
        due.take(AnsweredReport::MAX_OPERATIONS).collect()
    }

    fn were_reported(&self, operations: &[OperationId]) {
        let mut creates = locked(&self.creates);
        for operation in operations {
            if let Some(create) = creates.get_mut(operation) {
                create.reported = Some(Instant::now());
            }
        }
    }

    fn tidy(&self) {
        let mut creates = locked(&self.creates);
        creates.retain(|_, create| {
            let until = if create.is_answered { create.reported } else { Some(create.since) };
            until.is_none_or(|at| at.elapsed() < FORGET_AFTER)
        });
        if creates.len() > MAX_REMEMBERED {
            let mut times: Vec<Instant> = creates.values().map(|create| create.since).collect();
            times.sort_unstable();
            if let Some(oldest) = times.get(creates.len() - MAX_REMEMBERED).copied() {
                creates.retain(|_, create| create.since >= oldest);
            }
        }
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
        let creates = Memory::default();
        creates.stands_for(operation(2), operation(1));
        assert!(creates.becomes_answered(operation(1)).now_or_never().is_none());
        creates.mark(operation(2));
        assert!(creates.becomes_answered(operation(1)).now_or_never().is_some());
        assert!(creates.becomes_answered(operation(2)).now_or_never().is_some());
        creates.unmark(operation(2));
        assert!(creates.becomes_answered(operation(1)).now_or_never().is_none());
        assert!(locked(&creates.creates).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_reported_is_forgotten_after_a_while() {
        let creates = Memory::default();
        creates.mark(operation(1));
        creates.mark(operation(2));
        locked(&creates.creates).get_mut(&operation(1)).unwrap().reported = Some(Instant::now());
        tokio::time::advance(FORGET_AFTER + Duration::from_secs(1)).await;
        creates.tidy();
        assert_eq!(locked(&creates.creates).keys().copied().collect::<Vec<_>>(), [operation(2)]);
    }
}
