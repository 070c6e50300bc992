//! Reads everything of a run back: all pages of both lists, each group by id, each deleted person by id.

use futures::stream::{self, StreamExt};
use serde_json::Value;

use super::directory::{Expected, Kind, Observed, Record};
use super::plan::Plan;
use super::provider::{Failure, Provider};
use super::report::OperationError;

/// How many resources are asked for on a page.
const PAGE: usize = 200;

/// What the API shows of this run, and what could not be read.
pub(super) async fn observe(
    plan: &Plan,
    provider: &Provider,
    expected: &Expected,
    concurrency: usize,
) -> (Observed, Vec<OperationError>) {
    let mut observed = Observed::default();
    let mut errors = Vec::new();
    for kind in [Kind::User, Kind::Group] {
        match walk(plan, provider, kind).await {
            Ok(records) => observed.records.extend(records),
            Err(failure) => errors.push(unread(format!("all {kind}s"), &failure)),
        }
    }
    let mut groups = stream::iter(expected.members.keys())
        .map(async |id| (id, provider.read(Kind::Group, id).await))
        .buffer_unordered(concurrency.max(1));
    while let Some((id, read)) = groups.next().await {
        match read {
            Ok(Some(group)) => drop(observed.members.insert(id.clone(), members(&group))),
            Ok(None) => drop(observed.members.insert(id.clone(), Vec::new())),
            Err(failure) => errors.push(unread(id.clone(), &failure)),
        }
    }
    let mut deleted = stream::iter(&expected.deleted)
        .map(async |id| (id, provider.read(Kind::User, id).await))
        .buffer_unordered(concurrency.max(1));
    while let Some((id, read)) = deleted.next().await {
        match read {
            Ok(None) => {}
            Ok(Some(_)) => observed.still_there.push(id.clone()),
            Err(failure) => errors.push(unread(id.clone(), &failure)),
        }
    }
    (observed, errors)
}

/// Everything of this run on all pages, doubles included. No other client may write to the workspace meanwhile: pages by
/// index shift when they do.
async fn walk(plan: &Plan, provider: &Provider, kind: Kind) -> Result<Vec<(String, Record)>, Failure> {
    let mut records = Vec::new();
    let mut start = 1;
    loop {
        let page = provider.list(kind, start, PAGE).await?;
        let resources = page.get("Resources").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        records.extend(resources.iter().filter_map(|resource| own(plan, kind, resource)));
        start += resources.len();
        let total = page.get("totalResults").and_then(Value::as_u64);
        let total = total.ok_or_else(|| Failure::WrongAnswer("a list without totalResults".to_owned()))?;
        let done = usize::try_from(total).is_ok_and(|total| start > total);
        if done {
            return Ok(records);
        }
        if resources.is_empty() {
            return Err(Failure::WrongAnswer(format!("an empty page at {start} of {total}")));
        }
    }
}

/// Id and record of what belongs to this run.
fn own(plan: &Plan, kind: Kind, resource: &Value) -> Option<(String, Record)> {
    let record = Record::read(kind, resource);
    let owned = match kind {
        Kind::User => plan.owns_user(record.name()),
        Kind::Group => plan.owns_group(record.name()),
    };
    let id = resource.get("id").and_then(Value::as_str).unwrap_or("without an id");
    owned.then(|| (id.to_owned(), record))
}

fn members(group: &Value) -> Vec<String> {
    let members = group.get("members").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    members.iter().filter_map(|member| member.get("value").and_then(Value::as_str)).map(str::to_owned).collect()
}

fn unread(what: String, failure: &Failure) -> OperationError {
    OperationError { external_id: what, operation: "verify".to_owned(), why: failure.to_string() }
}
