//! Dead letters: list, show, edit, discard, export.

use std::fmt::Write;

use protocol::id::WorkspaceId;
use protocol::message::envelope::Envelope;
use protocol::message::operator::{
    ActedBy, AttributeDifference, DeadLetter, DeadLetterDetail, DeadLetterDiscard, DeadLetterEdit, DeadLetterExport,
    DeadLetterFilter, DeadLetterList, DeadLetterShow, DeadLetters, DeadLettersChanged, ExportedDeadLetter,
    OperatorError, StateFilter, masked,
};
use protocol::time::Timestamp;
use sea_orm::sea_query::Order;
use sea_orm::{ColumnTrait, Condition};
use serde_json::Value;

use super::Failure;
use crate::replay::letter;
use crate::replay::plan::{Foreseen, foresee};
use crate::store::audit::{self, Act};
use crate::store::entity::dead_letter;
use crate::store::{Store, StoreError, column, commit, dead_letters, replays, to_u64};

/// How many dead letters are in one list unless it is said, and at most.
const LISTED: u32 = 100;
const MAX_LISTED: u32 = 1_000;
/// How many whole dead letters are in one part of an export.
const EXPORTED: u64 = 100;

/// The newest dead letters, and how many there are for each cause.
pub(super) async fn list(store: &Store, call: &DeadLetterList, now: Timestamp) -> Result<DeadLetters, Failure> {
    let chosen = dead_letters::condition(store.reader(), &call.filter, now);
    let (total, causes) = dead_letters::causes(store.reader(), &chosen).await?;
    let before = call.before.map(|before| dead_letter::Column::Sequence.lt(column(before)));
    let limit = u64::from(call.limit.unwrap_or(LISTED).min(MAX_LISTED));
    let dead_letters = dead_letters::page(store.reader(), chosen.add_option(before), Order::Desc, limit).await?;
    Ok(DeadLetters { total, causes, dead_letters })
}

/// One dead letter with all that is known of it. Personal data is masked unless it is asked for, which is audited.
pub(super) async fn show(store: &Store, call: &DeadLetterShow, now: Timestamp) -> Result<DeadLetterDetail, Failure> {
    let row = dead_letters::whole(store.reader(), call.letter).await?.ok_or_else(|| not_found(call.letter))?;
    let listed = one(store, call.letter).await?;
    let envelope = |bytes: &[u8]| Envelope::decode(bytes).ok().filter(|_| row.kind.is_some());
    let body = |bytes| envelope(bytes).map(|envelope| letter::body_of(&envelope.body));
    let mut detail = DeadLetterDetail {
        accepted_at: row.accepted_at.map(Timestamp::from_millis),
        headers: dead_letters::headers(&row.headers),
        payload: body(letter::bytes(&row)),
        original: row.edited.as_ref().and_then(|_| body(&row.payload)),
        errors: dead_letters::errors(store.reader(), call.letter).await?,
        stored: None,
        prediction: None,
        difference: Vec::new(),
        letter: listed,
    };
    let Foreseen { before, prediction, after } = foresee(store, &row, now).await?;
    detail.difference = after.as_ref().map_or_else(Vec::new, |after| difference(before.as_ref(), Some(after)));
    (detail.stored, detail.prediction) = (before, prediction);
    if call.reveal {
        let (transaction, workspace) = (store.begin().await?, detail.letter.workspace.as_ref());
        record(&transaction, (&call.by, "dead-letter-reveal"), (workspace, &call.letter.to_string()), 1, now).await?;
        commit(transaction).await?;
    } else {
        mask(&mut detail);
    }
    Ok(detail)
}

fn difference(before: Option<&Value>, after: Option<&Value>) -> Vec<AttributeDifference> {
    let names = |value: Option<&Value>| -> Vec<String> {
        value.and_then(Value::as_object).map(|object| object.keys().cloned().collect()).unwrap_or_default()
    };
    let mut attributes = [names(before), names(after)].concat();
    attributes.sort_unstable();
    attributes.dedup();
    let of =
        |value: Option<&Value>, name: &str| value.and_then(|value| value.get(name)).cloned().unwrap_or(Value::Null);
    let differences = attributes.into_iter().map(|attribute| {
        let (stored, replayed) = (of(before, &attribute), of(after, &attribute));
        AttributeDifference { attribute, stored, replayed }
    });
    differences.filter(|difference| difference.stored != difference.replayed).collect()
}

fn mask(detail: &mut DeadLetterDetail) {
    for value in [&mut detail.payload, &mut detail.original, &mut detail.stored].into_iter().flatten() {
        *value = masked(value);
    }
    for AttributeDifference { stored, replayed, .. } in &mut detail.difference {
        (*stored, *replayed) = (masked(stored), masked(replayed));
    }
}

