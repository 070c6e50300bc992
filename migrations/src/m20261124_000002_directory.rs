//! Users, groups and memberships, and the indexes for the filters that providers send. The workspace leads every key: no
//! lookup can cross it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, json_binary, text, text_null, uuid, uuid_null,
};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        for table in [users(backend), groups(backend), group_members(), user_emails(backend)] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        if backend == DbBackend::Sqlite {
            manager.get_connection().execute_unprepared(STATISTICS).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["user_emails", "group_members", "groups", "users"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

/// `attributes` holds everything but `active`, which is a column of its own with the sequence of the command that set
/// it and the bound of its arrival, in milliseconds; NULL where that is not known. Names are kept as sent, and in the
/// canonical form by which they are compared.
///
/// `search` holds the attributes again, in the form in which they are compared: text that is not `caseExact` in canonical
/// form, times as milliseconds. `created_by` is the operation that created the resource, `provider_sequence` the sequence
/// of the identity provider's last command that changed it.
fn users(backend: DbBackend) -> TableCreateStatement {
    Table::create()
        .table("users")
        .col(text("workspace"))
        .col(uuid("id"))
        .col(text("user_name"))
        .col(by_bytes(backend, text("user_name_key")))
        .col(text_null("display_name"))
        .col(by_bytes(backend, text_null("display_name_key")))
        .col(by_bytes(backend, text_null("external_id")))
        .col(boolean("active"))
        .col(big_integer("active_seq"))
        .col(json_binary("attributes"))
        .col(json_binary("ownership"))
        .col(big_integer("version"))
        .col(big_integer("last_sequence"))
        .col(big_integer("created_at"))
        .col(big_integer("modified_at"))
        .col(json_binary("search").default("{}"))
        .col(big_integer_null("active_arrived"))
        .col(uuid_null("created_by"))
        .col(big_integer("provider_sequence").default(0))
        .primary_key(Index::create().col("workspace").col("id"))
        .to_owned()
}

/// `attributes` holds everything but the members, which are rows; `member_count` counts them. The rest is as in `users`.
fn groups(backend: DbBackend) -> TableCreateStatement {
    Table::create()
        .table("groups")
        .col(text("workspace"))
        .col(uuid("id"))
        .col(text("display_name"))
        .col(by_bytes(backend, text("display_name_key")))
        .col(by_bytes(backend, text_null("external_id")))
        .col(json_binary("attributes"))
        .col(json_binary("ownership"))
        .col(big_integer("member_count"))
        .col(big_integer("version"))
        .col(big_integer("last_sequence"))
        .col(big_integer("created_at"))
        .col(big_integer("modified_at"))
        .col(json_binary("search").default("{}"))
        .col(uuid_null("created_by"))
        .col(big_integer("provider_sequence").default(0))
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

/// Who has which e-mail address, in the form in which `search` has it. Every address that `search` has is here, unless it
/// is longer than an index can hold; one too many would do no harm, because the filter is still asked for each row. So
/// there is no foreign key: it would need an index by user, and a look-up for each row that is written or deleted.
fn user_emails(backend: DbBackend) -> TableCreateStatement {
    let mut table = Table::create().table("user_emails").to_owned();
    if backend == DbBackend::Sqlite {
        // The key is all there is of a row: no second copy of it.
        table.extra("WITHOUT ROWID");
    }
    table
        .col(text("workspace"))
        .col(by_bytes(backend, text("value")))
        .col(uuid("user_id"))
        .primary_key(Index::create().col("workspace").col("value").col("user_id"))
        .to_owned()
}

/// On PostgreSQL the names by which is searched are ordered byte by byte, as on SQLite and as filters are: so one and the
/// same index serves `eq` and `sw`.
fn by_bytes(backend: DbBackend, mut column: ColumnDef) -> ColumnDef {
    if backend == DbBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}

/// With the id behind it, except for what is unique: a page comes in the order of ids, and what an index says of a row is
/// enough to choose it by its id, or to count it. `users_active` has the version, too, because a row of version 0 is a
/// fence and no user: so the index alone still counts who is active.
///
/// None of them is without a filter that needs it, and none is there twice.
fn indexes() -> [IndexCreateStatement; 8] {
    [
        index("users_name", "users", &["user_name_key"]).unique().to_owned(),
        index("users_external_id", "users", &["external_id"]),
        index("users_display_name", "users", &["display_name_key", "id"]),
        index("users_active", "users", &["active", "id", "version"]),
        index("users_modified", "users", &["modified_at", "id"]),
        index("groups_name", "groups", &["display_name_key"]).unique().to_owned(),
        index("groups_external_id", "groups", &["external_id"]),
        index("group_members_member", "group_members", &["member_id"]),
    ]
}

fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(table).col("workspace").to_owned();
    for column in columns {
        index.col(*column);
    }
    index
}

/// SQLite measures nothing of itself, and without numbers takes any two indexes for equally good: it walked through the
/// whole workspace by id rather than sort the one row that an `externalId` names. So it is told what a large directory is
/// like: all rows, and how many of them agree in the first column, in the first two, and so on. `ANALYZE` replaces it.
const STATISTICS: &str = "
    ANALYZE sqlite_schema;
    INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
        ('users', 'sqlite_autoindex_users_1', '1000000 100000 1'),
        ('users', 'users_name', '1000000 100000 1'),
        ('users', 'users_external_id', '1000000 100000 1'),
        ('users', 'users_display_name', '1000000 100000 2 1'),
        ('users', 'users_active', '1000000 100000 50000 1 1'),
        ('users', 'users_modified', '1000000 100000 10 1'),
        ('user_emails', 'user_emails', '1000000 100000 1 1'),
        ('groups', 'sqlite_autoindex_groups_1', '10000 1000 1'),
        ('groups', 'groups_name', '10000 1000 1'),
        ('groups', 'groups_external_id', '10000 1000 1'),
        ('group_members', 'sqlite_autoindex_group_members_1', '1000000 100000 100 1'),
        ('group_members', 'group_members_member', '1000000 100000 10');
";
