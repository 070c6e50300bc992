//! Multi-row updates, each row guarded by the version that the batch has read.

use std::collections::BTreeMap;

use sea_orm::DatabaseTransaction;
use sea_orm::sea_query::{Expr, ExprTrait};

use crate::store::bulk_insert::insert;
use crate::store::resource_table::ResourceTable;
use crate::store::{StoreError, to_u64};

/// Rows by how many versions the batch has raised them: one statement each, so that the guard can be exact.
pub(super) type BySteps<M> = BTreeMap<i64, Vec<M>>;

/// Updates resources of one kind.
pub(super) async fn update<E: ResourceTable>(
    transaction: &DatabaseTransaction,
    rows: BySteps<E::Model>,
) -> Result<(), StoreError> {
    let doing = "updating resources";
    for (steps, rows) in rows {
        let wanted = rows.len();
        let read = Expr::col(("excluded", E::VERSION)).sub(steps);
        let mut on_conflict = E::on_update();
        on_conflict.action_and_where(Expr::col((E::default(), E::VERSION)).eq(read));
        all_written(insert::<E>(transaction, rows, Some(on_conflict), doing).await?, wanted, doing)?;
    }
    Ok(())
}

/// A row that was not written is one that another transaction changed meanwhile.
pub(super) fn all_written(written: u64, wanted: usize, doing: &'static str) -> Result<(), StoreError> {
    if written == to_u64(wanted) { Ok(()) } else { Err(StoreError::lost_race(doing)) }
}
