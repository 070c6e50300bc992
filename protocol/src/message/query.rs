//! What is read, by request and reply, without going through the log.

use serde::{Deserialize, Serialize};

use crate::credential::Credential;
use crate::id::{OperationId, ResourceId, TokenId};
use crate::message::outcome::Outcome;
use crate::profile::Profile;
use crate::scim::cursor::Position;
use crate::scim::error::ScimError;
use crate::scim::filter::TypeFilter;
use crate::scim::list::{Include, Paging};
use crate::scim::members::Member;
use crate::scim::precondition::Precondition;
use crate::scim::resource::{Resource, Version};
use crate::scim::resource_type::ResourceType;
use crate::scim::sort::Sort;

/// A question about one workspace, sent to [`Namespace::queries`](crate::id::Namespace::queries).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Query {
    /// One resource by id (RFC 7644 §3.4.1).
    Get {
        /// The kind of resource.
        resource_type: ResourceType,
        /// Its id.
        id: ResourceId,
        /// When it is to be answered: RFC 7644 §3.14.
        precondition: Precondition,
        /// What is read beside its own row.
        joined: Include,
    },
    /// A page of the resources that match (RFC 7644 §3.4.2), in a total order.
    List {
        /// The kinds of resource that are searched, in this order.
        lists: Vec<TypeFilter>,
        /// What locations begin with: a filter may compare them.
        base_url: String,
        /// The order; by kind and id without it.
        sort: Option<Sort>,
        /// Which part of them.
        #[serde(rename = "page")]
        paging: Paging,
        /// What is read beside their own rows.
        joined: Include,
    },
    /// Some of a group's live members, in the order of their ids.
    Members {
        /// The group.
        group: ResourceId,
        /// Only those after this id.
        after: Option<ResourceId>,
        /// How many member rows are looked at, at most: rows without a live user or group are not answered.
        count: u64,
        /// Whether the members' names for people are read.
        display: bool,
    },
    /// What became of an operation whose outcome may have been lost on the way.
    Fate {
        /// The operation.
        operation: OperationId,
        /// Its sequence in the stream, if the log acknowledged it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
    },
    /// How the workspace's requests are read, for who has no credential to tell.
    Profile,
    /// A token that the asking ingress does not know.
    Credential {
        /// Its public part.
        token: TokenId,
    },
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// The ledger knows it.
    Ended(Outcome),
    /// The log holds it, a worker has read it as valid, and it will be applied.
    Queued,
    /// Neither ledger nor log has it under this sequence: it was late, or was lost with the log.
    Gone,
    /// The ledger does not know it, and no sequence was given to look for.
    Unknown,
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// To `Get`: the resource, or none with that id in this workspace.
    Resource {
        /// The resource.
        resource: Option<Box<Resource>>,
    },
    /// To `Get`: the resource has a version that the client has already (304).
    NotModified {
        /// That version.
        version: Version,
    },
    /// To `List`.
    List {
        /// How many match in all; in a walk by cursor, how many did when it began.
        total: u64,
        /// Those of the page.
        resources: Vec<Resource>,
        /// In a walk by cursor: after which one it goes on. None on its last page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Position>,
    },
    /// To `Members`.
    Members {
        /// The live ones.
        members: Vec<Member>,
        /// After which id to go on; none if these are the last.
        next: Option<ResourceId>,
    },
    /// To `Fate`.
    Fate {
        /// What became of it.
        fate: Fate,
    },
    /// To `Profile`.
    Profile {
        /// The profile.
        profile: Profile,
    },
    /// To `Credential`: none if this workspace has no live token of that id.
    Credential {
        /// The credential.
        credential: Option<Credential>,
    },
    /// The question was refused.
    Refused {
        /// Why, as the client sees it.
        error: ScimError,
    },
    /// The database cannot be reached now: ask again.
    Unavailable,
}
