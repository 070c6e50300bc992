//! Lists: filter, order and page in SQL.

use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::query::Answer;
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::filter::{Filter, FilterValue};
use protocol::scim::list::Page;
use protocol::scim::name::CanonicalName;
use protocol::scim::resource::{Resource, ResourceType};
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::members;
use crate::store::entity::{group, user};
use crate::store::row::{Image, set_members};
use crate::store::{Doing, Store, StoreError};

/// The resources that match, ordered by id.
pub(super) async fn list(
    store: &Store,
    workspace: &WorkspaceId,
    resource_type: ResourceType,
    filter: Option<&Filter>,
    page: Page,
) -> Result<Answer, StoreError> {
    let matching = match filter.map(|filter| condition(resource_type, filter)).transpose() {
        Ok(matching) => matching,
        Err(error) => return Ok(Answer::Refused { error }),
    };
    let matching = Condition::all().add_option(matching);
    let (total, resources) = match resource_type {
        ResourceType::User => users(store, matching.add(user::Column::Workspace.eq(workspace.as_str())), page).await?,
        ResourceType::Group => {
            let matching = matching.add(group::Column::Workspace.eq(workspace.as_str()));
            groups(store, workspace, matching, page).await?
        }
    };
    Ok(Answer::List { total, resources })
}

async fn users(store: &Store, matching: Condition, page: Page) -> Result<(u64, Vec<Resource>), StoreError> {
    let doing = "listing users";
    let query = user::Entity::find().filter(matching);
    let total = query.clone().count(store.reader()).await.doing(doing)?;
    if page.count() == 0 || page.offset() >= total {
        return Ok((total, Vec::new()));
    }
    let query = query.order_by_asc(user::Column::Id).offset(page.offset()).limit(page.count());
    let rows = query.all(store.reader()).await.doing(doing)?;
    let resources = rows.into_iter().map(|row| Image::of_user(row).map(|image| image.resource));
    Ok((total, resources.collect::<Result<_, _>>()?))
}

async fn groups(
    store: &Store,
    workspace: &WorkspaceId,
    matching: Condition,
    page: Page,
) -> Result<(u64, Vec<Resource>), StoreError> {
    let doing = "listing groups";
    let snapshot = store.snapshot().await?;
    let query = group::Entity::find().filter(matching);
    let total = query.clone().count(&snapshot).await.doing(doing)?;
    if page.count() == 0 || page.offset() >= total {
        return Ok((total, Vec::new()));
    }
    let query = query.order_by_asc(group::Column::Id).offset(page.offset()).limit(page.count());
    let rows = query.all(&snapshot).await.doing(doing)?;
    let resources = rows.into_iter().map(|row| Image::of_group(row).map(|image| image.resource));
    let mut resources: Vec<Resource> = resources.collect::<Result<_, _>>()?;
    let ids: Vec<ResourceId> = resources.iter().map(|group| group.id).collect();
    let mut members = members::of_groups(&snapshot, workspace, &ids).await?;
    for group in &mut resources {
        set_members(group, &members.remove(&group.id).unwrap_or_default());
    }
    Ok((total, resources))
}

/// The condition of a filter that an index serves; every other filter is refused rather than answered wrongly.
fn condition(resource_type: ResourceType, filter: &Filter) -> Result<SimpleExpr, ScimError> {
    let Some((path, FilterValue::String(value))) = filter.as_equality() else { return Err(unsupported(resource_type)) };
    // What is no id is nobody's id.
    let id = value.parse().unwrap_or(ResourceId(sea_orm::prelude::Uuid::nil())).0;
    let key = || CanonicalName::of(value).as_str().to_owned();
    match resource_type {
        ResourceType::User if path.is("id") => Ok(user::Column::Id.eq(id)),
        ResourceType::User if path.is("userName") => Ok(user::Column::UserNameKey.eq(key())),
        ResourceType::User if path.is("externalId") => Ok(user::Column::ExternalId.eq(value.as_str())),
        ResourceType::User if path.is("displayName") => Ok(user::Column::DisplayNameKey.eq(key())),
        ResourceType::Group if path.is("id") => Ok(group::Column::Id.eq(id)),
        ResourceType::Group if path.is("externalId") => Ok(group::Column::ExternalId.eq(value.as_str())),
        ResourceType::Group if path.is("displayName") => Ok(group::Column::DisplayNameKey.eq(key())),
        ResourceType::User | ResourceType::Group => Err(unsupported(resource_type)),
    }
}

fn unsupported(resource_type: ResourceType) -> ScimError {
    let attributes = match resource_type {
        ResourceType::User => "id, userName, externalId or displayName",
        ResourceType::Group => "id, externalId or displayName",
    };
    let detail = format!("this filter is not supported; supported is one comparison of {attributes} by eq");
    ScimError::bad_request(ScimType::InvalidFilter, detail)
}
