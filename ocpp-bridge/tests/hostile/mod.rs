//! A central system that does not keep to the standard.

use std::time::Duration;

use ocpp_bridge::v16::charge_point::AskError;
use protocol::link::{self, CallFailure, Connection, Decision, Event, IncomingCall, LinkOptions};
use protocol::rpc::{self, CallError, CallErrorCode, Json};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::outlet::{Outlet, began, ended, tag};

/// A bare link in the central system's place.
struct Bare {
    listener: TcpListener,
    url: String,
}

impl Bare {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("ws://{}/ocpp", listener.local_addr().expect("bound"));
        Self { listener, url }
    }

    async fn admit(&self) -> Connection {
        let (stream, _) = self.listener.accept().await.expect("a charge point");
        link::accept(stream, &LinkOptions::default(), |offer| {
            Decision::negotiate(offer, &["ocpp1.6"])
        })
        .await
        .expect("a link")
    }
}

async fn next_call(connection: &mut Connection) -> Box<IncomingCall> {
    let event = timeout(Duration::from_secs(5), connection.events.recv()).await;
    match event.expect("in time") {
        Some(Event::Call(call)) => call,
        other => panic!("no call but {other:?}"),
    }
}

/// The payload of the next call, which must be `action`; it is answered with `answer`.
async fn expect(connection: &mut Connection, action: &str, answer: Result<Value, ()>) -> Value {
    let call = next_call(connection).await;
    assert_eq!(call.action, action);
    call.responder.answer(
        answer
            .map(|payload| -> Json { rpc::to_json(&payload) })
            .map_err(|()| CallError::new(CallErrorCode::InternalError, "")),
    );
    serde_json::from_str(call.payload.get()).expect("JSON")
}

/// The next call, which must be `action`, gets no answer before the link is cut.
async fn cut_at(mut connection: Connection, action: &str) {
    let call = next_call(&mut connection).await;
    assert_eq!(call.action, action);
    call.responder.ignore();
}

fn accepted() -> Result<Value, ()> {
    Ok(json!({"status": "Accepted", "interval": 300, "currentTime": "2026-01-01T00:00:00Z"}))
}

async fn boot(connection: &mut Connection) {
    expect(connection, "BootNotification", accepted()).await;
    for _ in 0..2 {
        expect(connection, "StatusNotification", Ok(json!({}))).await;
    }
}

#[tokio::test]
async fn a_broken_answer_to_a_boot_is_no_acceptance() {
    let central = Bare::start().await;
    let outlet = Outlet::impatient(&central.url, &[]);
    let mut connection = central.admit().await;
    let maybe = json!({"status": "Maybe", "interval": 300, "currentTime": "2026-01-01T00:00:00Z"});
    let negative =
        json!({"status": "Accepted", "interval": -1, "currentTime": "2026-01-01T00:00:00Z"});
    for answer in [Err(()), Ok(json!({})), Ok(maybe), Ok(negative), accepted()] {
        expect(&mut connection, "BootNotification", answer).await;
    }
    expect(&mut connection, "StatusNotification", Ok(json!({}))).await;
    drop(outlet);
}

#[tokio::test]
async fn a_start_without_a_transaction_id_is_repeated_then_given_up() {
    let central = Bare::start().await;
    let keys = [("TransactionMessageRetryInterval", "0")];
    let outlet = Outlet::impatient(&central.url, &keys);
    let mut connection = central.admit().await;
    boot(&mut connection).await;
    outlet.report(began(1, 10_000)).await;
    outlet.report(ended(1, 10, 11_000)).await;
    let nameless = json!({"idTagInfo": {"status": "Accepted"}});
    for _ in 0..3 {
        expect(&mut connection, "StartTransaction", Ok(nameless.clone())).await;
    }
    outlet.journal_empties().await;
    assert_eq!(outlet.host.started(), []);
}

