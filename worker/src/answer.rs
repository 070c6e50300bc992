//! Answers queries from SQL.

use futures::future::BoxFuture;
use protocol::credential::Credential;
use protocol::id::{ResourceId, TokenId, WorkspaceId};
use protocol::message::query::{Answer, Fate, Found, GetCredential, GetFate, GetResource, Query};
use protocol::profile::Profile;
use protocol::scim::members::Member;
use protocol::scim::resource_type::ResourceType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use tracing::warn;

use crate::store::entity::{credential, workspace};
use crate::store::fence::Fence;
use crate::store::resources::{complete, find};
use crate::store::stored_resource::StoredResource;
use crate::store::{Context, DatabaseKind, Store, StoreError, credentials, members, profiles, recall, with_timeout};

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
        Ok(match query {
            Query::Get(query) => Answer::Get(get(store, workspace, query).await?),
            Query::List(query) => Answer::List(list::list(store, workspace, query).await?),
            Query::Members(query) => Answer::Members(member_pages::page(store, workspace, query).await?),
            Query::Fate(GetFate { operation, .. }) => {
                let outcome = recall::outcome(store, workspace, *operation).await?;
                Answer::Fate(outcome.map_or(Fate::Unknown, Fate::Ended))
            }
            Query::Profile(_) => Answer::Profile(profile(store, workspace).await?),
            Query::Credential(GetCredential { token }) => {
                Answer::Credential(live_credential(store, workspace, token).await?)
            }
        })
    });
    answered.await.unwrap_or_else(|error| {
        warn!(reason = error.reason(), "a query cannot be answered now");
        Answer::Unavailable
    })
}

/// The resource, unless the client has it already or asked for another version (RFC 7644 §3.14).
async fn get(store: &Store, workspace: &WorkspaceId, query: &GetResource) -> Result<Found, StoreError> {
    let GetResource { resource_type, id, precondition, joined } = query;
    let unless = |stored: &StoredResource| {
        let version = stored.resource.meta.version;
        if precondition.admits(version) {
            None
        } else if precondition.is_for_caches() {
            Some(Found::NotModified { version })
        } else {
            Some(Found::PreconditionFailed)
        }
    };
    if *resource_type == ResourceType::User && store.kind() == DatabaseKind::Postgres {
        let Some((stored, groups)) = find_user(store, workspace, *id).await? else { return Ok(Found::Nothing) };
        let instead = unless(&stored);
        let mut resource = stored.resource;
        if joined.groups {
            resource.groups = groups;
        }
        return Ok(instead.unwrap_or_else(|| Found::Resource(Box::new(resource))));
    }
    let snapshot = store.snapshot().await?;
    let Some(stored) = find(&snapshot, workspace, (*resource_type, *id)).await? else { return Ok(Found::Nothing) };
    if let Some(instead) = unless(&stored) {
        return Ok(instead);
    }
    Ok(Found::Resource(Box::new(complete(&snapshot, workspace, stored, *joined).await?)))
}

/// A user with its groups.
async fn find_user(
    store: &Store,
    workspace: &WorkspaceId,
    id: ResourceId,
) -> Result<Option<(StoredResource, Vec<Member>)>, StoreError> {
    let Some((row, groups)) = members::find_user(store.reader(), workspace, id).await? else { return Ok(None) };
    if Fence::of(&row).is_some() { Ok(None) } else { Ok(Some((StoredResource::of_user(row)?, groups))) }
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
