//! HTTP/1.1 as it is written: a client library refuses, or tidies up, half of what is to be sent.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::request::Shot;

/// How long an answer may take: as long as a provider waits.
const WITHIN: Duration = Duration::from_mins(1);

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(300).collect()
    }

    /// A header field's text, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, text)| text.trim()).next().unwrap_or("")
    }
}

/// Sends a request on a connection of its own, and reads until the server closes it.
pub(super) async fn send(address: SocketAddr, shot: &Shot) -> Result<Reply, String> {
    let bytes = timeout(WITHIN, exchange(address, &shot.bytes())).await;
    let bytes = bytes.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
    parse(&bytes).ok_or_else(|| format!("not an answer: {:?}", String::from_utf8_lossy(&bytes)))
}

async fn exchange(address: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let (mut from, mut to) = TcpStream::connect(address).await?.into_split();
    let mut answer = Vec::new();
    // A server may answer, and close, before it was sent everything: then the rest cannot be written.
    let (read, _unsent) = futures::join!(from.read_to_end(&mut answer), to.write_all(request));
    match read {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

fn parse(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut reply = Reply { status, head, body: bytes[end + 4..].to_vec() };
    if reply.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
        reply.body = joined(&reply.body)?;
    }
    Some(reply)
}

/// The chunks of a body, together.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).ok()?.trim(), 16).ok()?;
        chunks = &chunks[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunks.get(..size)?);
        chunks = chunks.get(size + 2..)?;
    }
}
