//! The ledger of operations, how the log is numbered, what else is known of the log by sequence, and what operators did.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary, boolean, integer, json_binary, small_integer, text, text_null, uuid,
    uuid_null,
};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [operations(), settled_copies(), attempts(), dead_letters(), log_numbering(), answered_creates()] {
            manager.create_table(table).await?;
        }
        manager.create_table(audit_log()).await?;
        let keep = match manager.get_database_backend() {
            DbBackend::Postgres => APPEND_ONLY_ON_POSTGRESQL,
            _ => APPEND_ONLY_ON_SQLITE,
        };
        manager.get_connection().execute_unprepared(keep).await?;
        let mut by_sequence = Index::create().name("operations_sequence").table("operations").to_owned();
        manager.create_index(by_sequence.col("sequence").unique().to_owned()).await?;
        manager.get_connection().execute_unprepared(CREATES).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("audit_log").to_owned()).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            manager.get_connection().execute_unprepared("DROP FUNCTION audit_log_is_kept").await?;
        }
        for table in ["answered_creates", "log_numbering", "dead_letters", "attempts", "settled_copies", "operations"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

/// One row for each operation that ended, written in the transaction of its effect. `duplicate_of` is the create that a
/// refused create repeats. A command that `yielded` was applied, but its word on access did not count.
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
        .col(text_null("ingress"))
        .col(uuid_null("duplicate_of"))
        .col(boolean("yielded").default(false))
        .to_owned()
}

/// Which creates say the same. Written without a builder: only a literal condition is recognised in a query.
const CREATES: &str = "CREATE INDEX operations_creates ON operations (fingerprint) WHERE kind = 'create'";

/// Sequences that are settled without an operation of their own, and to whom each belongs.
fn settled_copies() -> TableCreateStatement {
    Table::create()
        .table("settled_copies")
        .col(big_integer("sequence").primary_key())
        .col(text("reason"))
        .col(big_integer("settled_at"))
        .col(text_null("workspace"))
        .col(uuid_null("operation"))
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

/// Creates whose answers went out to their clients.
fn answered_creates() -> TableCreateStatement {
    Table::create()
        .table("answered_creates")
        .col(uuid("operation").primary_key())
        .col(big_integer("answered_at"))
        .to_owned()
}

/// What operators did, one row an act, written in the act's transaction. Its ids sort by time.
fn audit_log() -> TableCreateStatement {
    Table::create()
        .table("audit_log")
        .col(uuid("id").primary_key())
        .col(big_integer("at"))
        .col(text("actor"))
        .col(text("act"))
        .col(text_null("workspace"))
        .col(text("target"))
        .col(text_null("reason"))
        .col(json_binary("counts"))
        .to_owned()
}

/// No row of the audit log is changed or deleted, whatever the code.
const APPEND_ONLY_ON_SQLITE: &str = "
    CREATE TRIGGER audit_log_is_kept BEFORE UPDATE ON audit_log
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_log_is_kept_whole BEFORE DELETE ON audit_log
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
";

/// The same on PostgreSQL.
const APPEND_ONLY_ON_POSTGRESQL: &str = "
    CREATE FUNCTION audit_log_is_kept() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
    CREATE TRIGGER audit_log_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
        EXECUTE FUNCTION audit_log_is_kept();
";
