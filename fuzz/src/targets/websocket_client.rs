//! A server's answer to our handshake, then its WebSocket frames.
//!
//! An input is the head of the answer up to an empty line, then frames. `$ACCEPT` in the head stands
//! for what the handshake asks for, which no fuzzer can know.

use std::sync::LazyLock;
use std::time::Duration;

use protocol::link::{self, BinaryFrames, Connection, Event, LinkOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::websocket::end_of_head;
use super::{Corpus, runtime};

const SUBPROTOCOL: &str = "charge-billing.v1";
const MAX_MESSAGE_BYTES: usize = 64 << 10;

pub(super) fn check(bytes: &[u8]) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(runtime);
    RUNTIME.block_on(run(bytes));
}

/// How many messages come through; `None` where there was no link.
async fn run(bytes: &[u8]) -> Option<usize> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("ws://{}/billing", listener.local_addr().expect("bound"));
    let options = LinkOptions {
        max_message_bytes: MAX_MESSAGE_BYTES,
        binary: BinaryFrames::Deliver,
        ..LinkOptions::default()
    };
    let client = async {
        let connection = link::connect(&url, &[SUBPROTOCOL], &options).await.ok()?;
        Some(listen(connection).await)
    };
    tokio::join!(client, serve(&listener, bytes)).0
}

async fn listen(mut connection: Connection) -> usize {
    let mut messages = 0;
    while let Some(event) = connection.events.recv().await {
        match event {
            Event::Call(call) => {
                messages += 1;
                call.responder.ignore();
            }
            Event::Binary(bytes) => {
                messages += 1;
                assert!(bytes.len() <= MAX_MESSAGE_BYTES);
            }
            Event::Closed { .. } => return messages,
        }
    }
    panic!("the last event is that the link is closed");
}

async fn serve(listener: &TcpListener, bytes: &[u8]) {
    let (mut stream, _) = listener.accept().await.expect("the client connects");
    let mut request = Vec::new();
    while end_of_head(&request).is_none() {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let (head, frames) = bytes.split_at(end_of_head(bytes).unwrap_or(bytes.len()));
    // The client may be gone before the last byte.
    let _ = stream.write_all(&accepted(head, &request)).await;
    let _ = stream.write_all(frames).await;
    // When nothing is left to do: answers first.
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The head with what the request's key comes to.
fn accepted(head: &[u8], request: &[u8]) -> Vec<u8> {
    const PLACE: &[u8] = b"$ACCEPT";
    let Some(at) = head.windows(PLACE.len()).position(|part| part == PLACE) else {
        return head.to_vec();
    };
    let key = derive_accept_key(key_of(request).as_bytes());
    [&head[..at], key.as_bytes(), &head[at + PLACE.len()..]].concat()
}

/// The key in our own request.
fn key_of(request: &[u8]) -> &str {
    let request = std::str::from_utf8(request).expect("we send text");
    let name = "sec-websocket-key:";
    let is_key = |line: &&str| line.to_ascii_lowercase().starts_with(name);
    let line = request.lines().find(is_key).expect("we send a key");
    line[name.len()..].trim()
}

const OPENS: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: $ACCEPT\r\nSec-WebSocket-Protocol: charge-billing.v1\r\n\r\n";

pub(super) fn corpus() -> Corpus {
    let call = br#"[2,"1","GetBlocks",{"from":1}]"#;
    let text = [&[0x81, 30], call.as_slice()].concat();
    let binary = [&[0x82, 126, 0, 200], [7; 200].as_slice()].concat();
    let opened = |frames: &[&[u8]]| [OPENS.as_bytes(), &frames.concat()].concat();
    let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nno\n!";
    let inputs = [
        ("messages", opened(&[&text, &binary])),
        ("fragments", opened(&[&[0x01, 1], b"[", &[0x80, 1], b"]"])),
        ("close", opened(&[&[0x88, 5, 0x03, 0xe8], b"bye"])),
        ("masked", opened(&[&[0x81, 0x82, 0, 0, 0, 0], b"[]"])),
        ("refused", refused.as_bytes().to_vec()),
        (
            "another",
            OPENS.replace("billing.v1", "billing.v9").into_bytes(),
        ),
        (
            "wrong-key",
            OPENS
                .replace("$ACCEPT", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                .into_bytes(),
        ),
    ];
    inputs.map(|(name, input)| (name.to_owned(), input)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_open_a_link_or_do_not() {
        let check = |name: &str, expected| {
            let found = runtime().block_on(run(&corpus()[name]));
            assert_eq!(found, expected, "{name}");
        };
        check("messages", Some(2));
        check("masked", Some(0));
        check("close", Some(0));
        for none in ["refused", "another", "wrong-key"] {
            check(none, None);
        }
    }
}
