//! StartTransaction.

use protocol::EnergyWh;
use protocol::rpc::{Json, to_json};
use rust_ocpp::v1_6::messages::start_transaction::{
    StartTransactionRequest, StartTransactionResponse,
};

use super::{BeginCharge, CentralSystemHost};
use crate::v16::schema::{SchemaError, Violation};
use crate::v16::{Refusal, convert, messages, schema};

pub(super) async fn answer<H: CentralSystemHost>(
    host: &H,
    charge_point: &str,
    payload: &Json,
) -> Result<Json, Refusal> {
    let charge = read(charge_point, payload)?;
    let connector = charge.connector;
    let begun = host.begin(charge).await?;
    tracing::info!(
        connector,
        transaction_id = begun.transaction_id,
        accepted = begun.authorization.is_accepted(),
        "transaction started"
    );
    Ok(to_json(&StartTransactionResponse {
        id_tag_info: convert::id_tag_info(&begun.authorization),
        transaction_id: begun.transaction_id,
    }))
}

fn read(charge_point: &str, payload: &Json) -> Result<BeginCharge, SchemaError> {
    let request: StartTransactionRequest = schema::read(payload, messages::START_TRANSACTION)?;
    let out_of_range = |field| SchemaError::new(field, Violation::OutOfRange);
    if request.connector_id == 0 {
        return Err(out_of_range("connectorId"));
    }
    Ok(BeginCharge {
        charge_point: charge_point.to_owned(),
        connector: request.connector_id,
        id_tag: convert::id_tag("idTag", &request.id_tag)?,
        register: u64::try_from(request.meter_start)
            .map(EnergyWh)
            .map_err(|_| out_of_range("meterStart"))?,
        at: convert::millis(request.timestamp),
    })
}
