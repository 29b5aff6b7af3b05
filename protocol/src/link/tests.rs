use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;
use crate::rpc::{self, CallErrorCode, Frame};

const PATIENCE: Duration = Duration::from_secs(5);

fn options() -> LinkOptions {
    LinkOptions {
        call_timeout: Duration::from_millis(150),
        ping_interval: None,
        limits: Limits {
            max_bytes: 1_000,
            max_depth: 8,
        },
        max_message_bytes: 4_000_000,
        ..LinkOptions::default()
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("ws://{}/ocpp/CP-1", listener.local_addr().expect("bound"));
    (listener, url)
}

fn admit(offer: &Offer<'_>) -> Decision {
    match identity(offer.path, "/ocpp/") {
        Some(_) => Decision::negotiate(offer, &["ocpp1.6"]),
        None => Decision::not_found(),
    }
}

/// Our client and our server.
async fn pair(client: &LinkOptions, server: &LinkOptions) -> (Connection, Connection) {
    let (listener, url) = listener().await;
    let accepting = async {
        let (stream, _) = listener.accept().await.expect("a client");
        accept(stream, server, admit).await.expect("admitted")
    };
    let (client, server) = tokio::join!(connect(&url, &["ocpp1.6"], client), accepting);
    (client.expect("connected"), server)
}

/// A client of tokio-tungstenite, free to misbehave, at our server.
struct Rogue(WebSocketStream<TcpStream>);

impl Rogue {
    async fn at_our_server(options: &LinkOptions) -> (Self, Connection) {
        let (listener, url) = listener().await;
        let accepting = async {
            let (stream, _) = listener.accept().await.expect("a client");
            accept(stream, options, admit).await.expect("admitted")
        };
        let (rogue, server) = tokio::join!(offering(&url, Some("ocpp1.6")), accepting);
        (Self(rogue.expect("admitted")), server)
    }

    async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("sent");
    }

    /// The next text that arrives.
    async fn text(&mut self) -> String {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("in time");
            match message.expect("open").expect("readable") {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// The id of the call that arrives next.
    async fn call_id(&mut self) -> String {
        let text = self.text().await;
        match Frame::parse(&text, &Limits::default()) {
            Ok(Frame::Call { id, .. }) => id.to_string(),
            other => panic!("no call but {other:?}"),
        }
    }
}

async fn offering(
    url: &str,
    subprotocol: Option<&str>,
) -> Result<WebSocketStream<TcpStream>, WsError> {
    let mut request = url.into_client_request().expect("an address");
    if let Some(name) = subprotocol {
        let value = HeaderValue::from_str(name).expect("a token");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", value);
    }
    let port = request.uri().port_u16().expect("given");
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("up");
    client_async(request, stream)
        .await
        .map(|(stream, _)| stream)
}

async fn next_event(connection: &mut Connection) -> Event {
    timeout(PATIENCE, connection.events.recv())
        .await
        .expect("in time")
        .expect("`Closed` has not come yet")
}

async fn next_call(connection: &mut Connection) -> Box<IncomingCall> {
    match next_event(connection).await {
        Event::Call(call) => call,
        other => panic!("no call but {other:?}"),
    }
}

/// Why it closed; also that nothing follows.
async fn closed(connection: &mut Connection) -> CloseReason {
    let Event::Closed { reason } = next_event(connection).await else {
        panic!("something came before the close");
    };
    assert!(connection.events.recv().await.is_none());
    reason
}

/// A call in the background.
fn calling(
    link: &Link,
    action: &'static str,
) -> tokio::task::JoinHandle<Result<Json, CallFailure>> {
    let link = link.clone();
    tokio::spawn(async move { link.call(action, rpc::empty()).await })
}

#[tokio::test]
async fn both_ends_call_each_other_at_once() {
    let (mut client, mut server) = pair(&options(), &options()).await;
    assert_eq!(client.subprotocol, "ocpp1.6");
    let up = calling(&client.link, "Up");
    let down = calling(&server.link, "Down");

    let call = next_call(&mut server).await;
    assert_eq!((call.action.as_str(), call.payload.get()), ("Up", "{}"));
    let other = next_call(&mut client).await;
    assert_eq!(other.action, "Down");
    call.responder
        .answer(Ok(rpc::to_json(&serde_json::json!({"n": 1}))));
    let refusal = CallError::new(CallErrorCode::NotSupported, "off");
    other.responder.answer(Err(refusal));

    let answer = up.await.expect("no panic").expect("answered");
    assert_eq!(answer.get(), r#"{"n":1}"#);
    let refused = down.await.expect("no panic");
    assert!(
        matches!(&refused, Err(CallFailure::Refused(error)) if error.code == CallErrorCode::NotSupported),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_second_call_is_sent_after_the_first_is_answered() {
    let (mut rogue, server) = Rogue::at_our_server(&options()).await;
    let first = calling(&server.link, "First");
    let id = rogue.call_id().await;
    let second = calling(&server.link, "Second");
    assert!(
        timeout(Duration::from_millis(50), rogue.text())
            .await
            .is_err()
    );

    rogue.send(&format!(r#"[3,"{id}",{{}}]"#)).await;
    let id = rogue.call_id().await;
    rogue.send(&format!(r#"[3,"{id}",{{}}]"#)).await;
    assert!(first.await.expect("no panic").is_ok());
    assert!(second.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_full_queue_is_busy_and_frees_itself() {
    let options = LinkOptions {
        call_queue: 1,
        ..options()
    };
    let (mut rogue, server) = Rogue::at_our_server(&options).await;
    let first = calling(&server.link, "First");
    let id = rogue.call_id().await;
    let second = calling(&server.link, "Second");
    tokio::task::yield_now().await;
    let third = server.link.call("Third", rpc::empty()).await;
    assert!(matches!(third, Err(CallFailure::Busy)), "{third:?}");

    rogue.send(&format!(r#"[3,"{id}",{{}}]"#)).await;
    assert!(first.await.expect("no panic").is_ok());
    let fourth = calling(&server.link, "Fourth");
    for _ in 0..2 {
        let id = rogue.call_id().await;
        rogue.send(&format!(r#"[3,"{id}",{{}}]"#)).await;
    }
    assert!(second.await.expect("no panic").is_ok());
    assert!(fourth.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn late_and_repeated_answers_change_nothing() {
    let (mut rogue, server) = Rogue::at_our_server(&options()).await;
    let late = calling(&server.link, "Late");
    let late_id = rogue.call_id().await;
    let outcome = late.await.expect("no panic");
    assert!(matches!(outcome, Err(CallFailure::TimedOut)), "{outcome:?}");

    let next = calling(&server.link, "Next");
    let id = rogue.call_id().await;
    rogue
        .send(&format!(r#"[3,"{late_id}",{{"late":1}}]"#))
        .await;
    rogue.send(&format!(r#"[3,"{id}",{{"n":1}}]"#)).await;
    rogue.send(&format!(r#"[3,"{id}",{{"n":2}}]"#)).await;
    rogue.send(r#"[4,"-1","GenericError","",{}]"#).await;
    let answer = next.await.expect("no panic").expect("answered");
    assert_eq!(answer.get(), r#"{"n":1}"#);

    // A round trip later all of them have been read.
    rogue.send("garbage").await;
    rogue.text().await;
    let stats = server.link.stats();
    assert_eq!((stats.stray_answers, stats.timeouts), (3, 1));
}

#[tokio::test]
async fn garbage_oversize_and_binary_are_answered_and_the_link_stays() {
    let (mut rogue, mut server) = Rogue::at_our_server(&options()).await;
    rogue.send("garbage").await;
    assert!(
        rogue
            .text()
            .await
            .starts_with(r#"[4,"-1","FormationViolation""#)
    );
    rogue.send(r#"[2,"9","Heartbeat"]"#).await;
    assert!(
        rogue
            .text()
            .await
            .starts_with(r#"[4,"9","FormationViolation""#)
    );
    let long = format!(r#"[2,"9","Heartbeat",{{"a":"{}"}}]"#, "x".repeat(1_000));
    rogue.send(&long).await;
    assert!(rogue.text().await.starts_with(r#"[4,"-1","GenericError""#));
    let binary = Message::binary(vec![1, 2, 3]);
    rogue.0.send(binary).await.expect("sent");
    assert!(
        rogue
            .text()
            .await
            .starts_with(r#"[4,"-1","FormationViolation""#)
    );

    rogue.send(r#"[2,"10","Heartbeat",{}]"#).await;
    next_call(&mut server)
        .await
        .responder
        .answer(Ok(rpc::empty()));
    assert_eq!(rogue.text().await, r#"[3,"10",{}]"#);
    let stats = server.link.stats();
    assert_eq!((stats.malformed, stats.binary_refused), (3, 1));
}

#[tokio::test]
async fn a_message_over_the_hard_limit_closes_the_link() {
    let options = LinkOptions {
        max_message_bytes: 2_000,
        ..options()
    };
    let (mut rogue, mut server) = Rogue::at_our_server(&options).await;
    rogue.send(&"x".repeat(2_001)).await;
    assert_eq!(closed(&mut server).await, CloseReason::TooLarge);
}

#[tokio::test]
async fn more_open_calls_than_allowed_are_refused_one_by_one() {
    let options = LinkOptions {
        incoming_calls: 2,
        ..options()
    };
    let (mut rogue, mut server) = Rogue::at_our_server(&options).await;
    for id in ["a", "b", "c"] {
        rogue.send(&format!(r#"[2,"{id}","Heartbeat",{{}}]"#)).await;
    }
    assert!(rogue.text().await.starts_with(r#"[4,"c","InternalError""#));
    for id in ["a", "b"] {
        next_call(&mut server)
            .await
            .responder
            .answer(Ok(rpc::empty()));
        assert_eq!(rogue.text().await, format!(r#"[3,"{id}",{{}}]"#));
    }
    assert_eq!(server.link.stats().calls_refused, 1);
}

#[tokio::test]
async fn a_dropped_call_is_answered_with_internal_error() {
    let (mut rogue, mut server) = Rogue::at_our_server(&options()).await;
    rogue.send(r#"[2,"a","Heartbeat",{}]"#).await;
    drop(next_call(&mut server).await);
    assert!(rogue.text().await.starts_with(r#"[4,"a","InternalError""#));
}

#[tokio::test]
async fn a_lost_link_fails_the_outstanding_and_the_waiting_calls_at_once() {
    let options = LinkOptions {
        call_timeout: Duration::from_secs(60),
        ..options()
    };
    let (mut rogue, mut server) = Rogue::at_our_server(&options).await;
    let outstanding = calling(&server.link, "First");
    rogue.call_id().await;
    let waiting = calling(&server.link, "Second");
    drop(rogue);
    for call in [outstanding, waiting] {
        let outcome = timeout(PATIENCE, call).await.expect("at once");
        let outcome = outcome.expect("no panic");
        assert!(matches!(outcome, Err(CallFailure::LinkLost)), "{outcome:?}");
    }
    assert!(matches!(
        closed(&mut server).await,
        CloseReason::Broken { .. }
    ));
    let after = server.link.call("Third", rpc::empty()).await;
    assert!(matches!(after, Err(CallFailure::LinkLost)), "{after:?}");
}

#[tokio::test]
async fn a_silent_peer_is_dead_after_two_intervals() {
    let interval = Duration::from_millis(80);
    let options = LinkOptions {
        ping_interval: Some(interval),
        ..options()
    };
    // The rogue does not read, so it answers no ping.
    let (_rogue, mut server) = Rogue::at_our_server(&options).await;
    let opened = Instant::now();
    assert_eq!(closed(&mut server).await, CloseReason::Silent);
    assert!(opened.elapsed() >= interval, "{:?}", opened.elapsed());
}

#[tokio::test]
async fn pings_keep_a_quiet_link_open() {
    let pinging = LinkOptions {
        ping_interval: Some(Duration::from_millis(40)),
        ..options()
    };
    let (mut client, server) = pair(&pinging, &options()).await;
    let nothing = timeout(Duration::from_millis(300), client.events.recv()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    drop(server);
}

#[tokio::test]
async fn the_ping_interval_can_be_changed_while_open() {
    let (_rogue, mut server) = Rogue::at_our_server(&options()).await;
    let interval = Some(Duration::from_millis(40));
    server.link.set_ping_interval(interval).await;
    assert_eq!(closed(&mut server).await, CloseReason::Silent);
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_given_up() {
    let options = LinkOptions {
        write_timeout: Duration::from_millis(100),
        binary: BinaryFrames::Deliver,
        ..options()
    };
    let (_rogue, mut server) = Rogue::at_our_server(&options).await;
    let link = server.link.clone();
    let sending =
        tokio::spawn(async move { while link.send_binary(vec![0; 1_000_000]).await.is_ok() {} });
    assert_eq!(closed(&mut server).await, CloseReason::Stalled);
    sending.await.expect("the sender learns of it");
}

#[tokio::test]
async fn binary_messages_arrive_in_order_however_slow_the_reader() {
    let options = LinkOptions {
        binary: BinaryFrames::Deliver,
        incoming_calls: 1,
        ..options()
    };
    let (mut client, server) = pair(&options, &options).await;
    let sending = tokio::spawn(async move {
        for n in 0..50_u8 {
            server
                .link
                .send_binary(vec![n; 10_000])
                .await
                .expect("open");
        }
        server
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    for n in 0..50_u8 {
        match next_event(&mut client).await {
            Event::Binary(bytes) => assert_eq!(bytes, vec![n; 10_000]),
            other => panic!("no binary but {other:?}"),
        }
    }
    drop(sending.await);
}

#[tokio::test]
async fn large_messages_both_ways_at_once_do_not_block_each_other() {
    let options = LinkOptions {
        binary: BinaryFrames::Deliver,
        ..options()
    };
    let (client, server) = pair(&options, &options).await;
    for link in [client.link.clone(), server.link.clone()] {
        tokio::spawn(async move {
            for _ in 0..4 {
                link.send_binary(vec![7; 3_000_000]).await.expect("open");
            }
        });
    }
    let drain = async |mut end: Connection| {
        for _ in 0..4 {
            assert!(matches!(next_event(&mut end).await, Event::Binary(_)));
        }
        end
    };
    let _ends = tokio::join!(drain(client), drain(server));
}

#[tokio::test]
async fn a_close_is_agreed_on() {
    let (client, mut server) = pair(&options(), &options()).await;
    let reason = CloseReason::ByPeer {
        code: Some(1000),
        reason: String::new(),
    };
    let mut client = client;
    client.link.close().await;
    assert_eq!(closed(&mut client).await, CloseReason::ByUs);
    assert_eq!(closed(&mut server).await, reason);
    assert!(client.link.is_closed() && server.link.is_closed());
}

#[tokio::test]
async fn a_peer_that_closes_gets_its_close_frame_back() {
    let (mut rogue, mut server) = Rogue::at_our_server(&options()).await;
    rogue.0.close(None).await.expect("sent");
    let reply = timeout(PATIENCE, rogue.0.next()).await.expect("in time");
    assert!(matches!(reply, Some(Ok(Message::Close(_)))), "{reply:?}");
    assert!(matches!(
        closed(&mut server).await,
        CloseReason::ByPeer { .. }
    ));
}

#[tokio::test]
async fn what_was_answered_before_a_close_still_arrives() {
    let (mut rogue, mut server) = Rogue::at_our_server(&options()).await;
    rogue.send(r#"[2,"a","Reset",{}]"#).await;
    let call = next_call(&mut server).await;
    call.responder.answer(Ok(rpc::empty()));
    drop(server);
    assert_eq!(rogue.text().await, r#"[3,"a",{}]"#);
}

#[tokio::test]
async fn an_answer_goes_out_before_the_call_it_promises() {
    let (mut rogue, mut server) = Rogue::at_our_server(&options()).await;
    for _ in 0..20 {
        rogue.send(r#"[2,"a","TriggerMessage",{}]"#).await;
        let call = next_call(&mut server).await;
        call.responder.answer(Ok(rpc::empty()));
        // Polled in this order, both wait for the link's task at once.
        let promised = server.link.call("Heartbeat", rpc::empty());
        let (answered, ()) = tokio::join!(promised, async {
            assert_eq!(rogue.text().await, r#"[3,"a",{}]"#);
            let id = rogue.call_id().await;
            rogue.send(&format!(r#"[3,"{id}",{{}}]"#)).await;
        });
        assert!(answered.is_ok());
    }
}

#[tokio::test]
async fn a_link_closes_when_nobody_listens_any_more() {
    let (client, mut server) = pair(&options(), &options()).await;
    drop(client.events);
    assert!(matches!(
        closed(&mut server).await,
        CloseReason::ByPeer { .. }
    ));
}

/// The HTTP status that a client gets which asks for `path` and offers `subprotocol`.
async fn check_refused(path: &str, subprotocol: Option<&str>, expected: u16) {
    let (listener, url) = listener().await;
    let url = url.replace("/ocpp/CP-1", path);
    let accepting = async {
        let (stream, _) = listener.accept().await.expect("a client");
        accept(stream, &options(), admit).await.map(|_| ())
    };
    let (client, server) = tokio::join!(offering(&url, subprotocol), accepting);
    match client {
        Err(WsError::Http(response)) => assert_eq!(response.status().as_u16(), expected),
        other => panic!("{path} {subprotocol:?} gave {other:?}"),
    }
    assert!(
        matches!(&server, Err(AcceptError::Refused { status, .. }) if *status == expected),
        "{server:?}"
    );
}

#[tokio::test]
async fn unknown_subprotocols_and_paths_are_refused_in_the_handshake() {
    check_refused("/ocpp/CP-1", Some("ocpp2.0.1, soap"), 400).await;
    check_refused("/ocpp/CP-1", None, 400).await;
    check_refused("/elsewhere", Some("ocpp1.6"), 404).await;
    check_refused("/ocpp/", Some("ocpp1.6"), 404).await;
}

#[tokio::test]
async fn our_client_says_why_it_was_refused() {
    let (listener, url) = listener().await;
    let accepting = async {
        let (stream, _) = listener.accept().await.expect("a client");
        accept(stream, &options(), admit).await.map(|_| ())
    };
    let ours = options();
    let (client, _) = tokio::join!(connect(&url, &["ocpp2.0.1"], &ours), accepting);
    assert!(
        matches!(&client, Err(ConnectError::Refused { status: 400, .. })),
        "{client:?}"
    );
}

#[tokio::test]
async fn a_client_that_says_nothing_is_not_waited_for() {
    let (listener, url) = listener().await;
    let options = LinkOptions {
        handshake_timeout: Duration::from_millis(50),
        ..options()
    };
    let address = url.trim_start_matches("ws://").split('/').next();
    let _mute = TcpStream::connect(address.expect("host and port")).await;
    let (stream, _) = listener.accept().await.expect("a client");
    let outcome = accept(stream, &options, admit).await.map(|_| ());
    assert!(matches!(outcome, Err(AcceptError::TimedOut { .. })));
}

#[test]
fn an_identity_is_one_decoded_segment() {
    let check = |path: &str, expected: Option<&str>| {
        assert_eq!(identity(path, "/ocpp/").as_deref(), expected, "{path}");
    };
    check("/ocpp/CP-1", Some("CP-1"));
    check("/ocpp/R%26D%20%c3%a9", Some("R&D é"));
    check("/ocpp/", None);
    check("/ocpp/a/b", None);
    check("/other/CP-1", None);
    check("/ocpp/%f", None);
    check("/ocpp/%zz", None);
    check("/ocpp/%ff", None);
}

#[test]
fn debug_output_hides_the_headers() {
    let options = LinkOptions {
        headers: vec![("Authorization".to_owned(), "Basic c2VjcmV0".to_owned())],
        ..LinkOptions::default()
    };
    assert!(!format!("{options:?}").contains("c2VjcmV0"));
}
