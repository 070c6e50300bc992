//! Programs that a few tests need and that few machines have: found, or installed as root on Debian and its kin.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where distributions put them, beside `PATH`.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"];

/// Finds a program, or installs the package that has it.
pub(crate) fn find_or_install(program: &str, package: &str) -> PathBuf {
    find(program).or_else(|| install(package).and_then(|()| find(program))).unwrap_or_else(|| {
        panic!("{program} is missing, and these tests need it: install it (apt-get install {package})")
    })
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|program| program.is_file())
}

fn install(package: &str) -> Option<()> {
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/apt-get").exists() {
        return None;
    }
    eprintln!("{package} is missing: installing it by apt-get");
    for arguments in [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends", package]] {
        Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status().ok()?;
    }
    Some(())
}
