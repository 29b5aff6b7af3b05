//! One WebSocket that carries RPC frames as text and, where wanted, canonical bytes as binary.
//!
//! OCPP-J and the billing protocol share it; both roles ([`connect`], [`accept`]) give the same
//! [`Connection`]: a cloneable [`Link`] to call through and a channel of [`Event`]s to answer.
//!
//! # What holds
//! - One CALL of ours is outstanding at a time; up to [`LinkOptions::call_queue`] wait behind it,
//!   one more fails with [`CallFailure::Busy`].
//! - A call ends with its answer, after [`LinkOptions::call_timeout`] from when it was sent, or at
//!   once when the link is lost. Late and repeated answers are counted and ignored.
//! - A text that is no frame gets a CALLERROR, the link stays (see
//!   [`Malformed::answer`](crate::rpc::Malformed::answer)).
//! - A peer that opens more calls than [`LinkOptions::incoming_calls`] at once gets a CALLERROR
//!   `InternalError` for each one more.
//! - Binary messages wait for room among the events, and nothing is read meanwhile: whoever takes
//!   binary messages must not await a call of its own in the loop that drains the events.
//! - Without any traffic for two ping intervals the link is closed.
//! - [`Event::Closed`] is the last event, and always comes.
//!
//! ```
//! use protocol::link::{self, Decision, Event, LinkOptions};
//! use protocol::rpc;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("ws://{}/ocpp/CP-1", listener.local_addr()?);
//! let server = tokio::spawn(async move {
//!     let (stream, _) = listener.accept().await?;
//!     let mut peer = link::accept(stream, &LinkOptions::default(), |offer| {
//!         match link::identity(offer.path, "/ocpp/") {
//!             Some(_) => Decision::negotiate(offer, &["ocpp1.6"]),
//!             None => Decision::not_found(),
//!         }
//!     })
//!     .await?;
//!     while let Some(event) = peer.events.recv().await {
//!         match event {
//!             Event::Call(call) => call.responder.answer(Ok(rpc::empty())),
//!             Event::Binary(_) => {}
//!             Event::Closed { .. } => break,
//!         }
//!     }
//!     anyhow::Ok(())
//! });
//! let client = link::connect(&url, &["ocpp1.6"], &LinkOptions::default()).await?;
//! let answer = client.link.call("Heartbeat", rpc::empty()).await?;
//! assert_eq!(answer.get(), "{}");
//! client.link.close().await;
//! server.await??;
//! # anyhow::Ok(())
//! # })?;
//! # anyhow::Ok(())
//! ```

mod actor;
mod event;
mod handshake;
mod socket;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::rpc::{CallError, Json, Limits};
use actor::{Command, QueuedCall};

pub use event::{CloseReason, Event, IncomingCall, Responder};
pub use handshake::{AcceptError, ConnectError, Decision, Offer, accept, connect, identity};

/// What to do with binary messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryFrames {
    /// They arrive as [`Event::Binary`].
    Deliver,
    /// Each gets a CALLERROR; the link stays. For OCPP, which has none.
    Refuse,
}

/// How a link behaves. Every queue and every wait has its bound here.
#[derive(Clone)]
pub struct LinkOptions {
    /// How long an answer to a call of ours is waited for.
    pub call_timeout: Duration,
    /// How many calls of ours may wait behind the outstanding one.
    pub call_queue: usize,
    /// How many calls of the peer may be open at once.
    pub incoming_calls: usize,
    /// How often the peer is pinged; after two of them without traffic it is dead. `None`: never.
    pub ping_interval: Option<Duration>,
    /// How long the peer may leave what we send unread.
    pub write_timeout: Duration,
    /// How long the handshake may take.
    pub handshake_timeout: Duration,
    /// Larger messages, text or binary, close the link (code 1009).
    pub max_message_bytes: usize,
    /// Texts over these limits are answered with a CALLERROR; the link stays.
    pub limits: Limits,
    /// What happens to binary messages.
    pub binary: BinaryFrames,
    /// Headers that [`connect`] adds to its request, such as `Authorization`.
    pub headers: Vec<(String, String)>,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(30),
            call_queue: 8,
            incoming_calls: 8,
            ping_interval: Some(Duration::from_secs(30)),
            write_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            max_message_bytes: 1024 * 1024,
            limits: Limits::default(),
            binary: BinaryFrames::Refuse,
            headers: Vec::new(),
        }
    }
}

