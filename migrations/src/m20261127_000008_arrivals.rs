//! Whose word on access stands since when, who created what, and which creates were answered.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, text_null, uuid, uuid_null};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column a statement.
        for (table, column) in columns() {
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        manager.get_connection().execute_unprepared(CREATES).await?;
        manager.create_table(answered_creates()).await?;
        active_index(manager, &["workspace", "active", "id", "version"]).await?;
        statistics(manager, "1000000 100000 50000 1 1").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A fence means nothing to an earlier build.
        manager.get_connection().execute_unprepared("DELETE FROM users WHERE version = 0").await?;
        active_index(manager, &["workspace", "active", "id"]).await?;
        statistics(manager, "1000000 100000 50000 1").await?;
        manager.drop_table(Table::drop().table("answered_creates").to_owned()).await?;
        manager.drop_index(Index::drop().name("operations_creates").table("operations").to_owned()).await?;
        for (table, column) in columns().into_iter().rev() {
            let name = Alias::new(column.get_column_name());
            manager.alter_table(Table::alter().table(table).drop_column(name).to_owned()).await?;
        }
        Ok(())
    }
}

/// `active_arrived` is the bound of the arrival of the command that `active_seq` names, in milliseconds; NULL where that is not
/// known. `created_by` is the operation that created the resource, `provider_sequence` the sequence of the identity
/// provider's last command that changed it.
///
/// `duplicate_of` is the create that a refused create repeats. A command that `yielded` was applied, but its word on access
/// did not count.
fn columns() -> Vec<(&'static str, ColumnDef)> {
    let provider_sequence = || big_integer("provider_sequence").default(0).to_owned();
    vec![
        ("users", big_integer_null("active_arrived")),
        ("users", uuid_null("created_by")),
        ("users", provider_sequence()),
        ("groups", uuid_null("created_by")),
        ("groups", provider_sequence()),
        ("operations", text_null("ingress")),
        ("operations", uuid_null("duplicate_of")),
        ("operations", boolean("yielded").default(false).to_owned()),
    ]
}

/// Which creates say the same. Written without a builder: only a literal condition is recognised in a query.
const CREATES: &str = "CREATE INDEX operations_creates ON operations (fingerprint) WHERE kind = 'create'";

/// Creates whose answers went out to their clients.
fn answered_creates() -> TableCreateStatement {
    Table::create()
        .table("answered_creates")
        .col(uuid("operation").primary_key())
        .col(big_integer("answered_at"))
        .to_owned()
}

/// With the version behind the id, because a row of version 0 is a fence and no user: so the index alone still counts who
/// is active.
async fn active_index(manager: &SchemaManager<'_>, columns: &[&'static str]) -> Result<(), DbErr> {
    manager.drop_index(Index::drop().name("users_active").table("users").to_owned()).await?;
    let mut index = Index::create().name("users_active").table("users").to_owned();
    for column in columns {
        index.col(*column);
    }
    manager.create_index(index).await
}

/// What SQLite is told of the index (see the step before).
async fn statistics(manager: &SchemaManager<'_>, of_index: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Sqlite {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM sqlite_stat1 WHERE idx = 'users_active';
         INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('users', 'users_active', '{of_index}')"
    );
    manager.get_connection().execute_unprepared(&sql).await?;
    Ok(())
}
