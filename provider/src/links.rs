//! Nodes' links: taking them in, reading what they send, sending what the engine decided.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::frame::MAX_FRAME_BYTES;
use ledger::provider::{Input, LinkId};
use ledger::store::{Engine, Stopped, StoreError};
use ledger::{Frame, Provider};
use protocol::link::{self, BinaryFrames, Connection, Decision, Event, IncomingCall, LinkOptions};
use protocol::link::{Link, Responder};
use protocol::message::{MessageError, Request, Response, SUBPROTOCOL};
use protocol::rpc::{CallErrorCode, to_json};
use protocol::{canonical, decode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::Instrument;

use crate::fanout::{Fanout, Outgoing, Outlet};
use crate::handshake::{Identity, prove, refuse};
use crate::store::Blocks;

/// The path of the billing link.
const PATH: &str = "/billing";
/// Links at once.
const MAX_LINKS: usize = 10_000;
/// Links at once that have not joined yet.
const MAX_UNJOINED: usize = 1_024;
/// How long a node may take to join.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node may take to answer a call. Shorter than a node waits for the provider, because
/// another node's call may wait for this one.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Calls that may wait for one node; for one more the engine gets no answer.
const MAX_ASKS: usize = 1_024;
/// Room in a message around the longest frame.
const FRAME_MARGIN_BYTES: usize = 64 << 10;
/// The pause after the system refused a connection, which it does when it has no handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every link needs.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) engine: Engine<Provider>,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) identity: Identity,
}

/// Takes links in for ever.
pub(crate) async fn serve(listener: TcpListener, links: Arc<Links>) {
    let places = Arc::new(Semaphore::new(MAX_LINKS));
    let unjoined_places = Arc::new(Semaphore::new(MAX_UNJOINED));
    let next_link = AtomicU64::new(1);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(%error, "cannot take a connection in");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = Arc::clone(&places).try_acquire_owned();
        let unjoined = Arc::clone(&unjoined_places).try_acquire_owned();
        let (Ok(place), Ok(unjoined)) = (place, unjoined) else {
            tracing::warn!(%peer, "connection dropped: too many links");
            continue;
        };
        let id = next_link.fetch_add(1, Ordering::Relaxed);
        let span = tracing::info_span!("link", id, %peer, node = tracing::field::Empty);
        let links = Arc::clone(&links);
        let task = async move {
            serve_link(links, id, stream, unjoined).await;
            drop(place);
        };
        tokio::spawn(task.instrument(span));
    }
}

fn options() -> LinkOptions {
    LinkOptions {
        call_timeout: CALL_TIMEOUT,
        handshake_timeout: JOIN_TIMEOUT,
        max_message_bytes: MAX_FRAME_BYTES + FRAME_MARGIN_BYTES,
        binary: BinaryFrames::Deliver,
        ..LinkOptions::default()
    }
}

async fn serve_link(
    links: Arc<Links>,
    id: LinkId,
    stream: TcpStream,
    unjoined: OwnedSemaphorePermit,
) {
    // Boxed, so that its memory is given back: a joined link lives long and should be small.
    let joining = Box::pin(join(&links, id, stream));
    let joined = match tokio::time::timeout(JOIN_TIMEOUT, joining).await {
        Ok(Some(joined)) => joined,
        Ok(None) => return,
        Err(_) => {
            tracing::warn!("connection closed: it did not join in time");
            return;
        }
    };
    drop(unjoined);
    tracing::info!("node connected");
    exchange(&links, id, joined).await;
    tracing::info!("node disconnected");
}

/// A link whose node is let in. Dropping it tells the engine.
struct Joined {
    connection: Connection,
    outlet: Outlet,
    registered: Registered,
}

/// A link that engine and fan-out know.
struct Registered {
    links: Arc<Links>,
    id: LinkId,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.links.fanout.remove(self.id);
        // An engine that has stopped knows no links any more.
        let _ = self.links.engine.input(Input::Left { link: self.id });
    }
}

