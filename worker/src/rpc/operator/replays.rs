//! Replays: plan, start, pause, resume, stop, list, show. Their commands are published by `crate::replay::publisher`.

use protocol::message::operator::{
    ActedBy, OperatorError, Replay, ReplayChange, ReplayList, ReplayPlan, ReplayShow, ReplayStart,
};
use protocol::replay::ReplayEnd;
use protocol::time::Timestamp;
use runtime::ids;
use uuid::Uuid;

use super::Failure;
use crate::replay::plan::{MAX_ITEMS, MAX_PREDICTED, choose, predict_all};
use crate::store::audit::{self, Act};
use crate::store::{Store, StoreError, commit, replays, to_u64};

/// Fixes the set, and predicts how each would end if that is asked for.
pub(super) async fn plan(store: &Store, call: &ReplayPlan, now: Timestamp) -> Result<Replay, Failure> {
    let ReplayPlan { filter, force, predict, by } = call;
    if *force && by.reason.is_none() {
        let detail = "--force undoes what came later: say why with --reason".to_owned();
        return Err(OperatorError::Invalid { detail }.into());
    }
    let most = if *predict { MAX_PREDICTED } else { MAX_ITEMS };
    let Some(mut items) = choose(store, filter, most, now).await? else {
        let detail = format!("more than {most} dead letters match: narrow the filter");
        return Err(OperatorError::Invalid { detail }.into());
    };
    if items.is_empty() {
        return Err(
            OperatorError::NotFound { what: format!("a dead letter that matches {:?}", filter.to_string()) }.into()
        );
    }
    if *predict {
        Box::pin(predict_all(store, &mut items, *force, now)).await?;
    }
    let skipped = |end: Option<ReplayEnd>| end == Some(ReplayEnd::Skipped);
    let skipped = items.iter().filter(|item| item.prediction.as_ref().is_some_and(|predicted| skipped(predicted.end)));
    let counts = [("letters", to_u64(items.len())), ("skipped", to_u64(skipped.count()))];
    let id = ids::record();
    let transaction = store.begin().await?;
    replays::insert(&transaction, (id, filter.to_string(), *force), by, items, now).await?;
    record(&transaction, (by, "replay-plan", id), &counts, now).await?;
    commit(transaction).await?;
    found(store, id, true).await
}

/// Begins a planned replay, once.
pub(super) async fn start(store: &Store, call: &ReplayStart, now: Timestamp) -> Result<Replay, Failure> {
    let ReplayStart { replay: id, rate, max_failures, by } = call;
    if *rate == Some(0) || *max_failures == Some(0) {
        return Err(OperatorError::Invalid { detail: "--rate and --max-failures are at least 1".to_owned() }.into());
    }
    let transaction = store.begin().await?;
    let row = replays::find_locked(&transaction, *id).await?.ok_or_else(|| not_found(*id))?;
    if !replays::start(&transaction, *id, (*rate, *max_failures), by, now).await? {
        let detail = format!("replay {id} was begun before: it is {}", row.state);
        return Err(OperatorError::Conflict { detail }.into());
    }
    let waiting = replays::counts(&transaction, *id).await?.get(replays::WAITING).copied().unwrap_or(0);
    let counts = [("letters", waiting), ("forced", u64::from(row.forced))];
    record(&transaction, (by, "replay-start", *id), &counts, now).await?;
    commit(transaction).await?;
    found(store, *id, false).await
}

/// Pauses, resumes or stops a replay. Doing it twice is doing it once.
pub(super) async fn change(store: &Store, call: &ReplayChange, now: Timestamp) -> Result<Replay, Failure> {
    let ReplayChange { replay: id, act, by } = call;
    let transaction = store.begin().await?;
    let row = replays::find_locked(&transaction, *id).await?.ok_or_else(|| not_found(*id))?;
    let Some(state) = replays::state_of(&row)?.after(*act) else {
        return Err(OperatorError::Conflict { detail: format!("replay {id} is {}", row.state) }.into());
    };
    if replays::change(&transaction, *id, state, now).await? {
        let counts = replays::counts(&transaction, *id).await?;
        let counts: Vec<(&str, u64)> = counts.iter().map(|(state, count)| (state.as_str(), *count)).collect();
        record(&transaction, (by, act.verb(), *id), &counts, now).await?;
    }
    commit(transaction).await?;
    found(store, *id, false).await
}

/// The newest replays.
pub(super) async fn list(store: &Store, _: &ReplayList, _: Timestamp) -> Result<Vec<Replay>, Failure> {
    Ok(replays::list(store.reader()).await?)
}

/// One replay.
pub(super) async fn show(store: &Store, call: &ReplayShow, _: Timestamp) -> Result<Replay, Failure> {
    found(store, call.replay, call.items).await
}

async fn found(store: &Store, id: Uuid, items: bool) -> Result<Replay, Failure> {
    Ok(replays::show(store.reader(), id, items).await?.ok_or_else(|| not_found(id))?)
}

async fn record(
    transaction: &sea_orm::DatabaseTransaction,
    (by, verb, id): (&ActedBy, &str, Uuid),
    counts: &[(&str, u64)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let act = Act { by, verb, workspace: None, target: &id.to_string(), counts };
    audit::record(transaction, act, now).await
}

fn not_found(id: Uuid) -> OperatorError {
    OperatorError::NotFound { what: format!("replay {id}") }
}
