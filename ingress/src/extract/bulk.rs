//! The body of a bulk request: parsed on a thread of its own while it arrives, within its limits.

use std::io::{self, Read};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use protocol::scim::bulk::{BulkLimits, BulkRequest};
use protocol::scim::error::{ScimError, ScimType};
use tokio::sync::mpsc;

use super::body::BODY_TIMEOUT;

/// Pieces of the body that wait to be parsed.
const PIECES: usize = 4;

/// Reads and parses. 413 names the limit that is exceeded, before the rest of the body has come (RFC 7644 §3.7.4).
pub(crate) async fn read_bulk(body: Body, limits: BulkLimits) -> Result<BulkRequest, ScimError> {
    let (sender, pieces) = mpsc::channel(PIECES);
    let parsing = tokio::task::spawn_blocking(move || {
        BulkRequest::read(io::BufReader::new(Arriving { pieces, piece: Bytes::new() }), limits)
    });
    let pumping = tokio::time::timeout(BODY_TIMEOUT, pump(body, sender, limits.bytes)).await;
    // The parser ends when it has found an error, or when the pump has ended.
    let parsed = parsing.await.unwrap_or_else(|_| Err(ScimError::new(500, "the body could not be parsed")));
    match pumping {
        // What the parser refuses early is said before that more bytes would have been too many.
        Ok(Ok(())) => parsed,
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ScimError::new(408, "the body did not arrive within 30 seconds")),
    }
}

/// Hands the body over, piece by piece, until its end, its limit, or until the reader has gone.
async fn pump(mut body: Body, sender: mpsc::Sender<Bytes>, limit: usize) -> Result<(), ScimError> {
    let mut room = limit;
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = sender.closed() => return Ok(()),
        };
        let Some(frame) = frame else { return Ok(()) };
        let frame = frame
            .map_err(|_| ScimError::bad_request(ScimType::InvalidSyntax, "the body ended before it was complete"))?;
        let Ok(piece) = frame.into_data() else { continue };
        room = room.checked_sub(piece.len()).ok_or_else(|| too_large(limit))?;
        if sender.send(piece).await.is_err() {
            return Ok(());
        }
    }
}

fn too_large(limit: usize) -> ScimError {
    let detail = format!("a bulk request may have at most {limit} bytes here (maxPayloadSize); split it");
    ScimError::new(413, detail)
}

/// The body as the parser reads it: waits for the next piece.
struct Arriving {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.split_to(count).copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn one_operation_too_many_is_refused_while_more_is_on_its_way() {
        let limits = BulkLimits { operations: 2_000, bytes: 8_000_000 };
        let operation = r#"{"method":"DELETE","path":"/Users/x"},"#;
        let text = format!(r#"{{"Operations":[{}"#, operation.repeat(2_001));
        let pieces: Vec<_> = text.as_bytes().chunks(1_000).map(|piece| Ok::<_, io::Error>(piece.to_vec())).collect();
        let endless = futures::stream::iter(pieces).chain(futures::stream::pending());
        let reading = read_bulk(Body::from_stream(endless), limits);
        let refused = tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap_err();
        assert_eq!(refused.status, 413);
    }
}
