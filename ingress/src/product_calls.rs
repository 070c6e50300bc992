//! Calls that ingresses answer: the product's own change of a person's timezone, through the same log, and a workspace's
//! Base URL.

use async_nats::{Client, Message, SubscribeError};
use futures::StreamExt;
use futures::future::BoxFuture;
use http::Method;
use protocol::id::{Namespace, ResourceId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::envelope::{Envelope, FORMAT_VERSION};
use protocol::message::lane::Lane;
use protocol::message::operator::{OperatorCall, OperatorError, Timezone, UserSetTimezone, WorkspaceBaseUrl};
use protocol::message::outcome::Outcome;
use protocol::message::query::{GetProfile, ListResources};
use protocol::ownership::Source;
use protocol::scim::error::ScimError;
use protocol::scim::filter::{Filter, TypeFilter};
use protocol::scim::list::{Include, Page, Paging};
use protocol::scim::patch::PatchRequest;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Extensions;
use runtime::ids;
use serde_json::json;
use tokio::time::Instant;

use crate::extract;
use crate::gateway::GatewayError;
use crate::state::AppState;

/// Calls that are served at a time.
const AT_A_TIME: usize = 16;
/// All ingresses share the calls.
const QUEUE_GROUP: &str = "ingress";

/// Listens for calls, for as long as the client lives.
pub(crate) async fn start(client: Client, namespace: &Namespace, state: AppState) -> Result<(), SubscribeError> {
    serve(&client, namespace, &state, |state, call| Box::pin(set_timezone(state, call))).await?;
    let base_url: Handler<WorkspaceBaseUrl> =
        |state, call| Box::pin(std::future::ready(Ok(state.settings.base_url(&call.workspace))));
    serve(&client, namespace, &state, base_url).await
}

/// How a call is answered.
type Handler<C> = fn(AppState, C) -> BoxFuture<'static, Result<<C as OperatorCall>::Reply, OperatorError>>;

async fn serve<C: OperatorCall + 'static>(
    client: &Client,
    namespace: &Namespace,
    state: &AppState,
    handler: Handler<C>,
) -> Result<(), SubscribeError> {
    let calls = client.queue_subscribe(namespace.operator_call::<C>(), QUEUE_GROUP.to_owned()).await?;
    let (client, state) = (client.clone(), state.clone());
    tokio::spawn(calls.for_each_concurrent(AT_A_TIME, move |call| reply(client.clone(), state.clone(), call, handler)));
    Ok(())
}

async fn reply<C: OperatorCall>(client: Client, state: AppState, call: Message, handler: Handler<C>) {
    let Some(inbox) = call.reply else { return };
    let result = match serde_json::from_slice(&call.payload) {
        Ok(call) => handler(state, call).await,
        Err(error) => Err(OperatorError::Invalid { detail: format!("the call cannot be decoded: {error}") }),
    };
    let sent = match serde_json::to_vec(&result) {
        Ok(bytes) => client.publish(inbox, bytes.into()).await.is_ok(),
        Err(_) => false,
    };
    if !sent {
        tracing::warn!("the reply to a call could not be sent");
    }
}

async fn set_timezone(state: AppState, call: UserSetTimezone) -> Result<Timezone, OperatorError> {
    let UserSetTimezone { workspace, user, zone } = call;
    let zone = known_zone(&zone)?;
    let user = resolve(&state, &workspace, &user).await?;
    let extensions = extensions(&state, &workspace).await?;
    let envelope = envelope(&state, workspace, extensions, user, zone)?;
    let lane = Lane::of(ResourceType::User, &envelope.body);
    let timing = state.settings.timing(Instant::now(), Instant::now());
    match state.apply(envelope, lane, timing).await.map_err(failed)? {
        Outcome::Updated { resource } => Ok(Timezone { user, zone: zone_of(&resource) }),
        Outcome::Rejected { error } => Err(refused(error)),
        Outcome::Superseded => Err(refused(ScimError::superseded())),
        Outcome::Created { .. } | Outcome::UpdatedWithoutBody { .. } | Outcome::Deleted | Outcome::Duplicate { .. } => {
            Err(OperatorError::Unavailable { detail: "a worker's answer does not fit the question".to_owned() })
        }
    }
}

