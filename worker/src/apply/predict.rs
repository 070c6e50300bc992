//! How replays would end: the commands are carried out in a transaction that is taken back, so that the database has its say.

use protocol::ownership::OwnershipPolicy;
use protocol::scim::members::Members;
use protocol::time::Timestamp;
use sea_orm::DatabaseTransaction;
use serde_json::{Value, json};

use super::Ending;
use super::apart::under_savepoint;
use super::attach::Attempts;
use crate::accepted::Accepted;
use crate::store::{Class, Store, StoreError, resources, with_timeout};

/// The endings that these commands would have if they were applied now, in this order. Nothing is committed, and rows are
/// waited for only briefly: what is locked now is parked.
pub(crate) async fn predict(
    store: &Store,
    policy: &OwnershipPolicy,
    commands: &[&Accepted],
    now: Timestamp,
) -> Result<Vec<Ending>, StoreError> {
    with_timeout("predicting replays", async {
        let transaction = store.begin_batch().await?;
        let mut endings = Vec::with_capacity(commands.len());
        let mut attempts = Attempts::awaited_by(&[]);
        for accepted in commands {
            let ending = match under_savepoint(&transaction, policy, &[accepted], &mut attempts, now).await? {
                Ok(mut ended) => ended.remove(&accepted.envelope.operation).unwrap_or(Ending::Committed),
                Err(failure) if failure.class() == Class::Locked => Ending::Parked(super::Parked::Locked),
                Err(failure) => Ending::Dead(failure.reason()),
            };
            endings.push(ending);
        }
        transaction.rollback().await.map_err(|error| StoreError::new("taking a prediction back", &error))?;
        Ok(endings)
    })
    .await
}

/// One command, and what it is about.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The resource as it is stored.
    pub(crate) before: Option<Value>,
    /// How the command would end; none if it was not tried.
    pub(crate) ending: Option<Ending>,
    /// The resource as it would be then.
    pub(crate) after: Option<Value>,
}

/// The same for one command, with the resource before and after it. It is only tried if it `may_try`.
pub(crate) async fn predict_one(
    store: &Store,
    policy: &OwnershipPolicy,
    accepted: &Accepted,
    may_try: bool,
    now: Timestamp,
) -> Result<Shown, StoreError> {
    with_timeout("predicting a replay", async {
        let transaction = store.begin_batch().await?;
        let before = attributes(&transaction, accepted).await?;
        let mut shown = Shown { before, ending: None, after: None };
        if may_try {
            let mut attempts = Attempts::awaited_by(&[]);
            let ended = under_savepoint(&transaction, policy, &[accepted], &mut attempts, now).await?;
            shown.ending = Some(ended.map_or_else(
                |failure| Ending::Dead(failure.reason()),
                |mut ended| ended.remove(&accepted.envelope.operation).unwrap_or(Ending::Committed),
            ));
            shown.after = attributes(&transaction, accepted).await?;
        }
        transaction.rollback().await.map_err(|error| StoreError::new("taking a prediction back", &error))?;
        Ok(shown)
    })
    .await
}

/// A resource's attributes, with the members that are read.
async fn attributes(transaction: &DatabaseTransaction, accepted: &Accepted) -> Result<Option<Value>, StoreError> {
    let envelope = &accepted.envelope;
    let target = (envelope.resource_type, envelope.resource);
    let Some(resource) = resources::read(transaction, &envelope.workspace, target).await? else { return Ok(None) };
    let mut attributes = resource.attributes.as_map().clone();
    if let Members::Read(members) = &resource.members {
        attributes.insert("members".to_owned(), members.iter().map(|member| json!(member.id)).collect());
    }
    Ok(Some(Value::Object(attributes)))
}