impl fmt::Debug for LinkOptions {
    /// Leaves the headers out: they may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkOptions")
            .field("call_timeout", &self.call_timeout)
            .field("ping_interval", &self.ping_interval)
            .field("max_message_bytes", &self.max_message_bytes)
            .finish_non_exhaustive()
    }
}

/// An open link and what comes in over it.
#[derive(Debug)]
pub struct Connection {
    /// To call through.
    pub link: Link,
    /// To be drained; when it is dropped the link closes.
    pub events: mpsc::Receiver<Event>,
    /// What the handshake settled on.
    pub subprotocol: String,
}

/// Why a call brought no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallFailure {
    /// The peer was silent for the call timeout.
    #[error("no answer within the call timeout")]
    TimedOut,
    /// The link is gone; the peer may or may not have acted.
    #[error("the link was lost")]
    LinkLost,
    /// Too many calls wait already; this one was not sent.
    #[error("too many calls wait on this link")]
    Busy,
    /// The peer answered with a CALLERROR.
    #[error("the peer refused: {0}")]
    Refused(#[source] CallError),
}

/// What a link has put up with so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Answers to no outstanding call: late, repeated or invented.
    pub stray_answers: u64,
    /// Texts that were no frames.
    pub malformed: u64,
    /// Binary messages refused.
    pub binary_refused: u64,
    /// Calls of the peer refused because too many were open.
    pub calls_refused: u64,
    /// Calls of ours that timed out.
    pub timeouts: u64,
}

#[derive(Debug, Default)]
struct Counters {
    stray_answers: AtomicU64,
    malformed: AtomicU64,
    binary_refused: AtomicU64,
    calls_refused: AtomicU64,
    timeouts: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A handle to call through; clones share the link, which outlives them.
#[derive(Clone, Debug)]
pub struct Link {
    commands: mpsc::Sender<Command>,
    call_slots: Arc<Semaphore>,
    counters: Arc<Counters>,
}

impl Link {
    /// Calls the peer and waits for its answer.
    ///
    /// Dropping the future takes a waiting call out of the queue; one already sent stays
    /// outstanding until its answer or timeout, because the peer may not be sent another before.
    ///
    /// # Errors
    /// `CallFailure`; after `TimedOut` and `LinkLost` the peer may still have acted.
    pub async fn call(&self, action: &str, payload: Json) -> Result<Json, CallFailure> {
        let slot = Arc::clone(&self.call_slots)
            .try_acquire_owned()
            .map_err(|_| CallFailure::Busy)?;
        let (reply, answer) = oneshot::channel();
        let call = QueuedCall {
            action: action.to_owned(),
            payload,
            reply,
            slot,
        };
        self.commands
            .send(Command::Call(Box::new(call)))
            .await
            .map_err(|_| CallFailure::LinkLost)?;
        answer.await.unwrap_or(Err(CallFailure::LinkLost))
    }

    /// Queues one binary message; waits while the peer is slower than we are.
    ///
    /// # Errors
    /// `CallFailure::LinkLost`. `Ok` says nothing about arrival.
    pub async fn send_binary(&self, bytes: Vec<u8>) -> Result<(), CallFailure> {
        self.commands
            .send(Command::Binary(bytes))
            .await
            .map_err(|_| CallFailure::LinkLost)
    }

    /// Changes the ping interval from now on.
    pub async fn set_ping_interval(&self, interval: Option<Duration>) {
        // A lost link has no interval; its owner learns of the loss from `Event::Closed`.
        let _ = self.commands.send(Command::PingInterval(interval)).await;
    }

    /// Closes the link and waits until the peer has agreed, or two seconds.
    pub async fn close(&self) {
        let (closed, done) = oneshot::channel();
        if self.commands.send(Command::Close(closed)).await.is_ok() {
            // The sender is dropped, unused, when the socket is closed.
            let _ = done.await;
        }
    }

    /// True once the link is lost or closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }

    /// What went wrong on this link so far without ending it.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkStats {
            stray_answers: read(&self.counters.stray_answers),
            malformed: read(&self.counters.malformed),
            binary_refused: read(&self.counters.binary_refused),
            calls_refused: read(&self.counters.calls_refused),
            timeouts: read(&self.counters.timeouts),
        }
    }
}

#[cfg(test)]
mod tests;
