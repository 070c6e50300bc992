//! A connection that ends when its client takes too little of what is sent: nobody can hold an answer for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::head::Bytes;
use super::last_answer::LastAnswer;

/// A client that is waited for takes this many bytes, or all that there is, in this time.
const LEAST: usize = 64 * 1024;
const WITHIN: Duration = Duration::from_mins(1);

/// A stream whose writes are not waited for without end, and whose timer is told when bytes come.
pub(super) struct Patient<S> {
    stream: S,
    received: Bytes,
    last: LastAnswer,
    within: Duration,
    /// Runs while the client is waited for.
    waiting: Option<Pin<Box<Sleep>>>,
    taken: usize,
}

impl<S> Patient<S> {
    pub(super) const fn new(stream: S, received: Bytes, last: LastAnswer) -> Self {
        Self { stream, received, last, within: WITHIN, waiting: None, taken: 0 }
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

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Poll::Ready(Err(error)) = &read
            && error.kind() == io::ErrorKind::ConnectionReset
        {
            this.last.was_reset();
        }
        if buffer.filled().len() > before {
            this.received.came();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
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

    /// Comes when everything is written: whoever took it all is not waited for.
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

    fn connection(within: Duration) -> (Patient<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = duplex(1024);
        (Patient { within, ..Patient::new(ours, Bytes::default(), LastAnswer::default()) }, theirs)
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
