//! Links between gateways: opened when the node's rules want to call somebody, taken in where the
//! configuration says so, and used in both directions once they are there.
//!
//! `handshake` proves both keys, `listen` takes links in, `links` knows which are up. What is said on
//! them is judged by `ledger::node`.

mod handshake;
mod links;
mod listen;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledger::Frame;
use ledger::node::{Input, Node, Said, ToNeighbour, stored_headers};
use ledger::store::{Engine, Store};
use protocol::link::{
    self, BinaryFrames, CallFailure, Connection, Event, IncomingCall, Link, LinkOptions, Responder,
};
use protocol::message::{GetHeadersAck, MessageError, Request, Response, SUBPROTOCOL};
use protocol::rpc::{CallError, CallErrorCode, Limits, to_json};
use protocol::{KeyPair, NodeAddress, PublicKey, canonical, decode};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::clock::Clock;
use handshake::NeighbourError;
use links::{End, Links, Way};
pub(crate) use listen::serve;

/// What the node may want of its neighbours at once.
const QUEUE: usize = 4_096;
/// How long an answer is waited for. A person may stand at the outlet, and the provider can be asked
/// after that.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long opening a link may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);
/// Seldom: a link that is dead is noticed by the round's question, too.
const PING_INTERVAL: Duration = Duration::from_secs(300);
/// How long a neighbour may leave unread what it asked for.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Evidence in hexadecimal, with room around it.
const MAX_TEXT_BYTES: usize = 32 << 10;
/// Longest message: a frame with one header is far shorter.
const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// Headers that one question of ours may bring.
const MAX_HEADERS: u64 = 64;
/// Frames that nobody asked for, or that are none, after which a link is closed.
const MAX_STRAY: u64 = 100;

/// What links with other gateways need.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine<Node>,
    store: Arc<Store>,
    key: KeyPair,
    clock: Clock,
    links: Links,
    // Neighbours' calls that the node has not answered yet.
    open: Mutex<HashMap<u64, (Responder, Link)>>,
    next: AtomicU64,
}

/// The node's end of the queue.
pub(crate) fn queue() -> (mpsc::Sender<ToNeighbour>, mpsc::Receiver<ToNeighbour>) {
    mpsc::channel(QUEUE)
}

fn options() -> LinkOptions {
    LinkOptions {
        call_timeout: CALL_TIMEOUT,
        call_queue: 64,
        handshake_timeout: OPEN_TIMEOUT,
        ping_interval: Some(PING_INTERVAL),
        write_timeout: WRITE_TIMEOUT,
        max_message_bytes: MAX_MESSAGE_BYTES,
        limits: Limits {
            max_bytes: MAX_TEXT_BYTES,
            ..Limits::default()
        },
        binary: BinaryFrames::Deliver,
        ..LinkOptions::default()
    }
}

impl Neighbours {
    pub(crate) fn new(engine: Engine<Node>, store: Arc<Store>, key: KeyPair, clock: Clock) -> Self {
        Self {
            inner: Arc::new(Inner {
                engine,
                store,
                key,
                clock,
                links: Links::default(),
                open: Mutex::default(),
                next: AtomicU64::new(1),
            }),
        }
    }

    /// Carries out what the node wants, for as long as the gateway runs.
    pub(crate) async fn run(self, mut wanted: mpsc::Receiver<ToNeighbour>) {
        while let Some(wanted) = wanted.recv().await {
            match wanted {
                ToNeighbour::Call {
                    to,
                    address,
                    request,
                } => {
                    let neighbours = self.clone();
                    tokio::spawn(async move { neighbours.call(to, address, request).await });
                }
                ToNeighbour::Reply { call, response } => self.reply(call, response.as_ref()),
                ToNeighbour::Headers {
                    call,
                    from,
                    count,
                    tip,
                } => {
                    let neighbours = self.clone();
                    tokio::spawn(async move {
                        neighbours.send_headers(call, from, count, tip).await;
                    });
                }
            }
        }
    }

    fn said(&self, from: PublicKey, said: Said) {
        // A stopped engine ends the process; there is nobody left to tell.
        let _ = self.inner.engine.input(Input::Neighbour { from, said });
    }

    /// Calls and gives the answer to the node, whatever came of it.
    async fn call(self, to: PublicKey, address: Option<NodeAddress>, request: Request) {
        let end = match self.inner.links.of(&to) {
            Some(end) => Some(end),
            None => match address {
                Some(address) => self.opened(to, &address).await,
                None => None,
            },
        };
        let response = match end {
            Some(end) => ask(&end, &request).await,
            None => None,
        };
        self.said(to, Said::Answered { request, response });
    }

    /// A link to the node `to`; of several that want one at once, one opens it.
    async fn opened(&self, to: PublicKey, address: &NodeAddress) -> Option<End> {
        let opening = self.inner.links.opening(to);
        let _one = opening.lock().await;
        if let Some(end) = self.inner.links.of(&to) {
            return Some(end);
        }
        match tokio::time::timeout(OPEN_TIMEOUT, self.open(to, address)).await {
            Ok(Ok(connection)) => {
                tracing::info!(neighbour = %to, %address, "linked with another gateway");
                Some(self.begin(to, connection, Way::Out, None))
            }
            Ok(Err(error)) => {
                match error.is_grave() {
                    true => tracing::warn!(neighbour = %to, %address, "{error}"),
                    false => tracing::debug!(neighbour = %to, %address, "{error}"),
                }
                None
            }
            Err(_) => {
                tracing::debug!(neighbour = %to, %address, "another gateway does not answer");
                None
            }
        }
    }

