//! What the documents name is there.

use std::collections::BTreeSet;
use std::path::Path;

/// The folders with which a path from the root of the repository begins.
const FOLDERS: [&str; 8] = ["protocol", "ingress", "worker", "migrations", "rosterd", "tests", "docs", "deploy"];

/// Each test that a document names: a file and a function, one after the other, in backticks.
#[test]
fn the_tests_that_conformance_names_are_there() {
    check("docs/conformance.md", 60);
}

#[test]
fn the_tests_that_faults_name_are_there() {
    check("docs/faults.md", 80);
}

/// Each file or folder that a document names by its path from the root, in backticks.
#[test]
fn the_files_that_contributing_names_are_there() {
    check_paths("CONTRIBUTING.md", 20);
}

#[test]
fn the_files_that_other_documents_name_are_there() {
    check_paths("ARCHITECTURE.md", 30);
    check_paths("docs/data-model.md", 10);
    check_paths("docs/decisions.md", 25);
    check_paths("docs/glossary.md", 0);
    check_paths("docs/operations.md", 8);
}

/// More than so many tests are named, and all of them are there.
fn check(document: &str, least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = std::fs::read_to_string(root.join(document)).unwrap();
    let mut named = 0;
    let mut missing = BTreeSet::new();
    let quoted: Vec<&str> = document.split('`').skip(1).step_by(2).collect();
    for pair in quoted.windows(2) {
        let [file, function] = pair else { continue };
        if Path::new(file).extension().is_none_or(|extension| extension != "rs") || function.contains(['/', '.', ' ']) {
            continue;
        }
        named += 1;
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        if !text.contains(&format!("fn {function}(")) {
            missing.insert(format!("{file} {function}"));
        }
    }
    assert!(named > least, "{named}");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// More than so many paths are named, and all of them are there.
fn check_paths(document: &str, least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join(document)).unwrap();
    let named: BTreeSet<&str> = text.split('`').skip(1).step_by(2).filter(|quoted| is_path(quoted)).collect();
    let missing: BTreeSet<&str> = named.iter().copied().filter(|path| !root.join(path).exists()).collect();
    assert!(named.len() > least, "{document}: {}", named.len());
    assert!(missing.is_empty(), "{document}: {missing:#?}");
}

/// A path from the root, without a part that stands for many.
fn is_path(quoted: &str) -> bool {
    let folder = quoted.split_once('/').map(|(folder, _)| folder);
    folder.is_some_and(|folder| FOLDERS.contains(&folder)) && !quoted.contains([' ', '\n', '<', '*'])
}