/// Replaces the body of a dead letter's command, if the new one is valid SCIM. The original stays.
pub(super) async fn edit(store: &Store, call: &DeadLetterEdit, now: Timestamp) -> Result<DeadLetter, Failure> {
    let row = dead_letters::whole(store.reader(), call.letter).await?.ok_or_else(|| not_found(call.letter))?;
    let invalid = |detail: String| OperatorError::Invalid { detail };
    let envelope = Envelope::decode(&row.payload).ok().filter(|_| row.kind.is_some());
    let envelope = envelope.ok_or_else(|| {
        invalid(format!("dead letter {} cannot be read: it can only be discarded or exported", call.letter))
    })?;
    let edited = letter::edited(envelope, &call.body);
    let edited = edited.map_err(|error| invalid(format!("the body is not valid: {}", error.detail)))?;
    let bytes = edited.encode().map_err(|error| invalid(error.to_string()))?;
    let transaction = store.begin().await?;
    if !dead_letters::edit(&transaction, call.letter, bytes).await? {
        let detail = format!("dead letter {} is not dead any more: it is {}", call.letter, row.state);
        return Err(OperatorError::Conflict { detail }.into());
    }
    // A plan acts on what it showed.
    replays::skip_waiting(&transaction, call.letter, "it was edited after this was planned").await?;
    let target = (Some(&edited.workspace), &*call.letter.to_string());
    record(&transaction, (&call.by, "dead-letter-edit"), target, 1, now).await?;
    commit(transaction).await?;
    one(store, call.letter).await
}

/// Gives dead letters up, for a reason.
pub(super) async fn discard(
    store: &Store,
    call: &DeadLetterDiscard,
    now: Timestamp,
) -> Result<DeadLettersChanged, Failure> {
    let DeadLetterDiscard { filter, by } = call;
    if by.reason.as_deref().is_none_or(str::is_empty) {
        return Err(OperatorError::Invalid { detail: "say why with --reason".to_owned() }.into());
    }
    let transaction = store.begin().await?;
    let chosen = dead_letters::condition(&transaction, filter, now);
    let count = dead_letters::discard(&transaction, chosen).await?;
    record(&transaction, (by, "dead-letter-discard"), (filter.workspace.as_ref(), &filter.to_string()), count, now)
        .await?;
    commit(transaction).await?;
    Ok(DeadLettersChanged { count })
}

/// The next whole dead letters, in the order of their ids.
pub(super) async fn export(
    store: &Store,
    call: &DeadLetterExport,
    now: Timestamp,
) -> Result<Vec<ExportedDeadLetter>, Failure> {
    let chosen = dead_letters::condition(store.reader(), &call.filter, now);
    let chosen = chosen.add(dead_letter::Column::Sequence.gt(column(call.after)));
    let listed = dead_letters::page(store.reader(), chosen, Order::Asc, EXPORTED).await?;
    let mut exported = Vec::with_capacity(listed.len());
    for letter in listed {
        let Some(row) = dead_letters::whole(store.reader(), letter.sequence).await? else { continue };
        let payload = row.payload.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        exported.push(ExportedDeadLetter { letter, headers: dead_letters::headers(&row.headers), payload });
    }
    let transaction = store.begin().await?;
    let count = to_u64(exported.len());
    let target = (call.filter.workspace.as_ref(), &*call.filter.to_string());
    record(&transaction, (&call.by, "dead-letter-export"), target, count, now).await?;
    commit(transaction).await?;
    Ok(exported)
}

async fn one(store: &Store, letter: u64) -> Result<DeadLetter, Failure> {
    let filter =
        DeadLetterFilter { letters: [letter].into(), state: Some(StateFilter::Any), ..DeadLetterFilter::default() };
    let chosen: Condition = dead_letters::condition(store.reader(), &filter, Timestamp::from_millis(0));
    let found = dead_letters::page(store.reader(), chosen, Order::Asc, 1).await?.pop();
    Ok(found.ok_or_else(|| not_found(letter))?)
}

async fn record(
    transaction: &sea_orm::DatabaseTransaction,
    (by, verb): (&ActedBy, &str),
    (workspace, target): (Option<&WorkspaceId>, &str),
    count: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let act = Act { by, verb, workspace, target, counts: &[("letters", count)] };
    audit::record(transaction, act, now).await
}

fn not_found(letter: u64) -> OperatorError {
    OperatorError::NotFound { what: format!("dead letter {letter}") }
}
