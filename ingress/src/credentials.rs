//! The credentials of all workspaces in memory, as workers project them; what is not there is asked for.

mod token_uses;
mod watch;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use protocol::credential::{Credential, Token};
use protocol::id::{TokenId, WorkspaceId};
use protocol::message::query::GetCredential;
use protocol::profile::Profile;
use protocol::time::Timestamp;
use runtime::clock;
use runtime::lock::locked;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::token_uses::TokenUses;
use crate::gateway::{Gateway, GatewayError};

pub(crate) use token_uses::report_uses;
pub(crate) use watch::watch;

/// How long a worker's word about an unknown token counts.
const ASKED_COUNTS: Duration = Duration::from_secs(1);
/// How many such answers are kept.
const ASKED_MOST: usize = 1024;
/// How many unknown tokens are asked for at a time, so that guessing them keeps no worker busy.
const ASKING_MOST: usize = 32;

/// What this process knows of tokens.
#[derive(Debug)]
pub struct Credentials {
    watched: Mutex<HashMap<TokenId, Credential>>,
    asked: Mutex<HashMap<(WorkspaceId, TokenId), Asked>>,
    asking: Semaphore,
    uses: TokenUses,
}

/// What a worker said of a token.
#[derive(Debug, Clone)]
struct Asked {
    credential: Option<Credential>,
    at: Instant,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            watched: Mutex::default(),
            asked: Mutex::default(),
            asking: Semaphore::new(ASKING_MOST),
            uses: TokenUses::default(),
        }
    }
}

impl Credentials {
    /// How requests are to be served, if a token opens the workspace now. Without an answer from memory or from a worker
    /// that is an error, never a no: a 401 by accident puts Entra into quarantine at once.
    pub async fn admits(
        &self,
        token: &Token,
        workspace: &WorkspaceId,
        gateway: &dyn Gateway,
    ) -> Result<Option<Profile>, GatewayError> {
        let watched =
            locked(&self.watched).get(token.id()).map(|known| admitted(known, token, workspace, clock::now()));
        match watched {
            Some(admitted) => Ok(admitted),
            None => self.ask(token, workspace, gateway).await,
        }
    }

    /// How many credentials are projected.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(locked(&self.watched).len()).unwrap_or(u64::MAX)
    }

    /// A request was let in with this token.
    pub(crate) fn note_use(&self, token: &TokenId) {
        self.uses.note(token, clock::now());
    }

    /// Takes over a projected credential, unless a newer one is known.
    pub fn learn(&self, credential: Credential) {
        let mut watched = locked(&self.watched);
        if watched.get(&credential.id).is_none_or(|known| known.version <= credential.version) {
            watched.insert(credential.id.clone(), credential);
        }
    }

    /// Forgets a credential that is projected no more.
    pub fn forget(&self, token: &TokenId) {
        locked(&self.watched).remove(token);
    }

    async fn ask(
        &self,
        token: &Token,
        workspace: &WorkspaceId,
        gateway: &dyn Gateway,
    ) -> Result<Option<Profile>, GatewayError> {
        let key = (workspace.clone(), token.id().clone());
        let mut known = self.recently_asked(&key);
        if known.is_none() {
            let unanswered = GatewayError::Timeout { queued: None };
            let Ok(_permit) = self.asking.acquire().await else { return Err(unanswered) };
            // Another request may have asked while this one waited.
            known = self.recently_asked(&key);
            if known.is_none() {
                let query = GetCredential { token: token.id().clone() };
                let Ok(credential) = gateway.ask(workspace, query).await else { return Err(unanswered) };
                let asked = Asked { credential, at: Instant::now() };
                self.remember(key, asked.clone());
                known = Some(asked);
            }
        }
        let credential = known.and_then(|asked| asked.credential);
        Ok(credential.and_then(|found| admitted(&found, token, workspace, clock::now())))
    }

    fn recently_asked(&self, key: &(WorkspaceId, TokenId)) -> Option<Asked> {
        locked(&self.asked).get(key).filter(|asked| asked.at.elapsed() < ASKED_COUNTS).cloned()
    }

    fn remember(&self, key: (WorkspaceId, TokenId), answer: Asked) {
        let mut asked = locked(&self.asked);
        if asked.len() >= ASKED_MOST {
            asked.retain(|_, asked| asked.at.elapsed() < ASKED_COUNTS);
        }
        if asked.len() < ASKED_MOST {
            asked.insert(key, answer);
        }
    }
}

/// How requests are to be served, if the credential admits the token.
fn admitted(found: &Credential, token: &Token, workspace: &WorkspaceId, now: Timestamp) -> Option<Profile> {
    found.admits(token, workspace, now).then(|| found.profile.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(version: i64, revoked_at: Option<Timestamp>) -> Credential {
        let token = Token::from_random([1; 9], [2; 32]).unwrap();
        Credential {
            id: token.id().clone(),
            workspace: "acme".parse().unwrap(),
            label: String::new(),
            hash: token.hash(),
            version,
            created_at: Timestamp::from_millis(0),
            expires_at: None,
            revoked_at,
            last_used_at: None,
            profile: Profile::default(),
        }
    }

    #[test]
    fn a_late_copy_never_brings_a_revoked_token_back() {
        let credentials = Credentials::default();
        let revoked = credential(2, Some(Timestamp::from_millis(1)));
        credentials.learn(revoked.clone());
        credentials.learn(credential(1, None));
        assert_eq!(locked(&credentials.watched).get(&revoked.id), Some(&revoked));
    }
}
