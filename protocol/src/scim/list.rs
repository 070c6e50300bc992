//! Lists and their pages (RFC 7644 §3.4.2).

use serde::{Deserialize, Serialize};

/// The URI of the list schema.
pub const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// Which part of a list is asked for, within the limits of the standard: `startIndex` from 1, `count` from 0.
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
        let count = count.map_or(Self::MAX_COUNT, |count| u64::try_from(count).unwrap_or(0));
        Self { start_index, count: count.min(Self::MAX_COUNT) }
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
    }
}
