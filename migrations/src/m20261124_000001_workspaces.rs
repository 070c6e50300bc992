//! Workspaces and their credentials.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, text};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(workspaces()).await?;
        manager.create_table(credentials()).await?;
        let mut by_workspace = Index::create().name("credentials_workspace").table("credentials").to_owned();
        manager.create_index(by_workspace.col("workspace").to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("credentials").to_owned()).await?;
        manager.drop_table(Table::drop().table("workspaces").to_owned()).await
    }
}

fn workspaces() -> TableCreateStatement {
    Table::create()
        .table("workspaces")
        .col(text("id").primary_key())
        .col(text("name"))
        .col(boolean("enabled"))
        .col(big_integer("version"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .to_owned()
}

/// The id is the public part of the token; of the token itself only a hash is kept.
fn credentials() -> TableCreateStatement {
    let mut workspace = ForeignKey::create().from("credentials", "workspace").to("workspaces", "id").to_owned();
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
        .foreign_key(&mut workspace)
        .to_owned()
}
