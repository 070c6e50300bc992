//! Filters (RFC 7644 §3.4.2.2).

use serde::{Deserialize, Serialize};

/// A filter, resolved against the schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Filter(String);
