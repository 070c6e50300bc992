//! The schema of rosterd's database, step by step, for SQLite and PostgreSQL.
//!
//! All pending steps are taken in one transaction that only one process at a time can hold, so workers that start
//! together do not collide, and a failing step leaves nothing behind.

#![expect(
    elided_lifetimes_in_paths,
    reason = "`MigrationTrait` elides the lifetime of its manager; naming it does not match"
)]

use std::pin::Pin;

use sea_orm_migration::prelude::{DbErr, MigrationTrait, MigratorTrait};
use sea_orm_migration::{MigrationStatus, async_trait};

mod connection;
mod error;
mod m20261124_000001_workspaces;
mod m20261124_000002_directory;
mod m20261124_000003_ledger;

use connection::{open, session};
pub use error::MigrateError;

/// The steps, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_workspaces::Migration),
            Box::new(m20261124_000002_directory::Migration),
            Box::new(m20261124_000003_ledger::Migration),
        ]
    }
}

/// One step, and whether the database has taken it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name; names sort in the order of the steps.
    pub name: String,
    /// Whether it has been applied.
    pub applied: bool,
}

/// A future that is compiled here, and not again in every crate that awaits it.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Takes all pending steps. Does nothing if there are none; waits for another process that is migrating.
#[inline(never)]
pub fn up(url: &str) -> Boxed<'_, Result<(), MigrateError>> {
    Box::pin(take_all(url))
}

async fn take_all(url: &str) -> Result<(), MigrateError> {
    let connection = open(url).await?;
    let transaction = session(&connection).await?;
    Migrator::up(&transaction, None).await.map_err(|error| MigrateError::apply(&error))?;
    transaction.commit().await.map_err(|error| MigrateError::apply(&error))?;
    close(connection).await
}

/// Takes back the last `steps` steps, with all data in their tables.
#[inline(never)]
pub fn down(url: &str, steps: u32) -> Boxed<'_, Result<(), MigrateError>> {
    Box::pin(take_back(url, steps))
}

async fn take_back(url: &str, steps: u32) -> Result<(), MigrateError> {
    let connection = open(url).await?;
    let transaction = session(&connection).await?;
    Migrator::down(&transaction, Some(steps)).await.map_err(|error| MigrateError::apply(&error))?;
    transaction.commit().await.map_err(|error| MigrateError::apply(&error))?;
    close(connection).await
}

/// Every step and whether it has been applied. Changes nothing.
#[inline(never)]
pub fn status(url: &str) -> Boxed<'_, Result<Vec<Step>, MigrateError>> {
    Box::pin(steps(url))
}

async fn steps(url: &str) -> Result<Vec<Step>, MigrateError> {
    let connection = open(url).await?;
    let found = Migrator::get_migration_with_status_read_only(&connection).await;
    let steps = found.map_err(|error| MigrateError::status(&error))?;
    let applied = |status| matches!(status, MigrationStatus::Applied);
    let steps = steps.iter().map(|step| Step { name: step.name().to_owned(), applied: applied(step.status()) });
    let steps = steps.collect();
    close(connection).await?;
    Ok(steps)
}

/// The name of the newest step that this build knows.
pub fn newest() -> Option<String> {
    Migrator::migrations().last().map(|step| step.name().to_owned())
}

/// Whether the database has taken exactly the steps that this build knows. Changes nothing.
#[inline(never)]
pub fn is_current(connection: &sea_orm_migration::sea_orm::DatabaseConnection) -> Boxed<'_, Result<bool, DbErr>> {
    Box::pin(async move {
        match Migrator::get_pending_migrations_read_only(connection).await {
            Ok(pending) => Ok(pending.is_empty()),
            // The database has taken a step of which this build knows nothing.
            Err(DbErr::Custom(_)) => Ok(false),
            Err(error) => Err(error),
        }
    })
}

async fn close(connection: sea_orm_migration::sea_orm::DatabaseConnection) -> Result<(), MigrateError> {
    connection.close().await.map_err(|error| MigrateError::apply(&error))
}