/// From TCP connection to joined node; `None` where it is not let in, which it was told.
async fn join(links: &Arc<Links>, id: LinkId, stream: TcpStream) -> Option<Joined> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection lost");
        return None;
    }
    let decide = |offer: &link::Offer<'_>| match offer.path {
        PATH => Decision::negotiate(offer, &[SUBPROTOCOL]),
        _ => Decision::not_found(),
    };
    let mut connection = match link::accept(stream, &options(), decide).await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::warn!(%error, "no billing link");
            return None;
        }
    };
    let Some(proven) = prove(&mut connection, &links.identity).await else {
        // In good order, so that the refusal arrives before the end.
        connection.link.close().await;
        return None;
    };
    let mut outlet = links.fanout.add(id);
    let registered = Registered {
        links: Arc::clone(links),
        id,
    };
    let input = Input::Join {
        link: id,
        key: proven.key,
        token: proven.token,
        report: proven.report,
    };
    links.engine.input(input).ok()?;
    // The engine's word on Join comes first of all; nothing else is sent to a link before.
    let Some(Outgoing::Joined(result)) = outlet.outgoing.recv().await else {
        return None;
    };
    match *result {
        Ok(ack) => {
            tracing::Span::current().record("node", ack.node.0);
            proven.join.answer(Ok(to_json(&ack)));
            Some(Joined {
                connection,
                outlet,
                registered,
            })
        }
        Err(refusal) => {
            let words = refusal.to_string();
            tracing::warn!(reason = words, "node not let in");
            refuse(proven.join, CallErrorCode::SecurityError, &words);
            connection.link.close().await;
            None
        }
    }
}

/// Calls of a node that the engine has not answered yet, by number.
type OpenCalls = Mutex<HashMap<u64, Responder>>;

/// Reads, sends and asks until one of them ends. Separately, so that a node that sends much and
/// reads little cannot hold up its own link.
async fn exchange(links: &Arc<Links>, id: LinkId, joined: Joined) {
    let Joined {
        connection: Connection {
            link, mut events, ..
        },
        outlet: Outlet { outgoing, closed },
        registered,
    } = joined;
    let open_calls = OpenCalls::default();
    let (asks, waiting_asks) = mpsc::channel(MAX_ASKS);
    tokio::select! {
        _ = closed => {}
        // Whether the engine stopped or the link is lost, there is nothing more to do here.
        _ = read(links, id, &mut events, &open_calls) => {}
        () = send(links, &link, outgoing, &open_calls, asks) => {}
        _ = ask(links, &link, waiting_asks) => {}
    }
    drop(registered);
}

/// Gives what the node sends to the engine. `input` blocks while the engine's queue is full, and
/// that is wanted: the engine waits for no task here, and until it has caught up nobody should
/// read more from a socket.
async fn read(
    links: &Links,
    id: LinkId,
    events: &mut mpsc::Receiver<Event>,
    open_calls: &OpenCalls,
) -> Result<(), Stopped> {
    let (mut last_call, mut malformed) = (0_u64, 0_u64);
    while let Some(event) = events.recv().await {
        match event {
            Event::Call(call) => {
                last_call += 1;
                called(links, id, last_call, *call, open_calls)?;
            }
            Event::Binary(bytes) => match decode::<Frame>(&bytes) {
                Ok(frame) => {
                    let frame = Box::new(frame);
                    links.engine.input(Input::Frame { link: id, frame })?;
                }
                Err(error) => {
                    malformed += 1;
                    let length = error.length;
                    tracing::warn!(length, malformed, "binary frame is no billing frame");
                }
            },
            Event::Closed { reason } => {
                tracing::debug!(?reason, "link closed");
                break;
            }
        }
    }
    Ok(())
}

fn called(
    links: &Links,
    id: LinkId,
    number: u64,
    call: IncomingCall,
    open_calls: &OpenCalls,
) -> Result<(), Stopped> {
    let IncomingCall {
        action,
        payload,
        responder,
    } = call;
    if matches!(action.as_str(), "Hello" | "Join") {
        let words = "this link has joined already; open another one";
        refuse(responder, CallErrorCode::SecurityError, words);
        return Ok(());
    }
    let request = match Request::decode(&action, payload.get()) {
        Ok(request) => request,
        Err(error) => {
            let code = match error {
                MessageError::UnknownAction(_) => CallErrorCode::NotImplemented,
                MessageError::Malformed { .. } => CallErrorCode::FormationViolation,
            };
            refuse(responder, code, &error.to_string());
            return Ok(());
        }
    };
    // The link answers no more calls at once than it lets in, so this stays small.
    lock(open_calls).insert(number, responder);
    links.engine.input(Input::Asked {
        link: id,
        call: number,
        request,
    })
}

