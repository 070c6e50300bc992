//! Which dead letters a replay has, and how each would end.

use std::collections::HashMap;

use futures::future::BoxFuture;
use protocol::id::ResourceId;
use protocol::message::operator::{DeadCause, DeadLetterFilter, DeadLetterState, Prediction, StateFilter};
use protocol::message::outcome::Outcome;
use protocol::ownership::OwnershipPolicy;
use protocol::replay::ReplayEnd;
use protocol::scim::error::ScimError;
use protocol::time::Timestamp;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use uuid::Uuid;

use super::letter;
use crate::accepted::Accepted;
use crate::apply::{Ending, MAX_BATCH, Shown, predict, predict_one};
use crate::store::entity::{dead_letter, operation};
use crate::store::replays::PlannedItem;
use crate::store::{Context, MAX_ROWS, Store, StoreError, column, dead_letters, ledger, sequence, to_u64};

/// The most dead letters of one replay.
pub(crate) const MAX_ITEMS: usize = 100_000;
/// The most of which a dry run predicts the end: each is carried out, and taken back.
pub(crate) const MAX_PREDICTED: usize = 2_000;

const DOING: &str = "choosing dead letters";
/// Above every number that the log gives out: where a replayed command would come now.
const PLACE: u64 = i64::MAX.unsigned_abs() - 1_000_000;

/// What every item of a plan needs of its dead letter.
type Chosen = (i64, Option<Uuid>, Option<String>, String, i32);

/// The dead letters that a filter means and that are dead now, in the order of the log. None if they are more than `most`.
pub(crate) async fn choose(
    store: &Store,
    filter: &DeadLetterFilter,
    most: usize,
    now: Timestamp,
) -> Result<Option<Vec<PlannedItem>>, StoreError> {
    use dead_letter::Column;
    let filter = DeadLetterFilter { state: Some(StateFilter::Is(DeadLetterState::Dead)), ..filter.clone() };
    let rows = dead_letter::Entity::find()
        .select_only()
        .columns([Column::Sequence, Column::Operation, Column::Kind, Column::Cause, Column::Replay])
        .filter(dead_letters::condition(store.reader(), &filter, now))
        .order_by_asc(Column::Sequence)
        .limit(to_u64(most).saturating_add(1));
    let rows = rows.into_tuple::<Chosen>().all(store.reader()).await.context(DOING)?;
    if rows.len() > most {
        return Ok(None);
    }
    let mut items = Vec::with_capacity(rows.len());
    for some in rows.chunks(MAX_ROWS) {
        let operations: Vec<Uuid> = some.iter().filter_map(|row| row.1).collect();
        let ledger: HashMap<Uuid, operation::Model> =
            ledger::find(store.reader(), &operations).await?.into_iter().map(|row| (row.operation, row)).collect();
        items.extend(some.iter().map(|row| item(row, row.1.and_then(|operation| ledger.get(&operation)))));
    }
    Ok(Some(items))
}

fn item((letter, operation, kind, cause, replay): &Chosen, ledger: Option<&operation::Model>) -> PlannedItem {
    let skipped = |why: &str| Some(Prediction { end: Some(ReplayEnd::Skipped), detail: Some(why.to_owned()) });
    let prediction = match (kind, ledger) {
        (None, _) => skipped("it cannot be read: it can only be discarded or exported"),
        (Some(_), Some(row)) if row.state == "dead" && row.replay == *replay => not_tried(cause),
        (Some(_), _) => skipped("its operation has ended otherwise"),
    };
    let number = u32::try_from(*replay).unwrap_or(0).saturating_add(1);
    PlannedItem { letter: sequence(*letter), number, operation: *operation, prediction }
}

/// Predicts how each item would end.
pub(crate) async fn predict_all(
    store: &Store,
    items: &mut [PlannedItem],
    forced: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let unknown: Vec<i64> =
        items.iter().filter(|item| item.prediction.is_none()).map(|item| column(item.letter)).collect();
    let mut commands = Vec::with_capacity(unknown.len());
    let mut predicted: HashMap<u64, Prediction> = HashMap::new();
    for some in unknown.chunks(MAX_BATCH) {
        let these = Condition::all().add(dead_letter::Column::Sequence.is_in(some.iter().copied()));
        for row in dead_letter::Entity::find().filter(these).all(store.reader()).await.context(DOING)? {
            match letter::accepted(&row, forced, PLACE.saturating_add(sequence(row.sequence) % 1_000_000), now) {
                Ok(accepted) => commands.push(accepted),
                Err(error) => {
                    let skipped = Prediction { end: Some(ReplayEnd::Skipped), detail: Some(error.to_string()) };
                    predicted.insert(sequence(row.sequence), skipped);
                }
            }
        }
    }
    for batch in together(commands) {
        let batch: Vec<&Accepted> = batch.iter().collect();
        let endings = predict(store, &OwnershipPolicy::default(), &batch, now).await?;
        for (accepted, ending) in batch.iter().zip(&endings) {
            let letter = accepted.replayed.map_or(0, |replayed| replayed.letter);
            predicted.insert(letter, prediction(ending));
        }
    }
    for item in items.iter_mut().filter(|item| item.prediction.is_none()) {
        item.prediction = predicted.remove(&item.letter);
    }
    Ok(())
}

