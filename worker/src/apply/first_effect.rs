//! The first effect: access is taken away at once, by a command that cannot be applied yet because of what is before it.
//!
//! Nothing else of the command takes effect, no answer is sent, and the ledger knows nothing of it: the command itself comes
//! in its turn. A user who is not there yet gets a [fence](crate::store::fence).

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::future::BoxFuture;
use protocol::access::{Access, Standing, Verdict};
use protocol::decide::claimed_names;
use protocol::ownership::{OwnershipPolicy, Source};
use protocol::scim::precondition::Precondition;
use protocol::scim::resource_type::ResourceType;
use protocol::time::Timestamp;
use runtime::clock::Clock;
use sea_orm::DatabaseTransaction;
use sea_orm::sea_query::OnConflict;
use serde_json::Value;

use super::apart::LOCK_TIMEOUT;
use super::lock::lock;
use super::upsert::{BySteps, all_written, update};
use super::working::WorkingSet;
use crate::accepted::Accepted;
use crate::store::bulk_insert::insert;
use crate::store::entity::user;
use crate::store::fence::Fence;
use crate::store::retry::retry_contended;
use crate::store::stored_resource::{Key, StoredResource};
use crate::store::{Store, StoreError, commit, ledger, with_timeout};

const DOING: &str = "taking access away at once";

/// Takes access away, if the command may do so before its turn and its word on access counts. Returns whether it did.
///
/// It may if it takes access away whatever comes before it: it has no precondition, and no name to claim. It waits for a
/// row as briefly as a parked command does: an error of [`Class::Locked`](crate::store::Class) says that it did in vain.
///
/// By the `policy` it is decided whether the command would be refused now: then it takes nothing away. Without one that is
/// not asked, because deciding on a command that may crash this worker may crash it.
#[inline(never)]
pub fn first_effect<'a>(
    store: &'a Store,
    policy: Option<&'a OwnershipPolicy>,
    accepted: &'a Accepted,
    clock: Clock,
) -> BoxFuture<'a, Result<bool, StoreError>> {
    Box::pin(async move {
        if !may_come_first(accepted) {
            return Ok(false);
        }
        retry_contended(|| with_timeout(DOING, take_access(store, policy, accepted, clock.now()))).await
    })
}

fn may_come_first(accepted: &Accepted) -> bool {
    let envelope = &accepted.envelope;
    envelope.resource_type == ResourceType::User
        && envelope.source == Source::IdentityProvider
        && envelope.body.takes_access_away()
        && *envelope.body.precondition() == Precondition::None
}

async fn take_access(
    store: &Store,
    policy: Option<&OwnershipPolicy>,
    accepted: &Accepted,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let envelope = &accepted.envelope;
    let key = Key::of_command(accepted);
    let transaction = store.begin_batch().await?;
    store.set_in(&transaction, "lock_timeout", LOCK_TIMEOUT).await?;
    let mut set = WorkingSet::default();
    lock::<user::Entity>(&transaction, &BTreeSet::from([key.clone()]), &mut set).await?;
    // After the lock: a worker that has applied the command meanwhile had it before.
    let (epoch, known) = ledger::claim(&transaction, &[envelope.operation.0], &[]).await?;
    if epoch != accepted.epoch {
        return Err(StoreError::renumbered(DOING));
    }
    let is_newer = set.standing(&key).sequence < accepted.sequence;
    if !known.is_empty() || !is_newer || set.verdict(&key, accepted) != Verdict::Counts {
        return Ok(false);
    }
    let taken = match set.current(ResourceType::User, &key) {
        Some(_) if policy.is_some_and(|policy| is_refused(policy, &set, &key, accepted, now)) => false,
        Some(image) => deactivate(&transaction, &key, image, accepted, now).await?,
        None => raise_fence(&transaction, &key, &set, accepted, now).await?,
    };
    commit(transaction).await?;
    Ok(taken)
}

/// Whether the command would be refused now. One that makes the rules panic will not be applied either.
fn is_refused(policy: &OwnershipPolicy, set: &WorkingSet, key: &Key, accepted: &Accepted, now: Timestamp) -> bool {
    catch_unwind(AssertUnwindSafe(|| set.would_refuse(policy, key, accepted, now))).unwrap_or(true)
}

fn standing(accepted: &Accepted) -> Standing {
    Standing { sequence: accepted.sequence, arrived: Some(accepted.arrival.bound(Access::Taken)) }
}

async fn deactivate(
    transaction: &DatabaseTransaction,
    key: &Key,
    image: &StoredResource,
    accepted: &Accepted,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let envelope = &accepted.envelope;
    let name = image.name();
    if claimed_names(ResourceType::User, &envelope.body).iter().any(|claimed| name.as_ref() != Some(claimed)) {
        return Ok(false);
    }
    let extensions = envelope.extensions.clone();
    let mut after = StoredResource { standing: standing(accepted), extensions, ..image.clone() };
    let was_active = image.resource.attributes.user().active() != Some(false);
    if was_active {
        after.resource.attributes.set("active", Value::Bool(false));
        after.resource.meta.version = image.resource.meta.version.next();
        after.resource.meta.last_modified = now;
        after.provider_sequence = accepted.sequence;
    }
    let rows = vec![after.user_row(&key.workspace)?];
    update::<user::Entity>(transaction, BySteps::from([(i64::from(was_active), rows)])).await?;
    Ok(true)
}

async fn raise_fence(
    transaction: &DatabaseTransaction,
    key: &Key,
    set: &WorkingSet,
    accepted: &Accepted,
    now: Timestamp,
) -> Result<bool, StoreError> {
    // Whether the name is that of the user who is not there yet is not known.
    if !claimed_names(ResourceType::User, &accepted.envelope.body).is_empty() {
        return Ok(false);
    }
    let row = Fence { standing: standing(accepted), provider_sequence: accepted.sequence }.row(key, now);
    if set.users.get(key).is_some_and(|entry| entry.fence.is_some()) {
        update::<user::Entity>(transaction, BySteps::from([(0, vec![row])])).await?;
        return Ok(true);
    }
    let unless_there = OnConflict::new().do_nothing().to_owned();
    let written = insert::<user::Entity>(transaction, vec![row], Some(unless_there), DOING).await?;
    all_written(written, 1, DOING)?;
    Ok(true)
}
