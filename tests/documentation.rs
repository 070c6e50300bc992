//! What the documents name is there.

use std::collections::BTreeSet;
use std::path::Path;

/// Each test that `docs/conformance.md` names: a file and a function, one after the other, in backticks.
#[test]
fn the_tests_that_conformance_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = std::fs::read_to_string(root.join("docs/conformance.md")).unwrap();
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
    assert!(named > 60, "{named}");
    assert!(missing.is_empty(), "{missing:#?}");
}
