//! Every failure as a SCIM answer: the only place where an error meets HTTP (RFC 7644 §3.12).

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use protocol::scim::error::ScimError;

use crate::gateway::GatewayError;
use crate::response::error_response;

/// Names the operation that a 503 leaves in the log (RFC 9967 §2.5.1.1).
pub(crate) const SET_TXN: HeaderName = HeaderName::from_static("set-txn");

/// In seconds: a pause takes minutes or more, and providers should be back soon after it.
const PAUSED_RETRY_AFTER: HeaderValue = HeaderValue::from_static("60");

/// Why a request gets no 2xx.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Refused, by us or by a worker.
    #[error(transparent)]
    Scim(#[from] ScimError),
    /// 401. One form for every reason: a caller does not learn whether a token or a workspace exists.
    #[error("no valid bearer token for this workspace")]
    Unauthorized,
    /// 503: an operator has paused the workspace. Only a valid token learns of it.
    #[error(
        "SCIM is paused for this workspace by an operator; the request was not carried out; it is safe to send it again \
         later"
    )]
    Paused,
    /// The log or the workers did not answer as they should.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Scim(error) => error_response(&error),
            Self::Unauthorized => {
                let mut response = error_response(&ScimError::new(401, self.to_string()));
                let challenge = HeaderValue::from_static("Bearer realm=\"scim\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            Self::Paused => {
                let mut response = error_response(&ScimError::new(503, self.to_string()));
                response.headers_mut().insert(RETRY_AFTER, PAUSED_RETRY_AFTER);
                response
            }
            Self::Gateway(error) => gateway_response(&error),
        }
    }
}

fn gateway_response(error: &GatewayError) -> Response {
    let refusal = refusal_of(error);
    let mut response = error_response(&refusal);
    let (queued, seconds) = match error {
        GatewayError::Timeout { queued } => (*queued, "10"),
        _ => (None, "5"),
    };
    if matches!(refusal.status, 429 | 503) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    if let Some(Ok(operation)) = queued.map(|operation| HeaderValue::from_str(&operation.to_string())) {
        response.headers_mut().insert(SET_TXN, operation);
    }
    response
}

/// The failure as a SCIM error, as it also stands in the answer to a bulk request.
pub(crate) fn refusal_of(error: &GatewayError) -> ScimError {
    let status = match error {
        GatewayError::Timeout { .. } | GatewayError::LogFull | GatewayError::StoresNothing => 503,
        GatewayError::TooManyRequests => 429,
        GatewayError::TooLarge { .. } => 413,
        GatewayError::Encode(_) => 500,
        GatewayError::Refused(refused) => return refused.clone(),
    };
    ScimError::new(status, error.to_string())
}
