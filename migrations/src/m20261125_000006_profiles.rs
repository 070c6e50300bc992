//! How each workspace's requests are read: its dialect and its own schemas.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, json_binary, text, text_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(schemas()).await?;
        // SQLite adds one column a statement.
        manager.alter_table(workspaces().add_column(text_null("dialect")).to_owned()).await?;
        manager.alter_table(workspaces().add_column(text_null("seen_dialect")).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(workspaces().drop_column("seen_dialect").to_owned()).await?;
        manager.alter_table(workspaces().drop_column("dialect").to_owned()).await?;
        manager.drop_table(Table::drop().table("schemas").to_owned()).await
    }
}

/// `urn` is in lower case: URNs are compared in any (RFC 7643 §2.1). `definition` has it as the operator wrote it.
fn schemas() -> TableCreateStatement {
    let mut workspace = ForeignKey::create().from("schemas", "workspace").to("workspaces", "id").to_owned();
    Table::create()
        .table("schemas")
        .col(text("workspace"))
        .col(text("urn"))
        .col(json_binary("definition"))
        .col(big_integer("changed_at"))
        .primary_key(Index::create().col("workspace").col("urn"))
        .foreign_key(&mut workspace)
        .to_owned()
}

/// `dialect` was chosen by an operator, `seen_dialect` is the one that requests were last seen to speak.
fn workspaces() -> TableAlterStatement {
    Table::alter().table("workspaces").to_owned()
}
