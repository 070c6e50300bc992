//! Each provider's requests, as it sends them, from the connection test to the end of a group: on both databases, through
//! the built binaries.
//!
//! What is sent and what the provider needs of the answer is data: `tests/testdata/<provider>/NN_name.json`.

mod expectation;
mod fixture;
mod play;

use crate::harness::{Database, System, on_both};

on_both!(okta);
async fn okta(database: Database) {
    provider(database, "okta").await;
}

on_both!(entra);
async fn entra(database: Database) {
    provider(database, "entra").await;
}

on_both!(entra_with_its_flag);
async fn entra_with_its_flag(database: Database) {
    provider(database, "entra_062020").await;
}

on_both!(google);
async fn google(database: Database) {
    provider(database, "google").await;
}

on_both!(jumpcloud);
async fn jumpcloud(database: Database) {
    provider(database, "jumpcloud").await;
}

on_both!(onelogin);
async fn onelogin(database: Database) {
    provider(database, "onelogin").await;
}

on_both!(ping);
async fn ping(database: Database) {
    provider(database, "ping").await;
}

/// Plays all fixtures of a provider, in the order of their names, in one workspace.
async fn provider(database: Database, name: &str) {
    let system = System::start(database).await;
    let mut player = play::Player::new(&system);
    for fixture in fixture::of_provider(name) {
        player.play(&fixture).await;
    }
    player.expect_no_faults();
}

#[test]
fn every_folder_is_somebodys() {
    let mut folders = fixture::providers();
    folders.sort_unstable();
    assert_eq!(folders, ["entra", "entra_062020", "google", "jumpcloud", "okta", "onelogin", "ping"]);
    for folder in folders {
        assert!(!fixture::of_provider(&folder).is_empty(), "{folder}");
    }
}
