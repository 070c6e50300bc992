//! The form of resources by which they are filtered and sorted.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::json_binary;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            manager.alter_table(Table::alter().table(table).add_column(search()).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            manager.alter_table(Table::alter().table(table).drop_column("search").to_owned()).await?;
        }
        Ok(())
    }
}

const TABLES: [&str; 2] = ["users", "groups"];

/// The attributes again, in the form in which they are compared: text that is not `caseExact` in canonical form, times as
/// milliseconds. A row from before this step gets it when it is next written; until then only its columns are found.
fn search() -> ColumnDef {
    json_binary("search").default("{}").to_owned()
}
