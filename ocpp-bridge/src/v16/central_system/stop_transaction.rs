//! StopTransaction.

use chrono::{DateTime, Utc};
use protocol::rpc::{Json, to_json};
use protocol::{EnergyWh, IdTag};
use rust_ocpp::v1_6::messages::stop_transaction::StopTransactionResponse;
use rust_ocpp::v1_6::types::Reason;
use serde::Deserialize;

use super::{CentralSystemHost, EndCharge};
use crate::session::StopReason;
use crate::v16::meter_values::{MeterValue, observations, signed_values};
use crate::v16::schema::{SchemaError, Violation};
use crate::v16::{Refusal, convert, messages, schema};

/// Not rust-ocpp's: its transactionData does not know every unit.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    id_tag: Option<String>,
    meter_stop: i64,
    timestamp: DateTime<Utc>,
    transaction_id: i32,
    reason: Option<Reason>,
    #[serde(default)]
    transaction_data: Vec<MeterValue>,
}

pub(super) async fn answer<H: CentralSystemHost>(
    host: &H,
    charge_point: &str,
    payload: &Json,
) -> Result<Json, Refusal> {
    let charge = read(charge_point, payload)?;
    let transaction_id = charge.transaction_id;
    let authorization = host.end(charge).await?;
    tracing::info!(transaction_id, "transaction stopped");
    Ok(to_json(&StopTransactionResponse {
        id_tag_info: authorization.as_ref().map(convert::id_tag_info),
    }))
}

fn read(charge_point: &str, payload: &Json) -> Result<EndCharge, SchemaError> {
    let request: Request = schema::read(payload, messages::STOP_TRANSACTION)?;
    Ok(EndCharge {
        charge_point: charge_point.to_owned(),
        transaction_id: request.transaction_id,
        // The stop counts whoever asked for it; an unreadable idTag is nobody's.
        id_tag: request
            .id_tag
            .as_deref()
            .and_then(|text| IdTag::parse(text).ok()),
        register: u64::try_from(request.meter_stop)
            .map(EnergyWh)
            .map_err(|_| SchemaError::new("meterStop", Violation::OutOfRange))?,
        at: convert::millis(request.timestamp),
        // The standard: only `Local` may be left out.
        reason: request
            .reason
            .as_ref()
            .map_or(StopReason::Local, convert::stop_reason),
        observations: observations(&request.transaction_data)?,
        signed: signed_values(&request.transaction_data)?,
    })
}
