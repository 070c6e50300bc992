//! Credentials as rows and back.

use protocol::credential::{Credential, TokenHash};
use protocol::id::{TokenId, WorkspaceId};
use protocol::profile::Profile;
use protocol::time::Timestamp;
use sea_orm::{EntityTrait, QueryOrder};

use super::entity::credential;
use super::{Context, Store, StoreError, profiles, with_timeout};

impl Store {
    /// All credentials of all workspaces, revoked ones included, for the projection.
    pub async fn credentials(&self) -> Result<Vec<Credential>, StoreError> {
        let doing = "reading the credentials";
        with_timeout(doing, async {
            let rows = credential::Entity::find().order_by_asc(credential::Column::Id);
            let rows = rows.all(self.reader()).await.context(doing)?;
            let profiles = profiles::find(self.reader(), None).await?;
            let profile = |row: &credential::Model| profiles.get(&row.workspace).cloned().unwrap_or_default();
            let project = |row| Ok(Credential { profile: profile(&row), last_used_at: None, ..read(row)? });
            rows.into_iter().map(project).collect()
        })
        .await
    }
}

/// Reads a row; the profile is in others.
pub(crate) fn read(row: credential::Model) -> Result<Credential, StoreError> {
    let invalid = |error| StoreError::broken("reading a credential", error);
    Ok(Credential {
        id: TokenId::try_from(row.id).map_err(invalid)?,
        workspace: WorkspaceId::try_from(row.workspace).map_err(invalid)?,
        label: row.label,
        hash: TokenHash::from_hex(row.hash),
        version: row.version,
        created_at: Timestamp::from_millis(row.created_at),
        expires_at: row.expires_at.map(Timestamp::from_millis),
        revoked_at: row.revoked_at.map(Timestamp::from_millis),
        last_used_at: row.last_used_at.map(Timestamp::from_millis),
        profile: Profile::default(),
    })
}

/// Writes a row.
pub(crate) fn row(credential: &Credential) -> credential::Model {
    credential::Model {
        id: credential.id.to_string(),
        workspace: credential.workspace.to_string(),
        label: credential.label.clone(),
        hash: credential.hash.as_str().to_owned(),
        version: credential.version,
        created_at: credential.created_at.as_millis(),
        expires_at: credential.expires_at.map(Timestamp::as_millis),
        revoked_at: credential.revoked_at.map(Timestamp::as_millis),
        last_used_at: credential.last_used_at.map(Timestamp::as_millis),
    }
}
