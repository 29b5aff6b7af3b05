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
    MemoryJournal, RemoteStart, ResetKind, RunError, SessionEvent, UnlockAnswer,
};
use protocol::rpc::{Frame, Limits};
use protocol::{EnergyWh, IdTag, UnixMillis};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::{Corpus, numbered, runtime};

/// How often the clock may move on while the charge point has nothing to say, before the next line is
/// sent all the same. It may move once for each task that a message passes through.
const IDLE_TURNS: u32 = 30;
/// More than any input is worth.
const MOST_HEARD: usize = 1_000;
const TURN: Duration = Duration::from_millis(1);

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(runtime);
    let talk = converse(MemoryJournal::default(), text.lines());
    RUNTIME.block_on(talk).expect("its journal is in memory");
}

/// The charge point begins with what is in `journal`, and hears `lines`; what it said comes back.
pub(super) async fn converse(
    journal: MemoryJournal,
    lines: impl Iterator<Item = &str>,
) -> Result<Vec<Frame>, RunError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    let config = ChargePointConfig::new(&format!("ws://{address}/ocpp"), "CP-1", "Acme", "Outlet");
    let (handle, inbox) = charge_point::channel();
    let face = charge_point::run(config, Arc::new(Host), journal, inbox);
    let mut face = tokio::spawn(face);
    let (stream, _) = tokio::select! {
        accepted = listener.accept() => accepted.expect("it connects"),
        // It does not begin with a journal that it cannot read.
        ended = &mut face => {
            let ended = ended.expect("the charge point does not panic");
            return ended.map(|()| Vec::new());
        }
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, take_subprotocol).await;
    let mut peer = Peer {
        socket: socket.expect("its handshake is ours"),
        heard: Vec::new(),
    };
    let charging = tokio::spawn(charge(handle));
    for line in lines {
        if peer.say(line).await.is_none() {
            break;
        }
    }
    // Answers to the last lines, and no endless monologue.
    while let Some(Some(_)) = peer.hear().await
        && peer.heard.len() < MOST_HEARD
    {}
    // The charge point ends when the last handle is gone.
    charging.abort();
    let _ = charging.await;
    drop(peer.socket);
    face.await.expect("the charge point does not panic")?;
    Ok(peer.heard)
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

/// The central system.
struct Peer {
    socket: WebSocketStream<TcpStream>,
    heard: Vec<Frame>,
}

impl Peer {
    /// Sends one line; `None` where the charge point has closed the link.
    async fn say(&mut self, line: &str) -> Option<()> {
        let message = if line.starts_with('[') {
            line.to_owned()
        } else {
            let id = self.next_call().await?;
            format!("[3,{},{line}]", serde_json::json!(id))
        };
        self.socket.send(Message::text(message)).await.ok()
    }

    /// The id of the charge point's next call; one that nobody made where it has nothing to say, and
    /// none where it has closed the link.
    async fn next_call(&mut self) -> Option<String> {
        loop {
            match self.hear().await? {
                Some(Frame::Call { id, .. }) => return Some(id.as_str().to_owned()),
                Some(_) => {}
                None => return Some("nobody's".to_owned()),
            }
        }
    }

    /// The next thing that the charge point says: nothing, or no more at all.
    async fn hear(&mut self) -> Option<Option<Frame>> {
        let mut turns = 0;
        while turns < IDLE_TURNS {
            let Ok(message) = tokio::time::timeout(TURN, self.socket.next()).await else {
                turns += 1;
                continue;
            };
            if let Message::Text(text) = message?.ok()? {
                let frame = Frame::parse(text.as_str(), &Limits::default());
                let frame = frame.expect("we send frames only");
                self.heard.push(frame.clone());
                return Some(Some(frame));
            }
        }
        Some(None)
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
        tokio::time::sleep(TURN).await;
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

pub(super) const BOOT: &str =
    r#"{"currentTime":"2027-01-15T08:00:00Z","interval":300,"status":"Accepted"}"#;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the charge point says to an input of the corpus: the actions of its calls, the ids of its
    /// answers.
    #[track_caller]
    fn check_heard(input: &str, expected: &[&str]) {
        let text = String::from_utf8(corpus()[input].clone()).expect("text");
        let talk = converse(MemoryJournal::default(), text.lines());
        let heard = runtime().block_on(talk).expect("its journal is in memory");
        let names = heard.iter().map(|frame| match frame {
            Frame::Call { action, .. } => action.as_str(),
            other => other.id().as_str(),
        });
        let names: Vec<&str> = names.collect();
        for name in expected {
            assert!(names.contains(name), "{name} is not in {names:?}");
        }
    }

    #[test]
    fn a_charge_is_told_and_questions_are_answered() {
        check_heard(
            "00",
            &[
                "BootNotification",
                "StatusNotification",
                "Authorize",
                "StartTransaction",
                "StopTransaction",
            ],
        );
        check_heard("01", &["1", "2", "3", "4"]);
        check_heard("02", &["1", "2", "3"]);
        // The reset comes before the host has unlocked.
        check_heard("03", &["1", "3"]);
    }
}
