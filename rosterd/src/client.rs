//! A SCIM client: sends requests below the Base URLs of one workspace, and gives the answers as they are.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{ClientBuilder, Method, Response, Url};
use serde_json::Value;

const MEDIA_TYPE: &str = "application/scim+json";

/// One HTTP request below a Base URL.
#[must_use]
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// From the Base URL on, with its query, such as `/Users?count=2`.
    pub path: String,
    /// The body.
    pub body: Option<Value>,
    /// How long it may take, if not as long as the client's requests do.
    pub timeout: Option<Duration>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nowhere to send requests to.
    #[error("no Base URL: give --base-url or ROSTERD_BASE_URL")]
    NoBaseUrl,
    /// Not a Base URL.
    #[error("this is no Base URL: it begins with http:// or https://, and has no query, fragment or password")]
    BaseUrl,
    /// The token cannot stand in a header.
    #[error("the token has characters that no token has")]
    Token,
    /// The HTTP client cannot be made.
    #[error("preparing the HTTP client")]
    Http(#[source] reqwest::Error),
}

/// Sends requests to the servers of one workspace.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base_urls: Arc<[String]>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, timeout: None }
    }

    /// A GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// The same with these parameters as its query.
    pub fn query(mut self, parameters: &[(&str, &str)]) -> Self {
        let encoded = Url::parse_with_params("http://localhost", parameters);
        if let Some(query) = encoded.as_ref().ok().and_then(Url::query) {
            self.path = format!("{}?{query}", self.path);
        }
        self
    }

    /// The same with a body.
    pub fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

impl Client {
    /// A client of the workspace that these Base URLs lead to, with the timeouts of `builder`.
    pub fn new(base_urls: &[String], token: &str, builder: ClientBuilder) -> Result<Self, ClientError> {
        let urls = base_urls.iter().map(|url| base_url(url)).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(ClientError::NoBaseUrl);
        }
        // reqwest panics without a provider; one that is installed already stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ClientError::Token)?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer), (ACCEPT, HeaderValue::from_static(MEDIA_TYPE))]);
        let is_local = |url: &Url| matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        let builder = if urls.iter().all(is_local) { builder.no_proxy() } else { builder };
        let http = builder.default_headers(headers).build().map_err(ClientError::Http)?;
        let base_urls = urls.iter().map(|url| url.as_str().trim_end_matches('/').to_owned()).collect();
        Ok(Self { http, base_urls })
    }

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.base_urls.len()
    }

    /// Sends a request once, to the server whose turn `number` is.
    pub async fn send(&self, number: usize, request: &Request) -> reqwest::Result<Response> {
        let turn = number.checked_rem(self.base_urls.len()).and_then(|turn| self.base_urls.get(turn));
        let url = format!("{}{}", turn.map_or("", String::as_str), request.path);
        let mut builder = self.http.request(request.method.clone(), url);
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, MEDIA_TYPE).body(body.to_string());
        }
        if let Some(timeout) = request.timeout {
            builder = builder.timeout(timeout);
        }
        builder.send().await
    }
}

fn base_url(text: &str) -> Result<Url, ClientError> {
    let url: Url = text.parse().map_err(|_| ClientError::BaseUrl)?;
    let is_bare =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && is_bare { Ok(url) } else { Err(ClientError::BaseUrl) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_http_and_has_nothing_but_host_and_path() {
        assert!(base_url("http://127.0.0.1:8080/scim/v2/acme/").is_ok());
        assert!(base_url("ftp://host/").is_err() && base_url("acme").is_err() && base_url("http://h/?a=b").is_err());
        assert!(base_url("http://h/scim#").is_err() && base_url("http://me:secret@h/scim").is_err());
    }

    #[test]
    fn a_query_is_encoded() {
        let request = Request::get("/Users").query(&[("filter", "userName eq \"a&b\""), ("count", "2")]);
        assert_eq!(request.path, "/Users?filter=userName+eq+%22a%26b%22&count=2");
    }
}
