//! A simulated OCPP 1.6J charger: a real WebSocket client that says what a charger says.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use protocol::UnixMillis;
use protocol::link::{self, Connection, LinkOptions};
use protocol::rpc;
use serde_json::{Value, json};

/// A charger with one connector.
pub(crate) struct Charger {
    connection: Connection,
}

impl Charger {
    /// Connects as `id` and boots.
    pub(crate) async fn boot(central_system: &str, id: &str) -> anyhow::Result<Self> {
        let url = format!("{central_system}{id}");
        let connection = link::connect(&url, &["ocpp1.6"], &LinkOptions::default()).await?;
        let charger = Self { connection };
        let boot = json!({"chargePointVendor": "Demo", "chargePointModel": "Simulated cable"});
        charger
            .accepted("BootNotification", boot, "/status")
            .await?;
        charger.status("Available").await?;
        Ok(charger)
    }

    /// Presents an idTag.
    pub(crate) async fn authorize(&self, id_tag: &str) -> anyhow::Result<()> {
        let request = json!({"idTag": id_tag});
        self.accepted("Authorize", request, "/idTagInfo/status")
            .await
    }

    /// Starts a transaction and gives its id.
    pub(crate) async fn start(&self, id_tag: &str) -> anyhow::Result<i64> {
        let request = json!({
            "connectorId": 1, "idTag": id_tag, "meterStart": 0, "timestamp": now(),
        });
        let answer = self.call("StartTransaction", request).await?;
        self.status("Charging").await?;
        answer["transactionId"]
            .as_i64()
            .context("the central system gave no transaction id")
    }

    /// Stops a transaction.
    pub(crate) async fn stop(&self, transaction: i64, id_tag: &str) -> anyhow::Result<()> {
        let request = json!({
            "transactionId": transaction, "idTag": id_tag, "meterStop": 0, "timestamp": now(),
        });
        self.call("StopTransaction", request).await?;
        self.status("Available").await
    }

    async fn status(&self, status: &str) -> anyhow::Result<()> {
        let request = json!({"connectorId": 1, "errorCode": "NoError", "status": status});
        self.call("StatusNotification", request).await.map(|_| ())
    }

    async fn accepted(&self, action: &str, request: Value, pointer: &str) -> anyhow::Result<()> {
        let answer = self.call(action, request).await?;
        match answer.pointer(pointer).and_then(Value::as_str) {
            Some("Accepted") => Ok(()),
            _ => bail!("{action} was not accepted: {answer}"),
        }
    }

    async fn call(&self, action: &str, request: Value) -> anyhow::Result<Value> {
        let answer = self
            .connection
            .link
            .call(action, rpc::to_json(&request))
            .await
            .with_context(|| format!("{action} failed"))?;
        Ok(serde_json::from_str(answer.get())?)
    }
}

fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    UnixMillis(u64::try_from(ms).unwrap_or(u64::MAX)).to_string()
}
