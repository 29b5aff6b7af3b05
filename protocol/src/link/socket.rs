//! The WebSocket itself: reads and writes at the same time, from one task.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// From this many unsent messages on nothing more is taken in.
const OUTBOX_FULL: usize = 8;

/// How long the peer has to agree to a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What one turn at the socket brought.
pub(super) enum Turn {
    Received(Message),
    /// The outbox was full and has room again.
    Room,
    Ended(Option<WsError>),
}

pub(super) struct Socket<S> {
    stream: WebSocketStream<S>,
    outbox: VecDeque<Message>,
    unflushed: bool,
    blocked_since: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn new(stream: WebSocketStream<S>) -> Self {
        Self {
            stream,
            outbox: VecDeque::new(),
            unflushed: false,
            blocked_since: None,
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        self.outbox.push_back(message);
    }

    /// True while the peer is so slow that nothing more may be taken in.
    pub(super) fn is_full(&self) -> bool {
        self.outbox.len() >= OUTBOX_FULL
    }

    /// Since when the peer has left our output unread.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    /// Writes what is queued and, if `read`, waits for a message. Cancel safe.
    pub(super) async fn turn(&mut self, read: bool) -> Turn {
        let was_full = self.is_full();
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                return Poll::Ready(Turn::Ended(Some(error)));
            }
            if was_full && !self.is_full() {
                return Poll::Ready(Turn::Room);
            }
            if !read || self.is_full() {
                return Poll::Pending;
            }
            Pin::new(&mut self.stream)
                .poll_next(cx)
                .map(|message| match message {
                    Some(Ok(message)) => Turn::Received(message),
                    Some(Err(error)) => Turn::Ended(Some(error)),
                    None => Turn::Ended(None),
                })
        })
        .await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        if self.outbox.is_empty() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        let outcome = self.poll_push_out(cx);
        match outcome {
            Poll::Pending => {
                self.blocked_since.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => self.blocked_since = None,
        }
        outcome
    }

    fn poll_push_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        loop {
            let mut sink = Pin::new(&mut self.stream);
            match sink.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
            let Some(message) = self.outbox.pop_front() else {
                let flushed = sink.poll_flush(cx);
                self.unflushed = flushed.is_pending();
                return flushed;
            };
            // Each message that leaves is progress, however slow the peer.
            self.blocked_since = None;
            self.unflushed = true;
            sink.start_send(message)?;
        }
    }

    /// Ends the link in good order, all best effort: sends what is queued and our close frame, and
    /// waits for the peer's. Without a frame of ours the peer has closed, and reading on gets
    /// tungstenite's reply out.
    pub(super) async fn finish(mut self, frame: Option<CloseFrame>) {
        let goodbye = async {
            if let Some(frame) = frame {
                while let Some(message) = self.outbox.pop_front() {
                    self.stream.feed(message).await?;
                }
                self.stream.close(Some(frame)).await?;
            }
            while let Some(message) = self.stream.next().await {
                message?;
            }
            Ok::<(), WsError>(())
        };
        let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}
