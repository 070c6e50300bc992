//! The ledger of operations, and what else is known of the log by sequence.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary, integer, json_binary, small_integer, text, text_null, uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(operations()).await?;
        let mut by_sequence = Index::create().name("operations_sequence").table("operations").to_owned();
        manager.create_index(by_sequence.col("sequence").unique().to_owned()).await?;
        manager.create_table(settled_copies()).await?;
        manager.create_table(attempts()).await?;
        manager.create_table(dead_letters()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["dead_letters", "attempts", "settled_copies", "operations"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

/// One row for each operation that ended, written in the transaction of its effect.
fn operations() -> TableCreateStatement {
    Table::create()
        .table("operations")
        .col(uuid("operation").primary_key())
        .col(text("workspace"))
        .col(text("resource_type"))
        .col(uuid("resource"))
        .col(text("kind"))
        .col(text("lane"))
        .col(big_integer("sequence"))
        .col(text_null("token"))
        .col(text("fingerprint"))
        .col(text("state"))
        .col(small_integer("status"))
        .col(text_null("scim_type"))
        .col(text_null("detail"))
        .col(big_integer_null("version"))
        .col(big_integer("accepted_at"))
        .col(big_integer("applied_at"))
        .col(integer("replay").default(0))
        .to_owned()
}

/// Sequences that are settled without an operation of their own.
fn settled_copies() -> TableCreateStatement {
    Table::create()
        .table("settled_copies")
        .col(big_integer("sequence").primary_key())
        .col(text("reason"))
        .col(big_integer("settled_at"))
        .to_owned()
}

/// Operations that were tried alone because they may crash workers.
fn attempts() -> TableCreateStatement {
    Table::create()
        .table("attempts")
        .col(uuid("operation"))
        .col(integer("n"))
        .col(big_integer("started_at"))
        .primary_key(Index::create().col("operation").col("n"))
        .to_owned()
}

/// Messages that could not be applied, byte for byte.
fn dead_letters() -> TableCreateStatement {
    Table::create()
        .table("dead_letters")
        .col(big_integer("sequence").primary_key())
        .col(uuid_null("operation"))
        .col(text_null("workspace"))
        .col(text("subject"))
        .col(json_binary("headers"))
        .col(binary("payload"))
        .col(text("reason"))
        .col(text("error_fingerprint"))
        .col(big_integer("dead_at"))
        .to_owned()
}
