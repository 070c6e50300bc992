//! Carries out one bulk request, wave by wave.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use futures::StreamExt;
use futures::future::BoxFuture;
use http::Method;
use protocol::id::{OperationId, ResourceId};
use protocol::message::command::Command;
use protocol::message::envelope::{Envelope, Fingerprint};
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::scim::body::ResourceBody;
use protocol::scim::bulk::{
    Action, Body, BulkOperation, BulkRequest, BulkResult, Plan, Ready, ResourceRef, Settled, resolve,
};
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::patch::PatchRequest;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Version;
use protocol::scim::resource_type::ResourceType;
use runtime::ids;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::refusal_of;
use crate::extract::{FromJson, Target, of_request};
use crate::gateway::{GatewayError, MAX_TOGETHER, Timing};
use crate::request::RequestContext;
use crate::state::AppState;

/// Parts of a wave that are under way at once; what they have in the log is bounded by admission.
const CONCURRENCY: usize = 128;

/// A bulk request under way.
pub(super) struct BulkExecution {
    state: AppState,
    origin: RequestContext,
    plan: Plan,
    operations: Vec<BulkOperation>,
    /// The id of what each POST creates.
    ids: Vec<Option<ResourceId>>,
    /// The same by bulkId.
    by_bulk_id: HashMap<String, ResourceId>,
    results: Vec<Option<BulkResult>>,
    /// The operations of those POSTs that created something.
    created: Vec<OperationId>,
    timing: Timing,
    /// Its sender is dropped when the client has gone.
    client: watch::Receiver<()>,
}

/// What became of a bulk request.
pub(super) struct Finished {
    /// The results of what was begun, in the order of the request.
    pub(super) results: Vec<BulkResult>,
    /// The operations of those POSTs that created something.
    pub(super) created: Vec<OperationId>,
}

/// What became of one operation of a wave: its place in the request, its id in the log if it came so far, and its outcome.
struct Ended {
    index: usize,
    operation: Option<OperationId>,
    result: Result<Outcome, ScimError>,
}

impl BulkExecution {
    /// The request was complete at some time since `complete`.
    pub(super) fn new(
        state: AppState,
        origin: RequestContext,
        request: BulkRequest,
        complete: Instant,
        client: watch::Receiver<()>,
    ) -> Self {
        let BulkRequest { fail_on_errors, operations } = request;
        let plan = Plan::of(&operations, fail_on_errors);
        let (mut ids, mut by_bulk_id) = (Vec::with_capacity(operations.len()), HashMap::new());
        for operation in &operations {
            let id = matches!(operation.action, Ok(Action::Create { .. })).then(ids::resource);
            if let (Some(id), Some(bulk_id)) = (id, &operation.bulk_id) {
                by_bulk_id.entry(bulk_id.clone()).or_insert(id);
            }
            ids.push(id);
        }
        let results = std::iter::repeat_with(|| None).take(operations.len()).collect();
        let timing = state.settings.timing(origin.began, complete).complete_since(complete);
        Self { state, origin, plan, operations, ids, by_bulk_id, results, created: Vec::new(), timing, client }
    }

    /// Does all waves, until the client has gone.
    pub(super) async fn finish(mut self) -> Finished {
        loop {
            let wave = if self.client_is_gone() { Vec::new() } else { self.plan.next_wave() };
            if wave.is_empty() {
                return Finished { results: self.results.into_iter().flatten().collect(), created: self.created };
            }
            let mut due = Vec::with_capacity(wave.len());
            for ready in wave {
                match ready {
                    Ready::Run(index) => due.push(index),
                    Ready::Refused(index, error) => self.note(index, Err(error)),
                }
            }
            for Ended { index, operation, result } in self.wave(&due).await {
                self.plan.settle(index, settled(&result));
                if let Ok(Outcome::Created { resource }) = &result {
                    self.created.extend(operation);
                    self.learn_id(index, resource.id);
                }
                self.note(index, result);
            }
            let orphans = self.plan.take_back();
            if !orphans.is_empty() {
                self.take_back(&orphans).await;
            }
        }
    }

    fn client_is_gone(&self) -> bool {
        self.client.has_changed().is_err()
    }