fn lock(open_calls: &OpenCalls) -> std::sync::MutexGuard<'_, HashMap<u64, Responder>> {
    open_calls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends what the engine decided, in its order.
async fn send(
    links: &Links,
    link: &Link,
    mut outgoing: mpsc::Receiver<Outgoing>,
    open_calls: &OpenCalls,
    asks: mpsc::Sender<(u64, Box<Request>)>,
) {
    while let Some(next) = outgoing.recv().await {
        let goes_on = match next {
            Outgoing::Frame(frame) => link.send_binary(canonical(&*frame)).await.is_ok(),
            Outgoing::Blocks { from, count } => send_blocks(links, link, from, count).await,
            Outgoing::Headers { from, count } => {
                let read = move |blocks: &Blocks| blocks.headers(from, count);
                send_all(links, link, read).await
            }
            Outgoing::Proofs { node, after, count } => {
                let read = move |blocks: &Blocks| blocks.proofs(node, after, count);
                send_all(links, link, read).await
            }
            Outgoing::Reply { call, response } => {
                if let Some(responder) = lock(open_calls).remove(&call) {
                    reply(responder, *response);
                }
                true
            }
            Outgoing::Ask { call, request } => {
                asks.try_send((call, request)).is_ok() || unanswered(links, call).is_ok()
            }
            // Taken before the link came here; a second Join never reaches the engine.
            Outgoing::Joined(_) => true,
        };
        if !goes_on {
            break;
        }
    }
}

fn reply(responder: Responder, response: Option<Response>) {
    match response {
        // A `Value` that came from our own messages is always JSON.
        Some(response) => responder.answer(Ok(to_json(&response.payload()))),
        None => refuse(
            responder,
            CallErrorCode::NotSupported,
            "this call is not for a provider, not from this node, or beyond its limits",
        ),
    }
}

/// Sends blocks one after the other; `false` where the link is lost or the disk fails.
async fn send_blocks(links: &Links, link: &Link, from: u64, count: u64) -> bool {
    for height in from..from.saturating_add(count) {
        let blocks = Arc::clone(&links.blocks);
        let read = tokio::task::spawn_blocking(move || blocks.frame(height)).await;
        let frame = match read {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None)) => return true,
            Ok(Err(error)) => {
                tracing::error!(%error, height, "cannot read a block");
                return false;
            }
            // Only at the end of the process are such tasks cancelled.
            Err(_) => return false,
        };
        if link.send_binary(frame.to_vec()).await.is_err() {
            return false;
        }
    }
    true
}

/// Sends the frames that `read` finds on the disk; `false` where the link is lost or the disk fails.
async fn send_all(
    links: &Links,
    link: &Link,
    read: impl FnOnce(&Blocks) -> Result<Vec<Frame>, StoreError> + Send + 'static,
) -> bool {
    let blocks = Arc::clone(&links.blocks);
    let frames = match tokio::task::spawn_blocking(move || read(&blocks)).await {
        Ok(Ok(frames)) => frames,
        Ok(Err(error)) => {
            tracing::error!(%error, "cannot read the chain");
            return false;
        }
        // Only at the end of the process are such tasks cancelled.
        Err(_) => return false,
    };
    for frame in frames {
        if link.send_binary(canonical(&frame)).await.is_err() {
            return false;
        }
    }
    true
}

/// Calls the node, one call after the other, and gives its answers to the engine.
async fn ask(
    links: &Links,
    link: &Link,
    mut waiting: mpsc::Receiver<(u64, Box<Request>)>,
) -> Result<(), Stopped> {
    while let Some((call, request)) = waiting.recv().await {
        let answer = link
            .call(request.action(), to_json(&request.payload()))
            .await;
        let response = match answer {
            Ok(payload) => request.decode_response(payload.get()).ok(),
            Err(_) => None,
        };
        if response.is_none() {
            tracing::warn!(action = request.action(), "no usable answer from the node");
        }
        links.engine.input(Input::Answer { call, response })?;
    }
    Ok(())
}

fn unanswered(links: &Links, call: u64) -> Result<(), Stopped> {
    tracing::warn!("too many calls wait for this node");
    links.engine.input(Input::Answer {
        call,
        response: None,
    })
}