/// One dead letter, the resource that it is about, and what a replay would make of it.
pub(crate) struct Foreseen {
    /// The resource as it is stored.
    pub(crate) before: Option<Value>,
    /// How a replay would end; none if the dead letter is none any more, or cannot be read.
    pub(crate) prediction: Option<Prediction>,
    /// The resource as it would be then, null if there would be none. None if that is not known.
    pub(crate) after: Option<Value>,
}

/// What a replay of one dead letter would do.
#[inline(never)]
pub(crate) fn foresee<'a>(
    store: &'a Store,
    row: &'a dead_letter::Model,
    now: Timestamp,
) -> BoxFuture<'a, Result<Foreseen, StoreError>> {
    Box::pin(async move {
        let accepted = row.kind.as_ref().and_then(|_| letter::accepted(row, false, PLACE, now).ok());
        let Some(accepted) = accepted else { return Ok(Foreseen { before: None, prediction: None, after: None }) };
        let is_dead = row.state == DeadLetterState::Dead.as_str();
        let crashed = not_tried(&row.cause).filter(|_| is_dead);
        let may_try = is_dead && crashed.is_none();
        let policy = OwnershipPolicy::default();
        let Shown { before, ending, after } = predict_one(store, &policy, &accepted, may_try, now).await?;
        let prediction = ending.as_ref().map(prediction).or(crashed);
        Ok(Foreseen { before, prediction, after: may_try.then(|| after.unwrap_or_default()) })
    })
}

/// A command that crashed workers is not carried out only to see what happens.
fn not_tried(cause: &str) -> Option<Prediction> {
    let crashed = "it crashed workers, so it is not tried for a prediction";
    (DeadCause::of(cause) == Some(DeadCause::Crash)).then(|| Prediction { end: None, detail: Some(crashed.to_owned()) })
}

/// Batches in which the commands of one resource are together, in the order of the log.
fn together(commands: Vec<Accepted>) -> Vec<Vec<Accepted>> {
    let letter = |accepted: &Accepted| accepted.replayed.map_or(0, |replayed| replayed.letter);
    let mut first: HashMap<ResourceId, u64> = HashMap::new();
    for accepted in &commands {
        let earliest = first.entry(accepted.envelope.resource).or_insert(u64::MAX);
        *earliest = letter(accepted).min(*earliest);
    }
    let place = |accepted: &Accepted| first.get(&accepted.envelope.resource).copied().unwrap_or(0);
    let mut commands = commands;
    commands.sort_by_key(|accepted| (place(accepted), letter(accepted)));
    let mut batches: Vec<Vec<Accepted>> = Vec::new();
    for accepted in commands {
        let same = |batch: &&mut Vec<Accepted>| {
            batch.len() < MAX_BATCH || batch.last().is_some_and(|last| place(last) == place(&accepted))
        };
        match batches.last_mut().filter(same) {
            Some(batch) => batch.push(accepted),
            None => batches.push(vec![accepted]),
        }
    }
    for batch in &mut batches {
        batch.sort_by_key(letter);
    }
    batches
}

/// What an ending means for a replay.
fn prediction(ending: &Ending) -> Prediction {
    let (end, detail) = match ending {
        Ending::Answered(Outcome::Rejected { error }) => (Some(ReplayEnd::Rejected), Some(error.detail.clone())),
        Ending::Answered(Outcome::Superseded) => (Some(ReplayEnd::Superseded), Some(ScimError::superseded().detail)),
        Ending::Answered(Outcome::Duplicate { resource, .. }) => {
            (Some(ReplayEnd::Rejected), Some(ScimError::duplicate(resource.resource_type).detail))
        }
        Ending::Answered(
            Outcome::Created { .. } | Outcome::Updated { .. } | Outcome::UpdatedWithoutBody { .. } | Outcome::Deleted,
        ) => (Some(ReplayEnd::Applied), None),
        Ending::Dead(reason) => (Some(ReplayEnd::Dead), Some(reason.clone())),
        Ending::Committed => (None, None),
        Ending::Parked(_) => (None, Some("another transaction is just changing the resource".to_owned())),
    };
    Prediction { end, detail }
}