    /// A create that repeats an earlier one has the id of that one.
    fn learn_id(&mut self, index: usize, id: ResourceId) {
        let Some(planned) = self.ids.get_mut(index).and_then(Option::as_mut) else { return };
        let planned = std::mem::replace(planned, id);
        if planned != id {
            self.by_bulk_id.values_mut().filter(|named| **named == planned).for_each(|named| *named = id);
        }
    }

    /// Does a wave: new resources in portions, the rest by resource. What is not settled when the client goes, fails.
    async fn wave(&self, due: &[usize]) -> Vec<Ended> {
        let (creates, changes): (Vec<usize>, Vec<usize>) = due.iter().partition(|index| self.is_create(**index));
        let mut by_resource: Vec<Vec<usize>> = Vec::new();
        let mut places = HashMap::new();
        for index in changes {
            let place = *places.entry(self.target(index)).or_insert(by_resource.len());
            match by_resource.get_mut(place) {
                Some(run) => run.push(index),
                None => by_resource.push(vec![index]),
            }
        }
        let creates = creates.chunks(MAX_TOGETHER).map(|some| Box::pin(self.create(some)) as BoxFuture<'_, _>);
        let changes = by_resource.iter().map(|run| Box::pin(self.change(run)) as BoxFuture<'_, _>);
        let parts: Vec<BoxFuture<'_, Vec<Ended>>> = creates.chain(changes).collect();
        let mut parts = futures::stream::iter(parts).buffer_unordered(CONCURRENCY);
        let (mut ended, mut client) = (Vec::with_capacity(due.len()), self.client.clone());
        loop {
            tokio::select! {
                some = parts.next() => match some {
                    Some(some) => ended.extend(some),
                    None => return ended,
                },
                _ = client.changed() => break,
            }
        }
        drop(parts);
        let settled: HashSet<usize> = ended.iter().map(|one: &Ended| one.index).collect();
        let gone = |index: &usize| refused(*index, ScimError::new(503, "the client has gone"));
        ended.extend(due.iter().filter(|index| !settled.contains(index)).map(gone));
        ended
    }

    async fn create(&self, some: &[usize]) -> Vec<Ended> {
        let (mut ended, mut indexes, mut envelopes) = (Vec::with_capacity(some.len()), Vec::new(), Vec::new());
        for index in some {
            match self.envelope(*index) {
                Ok((envelope, _)) => {
                    indexes.push(*index);
                    envelopes.push(envelope);
                }
                Err(error) => ended.push(refused(*index, error)),
            }
        }
        let indexes = indexes.into_iter().zip(envelopes.iter().map(|envelope| envelope.operation)).collect();
        let outcomes = self.state.gateway.submit_together(envelopes, self.timing).await;
        ended.extend(answered(indexes, outcomes));
        ended
    }

    async fn change(&self, run: &[usize]) -> Vec<Ended> {
        let (mut ended, mut indexes, mut commands) = (Vec::with_capacity(run.len()), Vec::new(), Vec::new());
        for index in run {
            match self.envelope(*index) {
                Ok(command) => {
                    indexes.push(*index);
                    commands.push(command);
                }
                Err(error) => ended.push(refused(*index, error)),
            }
        }
        let indexes = indexes.into_iter().zip(commands.iter().map(|(envelope, _)| envelope.operation)).collect();
        let outcomes = self.state.gateway.submit_in_order(commands, self.timing).await;
        ended.extend(answered(indexes, outcomes));
        ended
    }

    /// Deletes what was created in a circle that cannot be completed. It has all the time that a request has.
    async fn take_back(&mut self, orphans: &[usize]) {
        let mut origin = self.origin.clone();
        origin.began = Instant::now();
        let timing = self.state.settings.timing(origin.began, origin.began);
        let mut commands = Vec::with_capacity(orphans.len());
        for index in orphans {
            let Some(target) = self.target(*index) else { continue };
            let path = format!("{}/{}", self.path(target.resource_type), target.id);
            let fingerprint = of_request(&Method::DELETE, &path, b"", b"");
            let command = Command::Delete { precondition: Precondition::None };
            commands.push(vec![(origin.envelope(&self.state.settings, target, command, fingerprint), Lane::Bulk)]);
        }
        let deleting = commands.into_iter().map(|command| self.state.gateway.submit_in_order(command, timing));
        let outcomes: Vec<_> = futures::stream::iter(deleting).buffered(CONCURRENCY).concat().await;
        let left = outcomes.iter().filter(|outcome| !matches!(outcome, Ok(Outcome::Deleted))).count();
        if left > 0 {
            let workspace = &self.origin.caller.workspace;
            tracing::warn!(%workspace, left, "resources of a bulk request that refer to what failed were not taken back");
        }
        for index in orphans {
            let detail =
                "an operation that it refers to in a circle has failed; what this one created was deleted again";
            let error = ScimError { status: 409, scim_type: Some(ScimType::InvalidValue), detail: detail.to_owned() };
            self.note(*index, Err(error));
        }
    }

    /// The command of an operation whose references can be resolved, and its lane.
    fn envelope(&self, index: usize) -> Result<(Envelope<Command>, Lane), ScimError> {
        let operation = self.operations.get(index).ok_or_else(ScimError::not_found)?;
        let action = operation.action.as_ref().map_err(ScimError::clone)?;
        let target = self.target(index).ok_or_else(ScimError::not_found)?;
        let command = self.command(action)?;
        let lane = if Lane::of(target.resource_type, &command) == Lane::Urgent { Lane::Urgent } else { Lane::Bulk };
        let fingerprint = self.fingerprint(action, target);
        Ok((self.origin.envelope(&self.state.settings, target, command, fingerprint), lane))
    }

    fn command(&self, action: &Action) -> Result<Command, ScimError> {
        let kind = action.resource_type();
        Ok(match action {
            Action::Create { body, .. } => {
                let ResourceBody { attributes, members } = self.parsed(kind, body)?;
                Command::Create { attributes, members }
            }
            Action::Replace { precondition, body, .. } => {
                let ResourceBody { attributes, members } = self.parsed(kind, body)?;
                Command::Replace { attributes, members, precondition: precondition.clone() }
            }
            Action::Patch { precondition, body, .. } => {
                Command::Patch { request: self.parsed::<PatchRequest>(kind, body)?, precondition: precondition.clone() }
            }
            Action::Delete { precondition, .. } => Command::Delete { precondition: precondition.clone() },
        })
    }

    /// A body, as it would be in a request of its own.
    fn parsed<T: FromJson>(&self, resource_type: ResourceType, body: &Body) -> Result<T, ScimError> {
        let limit = self.state.settings.body_limit(resource_type, self.state.gateway.max_payload());
        if body.text.len() > limit {
            return Err(ScimError::new(413, format!("data may have at most {limit} bytes here")));
        }
        let unreadable = |_| ScimError::bad_request(ScimType::InvalidSyntax, "data is not readable as JSON");
        let json = if body.references.is_empty() {
            serde_json::from_str(&body.text)
        } else {
            let mut value = serde_json::from_str(&body.text).map_err(unreadable)?;
            resolve(&mut value, &|bulk_id| self.by_bulk_id.get(bulk_id).copied())?;
            serde_json::from_value(value)
        };
        let caller = &self.origin.caller;
        T::from_json(caller.profile.extensions.of(resource_type), caller.dialect, json.map_err(unreadable)?)
    }

    fn fingerprint(&self, action: &Action, target: Target) -> Fingerprint {
        let collection = self.path(target.resource_type);
        let (method, precondition, body) = match action {
            Action::Create { body, .. } => (Method::POST, None, Some(body)),
            Action::Replace { precondition, body, .. } => (Method::PUT, Some(precondition), Some(body)),
            Action::Patch { precondition, body, .. } => (Method::PATCH, Some(precondition), Some(body)),
            Action::Delete { precondition, .. } => (Method::DELETE, Some(precondition), None),
        };
        let path = if method == Method::POST { collection } else { format!("{collection}/{}", target.id) };
        let condition = match precondition {
            Some(Precondition::IfMatch(versions)) => versions.iter().map(Version::to_string).collect(),
            Some(Precondition::Exists) => "*".to_owned(),
            _ => String::new(),
        };
        let body = body.map(|body| self.resolved(body)).unwrap_or_default();
        of_request(&method, &path, condition.as_bytes(), body.as_bytes())
    }

    /// The text of a body whose references are ids: a bulk request that is sent again refers to the same resources.
    fn resolved<'a>(&self, body: &'a Body) -> Cow<'a, str> {
        let of_ids = || {
            let mut value = serde_json::from_str(&body.text).ok()?;
            resolve(&mut value, &|bulk_id| self.by_bulk_id.get(bulk_id).copied()).ok()?;
            serde_json::to_string(&value).ok()
        };
        let resolved = if body.references.is_empty() { None } else { of_ids() };
        resolved.map_or_else(|| Cow::Borrowed(body.text.as_ref()), Cow::Owned)
    }

