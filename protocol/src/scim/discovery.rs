//! What a server says of itself (RFC 7643 §5 to §7, RFC 7644 §4), written from the very tables that requests are checked
//! against.

use serde_json::{Value, json};

use crate::scim::bulk::BulkLimits;
use crate::scim::list::{LIST_SCHEMA, Page};
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::{Extensions, Schema, SchemaJson};

/// The URN of a schema as a resource.
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
/// The URN of a resource type as a resource.
const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
/// The URN of the server's configuration.
const SERVICE_PROVIDER_CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

/// A collection of discovery: complete, whatever page is asked for (RFC 7644 §4).
pub fn list(resources: &[Value]) -> Value {
    json!({
        "schemas": [LIST_SCHEMA],
        "totalResults": resources.len(),
        "itemsPerPage": resources.len(),
        "startIndex": 1,
        "Resources": resources,
    })
}

/// `/Schemas`: every schema that the workspace's resources may follow.
pub fn schemas(extensions: &Extensions, base_url: &str) -> Vec<Value> {
    let mut all: Vec<&Schema> = Vec::new();
    for kind in ResourceType::ALL {
        all.push(kind.schema());
        all.extend(extensions.of(kind).extensions());
    }
    all.into_iter().map(|schema| described(schema, base_url)).collect()
}

/// `/ResourceTypes`.
pub fn resource_types(extensions: &Extensions, base_url: &str) -> Vec<Value> {
    ResourceType::ALL.into_iter().map(|kind| resource_type(kind, extensions, base_url)).collect()
}

fn described(schema: &Schema, base_url: &str) -> Value {
    let text = SchemaJson::from(schema);
    json!({
        "schemas": [SCHEMA],
        "id": text.id,
        "name": text.name,
        "description": text.description,
        "attributes": text.attributes,
        "meta": meta("Schema", &format!("{base_url}/Schemas/{}", schema.id)),
    })
}

fn resource_type(kind: ResourceType, extensions: &Extensions, base_url: &str) -> Value {
    let schema = extensions.of(kind);
    // An extension is never required.
    let extensions: Vec<Value> =
        schema.extensions().map(|extension| json!({ "schema": extension.id, "required": false })).collect();
    json!({
        "schemas": [RESOURCE_TYPE],
        "id": kind.name(),
        "name": kind.name(),
        "description": kind.schema().description,
        "endpoint": format!("/{}", kind.endpoint()),
        "schema": kind.schema().id,
        "schemaExtensions": extensions,
        "meta": meta("ResourceType", &format!("{base_url}/ResourceTypes/{}", kind.name())),
    })
}

/// `/ServiceProviderConfig`: true for this build.
pub fn service_provider_config(base_url: &str, bulk: BulkLimits) -> Value {
    json!({
        "schemas": [SERVICE_PROVIDER_CONFIG],
        "patch": { "supported": true },
        "bulk": { "supported": true, "maxOperations": bulk.operations, "maxPayloadSize": bulk.bytes },
        "filter": { "supported": true, "maxResults": Page::MAX_COUNT },
        // RFC 9865 §4. No `cursorTimeout`: cursors do not expire.
        "pagination": {
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": Page::MAX_COUNT,
            "maxPageSize": Page::MAX_COUNT,
        },
        "changePassword": { "supported": false },
        "sort": { "supported": true },
        "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "OAuth Bearer Token",
            "description": "The token of this workspace, in the Authorization header",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": meta("ServiceProviderConfig", &format!("{base_url}/ServiceProviderConfig")),
    })
}

fn meta(resource_type: &str, location: &str) -> Value {
    json!({ "resourceType": resource_type, "location": location })
}
