//! Who may know what: seen in the dependency trees and in the sources, where it cannot be argued away.

mod imports;

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_ingress_has_no_database_driver() {
    forbid(
        "ingress",
        &["sea-orm", "sqlx", "sqlx-core", "sqlx-postgres", "sqlx-sqlite", "libsqlite3-sys", "tokio-postgres"],
    );
}

#[test]
fn the_worker_speaks_no_scim_over_http() {
    forbid("worker", &["axum", "axum-core", "tower-http"]);
}

#[test]
fn the_protocol_does_no_io() {
    forbid("protocol", &["tokio", "sea-orm", "sqlx-core", "axum", "async-nats", "reqwest", "rand", "mio"]);
}

#[test]
fn the_runtime_knows_neither_routes_nor_sql() {
    forbid("runtime", &["axum", "axum-core", "tower-http", "sea-orm", "sqlx-core", "ingress", "worker"]);
}

#[test]
fn migrations_know_only_sql() {
    forbid("migrations", &["protocol", "runtime", "axum", "async-nats", "worker", "ingress"]);
}

#[test]
fn there_is_one_tls_provider() {
    for package in ["ingress", "worker", "rosterd"] {
        forbid(package, &["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"]);
    }
}

#[test]
fn what_scim_says_knows_nothing_of_messages_and_decisions() {
    for (module, named) in imports::imports(&sources("protocol")) {
        let above = ["message", "decide", "ownership", "access"];
        let named: Vec<String> = named.iter().map(|named| named.join("::")).collect();
        let wrong = named.iter().find(|named| above.iter().any(|above| named.starts_with(above)));
        assert!(module.first().is_none_or(|first| first != "scim") || wrong.is_none(), "{module:?} names {wrong:?}");
    }
}

/// The worker's rooms, each with those that it knows nothing of.
#[test]
fn the_workers_rooms_know_nothing_of_those_above() {
    let above: [(&str, &[&str]); 6] = [
        ("store", &["apply", "answer", "log", "dispatch", "replay", "rpc", "session"]),
        ("apply", &["answer", "log", "dispatch", "replay", "rpc", "session"]),
        ("answer", &["apply", "log", "dispatch", "rpc", "session"]),
        ("log", &["apply", "answer", "dispatch", "replay", "rpc", "session"]),
        ("replay", &["answer", "dispatch", "rpc", "session"]),
        ("rpc", &["apply", "dispatch", "session"]),
    ];
    let imports = imports::imports(&sources("worker"));
    for (room, above) in above {
        let inside = imports.iter().filter(|(module, _)| module.first().is_some_and(|first| first == room));
        for (module, named) in inside {
            let wrong = named.iter().find(|named| named.first().is_some_and(|first| above.contains(&&**first)));
            assert!(wrong.is_none(), "{module:?} names {wrong:?}");
        }
    }
}

#[test]
fn no_files_of_a_crate_name_each_other_in_a_circle() {
    for package in ["protocol", "runtime", "ingress", "worker", "migrations", "rosterd"] {
        let circles = imports::circles(&imports::imports(&sources(package)));
        assert!(circles.is_empty(), "{package}: {circles:?}");
    }
}

fn sources(package: &str) -> PathBuf {
    root().join(package).join("src")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// None of these is in the package's tree of normal dependencies.
#[track_caller]
fn forbid(package: &str, crates: &[&str]) {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--offline", "--package", package, "--edges", "normal"]);
    let output = tree.args(["--prefix", "none", "--format", "{p}"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let found: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(found.contains(&package) && found.len() > 5, "{text}");
    for name in crates {
        assert!(!found.contains(name), "{package} depends on {name}");
    }
}
