//! When each token was last used, for operators: told to workers in batches, at most once a minute for each token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Client;
use protocol::id::{Namespace, TokenId};
use protocol::message::operator::{OperatorError, TokenUse, TokensUsed};
use protocol::time::Timestamp;
use runtime::lock::locked;
use tokio::time::Instant;

use crate::credentials::Credentials;

/// How often is looked for uses to report: the first use of a token shows within this.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Between two reports of one token, also after a report that was lost.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);
/// How long a worker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How many tokens one report names.
const MAX_USES: usize = 100;

/// What is known of uses. Nothing depends on it but what operators are shown.
#[derive(Debug, Default)]
pub(crate) struct TokenUses(Mutex<HashMap<TokenId, LastUse>>);

#[derive(Debug)]
struct LastUse {
    at: Timestamp,
    is_reported: bool,
    reported: Option<Instant>,
}

impl TokenUses {
    /// A request came with this token.
    pub(super) fn note(&self, token: &TokenId, now: Timestamp) {
        let mut uses = locked(&self.0);
        match uses.get_mut(token) {
            Some(last) => (last.at, last.is_reported) = (now, false),
            None => drop(uses.insert(token.clone(), LastUse { at: now, is_reported: false, reported: None })),
        }
    }

    /// What is to be reported now. It counts as reported; what was reported long ago is forgotten.
    fn take_due(&self, now: Instant) -> Vec<TokenUse> {
        let is_recent = |last: &LastUse| last.reported.is_some_and(|at| now.duration_since(at) < REPORT_INTERVAL);
        let mut uses = locked(&self.0);
        uses.retain(|_, last| !last.is_reported || is_recent(last));
        let due = uses.iter_mut().filter(|(_, last)| !last.is_reported && !is_recent(last));
        due.take(MAX_USES)
            .map(|(token, last)| {
                (last.is_reported, last.reported) = (true, Some(now));
                TokenUse { token: token.clone(), at: last.at }
            })
            .collect()
    }

    /// The report was not taken: it is made again in its time, unless a newer use is noted by then.
    fn put_back(&self, uses: &[TokenUse]) {
        let mut known = locked(&self.0);
        for TokenUse { token, .. } in uses {
            if let Some(last) = known.get_mut(token) {
                last.is_reported = false;
            }
        }
    }
}

/// Reports uses for as long as the process runs.
pub(crate) async fn report_uses(client: Client, namespace: Namespace, credentials: Arc<Credentials>) {
    let mut tick = tokio::time::interval(LOOK_INTERVAL);
    loop {
        tick.tick().await;
        let uses = credentials.uses.take_due(Instant::now());
        if uses.is_empty() {
            continue;
        }
        let call = TokensUsed { uses };
        if !is_taken(&client, &namespace, &call).await {
            credentials.uses.put_back(&call.uses);
        }
    }
}

async fn is_taken(client: &Client, namespace: &Namespace, call: &TokensUsed) -> bool {
    let Ok(payload) = serde_json::to_vec(call) else { return false };
    let request = client.request(namespace.operator_call::<TokensUsed>(), payload.into());
    let Ok(Ok(reply)) = tokio::time::timeout(ANSWER_TIMEOUT, request).await else { return false };
    matches!(serde_json::from_slice::<Result<(), OperatorError>>(&reply.payload), Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_used_all_the_time_is_reported_once_a_minute() {
        let (uses, token): (_, TokenId) = (TokenUses::default(), "0000000000abc".parse().unwrap());
        let mut reports = Vec::new();
        for second in 0..150 {
            uses.note(&token, Timestamp::from_millis(second * 1_000));
            reports.extend(uses.take_due(Instant::now()).into_iter().map(|due| due.at.as_millis() / 1_000));
            tokio::time::advance(LOOK_INTERVAL).await;
        }
        assert_eq!(reports, [0, 60, 120]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_use_of_a_minute_is_reported_and_then_forgotten() {
        let (uses, token): (_, TokenId) = (TokenUses::default(), "0000000000abc".parse().unwrap());
        uses.note(&token, Timestamp::from_millis(0));
        uses.take_due(Instant::now());
        uses.note(&token, Timestamp::from_millis(30_000));
        assert_eq!(uses.take_due(Instant::now()), []);
        tokio::time::advance(REPORT_INTERVAL).await;
        let due = uses.take_due(Instant::now());
        assert_eq!(due.iter().map(|due| due.at.as_millis()).collect::<Vec<_>>(), [30_000]);
        uses.put_back(&due);
        tokio::time::advance(REPORT_INTERVAL).await;
        assert_eq!(uses.take_due(Instant::now()), due, "a report that was not taken is made again");
        tokio::time::advance(REPORT_INTERVAL).await;
        assert_eq!(uses.take_due(Instant::now()), []);
        assert!(locked(&uses.0).is_empty());
    }
}
