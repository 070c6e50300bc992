//! `rosterd schema`: a workspace's own extension schemas.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use protocol::id::WorkspaceId;
use protocol::message::operator::{SchemaAdd, SchemaList};
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::{ExtensionJson, SchemaJson};
use serde_json::json;

use super::acting::Acting;
use super::connection::OperatorCommand;
use super::output::{print, table};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Add an extension schema from a file, or add attributes to one.
    #[command(after_help = FILE)]
    Add {
        /// To which workspace.
        workspace: WorkspaceId,
        /// The file.
        file: PathBuf,
        /// Which resources may have its attributes.
        #[arg(long = "for", value_name = "KIND", default_value = "user")]
        kind: Kind,
        #[command(flatten)]
        acting: Acting,
    },
    /// List a workspace's own schemas.
    #[command(after_help = "\
Example:\n  rosterd schema list acme\n\nWith -o json: {schemas: [{resource_type, schema}]}.")]
    List {
        /// Of which workspace.
        workspace: WorkspaceId,
    },
}

const FILE: &str = "\
Example:
  rosterd schema add acme acme-user.json

The file is one schema as RFC 7643 §7 writes it:
  {\"id\": \"urn:acme:scim:schemas:extension:2.0:User\", \"name\": \"Acme\",
   \"attributes\": [{\"name\": \"badge\", \"type\": \"string\", \"caseExact\": true}]}
What is left out has the standard's default. Requests may send the attributes from the moment on
at which the command returns. An attribute that is there stays as it is.";

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    User,
    Group,
}

pub(super) async fn run(OperatorCommand { connection, action }: OperatorCommand<Action>) -> anyhow::Result<()> {
    let management = connection.open().await?;
    let schemas = match action {
        Action::Add { workspace, file, kind, acting } => {
            let resource_type = match kind {
                Kind::User => ResourceType::User,
                Kind::Group => ResourceType::Group,
            };
            let schema = ExtensionJson { resource_type, schema: read(&file)? };
            schema.check().map_err(|wrong| anyhow::anyhow!("{}: {wrong}", file.display()))?;
            management.call(SchemaAdd { workspace, schema, by: acting.by() }).await?
        }
        Action::List { workspace } => management.call(SchemaList { workspace }).await?,
    };
    print(connection.output, &json!({ "schemas": schemas }), || table_of(&schemas))
}

fn read(file: &Path) -> anyhow::Result<SchemaJson> {
    let size = std::fs::metadata(file).with_context(|| format!("reading {}", file.display()))?.len();
    anyhow::ensure!(size <= MAX_BYTES, "{} is larger than {MAX_BYTES} bytes", file.display());
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a schema", file.display()))
}

fn table_of(schemas: &[ExtensionJson]) -> String {
    table(
        ["FOR", "SCHEMA", "NAME", "ATTRIBUTES"],
        schemas.iter().map(|ExtensionJson { resource_type, schema }| {
            let attributes: Vec<&str> = schema.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
            [resource_type.name().to_owned(), schema.id.clone(), schema.name.clone(), attributes.join(", ")]
        }),
    )
}
