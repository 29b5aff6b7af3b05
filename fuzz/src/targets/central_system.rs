//! OCPP 1.6 from a charge point: messages as they come over its link to our central system.
//!
//! An input is one text message. A link stays open over many inputs, as it does in the field.

use std::sync::{Arc, LazyLock, Mutex};

use futures_util::{SinkExt, StreamExt};
use ocpp_bridge::session::Authorization;
use ocpp_bridge::v16::SUBPROTOCOL;
use ocpp_bridge::v16::central_system::{
    self, BeginCharge, Begun, BootAnswer, BootInfo, BootStatus, CentralSystemHost, DataAnswer,
    DataRequest, EndCharge, HostError, MeterReport, StatusReport,
};
use protocol::link::{self, Decision, LinkOptions};
use protocol::rpc::{Frame, Limits};
use protocol::{IdTag, UnixMillis};
use tokio::io::DuplexStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{Corpus, runtime, texts};

/// Sent after each input: what is answered before its answer was the input's.
const LAST: &str = r#"[2,"last","Heartbeat",{}]"#;

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    static CHARGE_POINT: LazyLock<Mutex<ChargePoint>> =
        LazyLock::new(|| Mutex::new(ChargePoint::connect()));
    let mut charge_point = CHARGE_POINT.lock().expect("no input before it panicked");
    let answers = charge_point.send(text);
    match Frame::parse(text, &Limits::default()) {
        Ok(Frame::Call { id, .. }) => {
            assert_eq!(answers.len(), 1, "answers to one call: {answers:?}");
            assert_eq!(answers[0].id(), &id);
        }
        Ok(_) => assert!(answers.is_empty(), "an answer is answered: {answers:?}"),
        Err(malformed) => {
            let due = usize::from(malformed.answer().is_some());
            assert_eq!(answers.len(), due, "{answers:?}");
        }
    }
}

/// The charge point's end of a link in memory.
struct ChargePoint {
    runtime: Runtime,
    socket: WebSocketStream<DuplexStream>,
}

impl ChargePoint {
    fn connect() -> Self {
        let runtime = runtime();
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        runtime.spawn(serve(theirs));
        let socket = runtime.block_on(open(ours));
        Self { runtime, socket }
    }

    /// Sends `text` and tells what is answered to it.
    fn send(&mut self, text: &str) -> Vec<Frame> {
        let Self { runtime, socket } = self;
        runtime.block_on(async {
            for text in [text, LAST] {
                let sent = socket.send(Message::text(text)).await;
                sent.expect("the link stays open");
            }
            let mut answers = Vec::new();
            loop {
                let answer = next_frame(socket).await;
                if answer.id().as_str() == "last" {
                    return answers;
                }
                answers.push(answer);
            }
        })
    }
}

async fn next_frame(socket: &mut WebSocketStream<DuplexStream>) -> Frame {
    loop {
        let message = socket.next().await.expect("the link stays open");
        if let Message::Text(text) = message.expect("the link stays whole") {
            let frame = Frame::parse(text.as_str(), &Limits::default());
            return frame.expect("we send frames only");
        }
    }
}

async fn open(stream: DuplexStream) -> WebSocketStream<DuplexStream> {
    let mut request = "ws://gateway/ocpp/CP-1"
        .into_client_request()
        .expect("a URL");
    let subprotocol = SUBPROTOCOL.parse().expect("a header's value");
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", subprotocol);
    let opened = tokio_tungstenite::client_async(request, stream).await;
    opened.expect("the central system takes it in").0
}

async fn serve(stream: DuplexStream) {
    let options = LinkOptions {
        ping_interval: None,
        ..LinkOptions::default()
    };
    let decide = |offer: &link::Offer<'_>| Decision::negotiate(offer, &[SUBPROTOCOL]);
    let connection = link::accept(stream, &options, decide).await;
    let mut connection = connection.expect("the handshake is ours");
    central_system::serve(&mut connection.events, "CP-1", Arc::new(Host)).await;
}

/// Says yes to everything.
struct Host;

impl CentralSystemHost for Host {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_800_000_000_000)
    }

    async fn boot(&self, _: &str, _: BootInfo) -> Result<BootAnswer, HostError> {
        Ok(BootAnswer {
            status: BootStatus::Accepted,
            interval_s: 300,
        })
    }

    async fn authorize(&self, _: &str, id_tag: &IdTag) -> Result<Authorization, HostError> {
        Ok(Authorization::Accepted {
            expiry: None,
            parent: Some(id_tag.clone()),
        })
    }

    async fn begin(&self, charge: BeginCharge) -> Result<Begun, HostError> {
        Ok(Begun {
            transaction_id: 1,
            authorization: self.authorize("CP-1", &charge.id_tag).await?,
        })
    }

    async fn observe(&self, _: MeterReport) -> Result<(), HostError> {
        Ok(())
    }

    async fn end(&self, charge: EndCharge) -> Result<Option<Authorization>, HostError> {
        Ok(charge.id_tag.map(|_| Authorization::Expired))
    }

    async fn status(&self, _: StatusReport) -> Result<(), HostError> {
        Ok(())
    }

    async fn data_transfer(&self, _: &str, asked: DataRequest) -> Result<DataAnswer, HostError> {
        Ok(DataAnswer::Accepted { data: asked.data })
    }
}

pub(super) fn corpus() -> Corpus {
    texts([
        r#"[2,"1","Authorize",{"idTag":"FLEET-1"}]"#,
        r#"[2,"2","BootNotification",{"chargePointVendor":"Acme","chargePointModel":"Outlet","firmwareVersion":"1.0","meterSerialNumber":null}]"#,
        r#"[2,"3","DataTransfer",{"vendorId":"charge-billing","messageId":"ChargeInfo","data":"{}"}]"#,
        r#"[2,"4","Heartbeat",{}]"#,
        r#"[2,"5","MeterValues",{"connectorId":1,"transactionId":1,"meterValue":[{"timestamp":"2027-01-15T08:00:00Z","sampledValue":[{"value":"12.345","unit":"kWh"},{"value":"7.4e3","measurand":"Power.Active.Import","unit":"W"}]}]}]"#,
        r#"[2,"6","StartTransaction",{"connectorId":1,"idTag":"FLEET-1","meterStart":10000,"timestamp":"2027-01-15T08:00:00+01:00"}]"#,
        r#"[2,"7","StatusNotification",{"connectorId":0,"errorCode":"NoError","status":"SuspendedEVSE","info":"ok","timestamp":"2027-01-15T08:00:00Z"}]"#,
        r#"[2,"8","StopTransaction",{"transactionId":1,"meterStop":21000,"timestamp":"2027-01-15T09:00:00Z","reason":"EVDisconnected","transactionData":[{"timestamp":"2027-01-15T09:00:00Z","sampledValue":[{"value":"21000"}]}]}]"#,
        r#"[2,"9","ReserveNow",{}]"#,
        r#"[3,"1",{}]"#,
        r#"[4,"1","InternalError","",{}]"#,
    ])
}