#[tokio::test]
async fn what_was_sent_when_the_link_broke_is_sent_again() {
    let central = Bare::start().await;
    let outlet = Outlet::start(&central.url);
    cut_at(central.admit().await, "BootNotification").await;

    let mut connection = central.admit().await;
    boot(&mut connection).await;
    outlet.report(began(1, 10_000)).await;
    cut_at(connection, "StartTransaction").await;

    let mut connection = central.admit().await;
    let named = json!({"idTagInfo": {"status": "Accepted"}, "transactionId": -3});
    let start = expect(&mut connection, "StartTransaction", Ok(named)).await;
    assert_eq!(start["meterStart"], 10_000);
    outlet.report(ended(1, 10, 11_000)).await;
    let stop = expect(&mut connection, "StopTransaction", Ok(json!({}))).await;
    assert_eq!(stop["transactionId"], -3);
}

#[tokio::test]
async fn an_unreadable_authorization_is_no_authorization() {
    let central = Bare::start().await;
    let outlet = Outlet::impatient(&central.url, &[]);
    let mut connection = central.admit().await;
    boot(&mut connection).await;
    let ask = || {
        let handle = outlet.handle.clone();
        tokio::spawn(async move { handle.ask_authorize(&tag("TAG-1")).await })
    };
    let asking = ask();
    expect(
        &mut connection,
        "Authorize",
        Ok(json!({"idTagInfo": "Accepted"})),
    )
    .await;
    let answer = asking.await.expect("no panic");
    assert!(matches!(answer, Err(AskError::Unreadable(_))), "{answer:?}");
    let asking = ask();
    expect(&mut connection, "Authorize", Err(())).await;
    let answer = asking.await.expect("no panic");
    assert!(
        matches!(answer, Err(AskError::Failed(CallFailure::Refused(_)))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_status_that_was_cut_off_is_said_again() {
    let central = Bare::start().await;
    let _outlet = Outlet::impatient(&central.url, &[]);
    let mut connection = central.admit().await;
    expect(&mut connection, "BootNotification", accepted()).await;
    cut_at(connection, "StatusNotification").await;

    let mut connection = central.admit().await;
    for connector in 0..2 {
        let status = expect(&mut connection, "StatusNotification", Ok(json!({}))).await;
        assert_eq!(status["connectorId"], connector);
    }
}

/// Passes one connection on to `target` until it freezes: open, but nothing moves.
async fn freezing_proxy(listener: TcpListener, target: String, freeze: oneshot::Receiver<()>) {
    let (mut near, _) = listener.accept().await.expect("a charge point");
    let mut far = TcpStream::connect(target).await.expect("a central system");
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => panic!("closed before it froze"),
        _ = freeze => {}
    }
    // The charge point comes back once it has noticed.
    let again = listener.accept().await;
    drop((near, far, again));
}

#[tokio::test]
async fn a_changed_ping_interval_finds_a_dead_link() {
    let central = Bare::start().await;
    let target = central.listener.local_addr().expect("bound").to_string();
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("ws://{}/ocpp", proxy.local_addr().expect("bound"));
    let (freeze, frozen) = oneshot::channel();
    let noticed = tokio::spawn(freezing_proxy(proxy, target, frozen));
    let _outlet = Outlet::start(&url);
    let mut connection = central.admit().await;
    boot(&mut connection).await;

    let change = rpc::to_json(&json!({"key": "WebSocketPingInterval", "value": "1"}));
    let changed = connection.link.call("ChangeConfiguration", change).await;
    assert_eq!(changed.expect("answered").get(), r#"{"status":"Accepted"}"#);
    freeze.send(()).expect("the proxy runs");
    let noticed = timeout(Duration::from_secs(8), noticed).await;
    noticed
        .expect("long before the 60 s of the old interval")
        .expect("no panic");
}

#[tokio::test]
async fn a_reset_does_not_wait_for_ever_for_an_answer() {
    let central = Bare::start().await;
    let outlet = Outlet::impatient(&central.url, &[]);
    let mut connection = central.admit().await;
    boot(&mut connection).await;
    outlet.report(began(1, 10_000)).await;
    let start = next_call(&mut connection).await;
    assert_eq!(start.action, "StartTransaction");
    let reset = rpc::to_json(&json!({"type": "Hard"}));
    let answer = connection
        .link
        .call("Reset", reset)
        .await
        .expect("answered");
    assert_eq!(answer.get(), r#"{"status":"Accepted"}"#);

    let again = timeout(Duration::from_secs(5), central.admit()).await;
    boot(&mut again.expect("in time")).await;
}
