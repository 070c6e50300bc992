//! Settings that all processes have. A secret is no argument, which every process of the machine could read: it comes
//! from a file or the environment, and prints as `***`.

use std::fmt;
use std::fs::{File, read_to_string};
use std::path::{Path, PathBuf};

use clap::Args;
use percent_encoding::percent_decode_str;
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
        let given = match &self.nats_url {
            Some(NatsUrl(url)) => Some(url.clone()),
            None => Secret::given(self.nats_url_file.as_deref(), &["ROSTERD_NATS_URL", "NATS_URL"])?,
        };
        let url = NatsUrl(given.unwrap_or_else(|| Secret::new("nats://127.0.0.1:4222")));
        if url.servers().is_empty() { Err(SettingsError::NoServer) } else { Ok(url) }
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
    /// The broker's URL is only commas.
    #[error("the broker's URL names no server")]
    NoServer,
    /// Each server of the broker's URL has its own, and the client has one for all of them.
    #[error("the broker's URL has different users or passwords: give each server the same")]
    Logins,
    /// A file that a setting names has no text: it may have been mounted before it was filled.
    #[error("{path} is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
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
        match text.trim() {
            "" => Err(SettingsError::Empty { path: path.to_owned() }),
            text => Ok(Some(Self::new(text))),
        }
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

/// What a URL has before its host: `user:password`, or a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Token(Secret),
    Password { user: String, password: Secret },
}

impl NatsUrl {
    /// Takes a URL, or several separated by commas.
    pub fn new(url: impl Into<String>) -> Self {
        Self(Secret::new(url))
    }

    /// The servers' URLs without users, passwords and tokens: the broker's client prints URLs, and does not use those.
    pub fn servers(&self) -> Vec<String> {
        self.parts().map(|(scheme, _, host)| format!("{scheme}://{host}")).collect()
    }

    /// Who connects: the same for all servers.
    pub(crate) fn login(&self) -> Result<Option<Login>, SettingsError> {
        let mut logins = self.parts().filter_map(|(_, login, _)| login);
        let Some(first) = logins.next() else { return Ok(None) };
        if logins.any(|other| other != first) {
            return Err(SettingsError::Logins);
        }
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Ok(Some(match first.split_once(':') {
            None => Login::Token(Secret::new(decoded(first))),
            Some((user, password)) => Login::Password { user: decoded(user), password: Secret::new(decoded(password)) },
        }))
    }

    /// Scheme, what is before the host, and host with port, of each server.
    fn parts(&self) -> impl Iterator<Item = (&str, Option<&str>, &str)> {
        let urls = self.0.reveal().split(',').map(str::trim).filter(|url| !url.is_empty());
        urls.map(|url| {
            let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
            match rest.rsplit_once('@') {
                Some((login, host)) => (scheme, Some(login), host),
                None => (scheme, None, rest),
            }
        })
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (scheme, login, host)) in self.parts().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let login = if login.is_some() { "***@" } else { "" };
            // A password with a comma, which has to be written as %2C, would be taken for a port.
            let port = host.rsplit_once(':').map(|(_, port)| port);
            let is_port =
                port.is_none_or(|port| port.trim_end_matches(['/', ']']).bytes().all(|byte| byte.is_ascii_hexdigit()));
            write!(f, "{comma}{scheme}://{login}{}", if is_port { host } else { "***" })?;
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
        assert_eq!(url.servers(), ["nats://one:4222", "tls://two:4222", "nats://three:4222"]);
        assert!(matches!(url.login(), Err(SettingsError::Logins)));
        let with_comma = NatsUrl::new("nats://alice:s3,cret@one:4222");
        assert_eq!(format!("{with_comma}"), "nats://***,nats://***@one:4222");
        assert_eq!(format!("{:?}", Secret::new("postgres://alice:s3cret@one/rosterd")), "***");
    }

    #[test]
    fn what_is_before_the_host_says_who_connects() {
        let login = |url| NatsUrl::new(url).login().unwrap();
        let password = Secret::new("s3:cret@,");
        let alice = Some(Login::Password { user: "alice".to_owned(), password });
        assert_eq!(login("nats://alice:s3%3Acret%40%2C@one,nats://alice:s3%3Acret%40%2C@two"), alice);
        assert_eq!(login("one,tls://t0ken@two"), Some(Login::Token(Secret::new("t0ken"))));
        assert_eq!(login("nats://one:4222"), None);
    }

    #[test]
    fn a_setting_without_text_is_an_error_and_no_endless_search_for_a_server() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let known = |url| BrokerSettings::known(url, "test".parse().unwrap());
        assert!(matches!(known(" , ").url(), Err(SettingsError::NoServer)));
        let of_file = BrokerSettings { nats_url: None, nats_url_file: Some(empty.path().to_owned()), ..known("") };
        assert!(matches!(of_file.url(), Err(SettingsError::Empty { .. })));
    }
}
