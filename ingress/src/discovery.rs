//! What this server can do (RFC 7643 §5): true for this build.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use protocol::scim::list::Page;
use serde_json::json;

use crate::auth::Caller;
use crate::edge::Edge;
use crate::response::scim_json;

/// `GET /ServiceProviderConfig`.
pub(crate) async fn service_provider_config(State(edge): State<Edge>, caller: Caller) -> Response {
    let base_url = edge.terms.base_url(&caller.workspace);
    let config = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": Page::MAX_COUNT },
        "changePassword": { "supported": false },
        "sort": { "supported": false },
        "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "OAuth Bearer Token",
            "description": "The token of this workspace, in the Authorization header",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base_url}/ServiceProviderConfig"),
        },
    });
    scim_json(StatusCode::OK, &config)
}
