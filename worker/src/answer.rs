//! Answers queries from SQL.

use futures::future::BoxFuture;
use protocol::credential::Credential;
use protocol::id::{ResourceId, TokenId, WorkspaceId};
use protocol::message::query::{Answer, Fate, Query};
use protocol::profile::Profile;
use protocol::scim::error::ScimError;
use protocol::scim::list::Include;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource_type::ResourceType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use tracing::warn;

use self::list::Search;
use crate::store::entity::{credential, workspace};
use crate::store::resources::{complete, find};
use crate::store::{Context, Store, StoreError, credentials, profiles, recall, with_timeout};

mod filter;
mod list;
mod member_pages;

pub use list::plan::{Plan, plan};

/// Answers a question about one workspace.
#[inline(never)]
pub fn answer<'a>(store: &'a Store, workspace: &'a WorkspaceId, query: &'a Query) -> BoxFuture<'a, Answer> {
    Box::pin(answered(store, workspace, query))
}

async fn answered(store: &Store, workspace: &WorkspaceId, query: &Query) -> Answer {
    let answered = with_timeout("answering a query", async {
        match query {
            Query::Get { resource_type, id, precondition, joined } => {
                get(store, workspace, (*resource_type, *id), precondition, *joined).await
            }
            Query::List { lists, base_url, sort, paging, joined } => {
                let search = Search { lists, base_url, sort: sort.as_ref(), paging, joined: *joined };
                list::list(store, workspace, search).await
            }
            Query::Members { group, after, count, display } => {
                let page = member_pages::Page { group: *group, after: *after, count: *count, display: *display };
                member_pages::page(store, workspace, page).await
            }
            Query::Fate { operation, .. } => {
                let outcome = recall::outcome(store, workspace, *operation).await?;
                Ok(Answer::Fate { fate: outcome.map_or(Fate::Unknown, Fate::Ended) })
            }
            Query::Profile => Ok(Answer::Profile { profile: profile(store, workspace).await? }),
            Query::Credential { token } => {
                Ok(Answer::Credential { credential: live_credential(store, workspace, token).await? })
            }
        }
    });
    answered.await.unwrap_or_else(|error| {
        warn!(reason = error.reason(), "a query cannot be answered now");
        Answer::Unavailable
    })
}

/// The resource, unless the client has it already or asked for another version (RFC 7644 §3.14).
async fn get(
    store: &Store,
    workspace: &WorkspaceId,
    target: (ResourceType, ResourceId),
    precondition: &Precondition,
    joined: Include,
) -> Result<Answer, StoreError> {
    let snapshot = store.snapshot().await?;
    let Some(image) = find(&snapshot, workspace, target).await? else {
        return Ok(Answer::Resource { resource: None });
    };
    let version = image.resource.meta.version;
    if !precondition.admits(version) {
        return Ok(if precondition.is_for_caches() {
            Answer::NotModified { version }
        } else {
            Answer::Refused { error: ScimError::precondition_failed() }
        });
    }
    let resource = complete(&snapshot, workspace, image, joined).await?;
    Ok(Answer::Resource { resource: Some(Box::new(resource)) })
}

/// A token that is not revoked, of a workspace that is enabled. Whether it has expired is decided by the ingress, which knows the time.
async fn live_credential(
    store: &Store,
    workspace: &WorkspaceId,
    token: &TokenId,
) -> Result<Option<Credential>, StoreError> {
    let doing = "reading a credential";
    let enabled = workspace::Entity::find_by_id(workspace.as_str()).one(store.reader()).await.context(doing)?;
    if !enabled.is_some_and(|workspace| workspace.enabled) {
        return Ok(None);
    }
    let live = credential::Entity::find_by_id(token.as_str())
        .filter(credential::Column::Workspace.eq(workspace.as_str()))
        .filter(credential::Column::RevokedAt.is_null());
    let live = live.one(store.reader()).await.context(doing)?.map(credentials::read).transpose()?;
    let Some(live) = live else { return Ok(None) };
    Ok(Some(Credential { profile: profile(store, workspace).await?, ..live }))
}

/// How the workspace's requests are read.
async fn profile(store: &Store, workspace: &WorkspaceId) -> Result<Profile, StoreError> {
    let found = profiles::find(store.reader(), Some(workspace)).await?.remove(workspace.as_str());
    Ok(found.unwrap_or_default())
}
