//! Multi-row updates, each row guarded by the version that the batch has read.

use std::collections::BTreeMap;

use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, OnConflict};
use sea_orm::{DatabaseTransaction, Iterable};

use crate::store::StoreError;
use crate::store::bulk_insert::insert;
use crate::store::entity::{group, user};

/// Rows by how many versions the batch has raised them: one statement each, so that the guard can be exact.
pub(super) type BySteps<M> = BTreeMap<i64, Vec<M>>;

/// Updates users, or writes them over fences, whose version is 0. `active` changes only where a later command than the
/// stored one says so.
pub(super) async fn update_users(
    transaction: &DatabaseTransaction,
    rows: BySteps<user::Model>,
) -> Result<(), StoreError> {
    let key = [user::Column::Workspace, user::Column::Id];
    let columns = user::Column::iter().filter(|column| {
        use user::Column::{Active, ActiveArrived, ActiveSeq, Id, Workspace};
        !matches!(column, Workspace | Id | Active | ActiveSeq | ActiveArrived)
    });
    let later = |column: user::Column| -> Expr {
        let stored = Expr::col((user::Entity, user::Column::ActiveSeq));
        let newer = stored.lt(Expr::col(("excluded", user::Column::ActiveSeq)));
        CaseStatement::new()
            .case(newer, Expr::col(("excluded", column)))
            .finally(Expr::col((user::Entity, column)))
            .into()
    };
    let on_conflict = |steps: i64| {
        let read = Expr::col(("excluded", user::Column::Version)).sub(steps);
        OnConflict::columns(key)
            .update_columns(columns.clone())
            .value(user::Column::Active, later(user::Column::Active))
            .value(user::Column::ActiveSeq, later(user::Column::ActiveSeq))
            .value(user::Column::ActiveArrived, later(user::Column::ActiveArrived))
            .action_and_where(Expr::col((user::Entity, user::Column::Version)).eq(read))
            .to_owned()
    };
    for (steps, rows) in rows {
        let wanted = rows.len();
        let updated = insert::<user::Entity>(transaction, rows, Some(on_conflict(steps)), "updating users").await?;
        all_written(updated, wanted, "updating users")?;
    }
    Ok(())
}

/// Updates groups.
pub(super) async fn update_groups(
    transaction: &DatabaseTransaction,
    rows: BySteps<group::Model>,
) -> Result<(), StoreError> {
    let key = [group::Column::Workspace, group::Column::Id];
    let columns = group::Column::iter().filter(|column| {
        use group::Column::{CreatedAt, Id, Workspace};
        !matches!(column, Workspace | Id | CreatedAt)
    });
    let on_conflict = |steps: i64| {
        let read = Expr::col(("excluded", group::Column::Version)).sub(steps);
        OnConflict::columns(key)
            .update_columns(columns.clone())
            .action_and_where(Expr::col((group::Entity, group::Column::Version)).eq(read))
            .to_owned()
    };
    for (steps, rows) in rows {
        let wanted = rows.len();
        let updated = insert::<group::Entity>(transaction, rows, Some(on_conflict(steps)), "updating groups").await?;
        all_written(updated, wanted, "updating groups")?;
    }
    Ok(())
}

/// A row that was not written is one that another transaction changed meanwhile.
pub(super) fn all_written(written: u64, wanted: usize, doing: &'static str) -> Result<(), StoreError> {
    if usize::try_from(written) == Ok(wanted) { Ok(()) } else { Err(StoreError::lost_race(doing)) }
}
