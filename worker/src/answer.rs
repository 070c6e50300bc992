//! Answers queries from SQL.

use futures::future::BoxFuture;
use protocol::credential::Credential;
use protocol::id::{OperationId, ResourceId, TokenId, WorkspaceId};
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Fate, Query};
use protocol::profile::Profile;
use protocol::scim::attributes::Attributes;
use protocol::scim::error::ScimError;
use protocol::scim::list::Include;
use protocol::scim::members::Members;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::{Meta, Ownership, Resource, Version};
use protocol::scim::resource_type::ResourceType;
use protocol::time::Timestamp;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use tracing::warn;

use self::list::Search;
use crate::store::entity::{credential, group, operation, user, workspace};
use crate::store::fence::Fence;
use crate::store::ledger::{self, State};
use crate::store::lookup::{Lock, look_up_rows};
use crate::store::stored_resource::StoredResource;
use crate::store::{Context, Store, StoreError, credentials, profiles, with_timeout};

mod duplicates;
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
                let outcome = outcome(store, workspace, *operation).await?;
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

/// One resource's row.
async fn find(
    snapshot: &DatabaseTransaction,
    workspace: &WorkspaceId,
    (resource_type, id): (ResourceType, ResourceId),
) -> Result<Option<StoredResource>, StoreError> {
    let doing = "reading a resource";
    let keys = [[workspace.as_str().into(), id.0.into()]];
    match resource_type {
        ResourceType::User => {
            let key = [user::Column::Workspace, user::Column::Id];
            let rows = look_up_rows::<user::Entity, 2>(snapshot, key, &keys, Lock::None).await.context(doing)?;
            rows.into_iter().find(|row| Fence::of(row).is_none()).map(StoredResource::of_user).transpose()
        }
        ResourceType::Group => {
            let key = [group::Column::Workspace, group::Column::Id];
            let rows = look_up_rows::<group::Entity, 2>(snapshot, key, &keys, Lock::None).await.context(doing)?;
            rows.into_iter().next().map(StoredResource::of_group).transpose()
        }
    }
}

/// A group with its members, if they are not too many, a user with its groups, at the moment of the row.
async fn complete(
    snapshot: &DatabaseTransaction,
    workspace: &WorkspaceId,
    image: StoredResource,
    joined: Include,
) -> Result<Resource, StoreError> {
    let StoredResource { mut resource, member_count, .. } = image;
    if joined.members && member_count > member_pages::MAX_TOGETHER {
        resource.members = Members::Paged;
    }
    list::read_joined(snapshot, workspace, joined, std::slice::from_mut(&mut resource)).await?;
    Ok(resource)
}

/// What became of an operation of this workspace.
async fn outcome(
    store: &Store,
    workspace: &WorkspaceId,
    operation: OperationId,
) -> Result<Option<Outcome>, StoreError> {
    let rows = ledger::find(store.reader(), &[operation.0]).await?;
    match rows.iter().find(|row| row.workspace == workspace.as_str()) {
        Some(row) => outcome_of(store, row).await.map(Some),
        None => Ok(None),
    }
}

/// The outcome that a ledger row remembers, with the resource as it is now.
pub(crate) async fn outcome_of(store: &Store, row: &operation::Model) -> Result<Outcome, StoreError> {
    match State::of(row)? {
        State::Applied => {}
        State::Superseded => return Ok(Outcome::Superseded),
        State::Rejected => return duplicates::refused(store, row).await,
        State::Dead => return Ok(Outcome::Rejected { error: ledger::error_of(row) }),
    }
    match (row.status, row.version) {
        (204, Some(version)) => Ok(Outcome::UpdatedWithoutBody { version: Version::from_number(version) }),
        (204, None) => Ok(Outcome::Deleted),
        (status, _) => {
            let (workspace, target) = place_of(row)?;
            let snapshot = store.snapshot().await?;
            let resource = match find(&snapshot, &workspace, target).await? {
                Some(image) => Some(complete(&snapshot, &workspace, image, Include::ALL).await?),
                None => None,
            };
            Ok(match resource.map(Box::new) {
                Some(resource) if status == 201 => Outcome::Created { resource },
                Some(resource) => Outcome::Updated { resource },
                // It was done, and a later command deleted the resource before this answer: still no refusal.
                None if status == 201 => Outcome::Created { resource: Box::new(gone(row, target.0)) },
                None => Outcome::UpdatedWithoutBody { version: Version::from_number(row.version.unwrap_or_default()) },
            })
        }
    }
}

/// The resource that a ledger row names.
fn place_of(row: &operation::Model) -> Result<(WorkspaceId, (ResourceType, ResourceId)), StoreError> {
    let unknown = || StoreError::broken("reading the ledger", "a row has an unknown resource type");
    let resource_type = ResourceType::ALL.into_iter().find(|kind| kind.name() == row.resource_type);
    let workspace = WorkspaceId::try_from(row.workspace.clone());
    let workspace = workspace.map_err(|error| StoreError::broken("reading the ledger", error))?;
    Ok((workspace, (resource_type.ok_or_else(unknown)?, ResourceId(row.resource))))
}

/// What the ledger alone knows of a resource that it saw created.
fn gone(row: &operation::Model, resource_type: ResourceType) -> Resource {
    let created = Timestamp::from_millis(row.applied_at);
    let version = Version::from_number(row.version.unwrap_or_default());
    let meta = Meta { created, last_modified: created, version };
    Resource::new(resource_type, ResourceId(row.resource), Attributes::default(), meta, Ownership::default())
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
