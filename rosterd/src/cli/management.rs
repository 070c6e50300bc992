//! Calls to a running system, by request and reply over the broker. Tokens are made here; only their hashes travel.

use std::time::Duration;

use async_nats::{Client, StatusCode};
use bytes::Bytes;
use futures::StreamExt;
use protocol::credential::Token;
use protocol::id::Namespace;
use protocol::message::operator::{NewToken, OperatorCall, OperatorError, Process};
use protocol::time::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use runtime::connection;
use runtime::reply_parts::{ReplyParts, UnreadableReply};
use runtime::settings::{BrokerSettings, SettingsError};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to ask again while no process listens: it may be starting just now.
const LISTENER_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection over which calls are made.
#[derive(Debug, Clone)]
pub struct Management {
    client: Client,
    namespace: Namespace,
}

/// Why a call was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// A setting cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The broker cannot be reached.
    #[error("connecting to the broker (ROSTERD_NATS_URL)")]
    Connect {
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// No answer: no such process runs, or it is too busy.
    #[error("no {process} answers in namespace {namespace}: is one running?")]
    Unanswered {
        /// What should answer.
        process: Process,
        /// Where it was asked.
        namespace: Namespace,
    },
    /// No answer to a question that all processes answer.
    #[error("no ingress and no worker answers in namespace {namespace}: is one running?")]
    NoProcess {
        /// Where they were asked.
        namespace: Namespace,
    },
    /// The call was refused.
    #[error(transparent)]
    Refused(#[from] OperatorError),
    /// A reply could not be put together.
    #[error(transparent)]
    Parts(#[from] UnreadableReply),
    /// A message could not be written or read.
    #[error("reading or writing a message")]
    Message {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// No token could be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The operating system gave no randomness.
    #[error("drawing random bytes from the operating system")]
    Random(#[source] rand::rngs::SysError),
    /// The token cannot be read back.
    #[error("making a token")]
    Form(#[from] protocol::credential::InvalidToken),
}

impl Management {
    /// Connects to the broker.
    pub async fn connect(broker: &BrokerSettings) -> Result<Self, CallError> {
        let (options, servers) = connection::options(broker, "rosterd", CALL_TIMEOUT).await?;
        let connected = options.connect(servers).await;
        let client = connected.map_err(|source| CallError::Connect { source })?;
        Ok(Self { client, namespace: broker.namespace.clone() })
    }

    /// The connection, for questions that are no calls.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Where the system is.
    pub(super) const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Makes a call.
    pub async fn call<C: OperatorCall>(&self, call: C) -> Result<C::Reply, CallError> {
        let unanswered = || CallError::Unanswered { process: C::ANSWERED_BY, namespace: self.namespace.clone() };
        self.call_for(call, LISTENER_TIMEOUT).await?.ok_or_else(unanswered)
    }

    /// Makes a call once; none if no process answers.
    pub async fn call_once<C: OperatorCall>(&self, call: C) -> Result<Option<C::Reply>, CallError> {
        self.call_for(call, Duration::ZERO).await
    }

    async fn call_for<C: OperatorCall>(&self, call: C, patience: Duration) -> Result<Option<C::Reply>, CallError> {
        let payload = serde_json::to_vec(&call).map_err(|source| CallError::Message { source })?;
        let (subject, began) = (self.namespace.operator_call::<C>(), Instant::now());
        let reply = loop {
            match self.ask(subject.clone(), payload.clone().into()).await? {
                Reply::Whole(reply) => break reply,
                // What was not received can be asked again; what became of a call that was not answered is not known.
                Reply::NoListener if began.elapsed() < patience => sleep(PAUSE).await,
                Reply::NoListener | Reply::Silence => return Ok(None),
            }
        };
        let result: Result<Result<C::Reply, OperatorError>, _> = serde_json::from_slice(&reply);
        Ok(Some(result.map_err(|source| CallError::Message { source })??))
    }

    /// Asks once. A large reply comes in parts.
    async fn ask(&self, subject: String, payload: Bytes) -> Result<Reply, CallError> {
        let (inbox, deadline) = (self.client.new_inbox(), Instant::now() + CALL_TIMEOUT);
        let Ok(mut replies) = self.client.subscribe(inbox.clone()).await else { return Ok(Reply::Silence) };
        if self.client.publish_with_reply(subject, inbox, payload).await.is_err() {
            return Ok(Reply::Silence);
        }
        let mut parts = ReplyParts::default();
        while let Ok(Some(reply)) = timeout_at(deadline, replies.next()).await {
            if reply.status == Some(StatusCode::NO_RESPONDERS) {
                return Ok(Reply::NoListener);
            }
            if let Some(whole) = parts.add(&reply)? {
                return Ok(Reply::Whole(whole));
            }
        }
        Ok(Reply::Silence)
    }
}

/// What comes of asking once.
enum Reply {
    Whole(Bytes),
    NoListener,
    Silence,
}

/// A fresh token, and what may be known of it.
pub fn new_token(label: &str, expires_at: Option<Timestamp>) -> Result<(Token, NewToken), TokenError> {
    let (mut public, mut secret) = ([0; 9], [0; 32]);
    SysRng.try_fill_bytes(&mut public).map_err(TokenError::Random)?;
    SysRng.try_fill_bytes(&mut secret).map_err(TokenError::Random)?;
    let token = Token::from_random(public, secret)?;
    let known = NewToken { id: token.id().clone(), label: label.to_owned(), hash: token.hash(), expires_at };
    Ok((token, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_ours_and_never_prints_its_secret() {
        let (token, known) = new_token("first", None).unwrap();
        assert_eq!(token.reveal().parse::<Token>().unwrap().hash(), known.hash);
        let secret = token.reveal().rsplit('_').next().unwrap();
        assert!(!format!("{token:?} {known:?}").contains(secret));
        assert_ne!(new_token("second", None).unwrap().0, token);
    }
}
