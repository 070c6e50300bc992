//! Lists and their pages (RFC 7644 §3.4.2).

use serde::{Deserialize, Serialize};

use crate::scim::cursor::Position;

/// The URI of the list schema.
pub const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// Which part of a list is asked for: the client chooses how it pages (RFC 9865 §2.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// As it was written before there were cursors: an ingress and a worker need not be of the same age.
#[serde(untagged)]
pub enum Paging {
    /// By index, which is the default.
    Index(Page),
    /// By cursor.
    Cursor {
        /// After which resource; from the first one without it.
        after: Option<Position>,
        /// The most resources on the page.
        count: u64,
    },
}

impl Paging {
    /// A page of a walk. Its count is brought within limits as that of a page by index is (RFC 9865 §2): a negative one
    /// is 0, and 0 asks for nothing but `totalResults`.
    pub fn cursor(after: Option<Position>, count: Option<i64>) -> Self {
        Self::Cursor { after, count: within_limits(count) }
    }
}

/// What is read of resources beside their own rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Include {
    /// A group's `members`.
    pub members: bool,
    /// A user's `groups`.
    pub groups: bool,
}

impl Include {
    /// Everything.
    pub const ALL: Self = Self { members: true, groups: true };
    /// Nothing.
    pub const NONE: Self = Self { members: false, groups: false };
}

/// Which part of a list is asked for by index, within the limits of the standard: `startIndex` from 1, `count` from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    start_index: u64,
    count: u64,
}

impl Page {
    /// The most resources that one answer holds (`filter.maxResults` in `ServiceProviderConfig`).
    pub const MAX_COUNT: u64 = 200;

    /// A page, brought within limits as RFC 7644 §3.4.2.4 says: an index below 1 is 1, a negative count is 0.
    pub fn new(start_index: Option<i64>, count: Option<i64>) -> Self {
        let start_index = u64::try_from(start_index.unwrap_or(1)).unwrap_or(1).max(1);
        Self { start_index, count: within_limits(count) }
    }

    /// The 1-based index of the first resource.
    pub const fn start_index(self) -> u64 {
        self.start_index
    }

    /// How many resources come before the page.
    pub const fn offset(self) -> u64 {
        self.start_index.saturating_sub(1)
    }

    /// The most resources on the page.
    pub const fn count(self) -> u64 {
        self.count
    }
}

fn within_limits(count: Option<i64>) -> u64 {
    count.map_or(Page::MAX_COUNT, |count| u64::try_from(count).unwrap_or(0)).min(Page::MAX_COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_brought_within_limits() {
        let limits = |page: Page| (page.start_index(), page.count());
        assert_eq!(limits(Page::new(None, None)), (1, Page::MAX_COUNT));
        assert_eq!(limits(Page::new(Some(-3), Some(-1))), (1, 0));
        assert_eq!(limits(Page::new(Some(0), Some(i64::MAX))), (1, Page::MAX_COUNT));
        assert_eq!(limits(Page::new(Some(i64::MAX), Some(2))), (i64::MAX.unsigned_abs(), 2));
        assert_eq!(Paging::cursor(None, Some(-1)), Paging::Cursor { after: None, count: 0 });
        assert_eq!(Paging::cursor(None, Some(i64::MAX)), Paging::Cursor { after: None, count: Page::MAX_COUNT });
    }

    #[test]
    fn a_page_by_index_is_written_as_ever() {
        let page = Paging::Index(Page::new(Some(3), Some(2)));
        let written = r#"{"start_index":3,"count":2}"#;
        assert_eq!(serde_json::to_string(&page).unwrap(), written);
        assert_eq!(serde_json::from_str::<Paging>(written).unwrap(), page);
    }
}
