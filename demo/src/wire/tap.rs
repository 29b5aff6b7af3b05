//! A relay between one node and the provider: it forwards every message unchanged, and looks at a
//! copy.
#![expect(
    clippy::result_large_err,
    reason = "tungstenite's handshake callback returns an HTTP response by value"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use ledger::frame::MAX_FRAME_BYTES;
use protocol::message::SUBPROTOCOL;
use protocol::rpc::{self, Limits, MessageId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config, client_async_with_config};

use super::Wire;
use super::message::{Direction, Message};

const BUFFER_BYTES: usize = 4 << 10;
/// Room in a message around the longest frame.
const MARGIN_BYTES: usize = 64 << 10;

/// Where the provider is. Pointing it elsewhere cuts every tap's links, and nodes that come back
/// come to the new address.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    address: watch::Sender<SocketAddr>,
}

impl Upstream {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address: watch::Sender::new(address),
        }
    }

    pub(crate) fn point_to(&self, address: SocketAddr) {
        self.address.send_replace(address);
    }
}

/// One node's relay; dropping it cuts the link.
#[derive(Debug)]
pub(crate) struct Tap {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Tap {
    /// Listens for `node`.
    pub(crate) async fn open(
        node: &str,
        wire: &Arc<Wire>,
        upstream: &Upstream,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.context("no free port on loopback")?;
        let relay = Relay {
            node: node.to_owned(),
            wire: Arc::clone(wire),
            upstream: upstream.address.subscribe(),
        };
        Ok(Self {
            address: listener.local_addr()?,
            server: tokio::spawn(relay.serve(listener)),
        })
    }

    /// The address to give to the node instead of the provider's.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/billing", self.address)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Relay {
    node: String,
    wire: Arc<Wire>,
    upstream: watch::Receiver<SocketAddr>,
}

/// Actions of calls under way, by who called and under which id.
type OpenCalls = Mutex<HashMap<(bool, MessageId), String>>;

impl Relay {
    async fn serve(self, listener: TcpListener) {
        // Dropped with this task, and with it every link of this node.
        let mut links = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            while links.try_join_next().is_some() {}
            let relay = self.clone();
            links.spawn(async move {
                // A link that breaks is opened again by its node, which says why it broke.
                let _ = relay.carry(stream).await;
            });
        }
    }

    async fn carry(mut self, stream: TcpStream) -> Result<(), WsError> {
        stream.set_nodelay(true)?;
        let mut path = String::new();
        let near = accept_hdr_async_with_config(
            stream,
            |request: &Request, response: Response| answer(request, response, &mut path),
            Some(config()),
        )
        .await?;
        let address = *self.upstream.borrow_and_update();
        let far = connect(address, &path).await?;
        let open = OpenCalls::default();
        let (near_out, near_in) = near.split();
        let (far_out, far_in) = far.split();
        tokio::select! {
            ended = self.pump(Direction::Up, near_in, far_out, &open) => ended,
            ended = self.pump(Direction::Down, far_in, near_out, &open) => ended,
            _ = moved(self.upstream.clone()) => Ok(()),
        }
    }

    /// Forwards what comes in until the link ends.
    async fn pump(
        &self,
        direction: Direction,
        mut incoming: impl Stream<Item = Result<WsMessage, WsError>> + Unpin,
        mut outgoing: impl Sink<WsMessage, Error = WsError> + Unpin,
        open: &OpenCalls,
    ) -> Result<(), WsError> {
        while let Some(message) = incoming.next().await {
            let message = message?;
            let bytes = message.len();
            let seen = match &message {
                WsMessage::Text(text) => Some(read(direction, text, open)),
                WsMessage::Binary(binary) => Some(Message::binary(binary)),
                WsMessage::Close(_) => None,
                // Each leg is kept alive by itself.
                WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_) => continue,
            };
            if let Some(seen) = seen {
                self.wire.see(&self.node, direction, seen, bytes);
            }
            outgoing.send(message).await?;
        }
        Ok(())
    }
}

fn read(direction: Direction, text: &str, open: &OpenCalls) -> Message {
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    let is_up = direction == Direction::Up;
    match rpc::Frame::parse(text, &Limits::default()) {
        Ok(rpc::Frame::Call {
            id,
            action,
            payload,
        }) => {
            open.insert((is_up, id), action.clone());
            let payload = serde_json::from_str(payload.get()).unwrap_or_default();
            Message::Call { action, payload }
        }
        Ok(rpc::Frame::CallResult { id, payload }) => Message::Answer {
            action: open.remove(&(!is_up, id)).unwrap_or_default(),
            payload: serde_json::from_str(payload.get()).unwrap_or_default(),
        },
        Ok(rpc::Frame::CallError { id, .. }) => Message::Refusal {
            action: open.remove(&(!is_up, id)).unwrap_or_default(),
        },
        Err(_) => Message::Unreadable,
    }
}

async fn moved(mut upstream: watch::Receiver<SocketAddr>) {
    // The address is the demo's for as long as there are taps.
    let _ = upstream.changed().await;
}

fn answer(
    request: &Request,
    mut response: Response,
    path: &mut String,
) -> Result<Response, ErrorResponse> {
    request.uri().path().clone_into(path);
    let chosen = HeaderValue::from_static(SUBPROTOCOL);
    response
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, chosen);
    Ok(response)
}

async fn connect(address: SocketAddr, path: &str) -> Result<WebSocketStream<TcpStream>, WsError> {
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    let offered = HeaderValue::from_static(SUBPROTOCOL);
    request
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, offered);
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (stream, _) = client_async_with_config(request, stream, Some(config())).await?;
    Ok(stream)
}

fn config() -> WebSocketConfig {
    let largest = Some(MAX_FRAME_BYTES + MARGIN_BYTES);
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(largest)
        .max_frame_size(largest)
}
