//! A link to a server on which every message takes longer, as if the server were in another place.

use std::io;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// Messages that are on their way in one direction of one connection.
const ON_THE_WAY: usize = 1024;

/// A port on the loopback interface that leads to a server. Dropping it ends every connection.
#[derive(Debug)]
pub(super) struct SlowLink {
    _accept: AbortOnDropHandle<()>,
}

impl SlowLink {
    /// Leads to the server of `url`; what goes there takes `latency` longer. Returns the URL by way of the link.
    pub(super) async fn to_url(url: &str, latency: Duration) -> anyhow::Result<(Self, String)> {
        let server = authority(url).context("a database URL without a server")?.to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening for the slow link")?;
        let through = url.replacen(&server, &listener.local_addr()?.to_string(), 1);
        let accept = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, server.clone(), latency));
            }
        });
        Ok((Self { _accept: AbortOnDropHandle::new(accept) }, through))
    }
}

/// `host:port` of a URL.
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let rest = rest.split('/').next()?;
    rest.rsplit('@').next()
}

async fn carry(client: TcpStream, server: String, latency: Duration) -> io::Result<()> {
    let server = TcpStream::connect(&server).await?;
    for socket in [&client, &server] {
        socket.set_nodelay(true)?;
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        ended = later(from_client, to_server, latency) => ended,
        ended = later(from_server, to_client, Duration::ZERO) => ended,
    }
}

/// Each message arrives so much later; those behind it do not wait for it longer than that.
async fn later(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, latency: Duration) -> io::Result<()> {
    let (sender, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let reading = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = from.read(&mut buffer).await?;
            let Some(message) = buffer.get(..count).filter(|message| !message.is_empty()) else { return Ok(()) };
            if sender.send((Instant::now() + latency, message.to_vec())).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async {
        while let Some((moment, message)) = due.recv().await {
            sleep_until(moment).await;
            to.write_all(&message).await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_server_of_the_url() {
        assert_eq!(authority("postgres://user:secret@127.0.0.1:5432/name"), Some("127.0.0.1:5432"));
        assert_eq!(authority("postgres://localhost:5432/name?x=1"), Some("localhost:5432"));
        assert_eq!(authority("file"), None);
    }

    #[tokio::test]
    async fn a_message_takes_longer_and_arrives_whole() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://{}/name", server.local_addr().unwrap());
        let (_link, through) = SlowLink::to_url(&url, Duration::from_millis(30)).await.unwrap();
        let mut client = TcpStream::connect(authority(&through).unwrap()).await.unwrap();
        let (mut peer, _) = server.accept().await.unwrap();
        let sent = Instant::now();
        client.write_all(b"hello").await.unwrap();
        let mut received = [0; 5];
        peer.read_exact(&mut received).await.unwrap();
        assert!(&received == b"hello" && sent.elapsed() >= Duration::from_millis(30));
    }
}
