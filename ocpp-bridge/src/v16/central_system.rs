//! The southbound face: charge points' central system.
//!
//! [`serve`] answers one charge point's calls, in order, from a [`CentralSystemHost`]. It keeps
//! nothing between calls: a charge point that reconnects, replays or repeats meets the host's
//! memory, never this face's.
//!
//! ```
//! use std::sync::Arc;
//! use ocpp_bridge::v16::{self, central_system::{self, CentralSystemHost}};
//! use protocol::link::{self, Decision, LinkOptions};
//!
//! async fn listen<H: CentralSystemHost>(
//!     listener: tokio::net::TcpListener,
//!     host: Arc<H>,
//! ) -> std::io::Result<()> {
//!     loop {
//!         let (stream, _) = listener.accept().await?;
//!         let host = Arc::clone(&host);
//!         tokio::spawn(async move {
//!             let mut charge_point = String::new();
//!             let options = LinkOptions::default();
//!             let opened = link::accept(stream, &options, |offer| {
//!                 match link::identity(offer.path, "/ocpp/") {
//!                     Some(identity) => charge_point = identity,
//!                     None => return Decision::not_found(),
//!                 }
//!                 Decision::negotiate(offer, &[v16::SUBPROTOCOL])
//!             });
//!             if let Ok(mut connection) = opened.await {
//!                 // `connection.link` calls the charge point meanwhile.
//!                 central_system::serve(&mut connection.events, &charge_point, host).await;
//!             }
//!         });
//!     }
//! }
//! ```

mod authorize;
mod boot_notification;
mod data_transfer;
mod heartbeat;
mod host;
mod meter_values;
mod start_transaction;
mod status_notification;
mod stop_transaction;

use std::sync::Arc;

use protocol::link::{CloseReason, Event};
use protocol::rpc::Json;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::Refusal;
use super::messages::refuse_action;

pub use host::{
    BeginCharge, Begun, BootAnswer, BootInfo, BootStatus, CentralSystemHost, DataAnswer,
    DataRequest, EndCharge, HostError, MeterReport, StatusReport,
};

/// The DataTransfer vendor that goes to the host; all others are unknown.
pub const BILLING_VENDOR: &str = "charge-billing";

/// Answers the calls of `charge_point` until its link ends, and says why it ended.
///
/// One call at a time: a charge point has one outstanding, and its queue's order is its charges'
/// order.
pub async fn serve<H: CentralSystemHost>(
    events: &mut mpsc::Receiver<Event>,
    charge_point: &str,
    host: Arc<H>,
) -> CloseReason {
    let span = tracing::info_span!("link", charge_point);
    serve_calls(events, charge_point, &*host)
        .instrument(span)
        .await
}

async fn serve_calls<H: CentralSystemHost>(
    events: &mut mpsc::Receiver<Event>,
    charge_point: &str,
    host: &H,
) -> CloseReason {
    while let Some(event) = events.recv().await {
        match event {
            Event::Call(call) => {
                let answer = answer(host, charge_point, &call.action, &call.payload).await;
                if let Err(refusal) = &answer {
                    tracing::warn!(action = %call.action, %refusal, "call refused");
                }
                call.responder
                    .answer(answer.map_err(|refusal| refusal.to_call_error()));
            }
            // An OCPP link refuses binary messages itself.
            Event::Binary(_) => {}
            Event::Closed { reason } => return reason,
        }
    }
    CloseReason::ByUs
}

async fn answer<H: CentralSystemHost>(
    host: &H,
    charge_point: &str,
    action: &str,
    payload: &Json,
) -> Result<Json, Refusal> {
    tracing::debug!(action, "call");
    match action {
        "Authorize" => authorize::answer(host, charge_point, payload).await,
        "BootNotification" => boot_notification::answer(host, charge_point, payload).await,
        "DataTransfer" => data_transfer::answer(host, charge_point, payload).await,
        "Heartbeat" => heartbeat::answer(host, payload),
        "MeterValues" => meter_values::answer(host, charge_point, payload).await,
        "StartTransaction" => start_transaction::answer(host, charge_point, payload).await,
        "StatusNotification" => status_notification::answer(host, charge_point, payload).await,
        "StopTransaction" => stop_transaction::answer(host, charge_point, payload).await,
        _ => Err(refuse_action(action)),
    }
}

#[cfg(test)]
mod tests;
