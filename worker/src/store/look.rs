//! How the database is: whether it answers, with which settings, and what it knows of the log.

use std::time::Instant;

use protocol::message::status::{DatabaseAnswer, LogStatus};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, PaginatorTrait, Statement};

use super::connect::POSTGRES_SETTINGS;
use super::entity::dead_letter;
use super::{Context, DatabaseKind, Store, StoreError, to_u64};

/// The connections of one purpose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolUse {
    /// `write` or `read`.
    pub(crate) purpose: &'static str,
    /// Open and unused.
    pub(crate) idle: u64,
    /// In use.
    pub(crate) used: u64,
}

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
        let floor = log.into_iter().flat_map(|log| &log.lanes).map(|lane| lane.ack_floor).max();
        let dead_letters = dead_letter::Entity::find().count(self.reader()).await.context("counting dead letters")?;
        Ok(DatabaseAnswer {
            milliseconds,
            schema_is_current: self.schema_is_current().await?,
            settings_hold: self.settings_hold().await?,
            dead_letters,
            epoch: numbering.epoch,
            highest,
            behind_log: numbering.number(floor.unwrap_or(0)).saturating_sub(highest),
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

    /// How many connections are open.
    pub(crate) fn pools(&self) -> Vec<PoolUse> {
        [("write", &self.writer), ("read", &self.reader)].map(|(purpose, pool)| self.pool(purpose, pool)).to_vec()
    }

    fn pool(&self, purpose: &'static str, connection: &DatabaseConnection) -> PoolUse {
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
        let idle = to_u64(idle);
        PoolUse { purpose, idle, used: u64::from(open).saturating_sub(idle) }
    }
}
