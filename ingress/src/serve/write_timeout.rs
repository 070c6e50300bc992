//! A connection that ends when its client takes too little of what is sent: a client cannot hold an answer for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::head::Bytes;
use crate::last_answer::LastAnswer;

/// A client that is waited for takes this many bytes, or all that there is, in this time.
const LEAST: usize = 64 * 1024;
const WITHIN: Duration = Duration::from_mins(1);
/// How long after the end of a connection it is heard that the other side has refused an answer: a round trip.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(100);

/// A stream whose writes are not waited for without end, and whose timer is told when bytes come.
pub(super) struct WriteTimeout<S> {
    stream: S,
    received: Bytes,
    last: LastAnswer,
    /// Runs once the client has said that it sends no more, for as long as it may refuse an answer.
    ending: Option<Pin<Box<Sleep>>>,
    within: Duration,
    /// Runs while the client is waited for.
    waiting: Option<Pin<Box<Sleep>>>,
    taken: usize,
}

impl<S> WriteTimeout<S> {
    pub(super) const fn new(stream: S, received: Bytes, last: LastAnswer) -> Self {
        Self { stream, received, last, ending: None, within: WITHIN, waiting: None, taken: 0 }
    }

    fn rest(&mut self) {
        self.waiting = None;
        self.taken = 0;
    }

    /// Passes on how a write went, unless it is waited for too long.
    fn write(&mut self, context: &mut Context<'_>, went: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match went {
            Poll::Ready(Ok(bytes)) => {
                self.taken = self.taken.saturating_add(bytes);
                if self.taken >= LEAST {
                    self.rest();
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let within = self.within;
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(within)));
                waiting.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

/// What the system knows of a connection beside what was read and written.
pub(super) trait Connection {
    /// Whether the other side has refused something that was sent to it.
    fn has_failed(&self) -> bool;
}

impl Connection for TcpStream {
    fn has_failed(&self) -> bool {
        self.take_error().is_ok_and(|error| error.is_some())
    }
}

impl<S: Connection> WriteTimeout<S> {
    /// The client has said that it sends no more. If it closed the connection before the answer came, its system refuses
    /// that answer, which is heard a round trip later.
    fn end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.last.is_of_creates() {
            let ending = self.ending.get_or_insert_with(|| Box::pin(sleep(REFUSAL_TIMEOUT)));
            if ending.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if self.stream.has_failed() {
                self.last.was_reset();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Connection + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ending.is_some() {
            return this.end(context);
        }
        let (before, has_room) = (buffer.filled().len(), buffer.remaining() > 0);
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Poll::Ready(Err(error)) = &read
            && error.kind() == io::ErrorKind::ConnectionReset
        {
            this.last.was_reset();
        }
        if buffer.filled().len() > before {
            this.received.came();
        } else if matches!(read, Poll::Ready(Ok(()))) && has_room {
            return this.end(context);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let went = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.write(context, went)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let went = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.write(context, went)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Comes when everything is written: a client that took it all is not waited for.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.rest();
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    impl Connection for tokio::io::DuplexStream {
        fn has_failed(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn an_answer_that_came_after_its_client_had_closed_is_not_taken() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let last = LastAnswer::default();
        let mut ours = WriteTimeout::new(stream, Bytes::default(), last.clone());
        let create = protocol::id::OperationId(uuid::Uuid::nil());
        last.is(vec![create]);
        drop(client);
        ours.write_all(b"HTTP/1.1 201 Created").await.unwrap();
        assert_eq!(ours.read(&mut [0; 16]).await.unwrap_or(0), 0);
        assert_eq!(last.not_taken(), [create]);
    }

    fn connection(within: Duration) -> (WriteTimeout<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = duplex(1024);
        (WriteTimeout { within, ..WriteTimeout::new(ours, Bytes::default(), LastAnswer::default()) }, theirs)
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_loses_its_connection() {
        let (mut ours, theirs) = connection(Duration::from_millis(50));
        assert_eq!(ours.write_all(&[0; 4096]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }

    #[tokio::test]
    async fn a_client_that_takes_what_there_is_may_be_idle_in_between() {
        let (mut ours, mut theirs) = connection(Duration::from_millis(200));
        let reading = tokio::spawn(async move {
            let mut bytes = 0;
            let mut buffer = [0; 512];
            while let Ok(read @ 1..) = theirs.read(&mut buffer).await {
                bytes += read;
            }
            bytes
        });
        for _ in 0..2 {
            ours.write_all(&[0; 4096]).await.unwrap();
            ours.flush().await.unwrap();
            sleep(Duration::from_millis(250)).await;
        }
        drop(ours);
        assert_eq!(reading.await.unwrap(), 8192);
    }
}
