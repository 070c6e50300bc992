//! The PostgreSQL server of this test run: one for all tests, gone with the process.

use std::path::PathBuf;

use rosterd::servers::postgres::{PostgresSettings, start};
use tokio::sync::{OnceCell, oneshot};

/// What ends the server with this process.
const GUARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/guard.sh");

/// The URL of the server, without a database.
pub(crate) async fn server() -> &'static str {
    static SERVER: OnceCell<String> = OnceCell::const_new();
    SERVER.get_or_init(given_or_started).await
}

async fn given_or_started() -> String {
    #[expect(clippy::disallowed_methods, reason = "the one place where these tests read the environment")]
    let given = std::env::var("ROSTERD_TEST_POSTGRES_URL");
    if let Ok(url) = given {
        return url.trim_end_matches('/').to_owned();
    }
    let (sender, receiver) = oneshot::channel();
    // Its own thread: each test has a runtime that ends with it, and the server must outlive them all.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let settings = PostgresSettings { guard: PathBuf::from(GUARD), fsync: false };
            let server = start(&settings, |what| eprintln!("{what}")).await;
            let url = server.as_ref().map(|server| server.url("")).map_err(|error| format!("{error}: {error:?}"));
            sender.send(url).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receiver.await.unwrap().unwrap().trim_end_matches('/').to_owned()
}
