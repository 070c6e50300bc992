//! The tables, as sea-orm sees them. The schema itself is in the crate `migrations`.
#![expect(unreachable_pub, reason = "sea-orm's derives make public items, whatever the module")]

/// A table that sea-orm is told no relations of, and in whose writes it has no say.
macro_rules! bare {
    () => {
        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    };
}

pub(crate) mod answered_create {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "answered_creates")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub operation: Uuid,
        pub answered_at: i64,
    }

    bare!();
}

pub(crate) mod attempt {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "attempts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub operation: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub n: i32,
        pub started_at: i64,
    }

    bare!();
}

pub(crate) mod audit_record {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_log")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub at: i64,
        pub actor: String,
        pub act: String,
        pub workspace: Option<String>,
        pub target: String,
        pub reason: Option<String>,
        pub counts: Json,
    }

    bare!();
}

pub(crate) mod credential {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "credentials")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub workspace: String,
        pub label: String,
        pub hash: String,
        pub version: i64,
        pub created_at: i64,
        pub expires_at: Option<i64>,
        pub revoked_at: Option<i64>,
        pub last_used_at: Option<i64>,
    }

    bare!();
}

pub(crate) mod dead_letter {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "dead_letters")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub sequence: i64,
        pub operation: Option<Uuid>,
        pub workspace: Option<String>,
        pub subject: String,
        pub headers: Json,
        pub payload: Vec<u8>,
        pub reason: String,
        pub error_fingerprint: String,
        pub dead_at: i64,
        pub cause: String,
        pub state: String,
        pub replay: i32,
        pub resource: Option<Uuid>,
        pub kind: Option<String>,
        pub accepted_at: Option<i64>,
        pub edited: Option<Vec<u8>>,
    }

    bare!();
}

pub(crate) mod dead_letter_error {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "dead_letter_errors")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub letter: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub replay: i32,
        pub at: i64,
        pub reason: String,
    }

    bare!();
}

pub(crate) mod group {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "groups")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub workspace: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub display_name: String,
        pub display_name_key: String,
        pub external_id: Option<String>,
        pub attributes: Json,
        pub search: Json,
        pub ownership: Json,
        pub member_count: i64,
        pub version: i64,
        pub last_sequence: i64,
        pub created_at: i64,
        pub modified_at: i64,
        pub created_by: Option<Uuid>,
        pub provider_sequence: i64,
    }

    bare!();
}

pub(crate) mod group_member {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "group_members")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub workspace: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub group_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub member_id: Uuid,
    }

    bare!();
}

pub(crate) mod log_numbering {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "log_numbering")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub epoch: i32,
        pub shift: i64,
        pub since: i64,
        pub inherited: i64,
        pub highest: i64,
        pub began_at: i64,
    }

    bare!();
}

pub(crate) mod operation {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "operations")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub operation: Uuid,
        pub workspace: String,
        pub resource_type: String,
        pub resource: Uuid,
        pub kind: String,
        pub lane: String,
        pub sequence: i64,
        pub token: Option<String>,
        pub fingerprint: String,
        pub state: String,
        pub status: i16,
        pub scim_type: Option<String>,
        pub detail: Option<String>,
        pub version: Option<i64>,
        pub accepted_at: i64,
        pub applied_at: i64,
        pub replay: i32,
        pub ingress: Option<String>,
        pub duplicate_of: Option<Uuid>,
        pub yielded: bool,
    }

    bare!();
}

pub(crate) mod replay {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "replays")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub state: String,
        pub filter: String,
        pub forced: bool,
        pub rate: Option<i32>,
        pub max_failures: Option<i32>,
        pub actor: String,
        pub reason: Option<String>,
        pub created_at: i64,
        pub started_at: Option<i64>,
        pub ended_at: Option<i64>,
        pub note: Option<String>,
        pub lease_holder: Option<String>,
        pub lease_until: i64,
    }

    bare!();
}

pub(crate) mod replay_item {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "replay_items")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub replay: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub letter: i64,
        pub number: i32,
        pub operation: Option<Uuid>,
        pub predicted: Option<String>,
        pub predicted_detail: Option<String>,
        pub state: String,
        pub detail: Option<String>,
        pub attempt: i32,
        pub sent_at: Option<i64>,
        pub sequence: Option<i64>,
    }

    bare!();
}

pub(crate) mod schema {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "schemas")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub workspace: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub urn: String,
        pub definition: Json,
        pub changed_at: i64,
    }

    bare!();
}

pub(crate) mod settled_copy {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "settled_copies")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub sequence: i64,
        pub reason: String,
        pub settled_at: i64,
        pub workspace: Option<String>,
        pub operation: Option<Uuid>,
    }

    bare!();
}

pub(crate) mod user {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub workspace: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub user_name: String,
        pub user_name_key: String,
        pub display_name: Option<String>,
        pub display_name_key: Option<String>,
        pub external_id: Option<String>,
        pub active: bool,
        pub active_seq: i64,
        pub active_arrived: Option<i64>,
        pub attributes: Json,
        pub search: Json,
        pub ownership: Json,
        pub version: i64,
        pub last_sequence: i64,
        pub created_at: i64,
        pub modified_at: i64,
        pub created_by: Option<Uuid>,
        pub provider_sequence: i64,
    }

    bare!();
}

pub(crate) mod user_email {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "user_emails")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub workspace: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub value: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: Uuid,
    }

    bare!();
}

pub(crate) mod workspace {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "workspaces")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub name: String,
        pub enabled: bool,
        pub version: i64,
        pub created_at: i64,
        pub updated_at: i64,
        pub dialect: Option<String>,
        pub seen_dialect: Option<String>,
        pub paused_at: Option<i64>,
        pub pause_reason: Option<String>,
    }

    bare!();
}
