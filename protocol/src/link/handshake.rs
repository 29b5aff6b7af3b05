//! Opening a link, from either end.
#![expect(
    clippy::result_large_err,
    reason = "tungstenite's handshake callback returns an HTTP response by value"
)]

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, SEC_WEBSOCKET_PROTOCOL,
};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, http};
use tokio_tungstenite::{accept_hdr_async_with_config, client_async_with_config};

use super::{Connection, LinkOptions, actor};

/// Read and write buffers: 20 KiB per idle link instead of tungstenite's 148.
const BUFFER_BYTES: usize = 4 * 1024;

/// What a client asks for in its handshake.
#[derive(Debug)]
pub struct Offer<'a> {
    /// The path of its URL, still percent-encoded.
    pub path: &'a str,
    /// The subprotocols it speaks, best first.
    pub subprotocols: Vec<&'a str>,
    headers: &'a HeaderMap,
}

impl Offer<'_> {
    /// The value of a header, where it is there and text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Come in, and speak this.
    Accept {
        /// One of the subprotocols offered.
        subprotocol: String,
    },
    /// Stay out.
    Refuse {
        /// The HTTP status; anything outside 400 to 599 is sent as 500.
        status: u16,
        /// The body, for people.
        reason: String,
    },
}

impl Decision {
    /// Accepts the first of `spoken`, our best first, that the client offers.
    ///
    /// Refuses with 400 where it offers none of them. OCPP-J 1.6 would complete the handshake and
    /// close at once; a status says why, and no client can mistake it for a link.
    #[must_use]
    pub fn negotiate(offer: &Offer<'_>, spoken: &[&str]) -> Self {
        let common = spoken
            .iter()
            .find(|ours| offer.subprotocols.contains(*ours));
        match common {
            Some(subprotocol) => Self::Accept {
                subprotocol: (*subprotocol).to_owned(),
            },
            None => Self::Refuse {
                status: 400,
                reason: format!(
                    "offer one of these WebSocket subprotocols: {}",
                    spoken.join(", ")
                ),
            },
        }
    }

    /// Refuses an unknown path or identity.
    #[must_use]
    pub fn not_found() -> Self {
        Self::Refuse {
            status: 404,
            reason: "nobody is known under this path".to_owned(),
        }
    }
}

