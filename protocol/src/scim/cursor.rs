//! Cursors (RFC 9865): after which resource a walk through a list goes on, as text that only this file reads.
//!
//! A cursor holds the place of the last resource that was shown, not a place in a list that the server keeps: nothing has
//! to be remembered for it, it never expires, and what is created or deleted meanwhile shifts no page. It is no secret and
//! gives no access: every page is asked for with a token, and read in that token's workspace only.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::id::ResourceId;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::TypeFilter;
use crate::scim::resource_type::ResourceType;
use crate::scim::sort::{KeyKind, Sort};

/// The resource after which a walk goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// How many resources matched when the walk began: later pages do not count again.
    pub total: u64,
    /// Its kind.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: ResourceId,
    /// By what it was sorted; none in a list that is not sorted.
    pub key: Option<SortKey>,
}

/// The value of a resource by which a list is sorted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SortKey {
    /// There is none.
    Unassigned,
    /// [`KeyKind::Text`], as it is compared.
    Text(String),
    /// [`KeyKind::Number`].
    Number(f64),
}

impl SortKey {
    /// By so many of its first characters a text is sorted; where they are equal, by id. It keeps a cursor short enough
    /// for any URL, and the same order is that of pages by index. A part of a longer key would name no place: equal parts
    /// may be in any order of their rests.
    pub const MAX_CHARACTERS: usize = 512;

    fn fits(&self, kind: KeyKind) -> bool {
        match (self, kind) {
            (Self::Unassigned, _) => true,
            // PostgreSQL takes no NUL, and nothing that is stored has one.
            (Self::Text(text), KeyKind::Text) => text.chars().count() <= Self::MAX_CHARACTERS && !text.contains('\0'),
            (Self::Number(number), KeyKind::Number) => number.is_finite(),
            (Self::Text(_), KeyKind::Number) | (Self::Number(_), KeyKind::Text) => false,
        }
    }
}

/// The cursors of one query. Each page has to be asked for with the same one (RFC 9865 §2).
#[derive(Debug, Clone)]
pub struct CursorCodec {
    kinds: Vec<ResourceType>,
    key: Option<KeyKind>,
    query: Sha256,
}

impl CursorCodec {
    /// The longest text that is read, in bytes; none that is written is longer.
    pub const MAX_LENGTH: usize = 4 * 1024;

    /// Those of a query: which resources, in which order. How many of them and what is shown of them may change.
    pub fn of(lists: &[TypeFilter], sort: Option<&Sort>) -> Self {
        let mut query = Sha256::new();
        for TypeFilter { resource_type, filter } in lists {
            let filter = filter.as_ref().map_or_else(String::new, ToString::to_string);
            query.update(format!("{}\0{filter}\0", resource_type.name()));
        }
        if let Some(sort) = sort {
            query.update(format!("{}\0", sort.descending));
            sort.by.iter().for_each(|path| query.update(format!("{path}\0")));
        }
        let kinds = lists.iter().map(|list| list.resource_type).collect();
        Self { kinds, key: sort.map(Sort::key_kind), query }
    }

    /// The cursor for a position, in characters that a URL needs not escape.
    pub fn write(&self, position: &Position) -> String {
        let content = content(position);
        BASE64_URL_SAFE_NO_PAD.encode([self.seal(&content).as_slice(), &content].concat())
    }

    /// The position of a cursor: 400 `invalidCursor` if it is none, or one of another query.
    pub fn read(&self, text: &str) -> Result<Position, ScimError> {
        let bytes = (text.len() <= Self::MAX_LENGTH).then(|| BASE64_URL_SAFE_NO_PAD.decode(text).ok()).flatten();
        bytes.and_then(|bytes| self.position(&bytes)).ok_or_else(|| {
            let detail = "cursor must be empty, or the nextCursor of this very query's previous page";
            ScimError::bad_request(ScimType::InvalidCursor, detail)
        })
    }

    fn position(&self, bytes: &[u8]) -> Option<Position> {
        let (seal, content) = bytes.split_first_chunk()?;
        let position = (*seal == self.seal(content)).then(|| parsed(content)).flatten()?;
        let fits = match (&position.key, self.key) {
            (None, None) => true,
            (Some(key), Some(kind)) => key.fits(kind),
            (None, Some(_)) | (Some(_), None) => false,
        };
        (fits && self.kinds.contains(&position.resource_type)).then_some(position)
    }

    /// What shows a cursor that was damaged, or is another query's. It is no signature: what is read is
    /// checked as if there were no seal.
    fn seal(&self, content: &[u8]) -> [u8; 8] {
        let digest: [u8; 32] = self.query.clone().chain_update(content).finalize().into();
        digest.first_chunk().copied().unwrap_or_default()
    }
}

/// The first byte of the content: how the rest is to be read.
const VERSION: u8 = 1;

const USER: u8 = 0;
const GROUP: u8 = 1;

const UNSORTED: u8 = 0;
const UNASSIGNED: u8 = 1;
const TEXT: u8 = 2;
const NUMBER: u8 = 3;

fn content(Position { total, resource_type, id, key }: &Position) -> Vec<u8> {
    let kind = match resource_type {
        ResourceType::User => USER,
        ResourceType::Group => GROUP,
    };
    let mut content = vec![VERSION];
    content.extend(total.to_be_bytes());
    content.push(kind);
    content.extend(id.0.as_bytes());
    match key {
        None => content.push(UNSORTED),
        Some(SortKey::Unassigned) => content.push(UNASSIGNED),
        Some(SortKey::Text(text)) => {
            content.push(TEXT);
            content.extend(text.as_bytes());
        }
        Some(SortKey::Number(number)) => {
            content.push(NUMBER);
            content.extend(number.to_be_bytes());
        }
    }
    content
}

fn parsed(content: &[u8]) -> Option<Position> {
    let ([VERSION], rest) = content.split_first_chunk()? else { return None };
    let (total, rest) = rest.split_first_chunk()?;
    let ([kind], rest) = rest.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let ([form], key) = rest.split_first_chunk()?;
    let resource_type = match *kind {
        USER => ResourceType::User,
        GROUP => ResourceType::Group,
        _ => return None,
    };
    let key = match (*form, key) {
        (UNSORTED, []) => None,
        (UNASSIGNED, []) => Some(SortKey::Unassigned),
        (TEXT, text) => Some(SortKey::Text(str::from_utf8(text).ok()?.to_owned())),
        (NUMBER, number) => Some(SortKey::Number(f64::from_be_bytes(number.try_into().ok()?))),
        _ => return None,
    };
    Some(Position { total: u64::from_be_bytes(*total), resource_type, id: ResourceId(Uuid::from_bytes(*id)), key })
}
