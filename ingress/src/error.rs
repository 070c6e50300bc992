//! Every failure as a SCIM answer: the only place where an error meets HTTP (RFC 7644 §3.12).

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use protocol::message::query::Answer;
use protocol::scim::error::ScimError;

use crate::gateway::GatewayError;
use crate::response::error_response;

/// Names the operation that a 503 leaves in the log (RFC 9967 §2.5.1.1).
pub(crate) const SET_TXN: HeaderName = HeaderName::from_static("set-txn");

/// Why a request gets no 2xx.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// Refused, by us or by a worker.
    Scim(ScimError),
    /// 401. One form for every reason: a caller does not learn whether a token or a workspace exists.
    Unauthorized,
    /// The log or the workers did not answer as they should.
    Gateway(GatewayError),
}

impl From<ScimError> for ApiError {
    fn from(error: ScimError) -> Self {
        Self::Scim(error)
    }
}

impl From<GatewayError> for ApiError {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Scim(error) => error_response(&error),
            Self::Unauthorized => unauthorized(),
            Self::Gateway(error) => gateway_response(&error),
        }
    }
}

fn unauthorized() -> Response {
    let error = ScimError::new(401, "no valid bearer token for this workspace");
    let mut response = error_response(&error);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"scim\""));
    response
}

fn gateway_response(error: &GatewayError) -> Response {
    let refusal = refusal_of(error);
    match error {
        GatewayError::Timeout { queued } => {
            let mut response = retry_later(&refusal, "10");
            if let Some(operation) = queued
                && let Ok(value) = HeaderValue::from_str(&operation.to_string())
            {
                response.headers_mut().insert(SET_TXN, value);
            }
            response
        }
        GatewayError::LogFull | GatewayError::StoresNothing | GatewayError::TooManyRequests => {
            retry_later(&refusal, "5")
        }
        GatewayError::TooLarge { .. } | GatewayError::Encode(_) | GatewayError::UnexpectedAnswer => {
            error_response(&refusal)
        }
    }
}

/// The failure as a SCIM error, as it also stands in the answer to a bulk request.
pub(crate) fn refusal_of(error: &GatewayError) -> ScimError {
    let status = match error {
        GatewayError::Timeout { .. } | GatewayError::LogFull | GatewayError::StoresNothing => 503,
        GatewayError::TooManyRequests => 429,
        GatewayError::TooLarge { .. } => 413,
        GatewayError::Encode(_) | GatewayError::UnexpectedAnswer => 500,
    };
    ScimError::new(status, error.to_string())
}

fn retry_later(error: &ScimError, seconds: &'static str) -> Response {
    let mut response = error_response(error);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    response
}

/// An answer that is not the one that was asked for.
pub(crate) fn refusal(answer: Answer) -> ApiError {
    match answer {
        Answer::Refused { error } => error.into(),
        Answer::Unavailable => GatewayError::Timeout { queued: None }.into(),
        Answer::Resource { .. }
        | Answer::NotModified { .. }
        | Answer::List { .. }
        | Answer::Members { .. }
        | Answer::Fate { .. }
        | Answer::Profile { .. }
        | Answer::Credential { .. } => GatewayError::UnexpectedAnswer.into(),
    }
}
