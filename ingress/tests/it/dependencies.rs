//! What the ingress is built from.

use std::process::Command;

#[test]
fn no_database_driver_is_in_the_dependency_tree() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "ingress", "--edges", "normal", "--prefix", "none", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let packages: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(packages.contains(&"async-nats"), "the tree was read");
    for driver in
        ["sqlx", "sqlx-core", "sea-orm", "sea-query", "libsqlite3-sys", "rusqlite", "tokio-postgres", "postgres"]
    {
        assert!(!packages.contains(&driver), "{driver} is in the dependency tree of the ingress");
    }
}
