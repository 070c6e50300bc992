//! A filter over several kinds of resource at once (RFC 7644 §3.4.2.1): an attribute that a kind lacks has no value
//! there.

use std::collections::BTreeSet;

use super::resolve::{Lack, parse_lenient};
use super::{Filter, TypeFilter};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::Extensions;

impl Filter {
    /// Reads one filter for each of the kinds: 400 `invalidFilter` if none of them has an attribute that it names. A kind
    /// of which nothing can match is left out; one of which everything matches comes without a filter.
    pub fn parse_for_each(
        extensions: &Extensions,
        kinds: &[ResourceType],
        text: &str,
    ) -> Result<Vec<TypeFilter>, ScimError> {
        let mut lists = Vec::with_capacity(kinds.len());
        let mut unknown: Option<BTreeSet<String>> = None;
        for kind in kinds {
            let Lack { filter, lacking } = parse_lenient(&extensions.of(*kind), text)?;
            unknown = Some(match unknown {
                None => lacking,
                Some(unknown) => unknown.intersection(&lacking).cloned().collect(),
            });
            match simplified(filter) {
                Simple::Nothing => {}
                Simple::Everything => lists.push(TypeFilter { resource_type: *kind, filter: None }),
                Simple::Some(filter) => lists.push(TypeFilter { resource_type: *kind, filter: Some(filter) }),
            }
        }
        match unknown.and_then(|unknown| unknown.into_iter().next()) {
            Some(path) => {
                let detail = format!("no kind of resource has an attribute '{path}'");
                Err(ScimError::bad_request(ScimType::InvalidFilter, detail))
            }
            None => Ok(lists),
        }
    }
}

/// What a filter comes to when attributes that are not there have been decided.
enum Simple {
    Everything,
    Nothing,
    Some(Filter),
}

/// Takes out the empty `and` (everything) and `or` (nothing) by which [`parse_lenient`] stands for what was decided.
fn simplified(filter: Filter) -> Simple {
    match filter {
        Filter::And(filters) => joined(filters, true),
        Filter::Or(filters) => joined(filters, false),
        Filter::Not(filter) => match simplified(*filter) {
            Simple::Everything => Simple::Nothing,
            Simple::Nothing => Simple::Everything,
            Simple::Some(filter) => Simple::Some(Filter::Not(Box::new(filter))),
        },
        other => Simple::Some(other),
    }
}

fn joined(filters: Vec<Filter>, all: bool) -> Simple {
    let mut left = Vec::with_capacity(filters.len());
    for filter in filters {
        match (simplified(filter), all) {
            (Simple::Everything, true) | (Simple::Nothing, false) => {}
            (Simple::Everything, false) => return Simple::Everything,
            (Simple::Nothing, true) => return Simple::Nothing,
            (Simple::Some(filter), _) => left.push(filter),
        }
    }
    match (left.len(), all) {
        (0, true) => Simple::Everything,
        (0, false) => Simple::Nothing,
        (1, _) => left.pop().map_or(Simple::Nothing, Simple::Some),
        (_, true) => Simple::Some(Filter::And(left)),
        (_, false) => Simple::Some(Filter::Or(left)),
    }
}
