//! A client that reads an answer as slowly as it likes.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::harness::scim::Scim;

/// What the system keeps for a client that does not read, in bytes.
const BUFFER: u32 = 16 * 1024;

/// An answer that is being read.
pub(super) struct Slow {
    stream: TcpStream,
    read: Vec<u8>,
    ended: bool,
}

impl Slow {
    /// Asks, and reads nothing.
    pub(super) async fn get(scim: &Scim, token: &str, path: &str) -> Self {
        let (host, base) = scim.base_url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(BUFFER).unwrap();
        let mut stream = socket.connect(host.parse().unwrap()).await.unwrap();
        let head = format!(
            "GET /{base}{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, read: Vec::new(), ended: false }
    }

    /// Reads until nothing has come for so long, or to the end.
    pub(super) async fn read_while_it_comes(&mut self, pause: Duration) {
        while !self.ended {
            match timeout(pause, self.stream.read_buf(&mut self.read)).await {
                Ok(read) => self.ended = read.unwrap() == 0,
                Err(_) => return,
            }
        }
    }

    /// Whether the connection has ended.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// How much has come, in bytes.
    pub(super) const fn len(&self) -> usize {
        self.read.len()
    }

    /// Reads the rest; the status and the whole body, none if it was cut off.
    pub(super) async fn finish(mut self) -> (String, Option<Value>) {
        if !self.ended {
            self.stream.read_to_end(&mut self.read).await.unwrap();
        }
        let text = String::from_utf8(self.read).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        (head.lines().next().unwrap().to_owned(), unchunked(body).map(|body| serde_json::from_str(&body).unwrap()))
    }
}

/// The body, if its last chunk is there (RFC 9112 §7.1).
fn unchunked(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size + 2..)?;
    }
}
