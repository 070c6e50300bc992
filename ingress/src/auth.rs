//! Who asks: the bearer token, checked before anything else under `/scim/v2/{workspace}`.

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use protocol::credential::Token;
use protocol::id::{TokenId, WorkspaceId};
use protocol::profile::Profile;
use protocol::scim::dialect::Dialect;

use crate::error::ApiError;
use crate::metrics::METRICS;
use crate::state::AppState;

/// The holder of a valid token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The workspace that the token opens: the one in the URL.
    pub(crate) workspace: WorkspaceId,
    /// The token.
    pub(crate) token: TokenId,
    /// How requests of the workspace are read.
    pub(crate) profile: Profile,
    /// The dialect of this request: the one that an operator chose, else what the request itself tells.
    pub(crate) dialect: Dialect,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get().cloned().ok_or(ApiError::Unauthorized)
    }
}

/// Lets a request under `/scim/v2/{workspace}` pass only with a token of that workspace, and only while SCIM is not paused.
pub(crate) async fn authenticate(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let Some(workspace) = request.uri().path().strip_prefix("/scim/v2/") else { return next.run(request).await };
    let workspace = workspace.split('/').next().unwrap_or_default().parse();
    let seen = detected(&request);
    match caller(&state, request.headers(), workspace.ok(), seen).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => {
            if matches!(error, ApiError::Unauthorized) {
                METRICS.unauthorized.add_one();
            }
            error.into_response()
        }
    }
}

fn detected(request: &Request) -> Option<Dialect> {
    let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    Dialect::detect(agent.unwrap_or_default(), request.uri().query().unwrap_or_default())
}

async fn caller(
    state: &AppState,
    headers: &HeaderMap,
    workspace: Option<WorkspaceId>,
    seen: Option<Dialect>,
) -> Result<Caller, ApiError> {
    let token = bearer(headers).ok_or(ApiError::Unauthorized)?;
    let workspace = workspace.ok_or(ApiError::Unauthorized)?;
    if let Some(profile) = state.credentials.admits(&token, &workspace, state.gateway.as_ref()).await? {
        state.credentials.note_use(token.id());
        if profile.paused {
            return Err(ApiError::Paused);
        }
        if let Some(dialect) = seen {
            state.gateway.saw(&workspace, dialect);
        }
        let dialect = profile.dialect.or(seen).unwrap_or_default();
        return Ok(Caller { workspace, token: token.id().clone(), profile, dialect });
    }
    tracing::debug!(%workspace, token = %token.id(), "refused a token");
    Err(ApiError::Unauthorized)
}

/// The token after `Bearer`, or alone: Okta's header authentication sends what was pasted.
fn bearer(headers: &HeaderMap) -> Option<Token> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start(),
        Some(_) => return None,
        None => text,
    };
    token.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_comes_with_or_without_the_word_bearer() {
        let token = Token::from_random([1; 9], [2; 32]).unwrap();
        let secret = token.reveal();
        let parse = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(text).unwrap());
            bearer(&headers)
        };
        for text in [format!("Bearer {secret}"), format!("bearer  {secret}"), secret.to_owned()] {
            assert_eq!(parse(&text).as_ref(), Some(&token), "{text}");
        }
        for text in [format!("Basic {secret}"), "Bearer".to_owned(), String::new(), "Bearer abc".to_owned()] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }
}
