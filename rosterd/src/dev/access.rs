//! The workspace of a development system, and its token, which outlives restarts of the system.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use protocol::credential::Token;
use protocol::id::{Namespace, WorkspaceId};
use protocol::message::operator::{
    ActedBy, NewToken, OperatorError, TokenCreate, TokenList, WorkspaceCreate, WorkspaceEnable, WorkspaceShow,
};
use runtime::settings::BrokerSettings;

use crate::cli::management::{CallError, Management, new_token};

/// What the token is called in lists.
const LABEL: &str = "rosterd dev";

/// Creates and enables the workspace if need be; its token, from `data` if it still works.
pub async fn open(
    nats_url: &str,
    namespace: &Namespace,
    workspace: &WorkspaceId,
    data: &Path,
) -> anyhow::Result<String> {
    let management = Management::connect(&BrokerSettings::known(nats_url, namespace.clone())).await?;
    let enabled = ensure(&management, workspace).await?;
    let file = data.join(format!("{namespace}.token"));
    if let Some(token) = kept(&file)
        && enabled
        && is_live(&management, workspace, &token).await?
    {
        return Ok(token.reveal().to_owned());
    }
    let (token, fresh) = new_token(LABEL, None)?;
    add(&management, workspace, enabled, fresh).await?;
    keep(&file, &token).with_context(|| format!("writing the token to {}", file.display()))?;
    Ok(token.reveal().to_owned())
}

/// Whether SCIM is on already.
async fn ensure(management: &Management, workspace: &WorkspaceId) -> anyhow::Result<bool> {
    match management.call(WorkspaceShow { workspace: workspace.clone() }).await {
        Ok(found) => return Ok(found.enabled),
        Err(CallError::Refused(OperatorError::NotFound { .. })) => {}
        Err(failure) => return Err(failure.into()),
    }
    management.call(WorkspaceCreate { workspace: workspace.clone(), name: workspace.to_string(), by: by() }).await?;
    Ok(false)
}

async fn is_live(management: &Management, workspace: &WorkspaceId, token: &Token) -> anyhow::Result<bool> {
    let tokens = management.call(TokenList { workspace: workspace.clone() }).await?;
    Ok(tokens.iter().any(|known| known.id == *token.id() && known.revoked_at.is_none() && known.hash == token.hash()))
}

async fn add(management: &Management, workspace: &WorkspaceId, enabled: bool, token: NewToken) -> anyhow::Result<()> {
    let workspace = workspace.clone();
    if enabled {
        management.call(TokenCreate { workspace, token, by: by() }).await?;
    } else {
        management.call(WorkspaceEnable { workspace, token, by: by() }).await?;
    }
    Ok(())
}

/// For the audit log.
fn by() -> ActedBy {
    ActedBy { actor: LABEL.to_owned(), reason: None }
}

fn kept(file: &Path) -> Option<Token> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn keep(file: &Path, token: &Token) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(token.reveal().as_bytes())
}
