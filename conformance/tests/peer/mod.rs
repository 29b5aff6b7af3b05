//! A central system on a real socket that answers what the test says.

use protocol::link::{self, Decision, Event, LinkOptions};
use protocol::rpc::{CallError, Json};
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};

pub(crate) type Answer = Result<Json, CallError>;

/// Serves every charge point with `answer`, until the runtime ends; returns its address.
pub(crate) async fn start(answer: impl Fn(&str) -> Answer + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer.clone()));
        }
    });
    format!("ws://{address}/ocpp")
}

async fn serve(stream: TcpStream, answer: impl Fn(&str) -> Answer) {
    let decide = |offer: &link::Offer<'_>| Decision::negotiate(offer, &["ocpp1.6"]);
    let mut connection = link::accept(stream, &LinkOptions::default(), decide)
        .await
        .expect("the run offers ocpp1.6");
    while let Some(event) = connection.events.recv().await {
        if let Event::Call(call) = event {
            let reply = answer(&call.action);
            call.responder.answer(reply);
        }
    }
}

/// A raw payload.
pub(crate) fn payload(text: &str) -> Answer {
    Ok(RawValue::from_string(text.to_owned()).expect("the test's payload is JSON"))
}

/// What the standard asks for in a cold boot.
pub(crate) fn correct(action: &str) -> Answer {
    match action {
        "BootNotification" => payload(
            r#"{"status":"Accepted","currentTime":"2026-11-23T06:54:39.5+01:00","interval":300}"#,
        ),
        "Heartbeat" => payload(r#"{"currentTime":"2026-11-23T06:54:40Z"}"#),
        _ => payload("{}"),
    }
}
