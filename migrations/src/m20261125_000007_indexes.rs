//! What filters that providers send are narrowed by, in workspaces of a hundred thousand users.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{text, uuid};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("users_display_name").table("users").to_owned()).await?;
        collate(manager, "\"C\"").await?;
        manager.create_index(by("users_display_name", "display_name_key").col("id").to_owned()).await?;
        manager.create_index(by("users_active", "active").col("id").to_owned()).await?;
        manager.create_index(by("users_modified", "modified_at").col("id").to_owned()).await?;
        let backend = manager.get_database_backend();
        manager.create_table(user_emails(backend)).await?;
        manager.get_connection().execute_unprepared(fill(backend)).await?;
        if backend == DbBackend::Sqlite {
            manager.get_connection().execute_unprepared(STATISTICS).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("user_emails").to_owned()).await?;
        for name in ["users_modified", "users_active", "users_display_name"] {
            manager.drop_index(Index::drop().name(name).table("users").to_owned()).await?;
        }
        if manager.get_database_backend() == DbBackend::Sqlite {
            manager.get_connection().execute_unprepared("DELETE FROM sqlite_stat1").await?;
        }
        collate(manager, "\"default\"").await?;
        manager.create_index(by("users_display_name", "display_name_key")).await
    }
}

/// With the id behind it, except for what is unique: a page comes in the order of ids, and what an index says of a row is
/// enough to choose it by its id, or to count it.
fn by(name: &'static str, column: &'static str) -> IndexCreateStatement {
    Index::create().name(name).table("users").col("workspace").col(column).to_owned()
}

/// On PostgreSQL the names by which is searched are ordered byte by byte, as on SQLite and as filters are: so one and the
/// same index serves `eq` and `sw`. The tables are not written again, only the indexes of these columns.
///
/// `users` has six indexes after this step: the key, `users_name`, `users_external_id`, `users_display_name`,
/// `users_active` and `users_modified`. None of them is without a filter that needs it, and none is there twice.
async fn collate(manager: &SchemaManager<'_>, collation: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for (table, columns) in [
        ("users", ["user_name_key", "display_name_key", "external_id"].as_slice()),
        ("groups", &["display_name_key", "external_id"]),
    ] {
        let each = columns.iter().map(|column| format!("ALTER COLUMN {column} TYPE text COLLATE {collation}"));
        let each = each.collect::<Vec<_>>().join(", ");
        manager.get_connection().execute_unprepared(&format!("ALTER TABLE {table} {each}")).await?;
    }
    Ok(())
}

/// Who has which e-mail address, in the form in which `search` has it. Every address that `search` has is here, unless it
/// is longer than an index can hold; one too many would do no harm, because the filter is still asked for each row. So
/// there is no foreign key: it would need an index by user, and a look-up for each row that is written or deleted.
fn user_emails(backend: DbBackend) -> TableCreateStatement {
    let mut value = text("value");
    let mut table = Table::create().table("user_emails").to_owned();
    if backend == DbBackend::Postgres {
        value.extra("COLLATE \"C\"");
    } else {
        // The key is all there is of a row: no second copy of it.
        table.extra("WITHOUT ROWID");
    }
    table
        .col(text("workspace"))
        .col(value)
        .col(uuid("user_id"))
        .primary_key(Index::create().col("workspace").col("value").col("user_id"))
        .to_owned()
}

/// Of the users that are there. 800 bytes: what `worker/src/store/emails.rs` calls `MAX_BYTES`.
const fn fill(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "INSERT INTO user_emails (workspace, value, user_id)
             SELECT DISTINCT u.workspace, e.value ->> 'value', u.id FROM users AS u
             CROSS JOIN LATERAL jsonb_array_elements(
                 CASE WHEN jsonb_typeof(u.search -> 'emails') = 'array' THEN u.search -> 'emails' ELSE '[]' END
             ) AS e(value)
             WHERE octet_length(e.value ->> 'value') <= 800"
        }
        _ => {
            "INSERT INTO user_emails (workspace, value, user_id)
             SELECT DISTINCT u.workspace, e.value ->> '$.value', u.id FROM users AS u, json_each(u.search -> '$.emails') AS e
             WHERE length(CAST(e.value ->> '$.value' AS BLOB)) <= 800"
        }
    }
}

/// SQLite measures nothing of itself, and without numbers takes any two indexes for equally good: it walked through the
/// whole workspace by id rather than sort the one row that an `externalId` names. So it is told what a large directory is
/// like: all rows, and how many of them agree in the first column, in the first two, and so on. `ANALYZE` replaces it.
const STATISTICS: &str = "
    ANALYZE sqlite_schema;
    DELETE FROM sqlite_stat1 WHERE tbl IN ('users', 'user_emails', 'groups', 'group_members');
    INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
        ('users', 'sqlite_autoindex_users_1', '1000000 100000 1'),
        ('users', 'users_name', '1000000 100000 1'),
        ('users', 'users_external_id', '1000000 100000 1'),
        ('users', 'users_display_name', '1000000 100000 2 1'),
        ('users', 'users_active', '1000000 100000 50000 1'),
        ('users', 'users_modified', '1000000 100000 10 1'),
        ('user_emails', 'user_emails', '1000000 100000 1 1'),
        ('groups', 'sqlite_autoindex_groups_1', '10000 1000 1'),
        ('groups', 'groups_name', '10000 1000 1'),
        ('groups', 'groups_external_id', '10000 1000 1'),
        ('group_members', 'sqlite_autoindex_group_members_1', '1000000 100000 100 1'),
        ('group_members', 'group_members_member', '1000000 100000 10');
";
