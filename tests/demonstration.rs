//! `rosterd demo`: one command that shows the whole system, and cleans up.

use crate::harness::demo;

#[tokio::test]
async fn the_demo_verifies_everything_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let said = demo(folder.path()).await.expect_success();
    let shown = format!("{}{}", said.stdout, said.stderr);
    assert!(shown.contains("500") && shown.contains("20"), "{shown}");
    assert_eq!(shown.matches(".cmd.").count(), 3, "three dead letters are shown: {shown}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let own = folder.path().display().to_string();
    let running: Vec<String> = command_lines().filter(|line| line.contains(&own)).collect();
    assert!(running.is_empty(), "still running: {running:?}");
}

/// The command line of every process.
fn command_lines() -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    entries.filter_map(|path| std::fs::read(path).ok()).map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
}
