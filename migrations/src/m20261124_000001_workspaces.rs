//! Workspaces, their credentials, and how their requests are read.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, json_binary, text, text_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(workspaces()).await?;
        manager.create_table(credentials()).await?;
        let mut by_workspace = Index::create().name("credentials_workspace").table("credentials").to_owned();
        manager.create_index(by_workspace.col("workspace").to_owned()).await?;
        manager.create_table(schemas()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["schemas", "credentials", "workspaces"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

/// `dialect` was chosen by an operator, `seen_dialect` is the one that requests were last seen to speak. `paused_at` is
/// set while every request is answered 503.
fn workspaces() -> TableCreateStatement {
    Table::create()
        .table("workspaces")
        .col(text("id").primary_key())
        .col(text("name"))
        .col(boolean("enabled"))
        .col(big_integer("version"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .col(text_null("dialect"))
        .col(text_null("seen_dialect"))
        .col(big_integer_null("paused_at"))
        .col(text_null("pause_reason"))
        .to_owned()
}

/// The id is the public part of the token; of the token itself only a hash is kept.
fn credentials() -> TableCreateStatement {
    Table::create()
        .table("credentials")
        .col(text("id").primary_key())
        .col(text("workspace"))
        .col(text("label"))
        .col(text("hash"))
        .col(big_integer("version"))
        .col(big_integer("created_at"))
        .col(big_integer_null("expires_at"))
        .col(big_integer_null("revoked_at"))
        .col(big_integer_null("last_used_at"))
        .foreign_key(&mut of_workspace("credentials"))
        .to_owned()
}

/// `urn` is in lower case: URNs are compared in any (RFC 7643 §2.1). `definition` has it as the operator wrote it.
fn schemas() -> TableCreateStatement {
    Table::create()
        .table("schemas")
        .col(text("workspace"))
        .col(text("urn"))
        .col(json_binary("definition"))
        .col(big_integer("changed_at"))
        .primary_key(Index::create().col("workspace").col("urn"))
        .foreign_key(&mut of_workspace("schemas"))
        .to_owned()
}

fn of_workspace(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from(table, "workspace").to("workspaces", "id").to_owned()
}
