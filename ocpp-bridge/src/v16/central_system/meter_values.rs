//! MeterValues.

use protocol::rpc::{Json, empty};
use serde::Deserialize;

use super::{CentralSystemHost, MeterReport};
use crate::v16::meter_values::{MeterValue, observations, signed_values};
use crate::v16::{Refusal, messages, schema};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    connector_id: u32,
    transaction_id: Option<i32>,
    meter_value: Vec<MeterValue>,
}

pub(super) async fn answer<H: CentralSystemHost>(
    host: &H,
    charge_point: &str,
    payload: &Json,
) -> Result<Json, Refusal> {
    let request: Request = schema::read(payload, messages::METER_VALUES)?;
    let observations = observations(&request.meter_value)?;
    let signed = signed_values(&request.meter_value)?;
    if !observations.is_empty() || !signed.is_empty() {
        host.observe(MeterReport {
            charge_point: charge_point.to_owned(),
            connector: request.connector_id,
            transaction_id: request.transaction_id,
            observations,
            signed,
        })
        .await?;
    }
    Ok(empty())
}
