//! How the log is numbered, and to whom a settled copy belongs.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, text_null, uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(log_numbering()).await?;
        // SQLite adds one column a statement.
        manager.alter_table(copies().add_column(text_null("workspace")).to_owned()).await?;
        manager.alter_table(copies().add_column(uuid_null("operation")).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(copies().drop_column("operation").to_owned()).await?;
        manager.alter_table(copies().drop_column("workspace").to_owned()).await?;
        manager.drop_table(Table::drop().table("log_numbering").to_owned()).await
    }
}

/// One row for each time that the log was found behind what is known of it: from then on, `shift` is added to the
/// stream's sequences, so that none is used twice. Numbers of the time before end at `highest`, later ones begin at
/// `since`; up to `inherited` are those of messages that the log had already, some of which were settled under their
/// earlier numbers.
fn log_numbering() -> TableCreateStatement {
    Table::create()
        .table("log_numbering")
        .col(integer("epoch").primary_key())
        .col(big_integer("shift"))
        .col(big_integer("since"))
        .col(big_integer("inherited"))
        .col(big_integer("highest"))
        .col(big_integer("began_at"))
        .to_owned()
}

fn copies() -> TableAlterStatement {
    Table::alter().table("settled_copies").to_owned()
}
