//! What the documents name is there.

use std::collections::BTreeSet;
use std::path::Path;

/// Each test that a document names: a file and a function, one after the other, in backticks.
#[test]
fn the_tests_that_conformance_names_are_there() {
    check("docs/conformance.md", 60);
}

#[test]
fn the_tests_that_faults_name_are_there() {
    check("docs/faults.md", 80);
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