    fn path(&self, resource_type: ResourceType) -> String {
        format!("/scim/v2/{}/{}", self.origin.caller.workspace, resource_type.endpoint())
    }

    fn is_create(&self, index: usize) -> bool {
        self.ids.get(index).is_some_and(Option::is_some)
    }

    /// The resource that an operation creates or changes.
    fn target(&self, index: usize) -> Option<Target> {
        let action = self.operations.get(index)?.action.as_ref().ok()?;
        let id = match action.target().map(|target| &target.which) {
            None => self.ids.get(index).copied().flatten(),
            Some(ResourceRef::Id(id)) => Some(*id),
            Some(ResourceRef::BulkId(bulk_id)) => self.by_bulk_id.get(bulk_id).copied(),
        };
        Some(Target { resource_type: action.resource_type(), id: id? })
    }

    fn note(&mut self, index: usize, result: Result<Outcome, ScimError>) {
        let Some(operation) = self.operations.get(index) else { return };
        let (status, version) = match result {
            Ok(Outcome::Created { resource }) => (Ok(201), Some(resource.meta.version)),
            Ok(Outcome::Updated { resource }) => (Ok(200), Some(resource.meta.version)),
            Ok(Outcome::UpdatedWithoutBody { version }) => (Ok(204), Some(version)),
            Ok(Outcome::Deleted) => (Ok(204), None),
            Ok(Outcome::Rejected { error }) | Err(error) => (Err(error), None),
            Ok(Outcome::Superseded) => (Err(ScimError::superseded()), None),
            Ok(Outcome::Duplicate { resource, .. }) => (Err(ScimError::duplicate(resource.resource_type)), None),
        };
        // Of a POST that failed there is no place (RFC 7644 §3.7.3).
        let target = self.target(index).filter(|_| status.is_ok() || !self.is_create(index));
        let base_url = self.state.settings.base_url(&self.origin.caller.workspace);
        let location = target.map(|target| format!("{base_url}/{}/{}", target.resource_type.endpoint(), target.id));
        let (method, bulk_id) = (operation.method.clone(), operation.bulk_id.clone());
        if let Some(result) = self.results.get_mut(index) {
            *result = Some(BulkResult { method, bulk_id, location, version, status });
        }
    }
}

const fn refused(index: usize, error: ScimError) -> Ended {
    Ended { index, operation: None, result: Err(error) }
}

fn answered(
    begun: Vec<(usize, OperationId)>,
    outcomes: Vec<Result<Outcome, GatewayError>>,
) -> impl Iterator<Item = Ended> {
    // A part that ended without a word has lost its outcomes.
    let lost = std::iter::repeat_with(|| Err(GatewayError::Timeout { queued: None }));
    let outcomes = outcomes.into_iter().chain(lost);
    begun.into_iter().zip(outcomes).map(|((index, operation), outcome)| {
        let result = outcome.map_err(|error| refusal_of(&error));
        Ended { index, operation: Some(operation), result }
    })
}

fn settled(result: &Result<Outcome, ScimError>) -> Settled {
    match result {
        Ok(Outcome::Rejected { error }) if error.scim_type == Some(ScimType::Uniqueness) => Settled::NameTaken,
        Ok(Outcome::Duplicate { .. }) => Settled::NameTaken,
        Ok(Outcome::Rejected { .. } | Outcome::Superseded) | Err(_) => Settled::Failed,
        Ok(_) => Settled::Applied,
    }
}