    async fn open(
        &self,
        to: PublicKey,
        address: &NodeAddress,
    ) -> Result<Connection, NeighbourError> {
        let connection = link::connect(&address.url(), &[SUBPROTOCOL], &options()).await?;
        handshake::call(&connection.link, &self.inner, to).await?;
        Ok(connection)
    }

    /// A link whose other end proved its key: tells the node, and reads until it is lost. Its place
    /// is free then.
    fn begin(
        &self,
        peer: PublicKey,
        connection: Connection,
        way: Way,
        place: Option<OwnedSemaphorePermit>,
    ) -> End {
        let end = End::new(connection.link.clone(), &self.inner.next);
        let said = |up| self.said(peer, if up { Said::Up } else { Said::Down });
        if let Some(older) = self.inner.links.put(peer, way, end.clone(), said) {
            tokio::spawn(async move { older.link.close().await });
        }
        let (neighbours, reading) = (self.clone(), end.clone());
        tokio::spawn(async move {
            neighbours.read(peer, connection, &reading).await;
            let said = |up| neighbours.said(peer, if up { Said::Up } else { Said::Down });
            neighbours
                .inner
                .links
                .remove(&peer, way, reading.number, said);
            drop(place);
        });
        end
    }

    async fn read(&self, peer: PublicKey, mut connection: Connection, end: &End) {
        let mut stray = 0;
        while let Some(event) = connection.events.recv().await {
            match event {
                Event::Call(call) => self.called(peer, *call, &connection.link),
                Event::Binary(bytes) => match decode::<Frame>(&bytes) {
                    Ok(Frame::Header(header)) if end.take_header() => {
                        self.said(peer, Said::Header(header));
                    }
                    _ => {
                        stray += 1;
                        if stray > MAX_STRAY {
                            tracing::warn!(neighbour = %peer, "link closed: it sends what nobody asked for");
                            connection.link.close().await;
                            return;
                        }
                    }
                },
                Event::Closed { reason } => {
                    tracing::debug!(neighbour = %peer, ?reason, "link closed");
                    return;
                }
            }
        }
    }

    /// A neighbour calls. A link lets a few calls in at once, so few wait for the node.
    fn called(&self, peer: PublicKey, call: IncomingCall, link: &Link) {
        match Request::decode(&call.action, call.payload.get()) {
            Ok(request) => {
                let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
                self.open_calls()
                    .insert(number, (call.responder, link.clone()));
                let call = number;
                self.said(peer, Said::Asked { call, request });
            }
            Err(error) => {
                let code = match error {
                    MessageError::UnknownAction(_) => CallErrorCode::NotImplemented,
                    MessageError::Malformed { .. } => CallErrorCode::FormationViolation,
                };
                handshake::refuse(call.responder, code, &error.to_string());
            }
        }
    }

    fn reply(&self, call: u64, response: Option<&Response>) {
        let Some((responder, _)) = self.open_calls().remove(&call) else {
            return;
        };
        match response {
            Some(response) => responder.answer(Ok(to_json(&response.payload()))),
            None => {
                let words = "this node cannot answer; ask the provider";
                responder.answer(Err(CallError::new(CallErrorCode::NotSupported, words)));
            }
        }
    }

    async fn send_headers(&self, call: u64, from: u64, count: u64, tip: u64) {
        let link = self.open_calls().get(&call).map(|(_, link)| link.clone());
        let Some(link) = link else { return };
        let store = Arc::clone(&self.inner.store);
        let read = tokio::task::spawn_blocking(move || {
            let mut headers = Vec::new();
            stored_headers(&store, from, count, |header| headers.push(header)).map(|()| headers)
        });
        let Ok(Ok(headers)) = read.await else {
            tracing::error!("cannot read headers for another gateway");
            return self.reply(call, None);
        };
        for header in headers {
            let frame = canonical(&Frame::Header(Box::new(header)));
            if link.send_binary(frame).await.is_err() {
                break;
            }
        }
        self.reply(call, Some(&Response::GetHeaders(GetHeadersAck { tip })));
    }

    fn open_calls(&self) -> MutexGuard<'_, HashMap<u64, (Responder, Link)>> {
        // No operation on the map leaves it half done.
        self.inner
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call; a link on which nothing is answered is closed, so that the next call opens a new one.
async fn ask(end: &End, request: &Request) -> Option<Response> {
    if matches!(request, Request::GetHeaders(_)) {
        end.expect_headers();
    }
    let payload = to_json(&request.payload());
    match end.link.call(request.action(), payload).await {
        Ok(payload) => request.decode_response(payload.get()).ok(),
        Err(failure) => {
            tracing::debug!(action = request.action(), %failure, "another gateway does not answer");
            if matches!(failure, CallFailure::TimedOut) {
                end.link.close().await;
            }
            None
        }
    }
}
