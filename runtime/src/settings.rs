//! Settings that all processes have. A secret is no argument, which every process of the machine could read: it comes
//! from a file or the environment, and prints as `***`.

use std::fmt;
use std::fs::{File, read_to_string};
use std::path::{Path, PathBuf};

use clap::Args;
use protocol::id::Namespace;

/// Where the broker is, and whose subjects there are ours.
#[derive(Debug, Clone, Args)]
pub struct BrokerSettings {
    /// File that holds the broker's URL [or: `ROSTERD_NATS_URL`].
    #[arg(long, env = "ROSTERD_NATS_URL_FILE", global = true, value_name = "FILE")]
    pub(crate) nats_url_file: Option<PathBuf>,

    /// File that holds the credentials for the broker: a JWT and the seed of its key.
    #[arg(long, env = "ROSTERD_NATS_CREDENTIALS_FILE", global = true, value_name = "FILE")]
    pub nats_credentials_file: Option<PathBuf>,

    /// File that holds the certificate of the authority that the broker's certificate comes from, in PEM.
    #[arg(long, env = "ROSTERD_NATS_CA_FILE", global = true, value_name = "FILE")]
    pub nats_ca_file: Option<PathBuf>,

    /// What all subjects, streams and buckets of this installation begin with.
    #[arg(long, env = "ROSTERD_NAMESPACE", default_value = "rosterd", global = true)]
    pub namespace: Namespace,

    /// The broker's URL, when the caller knows it.
    #[arg(skip)]
    pub(crate) nats_url: Option<NatsUrl>,
}

impl BrokerSettings {
    /// A broker whose URL is known, without credentials.
    pub fn known(nats_url: &str, namespace: Namespace) -> Self {
        let nats_url = Some(NatsUrl::new(nats_url));
        Self { nats_url_file: None, nats_credentials_file: None, nats_ca_file: None, namespace, nats_url }
    }

    /// The broker's URL: the caller's, the file's, the environment's, or the local default.
    pub fn url(&self) -> Result<NatsUrl, SettingsError> {
        if let Some(url) = &self.nats_url {
            return Ok(url.clone());
        }
        let given = Secret::given(self.nats_url_file.as_deref(), &["ROSTERD_NATS_URL", "NATS_URL"])?;
        Ok(NatsUrl(given.unwrap_or_else(|| Secret::new("nats://127.0.0.1:4222"))))
    }
}

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseSettings {
    /// File that holds the database's URL [or: `ROSTERD_DATABASE_URL`].
    #[arg(long, env = "ROSTERD_DATABASE_URL_FILE", global = true, value_name = "FILE")]
    database_url_file: Option<PathBuf>,
}

impl DatabaseSettings {
    /// The database's URL: from the file or the environment.
    pub fn url(&self) -> Result<Secret, SettingsError> {
        let given = Secret::given(self.database_url_file.as_deref(), &["ROSTERD_DATABASE_URL", "DATABASE_URL"])?;
        given.ok_or(SettingsError::NoDatabase)
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The database is not named.
    #[error("no database: set ROSTERD_DATABASE_URL or ROSTERD_DATABASE_URL_FILE")]
    NoDatabase,
    /// A file that a setting names cannot be read.
    #[error("reading {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl SettingsError {
    /// That this file cannot be read.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

/// That this file is there and may be read; its reader tries again for ever otherwise.
pub(crate) fn check_readable(path: &Path) -> Result<(), SettingsError> {
    File::open(path).map(drop).map_err(SettingsError::file(path))
}

/// What must not be printed: a token, or a URL with a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// From its file, else from the first of these environment variables that is set.
    pub fn given(file: Option<&Path>, variables: &[&str]) -> Result<Option<Self>, SettingsError> {
        let Some(path) = file else { return Ok(variables.iter().find_map(|name| environment(name)).map(Self)) };
        let text = read_to_string(path).map_err(SettingsError::file(path))?;
        Ok(Some(Self::new(text.trim())))
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

#[expect(clippy::disallowed_methods, reason = "a secret must not be an argument, so it is no clap field")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The broker's URL, or several separated by commas. It may hold passwords: it prints without them.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl(Secret);

impl NatsUrl {
    /// Takes a URL, or several separated by commas.
    pub fn new(url: impl Into<String>) -> Self {
        Self(Secret::new(url))
    }

    /// The servers' URLs, secrets included.
    pub fn reveal(&self) -> Vec<String> {
        self.0.reveal().split(',').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect()
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, url) in self.reveal().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
            let shown = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, host)| format!("***@{host}"));
            write!(f, "{comma}{scheme}://{shown}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_url_prints_without_its_password() {
        let url = NatsUrl::new("nats://alice:s3cret@one:4222, tls://t0ken@two:4222,nats://three:4222");
        assert_eq!(format!("{url:?}"), "nats://***@one:4222,tls://***@two:4222,nats://three:4222");
        assert_eq!(url.reveal().len(), 3);
        assert_eq!(format!("{:?}", Secret::new("postgres://alice:s3cret@one/rosterd")), "***");
    }
}
