//! SCIM 2.0 as types: RFC 7643 (schema) and RFC 7644 (protocol).

pub mod attributes;
pub mod body;
pub mod bulk;
pub mod cursor;
pub mod dialect;
pub mod discovery;
pub mod error;
pub mod filter;
pub mod list;
pub mod members;
pub mod name;
pub mod patch;
pub mod path;
pub mod precondition;
pub mod projection;
pub mod render;
pub mod resource;
pub mod resource_type;
pub mod schema;
mod search;
pub mod sort;
mod value;
