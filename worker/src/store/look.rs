//! How the database is: whether it answers, with which settings, and what it knows of the log.

use std::time::Instant;

use protocol::message::operator::DeadLetterState;
use protocol::message::status::{DatabaseAnswer, LogStatus};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, Statement};

use super::connect::POSTGRES_SETTINGS;
use super::entity::dead_letter;
use super::{Context, DatabaseKind, Store, StoreError, to_u64};

impl DatabaseKind {
    /// The kind's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

impl Store {
    /// Asks the database how it is, after the log was asked: what is acknowledged there was settled here before.
    pub async fn look(&self, log: Option<&LogStatus>) -> Result<DatabaseAnswer, StoreError> {
        let began = Instant::now();
        let numbering = self.numbering().await?;
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let highest = self.newest().await?.number;
        let floor = log.into_iter().flat_map(|log| &log.lanes).map(|lane| lane.ack_floor).max().unwrap_or(0);
        // What was acknowledged before the log was renumbered has an earlier number in SQL.
        let acknowledged = Some(numbering.number(floor)).filter(|number| *number >= numbering.first());
        let dead = dead_letter::Entity::find().filter(dead_letter::Column::State.eq(DeadLetterState::Dead.as_str()));
        let dead_letters = dead.count(self.reader()).await.context("counting dead letters")?;
        Ok(DatabaseAnswer {
            milliseconds,
            schema_is_current: self.schema_is_current().await?,
            settings_hold: self.settings_hold().await?,
            dead_letters,
            epoch: numbering.epoch,
            highest,
            behind_log: acknowledged.unwrap_or(0).saturating_sub(highest),
            balance: None,
        })
    }

    /// Whether the session has the limits that were asked for: a pooler may have dropped them.
    async fn settings_hold(&self) -> Result<bool, StoreError> {
        if self.kind() == DatabaseKind::Sqlite {
            return Ok(true);
        }
        let doing = "reading the session's settings";
        let [first, second] = POSTGRES_SETTINGS.map(|(name, _)| format!("current_setting('{name}')"));
        let asked = Statement::from_string(self.reader().get_database_backend(), format!("SELECT {first}, {second}"));
        let Some(row) = self.reader().query_one_raw(asked).await.context(doing)? else { return Ok(false) };
        for (index, (_, wanted)) in POSTGRES_SETTINGS.iter().enumerate() {
            let found: String = row.try_get_by_index(index).context(doing)?;
            if found != *wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many connections are open, by purpose and state.
    pub(crate) fn connections(&self) -> Vec<([&'static str; 2], u64)> {
        let pools = [("write", &self.writer), ("read", &self.reader)];
        let counted = pools.into_iter().flat_map(|(purpose, pool)| {
            let (open, idle) = self.count(pool);
            [([purpose, "idle"], idle), ([purpose, "used"], open.saturating_sub(idle))]
        });
        counted.collect()
    }

    /// How many connections of a pool are open, and how many of them are idle.
    fn count(&self, connection: &DatabaseConnection) -> (u64, u64) {
        let (open, idle) = match self.kind() {
            DatabaseKind::Sqlite => {
                let pool = connection.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
            DatabaseKind::Postgres => {
                let pool = connection.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        (u64::from(open), to_u64(idle))
    }
}
