//! An OCPP 1.6J charge point that does what the standard asks of one: what was not answered is
//! sent again, over a new link if need be, word for word.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::UnixMillis;
use protocol::link::{self, Connection, LinkOptions};
use protocol::rpc;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::place::Place;

/// A charge point.
#[derive(Debug)]
pub struct Charger {
    runtime: Handle,
    id: String,
    connection: Option<Connection>,
}

impl Charger {
    /// A charge point that has not connected yet.
    #[must_use]
    pub fn new(place: &Place, id: &str) -> Self {
        Self {
            runtime: place.runtime().clone(),
            id: id.to_owned(),
            connection: None,
        }
    }

    /// Calls the central system at `url` once; connects and boots before, where there is no link.
    /// `None` where no answer came: the caller calls again, with the same payload.
    pub fn call(&mut self, url: &str, action: &str, payload: &Value) -> Option<Value> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.call_over_link(url, action, payload))
    }

    async fn call_over_link(&mut self, url: &str, action: &str, payload: &Value) -> Option<Value> {
        if self.connection.is_none() {
            let url = format!("{url}/{}", self.id);
            let opened = link::connect(&url, &["ocpp1.6"], &LinkOptions::default()).await;
            self.connection = Some(opened.ok()?);
            let boot = json!({"chargePointVendor": "Tests", "chargePointModel": "Repeater"});
            if self.one_call("BootNotification", &boot).await?["status"] != "Accepted" {
                self.connection = None;
                return None;
            }
        }
        self.one_call(action, payload).await
    }

    async fn one_call(&mut self, action: &str, payload: &Value) -> Option<Value> {
        let link = &self.connection.as_ref()?.link;
        match link.call(action, rpc::to_json(payload)).await {
            Ok(answer) => serde_json::from_str(answer.get()).ok(),
            Err(link::CallFailure::Refused(_)) => None,
            Err(_) => {
                self.connection = None;
                None
            }
        }
    }
}

/// The time so many seconds ago, as OCPP writes it.
#[must_use]
pub fn seconds_ago(seconds: u64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    let now_ms = u64::try_from(ms).unwrap_or(u64::MAX);
    UnixMillis(now_ms.saturating_sub(seconds * 1000)).to_string()
}