/// The identity that `path` names below `prefix`, percent-decoded.
///
/// `None` where the path lies elsewhere, names nothing or more than one segment, or is no UTF-8.
///
/// # Source
/// OCPP-J 1.6, section 3.1.1 (the connection URL).
#[must_use]
pub fn identity(path: &str, prefix: &str) -> Option<String> {
    let segment = path.strip_prefix(prefix)?;
    if segment.is_empty() || segment.contains('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let mut decoded = [0];
            hex::decode_to_slice(tail.get(..2)?, &mut decoded).ok()?;
            bytes.push(decoded[0]);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Why no link came about on the client's side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address or a header cannot be used.
    #[error("cannot use {url:?}: {why}; give ws://host:port/path")]
    Address {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// No TCP connection.
    #[error("cannot reach {host}:{port}; check address, network and that the peer runs")]
    Unreachable {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The server refused.
    #[error("the server refused with HTTP status {status}: {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The start of its explanation.
        body: String,
    },
    /// The server answered with something other than a WebSocket of our subprotocol.
    #[error("the server does not open the WebSocket")]
    Handshake(#[source] Box<WsError>),
    /// Nothing came of it in time.
    #[error("no WebSocket within {waited_ms} ms")]
    TimedOut {
        /// How long was waited.
        waited_ms: u128,
    },
}

/// Opens a link to `url` (`ws://`), offering `subprotocols`, best first.
///
/// # Errors
/// `ConnectError`; also where the server picks none of the subprotocols.
pub async fn connect(
    url: &str,
    subprotocols: &[&str],
    options: &LinkOptions,
) -> Result<Connection, ConnectError> {
    timeout(
        options.handshake_timeout,
        connect_now(url, subprotocols, options),
    )
    .await
    .unwrap_or(Err(ConnectError::TimedOut {
        waited_ms: options.handshake_timeout.as_millis(),
    }))
}

async fn connect_now(
    url: &str,
    subprotocols: &[&str],
    options: &LinkOptions,
) -> Result<Connection, ConnectError> {
    let request =
        client_request(url, subprotocols, options).map_err(|why| ConnectError::Address {
            url: url.to_owned(),
            why,
        })?;
    let (host, port) = host_and_port(request.uri()).map_err(|why| ConnectError::Address {
        url: url.to_owned(),
        why: why.to_owned(),
    })?;
    let unreachable = |source| ConnectError::Unreachable {
        host: host.clone(),
        port,
        source,
    };
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let (stream, response) =
        client_async_with_config(request, stream, Some(websocket_config(options)))
            .await
            .map_err(handshake_error)?;
    // Tungstenite has checked that it is one of those offered.
    let subprotocol = header_text(response.headers(), &SEC_WEBSOCKET_PROTOCOL).to_owned();
    Ok(actor::start(stream, options, subprotocol))
}

fn client_request(
    url: &str,
    subprotocols: &[&str],
    options: &LinkOptions,
) -> Result<http::Request<()>, String> {
    let mut request = url
        .into_client_request()
        .map_err(|error| error.to_string())?;
    let offered = HeaderValue::from_str(&subprotocols.join(", "))
        .map_err(|_| "a subprotocol is a token".to_owned())?;
    request
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, offered);
    for (name, value) in &options.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{name:?} is no header name"))?;
        let value =
            HeaderValue::from_str(value).map_err(|_| format!("the value of {name} is no text"))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

fn host_and_port(uri: &Uri) -> Result<(String, u16), &'static str> {
    if uri.scheme_str() != Some("ws") {
        return Err("only ws:// is spoken so far");
    }
    let host = uri.host().ok_or("it names no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), uri.port_u16().unwrap_or(80)))
}

fn handshake_error(error: WsError) -> ConnectError {
    match error {
        WsError::Http(response) => ConnectError::Refused {
            status: response.status().as_u16(),
            body: response
                .body()
                .as_deref()
                .map(|body| {
                    String::from_utf8_lossy(body)
                        .chars()
                        .take(200)
                        .filter(|c| !c.is_control())
                        .collect()
                })
                .unwrap_or_default(),
        },
        error => ConnectError::Handshake(Box::new(error)),
    }
}

/// Why no link came about on the server's side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// We refused.
    #[error("refused with HTTP status {status}: {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the client was told.
        reason: String,
    },
    /// The client does not speak WebSocket.
    #[error("the client does not open a WebSocket")]
    Handshake(#[source] Box<WsError>),
    /// The client did not finish in time.
    #[error("no WebSocket within {waited_ms} ms")]
    TimedOut {
        /// How long was waited.
        waited_ms: u128,
    },
}

/// Opens a link on an accepted connection, plain or already decrypted; `decide` looks at the offer.
///
/// The caller sets `TCP_NODELAY`, as only it knows the stream.
///
/// # Errors
/// `AcceptError`; where it is `Refused` the client has got the status and the reason.
pub async fn accept<S>(
    stream: S,
    options: &LinkOptions,
    decide: impl FnOnce(&Offer<'_>) -> Decision + Unpin,
) -> Result<Connection, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut subprotocol = String::new();
    let callback = |request: &Request, response: Response| {
        let decision = decide(&offer(request));
        respond(decision, response, &mut subprotocol)
    };
    let handshake = accept_hdr_async_with_config(stream, callback, Some(websocket_config(options)));
    let stream = timeout(options.handshake_timeout, handshake)
        .await
        .map_err(|_| AcceptError::TimedOut {
            waited_ms: options.handshake_timeout.as_millis(),
        })?
        .map_err(accept_error)?;
    Ok(actor::start(stream, options, subprotocol))
}

fn offer(request: &Request) -> Offer<'_> {
    let subprotocols = request
        .headers()
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    Offer {
        path: request.uri().path(),
        subprotocols,
        headers: request.headers(),
    }
}

fn respond(
    decision: Decision,
    mut response: Response,
    chosen: &mut String,
) -> Result<Response, ErrorResponse> {
    match decision {
        Decision::Accept { subprotocol } => {
            let Ok(value) = HeaderValue::from_str(&subprotocol) else {
                return Err(refusal(
                    500,
                    "the subprotocol is no header value".to_owned(),
                ));
            };
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
            *chosen = subprotocol;
            Ok(response)
        }
        Decision::Refuse { status, reason } => Err(refusal(status, reason)),
    }
}

fn refusal(status: u16, reason: String) -> ErrorResponse {
    let length = HeaderValue::from(reason.len());
    let mut response = ErrorResponse::new(Some(reason));
    *response.status_mut() = StatusCode::from_u16(status)
        .ok()
        .filter(|status| status.is_client_error() || status.is_server_error())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn accept_error(error: WsError) -> AcceptError {
    match error {
        WsError::Http(response) => AcceptError::Refused {
            status: response.status().as_u16(),
            reason: String::from_utf8_lossy(response.body().as_deref().unwrap_or_default())
                .into_owned(),
        },
        error => AcceptError::Handshake(Box::new(error)),
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn websocket_config(options: &LinkOptions) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(options.max_message_bytes))
        .max_frame_size(Some(options.max_message_bytes))
}
