//! What is left of a request's body when its answer is known: it is read and thrown away, so that a client which is
//! still sending sees the answer instead of a broken connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Version};
use http_body_util::BodyExt;
use runtime::lock::locked;

/// How much is read and thrown away, in bytes, and for how long, before the connection is closed instead.
const MAX_BYTES: usize = 16 * 1024 * 1024;
const WITHIN: Duration = Duration::from_secs(5);

/// Answers, then takes in the rest of the body; what cannot be taken in ends the connection.
pub(crate) async fn drain(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // Who expects `100 Continue` has sent nothing yet, and will not once it reads the answer (RFC 9110 §10.1.1).
    let waits = parts.headers.contains_key(EXPECT);
    let shared = Shared(Arc::new(Mutex::new(body)));
    let lent = Body::new(shared.clone());
    let mut response = next.run(Request::from_parts(parts, lent)).await;
    let ended = shared.is_end_stream() || (!waits && discard(shared).await);
    if !ended && response.version() <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// True if the body came to its end.
async fn discard(mut body: Shared) -> bool {
    let reading = async {
        let mut bytes = 0_usize;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            bytes = bytes.saturating_add(frame.data_ref().map_or(0, Bytes::len));
            if bytes > MAX_BYTES {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(WITHIN, reading).await.unwrap_or(false)
}

/// A body of which the handler gets one handle, and we keep another.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let mut body = locked(&self.0);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        locked(&self.0).is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        locked(&self.0).size_hint()
    }
}
