//! Users, groups and memberships. The workspace leads every key: no lookup can cross it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, json_binary, text, text_null, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(users()).await?;
        manager.create_index(unique("users_name", "users", "user_name_key")).await?;
        manager.create_index(index("users_external_id", "users", "external_id")).await?;
        manager.create_index(index("users_display_name", "users", "display_name_key")).await?;
        manager.create_table(groups()).await?;
        manager.create_index(unique("groups_name", "groups", "display_name_key")).await?;
        manager.create_index(index("groups_external_id", "groups", "external_id")).await?;
        manager.create_table(group_members()).await?;
        manager.create_index(index("group_members_member", "group_members", "member_id")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["group_members", "groups", "users"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

/// `attributes` holds everything but `active`, which is a column of its own with the sequence of the command that set
/// it. Names are kept as sent, and in the canonical form by which they are compared.
fn users() -> TableCreateStatement {
    Table::create()
        .table("users")
        .col(text("workspace"))
        .col(uuid("id"))
        .col(text("user_name"))
        .col(text("user_name_key"))
        .col(text_null("display_name"))
        .col(text_null("display_name_key"))
        .col(text_null("external_id"))
        .col(boolean("active"))
        .col(big_integer("active_seq"))
        .col(json_binary("attributes"))
        .col(json_binary("ownership"))
        .col(big_integer("version"))
        .col(big_integer("last_sequence"))
        .col(big_integer("created_at"))
        .col(big_integer("modified_at"))
        .primary_key(Index::create().col("workspace").col("id"))
        .to_owned()
}

/// `attributes` holds everything but the members, which are rows; `member_count` counts them.
fn groups() -> TableCreateStatement {
    Table::create()
        .table("groups")
        .col(text("workspace"))
        .col(uuid("id"))
        .col(text("display_name"))
        .col(text("display_name_key"))
        .col(text_null("external_id"))
        .col(json_binary("attributes"))
        .col(json_binary("ownership"))
        .col(big_integer("member_count"))
        .col(big_integer("version"))
        .col(big_integer("last_sequence"))
        .col(big_integer("created_at"))
        .col(big_integer("modified_at"))
        .primary_key(Index::create().col("workspace").col("id"))
        .to_owned()
}

/// A row says that the group names this id, whether or not there is such a resource yet.
fn group_members() -> TableCreateStatement {
    Table::create()
        .table("group_members")
        .col(text("workspace"))
        .col(uuid("group_id"))
        .col(uuid("member_id"))
        .primary_key(Index::create().col("workspace").col("group_id").col("member_id"))
        .to_owned()
}

fn index(name: &'static str, table: &'static str, column: &'static str) -> IndexCreateStatement {
    Index::create().name(name).table(table).col("workspace").col(column).to_owned()
}

fn unique(name: &'static str, table: &'static str, column: &'static str) -> IndexCreateStatement {
    index(name, table, column).unique().to_owned()
}
