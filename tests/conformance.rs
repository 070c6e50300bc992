//! An independent judge: scim2-tester, written by others from the RFCs, runs all its checks against a running system.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::harness::{Database, System, on_both};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance/check.py");
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance/requirements.txt");

/// How long downloading and unpacking may take, and all the checks.
const INSTALL_WITHIN: Duration = Duration::from_mins(10);
const CHECK_WITHIN: Duration = Duration::from_mins(4);

static TESTER: OnceCell<PathBuf> = OnceCell::const_new();

on_both!(an_independent_tester_finds_nothing_to_object_to);
async fn an_independent_tester_finds_nothing_to_object_to(database: Database) {
    let tester = TESTER.get_or_init(install).await;
    let system = System::start(database).await;

    let mut check = python();
    // The token goes by the environment: arguments are there for everybody to read.
    check.arg("-s").arg(SCRIPT).env("PYTHONPATH", tester).env("PYTHONDONTWRITEBYTECODE", "1");
    check.env("ROSTERD_BASE_URL", &system.scim().base_url).env("ROSTERD_TOKEN", system.token());
    let output = run(check, CHECK_WITHIN).await;

    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let failures: Vec<&str> = said.lines().filter(|line| !line.starts_with("SUCCESS")).collect();
    assert!(output.status.success(), "scim2-tester:\n{}\n{complaints}", failures.join("\n"));
    println!("{database:?}: {}", failures.join("\n"));
}

/// Installs the tester, pinned and hashed, once for all runs; the folder is named after what it holds.
async fn install() -> PathBuf {
    let requirements = std::fs::read(REQUIREMENTS).unwrap();
    let digest = Sha256::digest(&requirements);
    let digest: Vec<String> = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = base.join(format!("scim2-tester-{}-{}", digest.concat(), version().await));
    if !folder.is_dir() {
        install_into(&folder, base).await;
    }
    folder
}

/// Another process may do the same at this moment: the last step of each is one rename, and the first one stays.
async fn install_into(folder: &Path, base: &Path) {
    let work = tempfile::Builder::new().prefix("scim2-tester-").tempdir_in(base).unwrap();
    let site = work.path().join("site");
    let mut pip = python();
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-warn-conflicts"]);
    pip.args(["--root-user-action", "ignore", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
    pip.arg("--target").arg(&site).arg("--requirement").arg(REQUIREMENTS);
    let output = run(pip, INSTALL_WITHIN).await;
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "installing scim2-tester failed: {ADVICE}\n{complaints}");
    let renamed = std::fs::rename(&site, folder);
    assert!(renamed.is_ok() || folder.is_dir(), "{renamed:?}");
}

/// The Python's implementation and version: what is compiled for one is of no use to another.
async fn version() -> String {
    let mut ask = python();
    ask.args(["-c", "import sys; print(sys.implementation.cache_tag)"]);
    let output = run(ask, INSTALL_WITHIN).await;
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const ADVICE: &str = "this test needs python3, 3.11 or newer, with pip and access to a package index";

fn python() -> Command {
    let mut python = Command::new("python3");
    python.stdin(Stdio::null()).kill_on_drop(true);
    python
}

async fn run(mut command: Command, within: Duration) -> Output {
    let output = timeout(within, command.output()).await;
    output.expect("python3 took too long").unwrap_or_else(|error| panic!("running python3: {error}; {ADVICE}"))
}
