//! What is read, by request and reply, without going through the log. Each query is a struct; the table below gives it a
//! reply.

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

/// A query, and the type of what answers it.
pub trait TypedQuery: Into<Query> {
    /// What answers it.
    type Reply;

    /// The reply that an answer holds.
    fn reply(answer: Answer) -> Result<Self::Reply, NoReply>;
}

/// Why an answer holds no reply.
#[derive(Debug, Clone, PartialEq)]
pub enum NoReply {
    /// The query was refused: why, as the client sees it.
    Refused(ScimError),
    /// The database cannot be reached now.
    Unavailable,
}

/// Makes one message of all queries and one of all replies.
macro_rules! queries {
    ($($name:ident: $query:ident -> $reply:ty;)*) => {
        /// A query about one workspace as it is sent to [`Namespace::queries`](crate::id::Namespace::queries).
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Query {
            $(#[doc = concat!("A [`", stringify!($query), "`].")] $name($query),)*
        }

        /// The answer to a [`Query`] as it is sent.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Answer {
            $(#[doc = concat!("To a [`", stringify!($query), "`].")] $name($reply),)*
            /// The query was refused.
            Refused {
                /// Why, as the client sees it.
                error: ScimError,
            },
            /// The database cannot be reached now: ask again.
            Unavailable,
        }

        $(
            impl From<$query> for Query {
                fn from(query: $query) -> Self {
                    Self::$name(query)
                }
            }

            impl TypedQuery for $query {
                type Reply = $reply;

                fn reply(answer: Answer) -> Result<$reply, NoReply> {
                    match answer {
                        Answer::$name(reply) => Ok(reply),
                        other => Err(other.no_reply()),
                    }
                }
            }
        )*
    };
}

queries! {
    Get: GetResource -> Found;
    List: ListResources -> ResourcePage;
    Members: ListMembers -> MemberPage;
    Fate: GetFate -> Fate;
    Profile: GetProfile -> Profile;
    Credential: GetCredential -> Option<Credential>;
}

impl Query {
    /// As it is sent.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Reads one that was sent.
    pub fn decode(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }
}

impl Answer {
    /// As it is sent.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Reads one that was sent.
    pub fn decode(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    fn no_reply(self) -> NoReply {
        match self {
            Self::Unavailable => NoReply::Unavailable,
            Self::Refused { error } => NoReply::Refused(error),
            _ => NoReply::Refused(ScimError::new(500, "a worker's answer does not fit the question")),
        }
    }
}

/// One resource by id (RFC 7644 §3.4.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetResource {
    /// The kind of resource.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: ResourceId,
    /// When it is to be answered: RFC 7644 §3.14.
    pub precondition: Precondition,
    /// What is read beside its own row.
    pub joined: Include,
}

/// What a [`GetResource`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Found {
    /// The resource.
    Resource(Box<Resource>),
    /// None with that id in this workspace.
    Nothing,
    /// The resource has a version that the client has already (304).
    NotModified {
        /// That version.
        version: Version,
    },
    /// The resource has another version than the client asked for (412).
    PreconditionFailed,
}

/// A page of the resources that match (RFC 7644 §3.4.2), in a total order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListResources {
    /// The kinds of resource that are searched, in this order.
    pub lists: Vec<TypeFilter>,
    /// What locations begin with: a filter may compare them.
    pub base_url: String,
    /// The order; by kind and id without it.
    pub sort: Option<Sort>,
    /// Which part of them.
    #[serde(rename = "page")]
    pub paging: Paging,
    /// What is read beside their own rows.
    pub joined: Include,
}

/// A page of resources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourcePage {
    /// How many match in all; in a walk by cursor, how many did when it began.
    pub total: u64,
    /// Those of the page.
    pub resources: Vec<Resource>,
    /// In a walk by cursor: after which one it goes on. None on its last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Position>,
}

/// Some of a group's live members, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListMembers {
    /// The group.
    pub group: ResourceId,
    /// Only those after this id.
    pub after: Option<ResourceId>,
    /// How many member rows are looked at, at most: rows without a live user or group are not answered.
    pub count: u64,
    /// Whether the members' names for people are read.
    pub display: bool,
}

/// A page of a group's members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberPage {
    /// The live ones.
    pub members: Vec<Member>,
    /// After which id to go on; none if these are the last.
    pub next: Option<ResourceId>,
}

/// What became of an operation whose outcome may have been lost on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetFate {
    /// The operation.
    pub operation: OperationId,
    /// Its sequence in the stream, if the log acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
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

/// How the workspace's requests are read, for who has no credential to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetProfile {}

/// A token that the asking ingress does not know. None if this workspace has no live token of that id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetCredential {
    /// Its public part.
    pub token: TokenId,
}
