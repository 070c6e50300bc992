//! A connection whose client hangs up when it wants to, and knows whether an answer came before.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// By then an ingress has ended a connection whose client has hung up.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// One request of HTTP/1.1.
pub(super) struct Connection(TcpStream);

impl Connection {
    /// Connects to a URL like `http://127.0.0.1:8080`.
    pub(super) async fn open(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(super) async fn send(&mut self, method: &str, path: &str, token: &str, body: &str) {
        self.0.write_all(request(method, path, token, body).as_bytes()).await.unwrap();
    }

    /// The head and half the body.
    pub(super) async fn send_half(&mut self, method: &str, path: &str, token: &str, body: &str) {
        let request = request(method, path, token, body);
        self.0.write_all(&request.as_bytes()[..request.len() - body.len() / 2]).await.unwrap();
    }

    /// Sends nothing any more, which a server takes for a hang-up. Whether it had begun to answer by then.
    pub(super) async fn hang_up(mut self) -> bool {
        // A server that has closed the connection already has nothing to be told.
        let _ = self.0.shutdown().await;
        let mut first = [0];
        let read = timeout(ENDS_WITHIN, self.0.read(&mut first)).await.expect("the connection did not end");
        read.is_ok_and(|read| read > 0)
    }
}

fn request(method: &str, path: &str, token: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: ingress\r\nauthorization: Bearer {token}\r\n\
         content-type: application/scim+json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