/// An IANA name, spelled as in the database.
fn known_zone(zone: &str) -> Result<&'static str, OperatorError> {
    let names = || chrono_tz::TZ_VARIANTS.iter().map(|known| known.name());
    if let Some(name) = names().find(|name| *name == zone) {
        return Ok(name);
    }
    let city = |name: &'static str| name.rsplit('/').next().unwrap_or(name);
    let wanted = zone.trim().replace(' ', "_");
    let near = names().find(|name| name.eq_ignore_ascii_case(&wanted) || city(name).eq_ignore_ascii_case(&wanted));
    let hint =
        near.map_or_else(|| "use an IANA name such as Europe/Paris".to_owned(), |name| format!("did you mean {name}?"));
    Err(OperatorError::Invalid { detail: format!("this is not a timezone; {hint}") })
}

async fn resolve(state: &AppState, workspace: &WorkspaceId, user: &str) -> Result<ResourceId, OperatorError> {
    if let Ok(id) = user.parse() {
        return Ok(id);
    }
    // A JSON string is what a filter compares with (RFC 7644 §3.4.2.2).
    let filter = Filter::parse(ResourceType::User, &format!("userName eq {}", json!(user))).map_err(refused)?;
    let paging = Paging::Index(Page::new(Some(1), Some(1)));
    let lists = vec![TypeFilter { resource_type: ResourceType::User, filter: Some(filter) }];
    let base_url = state.settings.base_url(workspace);
    let query = ListResources { lists, base_url, sort: None, paging, joined: Include::NONE };
    let page = state.gateway.ask(workspace, query).await.map_err(failed)?;
    page.resources.first().map(|found| found.id).ok_or_else(no_such_user)
}

/// The workspace's own schemas: what the user has of them is written again with this change.
async fn extensions(state: &AppState, workspace: &WorkspaceId) -> Result<Extensions, OperatorError> {
    Ok(state.gateway.ask(workspace, GetProfile {}).await.map_err(failed)?.extensions)
}

fn envelope(
    state: &AppState,
    workspace: WorkspaceId,
    extensions: Extensions,
    user: ResourceId,
    zone: &str,
) -> Result<Envelope<Command>, OperatorError> {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "timezone", "value": zone }],
    });
    let path = format!("/scim/v2/{workspace}/{}/{user}", ResourceType::User.endpoint());
    let fingerprint = extract::of_request(&Method::PATCH, &path, b"", body.to_string().as_bytes());
    let request = PatchRequest::parse(ResourceType::User, body).map_err(refused)?;
    Ok(Envelope {
        version: FORMAT_VERSION,
        operation: ids::operation(),
        workspace,
        resource_type: ResourceType::User,
        resource: user,
        source: Source::Application,
        token: None,
        fingerprint,
        ingress: state.settings.ingress.clone(),
        deadline: state.settings.publish_deadline(Instant::now()),
        trace: Some(ids::trace_parent()),
        extensions,
        body: Command::Patch { request, precondition: Precondition::None },
    })
}

fn zone_of(user: &Resource) -> String {
    user.attributes.user().timezone().unwrap_or_default().to_owned()
}

fn no_such_user() -> OperatorError {
    OperatorError::NotFound { what: "user".to_owned() }
}

fn refused(error: ScimError) -> OperatorError {
    match error.status {
        404 => no_such_user(),
        409 | 412 => OperatorError::Conflict { detail: error.detail },
        _ => OperatorError::Invalid { detail: error.detail },
    }
}

fn failed(error: GatewayError) -> OperatorError {
    match error {
        GatewayError::Refused(error) => refused(error),
        error => OperatorError::Unavailable { detail: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_iana_zones_are_taken_and_others_get_a_hint() {
        assert_eq!(known_zone("Europe/Paris"), Ok("Europe/Paris"));
        assert_eq!(known_zone("UTC"), Ok("UTC"));
        for (asked, hint) in [
            ("europe/paris", "did you mean Europe/Paris?"),
            ("new york", "did you mean America/New_York?"),
            ("Mars/Olympus", "use an IANA name such as Europe/Paris"),
            ("", "use an IANA name such as Europe/Paris"),
        ] {
            assert!(known_zone(asked).unwrap_err().to_string().ends_with(hint), "{asked}");
        }
    }
}
