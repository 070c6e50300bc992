//! A fresh, migrated database for each test, of both kinds.

use std::sync::atomic::{AtomicU32, Ordering};

use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::operator::{OperatorCall, OperatorError};
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Found, GetResource, Query, TypedQuery};
use protocol::ownership::OwnershipPolicy;
use protocol::scim::list::Include;
use protocol::scim::members::Members;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use runtime::clock::Clock;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TryGetable};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use worker::accepted::Accepted;
use worker::apply::{Ending, apply};
use worker::rpc::operator::Operator;
use worker::store::{Store, StoreOptions};

use crate::log::{NOW, refs};
use crate::postgres;

const CONNECTIONS: StoreOptions = StoreOptions { writers: 4, readers: 2 };

/// A database with a store on it.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    pub(crate) store: Store,
    folder: Option<TempDir>,
}

/// Runs a test on SQLite, then on PostgreSQL, each time with a database of its own.
pub(crate) async fn on_both(test: impl AsyncFn(&TestDatabase)) {
    let folder = TempDir::new().unwrap();
    let url = sqlite_url(&folder);
    migrations::up(&url).await.unwrap();
    test(&TestDatabase::open(url, Some(folder)).await).await;
    let db = TestDatabase::open(postgres_database(true).await, None).await;
    test(&db).await;
}

/// PostgreSQL, for what concerns nothing else.
pub(crate) async fn postgres_db() -> TestDatabase {
    TestDatabase::open(postgres_database(true).await, None).await
}

/// Runs a test with the URLs of two databases that are not migrated yet.
pub(crate) async fn on_both_empty(test: impl AsyncFn(&str)) {
    let folder = TempDir::new().unwrap();
    test(&sqlite_url(&folder)).await;
    test(&postgres_database(false).await).await;
}

fn sqlite_url(folder: &TempDir) -> String {
    format!("sqlite://{}?mode=rwc", folder.path().join("rosterd.db").display())
}

/// A new database, empty or made from the migrated template.
pub(crate) async fn postgres_database(migrated: bool) -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = postgres::server().await;
    let base = format!("worker_{}", std::process::id());
    let admin = Database::connect(format!("{server}/postgres")).await.unwrap();
    let made = async || {
        admin.execute_unprepared(&format!("CREATE DATABASE {base}")).await.unwrap();
        migrations::up(&format!("{server}/{base}")).await.unwrap();
        base.clone()
    };
    let template = if migrated { TEMPLATE.get_or_init(made).await.as_str() } else { "template1" };
    let name = format!("{base}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    admin.execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
    admin.close().await.unwrap();
    format!("{server}/{name}")
}

impl TestDatabase {
    async fn open(url: String, folder: Option<TempDir>) -> Self {
        let store = Store::connect(&url, CONNECTIONS).await.unwrap();
        Self { url, store, folder }
    }

    /// Another worker on the same database.
    pub(crate) async fn another_store(&self) -> Store {
        Store::connect(&self.url, CONNECTIONS).await.unwrap()
    }

    /// Applies a batch; every command must get an outcome.
    pub(crate) async fn apply(&self, batch: &[Accepted]) -> Vec<Outcome> {
        let outcome = |ending| match ending {
            Ending::Answered(outcome) => outcome,
            Ending::Dead(reason) => panic!("dead: {reason}"),
            Ending::Committed => panic!("its outcome cannot be read"),
            Ending::Parked(parked) => panic!("parked: {parked:?}"),
        };
        self.endings(batch).await.into_iter().map(outcome).collect()
    }

    /// Applies a batch.
    pub(crate) async fn endings(&self, batch: &[Accepted]) -> Vec<Ending> {
        let policy = OwnershipPolicy::default();
        let endings = Box::pin(apply(&self.store, &policy, &refs(batch), Clock::Fixed(NOW))).await.unwrap();
        assert_eq!(endings.len(), batch.len());
        endings
    }

    /// Applies one command.
    pub(crate) async fn apply_one(&self, accepted: Accepted) -> Outcome {
        self.apply(&[accepted]).await.remove(0)
    }

    /// Reads a resource as a query does.
    pub(crate) async fn get(&self, workspace: &str, resource_type: ResourceType, id: ResourceId) -> Option<Resource> {
        let query = GetResource { resource_type, id, precondition: Precondition::None, joined: Include::ALL };
        match self.ask(workspace, query).await {
            Found::Resource(resource) => Some(*resource),
            Found::Nothing => None,
            other => panic!("{other:?}"),
        }
    }

    /// Makes an operator's call, as it travels.
    pub(crate) async fn call<C: OperatorCall>(&self, call: C) -> Result<C::Reply, OperatorError> {
        let payload = serde_json::to_vec(&call).unwrap();
        let reply = Operator::new(&self.store, NOW).answer(C::VERB, &payload).await?;
        Ok(serde_json::from_value(reply).unwrap())
    }

    /// Asks a question that is answered.
    pub(crate) async fn ask<Q: TypedQuery>(&self, workspace: &str, query: Q) -> Q::Reply {
        Q::reply(self.answer(workspace, &query.into()).await).unwrap()
    }

    /// Asks a question.
    pub(crate) async fn answer(&self, workspace: &str, query: &Query) -> Answer {
        worker::answer::answer(&self.store, &workspace.parse::<WorkspaceId>().unwrap(), query).await
    }

    /// The same, after all sessions so far have ended.
    pub(crate) async fn closed(self) -> Self {
        self.store.close().await.unwrap();
        Self::open(self.url, self.folder).await
    }

    /// A connection beside the store's.
    pub(crate) async fn raw(&self) -> DatabaseConnection {
        Database::connect(&self.url).await.unwrap()
    }

    /// Whether it is PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// The one value that a statement yields.
    pub(crate) async fn value<T: TryGetable>(&self, sql: &str) -> T {
        let raw = self.raw().await;
        let row = raw.query_one_raw(sea_orm::Statement::from_string(raw.get_database_backend(), sql)).await;
        let value = row.unwrap().unwrap().try_get_by_index(0).unwrap();
        raw.close().await.unwrap();
        value
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.value(&format!("SELECT COUNT(*) FROM {table}")).await
    }
}

/// The status that an outcome becomes over HTTP.
pub(crate) fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Created { .. } => 201,
        Outcome::Updated { .. } => 200,
        Outcome::UpdatedWithoutBody { .. } | Outcome::Deleted => 204,
        Outcome::Rejected { error } => error.status,
        Outcome::Superseded | Outcome::Duplicate { .. } => 409,
    }
}

/// The statuses of outcomes.
pub(crate) fn statuses(outcomes: &[Outcome]) -> Vec<u16> {
    outcomes.iter().map(status).collect()
}

/// The resource of an outcome that has one.
pub(crate) fn resource(outcome: &Outcome) -> &Resource {
    match outcome {
        Outcome::Created { resource } | Outcome::Updated { resource } => resource,
        other => panic!("{other:?}"),
    }
}

/// The ids in `members`.
pub(crate) fn member_ids(resource: &Resource) -> Vec<ResourceId> {
    match &resource.members {
        Members::Read(members) => members.iter().map(|member| member.id).collect(),
        Members::None | Members::Paged => Vec::new(),
    }
}
