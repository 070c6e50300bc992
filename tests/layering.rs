//! Who may know what: seen in the dependency trees, where it cannot be argued away.

use std::path::Path;
use std::process::Command;

#[test]
fn the_ingress_has_no_database_driver() {
    forbid(
        "ingress",
        &["sea-orm", "sqlx", "sqlx-core", "sqlx-postgres", "sqlx-sqlite", "libsqlite3-sys", "tokio-postgres"],
    );
}

#[test]
fn the_worker_is_no_http_server() {
    forbid("worker", &["axum", "axum-core", "tower-http"]);
}

#[test]
fn the_protocol_does_no_io() {
    forbid("protocol", &["tokio", "sea-orm", "sqlx-core", "axum", "async-nats", "reqwest", "rand", "mio"]);
}

#[test]
fn migrations_know_only_sql() {
    forbid("migrations", &["protocol", "axum", "async-nats", "worker", "ingress"]);
}

#[test]
fn there_is_one_tls_provider() {
    for package in ["ingress", "worker", "rosterd"] {
        forbid(package, &["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"]);
    }
}

/// None of these is in the package's tree of normal dependencies.
#[track_caller]
fn forbid(package: &str, crates: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--offline", "--package", package, "--edges", "normal"]);
    let output = tree.args(["--prefix", "none", "--format", "{p}"]).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let found: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(found.contains(&package) && found.len() > 5, "{text}");
    for name in crates {
        assert!(!found.contains(name), "{package} depends on {name}");
    }
}
