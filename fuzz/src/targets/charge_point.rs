//! OCPP 1.6 from a central system: what it answers and asks our charge point.
//!
//! An input is text. A line that begins with `[` is sent as it is; any other is the payload that the
//! charge point's next call is answered with. After the last line the link is closed.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use ocpp_bridge::session::{Authorization, StopReason};
use ocpp_bridge::v16::SUBPROTOCOL;
use ocpp_bridge::v16::charge_point::{
    self, AvailabilityAnswer, ChargeKey, ChargePointConfig, ChargePointHandle, ChargePointHost,
    MemoryJournal, RemoteStart, ResetKind, SessionEvent, UnlockAnswer,
};
use protocol::rpc::{Frame, Limits};
use protocol::{EnergyWh, IdTag, UnixMillis};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::{Corpus, numbered, runtime};

/// How long the charge point may have nothing to say before the next line is sent all the same.
const IDLE: Duration = Duration::from_millis(1);

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(runtime);
    RUNTIME.block_on(converse(text));
}

async fn converse(text: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    let config = ChargePointConfig::new(&format!("ws://{address}/ocpp"), "CP-1", "Acme", "Outlet");
    let (handle, inbox) = charge_point::channel();
    let face = charge_point::run(config, Arc::new(Host), MemoryJournal::default(), inbox);
    let face = tokio::spawn(face);
    let (stream, _) = listener.accept().await.expect("it connects");
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, take_subprotocol)
        .await
        .expect("its handshake is ours");
    let charging = tokio::spawn(charge(handle));
    for line in text.lines() {
        if say(&mut socket, line).await.is_none() {
            break;
        }
    }
    // The charge point ends when the last handle is gone.
    charging.abort();
    let _ = charging.await;
    drop(socket);
    let ended = face.await.expect("the charge point does not panic");
    ended.expect("its journal is in memory");
}

#[allow(
    clippy::result_large_err,
    clippy::unnecessary_wraps,
    reason = "tungstenite's callback"
)]
fn take_subprotocol(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let subprotocol = SUBPROTOCOL.parse().expect("a header's value");
    response
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", subprotocol);
    Ok(response)
}

/// Sends one line; `None` where the charge point has closed the link.
async fn say(socket: &mut WebSocketStream<TcpStream>, line: &str) -> Option<()> {
    if line.starts_with('[') {
        return socket.send(Message::text(line)).await.ok();
    }
    let id = next_call(socket).await?;
    let answer = format!("[3,{},{line}]", serde_json::json!(id));
    socket.send(Message::text(answer)).await.ok()
}

/// The id of the charge point's next call; one that nobody made where it has nothing to say.
async fn next_call(socket: &mut WebSocketStream<TcpStream>) -> Option<String> {
    loop {
        let Ok(message) = tokio::time::timeout(IDLE, socket.next()).await else {
            return Some("nobody's".to_owned());
        };
        if let Message::Text(text) = message?.ok()? {
            let frame = Frame::parse(text.as_str(), &Limits::default());
            if let Frame::Call { id, .. } = frame.expect("we send frames only") {
                return Some(id.as_str().to_owned());
            }
        }
    }
}

/// One charge from its idTag to its end.
async fn charge(handle: ChargePointHandle) {
    let id_tag = IdTag::parse("FLEET-1").expect("an idTag");
    let (charge, at) = (ChargeKey(1), UnixMillis(1_800_000_000_000));
    let began = SessionEvent::Began {
        charge,
        connector: 1,
        id_tag: id_tag.clone(),
        at,
        register: EnergyWh(10_000),
    };
    let ended = SessionEvent::Ended {
        charge,
        id_tag: None,
        at: at.plus_ms(3_600_000),
        register: EnergyWh(17_000),
        reason: StopReason::Local,
        detail: Vec::new(),
    };
    // Offline until the central system has accepted it.
    while let Err(charge_point::AskError::Offline) = handle.ask_authorize(&id_tag).await {
        tokio::time::sleep(IDLE / 2).await;
    }
    for event in [began, ended] {
        handle.report(event).await.expect("the charge point runs");
    }
    std::future::pending().await
}

struct Host;

impl ChargePointHost for Host {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_800_000_000_000)
    }

    async fn remote_start(&self, _: RemoteStart) -> bool {
        true
    }

    async fn remote_stop(&self, _: ChargeKey) -> bool {
        true
    }

    async fn reset(&self, _: ResetKind) {}

    async fn set_available(&self, _: u32, _: bool) -> AvailabilityAnswer {
        AvailabilityAnswer::Accepted
    }

    async fn unlock(&self, _: u32) -> UnlockAnswer {
        UnlockAnswer::Unlocked
    }

    async fn started(&self, _: ChargeKey, _: i32, _: Authorization) {}

    async fn configuration_changed(&self, _: &str, _: &str) {}
}

const BOOT: &str = r#"{"currentTime":"2027-01-15T08:00:00Z","interval":300,"status":"Accepted"}"#;

/// What each input goes on with after the boot's answer.
const AFTER_BOOT: [&[&str]; 5] = [
    // Two connectors' status, Authorize, StartTransaction, StopTransaction.
    &[
        "{}",
        "{}",
        r#"{"idTagInfo":{"status":"Accepted","parentIdTag":"FLEET","expiryDate":"2030-01-01T00:00:00Z"}}"#,
        r#"{"idTagInfo":{"status":"Accepted"},"transactionId":42}"#,
        "{}",
    ],
    &[
        r#"[2,"1","ChangeAvailability",{"connectorId":1,"type":"Inoperative"}]"#,
        r#"[2,"2","ChangeConfiguration",{"key":"HeartbeatInterval","value":"60"}]"#,
        r#"[2,"3","GetConfiguration",{"key":["HeartbeatInterval","Other"]}]"#,
        r#"[2,"4","ClearCache",{}]"#,
    ],
    &[
        r#"[2,"1","RemoteStartTransaction",{"connectorId":1,"idTag":"FLEET-1"}]"#,
        r#"[2,"2","RemoteStopTransaction",{"transactionId":42}]"#,
        r#"[2,"3","TriggerMessage",{"requestedMessage":"MeterValues","connectorId":1}]"#,
    ],
    &[
        r#"[2,"1","DataTransfer",{"vendorId":"x","data":"y"}]"#,
        r#"[2,"2","UnlockConnector",{"connectorId":1}]"#,
        r#"[2,"3","Reset",{"type":"Hard"}]"#,
    ],
    &[r#"[4,"1","InternalError","",{}]"#, r#"[3,"1",{}]"#],
];

pub(super) fn corpus() -> Corpus {
    numbered(AFTER_BOOT.map(|lines| [&[BOOT], lines].concat().join("\n").into_bytes()))
}
