//! What a fixture holds: requests as a provider sends them, and what it needs of the answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

/// One file: a stretch of what a provider does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    /// The file's name.
    #[serde(skip)]
    pub(crate) name: String,
    /// What the provider does here, and what it never does.
    #[serde(rename = "about")]
    _about: String,
    /// The dialect that the workspace is given before, where the requests do not tell it and need it.
    #[serde(default)]
    pub(crate) dialect: Option<String>,
    /// What every request carries; one without `user-agent` is sent without any.
    pub(crate) headers: BTreeMap<String, String>,
    /// The requests, in their order.
    pub(crate) steps: Vec<Step>,
}

/// One request, or one act of the product.
///
/// `{name}` stands for what an earlier step kept, in the request, the body and the expectation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// What is done.
    #[serde(rename = "step")]
    pub(crate) what: String,
    /// Method and target below the Base URL, as they are on the wire.
    #[serde(default)]
    pub(crate) request: Option<String>,
    /// Whom the product gives which zone, instead of a request.
    #[serde(default)]
    pub(crate) set_timezone: Option<(String, String)>,
    /// Headers that this request carries in addition, or instead.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: Option<Value>,
    /// The body is that of the last answer with these members: so does a provider update that reads first.
    #[serde(default)]
    pub(crate) last_body_with: Option<Map<String, Value>>,
    #[serde(default)]
    pub(crate) expect: Expectation,
    /// What later steps call the value at a pointer.
    #[serde(default)]
    pub(crate) keep: BTreeMap<String, String>,
}

/// What the provider needs of an answer; places in the body are JSON pointers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expectation {
    pub(crate) status: Option<Statuses>,
    /// These are so.
    pub(crate) equal: BTreeMap<String, Value>,
    /// These are there.
    pub(crate) exist: Vec<String>,
    /// These are not there, or null.
    pub(crate) absent: Vec<String>,
    /// The lists there have these as their elements' `value`, in any order; a missing list has none.
    pub(crate) values: BTreeMap<String, Vec<String>>,
}

/// The statuses that the provider takes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Statuses {
    One(u16),
    OneOf(Vec<u16>),
}

impl Statuses {
    pub(crate) fn take(&self, status: u16) -> bool {
        match self {
            Self::One(one) => *one == status,
            Self::OneOf(several) => several.contains(&status),
        }
    }
}

/// The fixtures of a provider, in the order of their names.
pub(crate) fn of_provider(provider: &str) -> Vec<Fixture> {
    let mut files: Vec<PathBuf> = entries(&folder().join(provider));
    files.sort_unstable();
    files.iter().map(read).collect()
}

/// The names of the folders; those of the standard's examples are nobody's.
pub(crate) fn providers() -> Vec<String> {
    let names = entries(&folder()).into_iter().map(|path| path.file_name().unwrap().display().to_string());
    names.filter(|name| !name.starts_with("rfc")).collect()
}

fn read(file: &PathBuf) -> Fixture {
    let text = std::fs::read_to_string(file).unwrap();
    let mut fixture: Fixture =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    fixture.name = format!(
        "{}/{}",
        file.parent().and_then(|folder| folder.file_name()).unwrap_or_default().display(),
        file.file_name().unwrap_or_default().display()
    );
    fixture
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/testdata")
}

fn entries(folder: &PathBuf) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}
