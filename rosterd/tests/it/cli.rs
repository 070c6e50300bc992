//! The command line without a system: what it says, and what it exits with.

use std::process::{Command, Output, Stdio};

fn rosterd(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    for name in ["ROSTERD_NATS_URL", "NATS_URL", "ROSTERD_DATABASE_URL", "DATABASE_URL"] {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().copied()).output().unwrap()
}

#[test]
fn an_unreachable_broker_is_exit_code_4_and_its_password_is_not_shown() {
    // Nobody listens on port 1.
    let broker = [("ROSTERD_NATS_URL", "nats://ann:s3cret@127.0.0.1:1")];
    let output = rosterd(&["workspace", "list"], &broker);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("ROSTERD_NATS_URL") && !said.contains("s3cret"), "{said}");
    assert_eq!(said.matches("refused").count(), 1, "a cause is said once: {said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_broker_url_that_cannot_be_read_is_wrong_usage() {
    let output = rosterd(&["workspace", "list"], &[("ROSTERD_NATS_URL", "nats://ann:s3cret@:4222")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn the_version_names_the_commit() {
    let output = rosterd(&["--version"], &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    let commit = said.trim_end().strip_prefix(concat!("rosterd ", env!("CARGO_PKG_VERSION"), " ("));
    let commit = commit.and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
    let is_hash = commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(is_hash || commit == "development build" || commit == "unknown", "{said}");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    assert_eq!(rosterd(&["workspace", "show", "No.Workspace"], &[]).status.code(), Some(2));
    assert_eq!(rosterd(&["token", "create"], &[]).status.code(), Some(2));
    assert_eq!(rosterd(&["nothing"], &[]).status.code(), Some(2));
}

#[test]
fn migrating_without_a_database_says_which_setting_is_missing() {
    let output = rosterd(&["migrate", "status"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ROSTERD_DATABASE_URL"));
}

#[test]
fn a_command_whose_reader_has_gone_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("rosterd.db").display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    command.args(["migrate", "up"]).env("ROSTERD_DATABASE_URL", url);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(running.stdout.take());
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn commands_for_a_running_system_say_what_is_missing() {
    let broker = [("ROSTERD_NATS_URL", "nats://127.0.0.1:1")];
    let commands: [&[&str]; 6] = [
        &["status"],
        &["check"],
        &["worker", "list"],
        &["worker", "drain", "w-1"],
        &["lane", "list"],
        &["message", "list", "--pending"],
    ];
    for arguments in commands {
        let output = rosterd(arguments, &broker);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {said}");
        assert!(said.contains("ROSTERD_NATS_URL") && output.stdout.is_empty(), "{arguments:?}: {said}");
    }
    assert_eq!(rosterd(&["lane", "pause", "urgent", "--reason", "x"], &broker).status.code(), Some(2));
    assert_eq!(rosterd(&["lane", "pause", "bulk"], &broker).status.code(), Some(2), "a reason is needed");
    assert_eq!(rosterd(&["message", "list"], &broker).status.code(), Some(2));
}

#[test]
fn a_system_whose_broker_does_not_answer_says_so_at_once() {
    let (data, began) = (tempfile::tempdir().unwrap(), std::time::Instant::now());
    let data = data.path().display().to_string();
    let output =
        rosterd(&["dev", "--data", &data, "--port", "0"], &[("ROSTERD_NATS_URL", "nats://ann:s3cret@127.0.0.1:1")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("no broker answers at the URL in --nats-url or ROSTERD_NATS_URL"), "{said}");
    assert!(said.contains("refused") && !said.contains("s3cret"), "{said}");
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn a_worker_whose_database_has_no_folder_ends_with_one_sentence() {
    let output = rosterd(&["worker"], &[("ROSTERD_DATABASE_URL", "sqlite:///no/such/folder/rosterd.db")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: opening the database: connecting to the database: the SQLite file's folder"),
        "{said}"
    );
    assert!(!said.contains("backtrace"), "{said}");
}
