//! The answer to a bulk request (RFC 7644 §3.7.3): each operation that was begun, with its own status.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::BULK_RESPONSE_SCHEMA;
use crate::scim::error::ScimError;
use crate::scim::resource::Version;

/// What became of the operations, in the order of the request.
#[derive(Debug, Clone, Copy)]
pub struct BulkResponse<'a>(pub &'a [BulkResult]);

/// What became of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkResult {
    /// The method, as it was asked.
    pub method: String,
    /// The client's name for it.
    pub bulk_id: Option<String>,
    /// The resource's URL; none for a POST that failed.
    pub location: Option<String>,
    /// The resource's version after it.
    pub version: Option<Version>,
    /// Its status, or why it was refused.
    pub status: Result<u16, ScimError>,
}

impl Serialize for BulkResponse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(Some(2))?;
        body.serialize_entry("schemas", &[BULK_RESPONSE_SCHEMA])?;
        body.serialize_entry("Operations", self.0)?;
        body.end()
    }
}

impl Serialize for BulkResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        if let Some(location) = &self.location {
            body.serialize_entry("location", location)?;
        }
        body.serialize_entry("method", &self.method)?;
        if let Some(bulk_id) = &self.bulk_id {
            body.serialize_entry("bulkId", bulk_id)?;
        }
        if let Some(version) = &self.version {
            body.serialize_entry("version", &version.to_string())?;
        }
        let status = self.status.as_ref().map_or_else(|error| error.status, |status| *status);
        body.serialize_entry("status", &status.to_string())?;
        if let Err(error) = &self.status {
            body.serialize_entry("response", &error.body())?;
        }
        body.end()
    }
}
