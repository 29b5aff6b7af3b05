//! StatusNotification.

use protocol::rpc::{Json, empty};
use rust_ocpp::v1_6::messages::status_notification::StatusNotificationRequest;
use rust_ocpp::v1_6::types::ChargePointErrorCode;

use super::{CentralSystemHost, StatusReport};
use crate::v16::{Refusal, convert, messages, schema};

pub(super) async fn answer<H: CentralSystemHost>(
    host: &H,
    charge_point: &str,
    payload: &Json,
) -> Result<Json, Refusal> {
    let request: StatusNotificationRequest = schema::read(payload, messages::STATUS_NOTIFICATION)?;
    // The variants are spelled as on the wire.
    let error = match request.error_code {
        ChargePointErrorCode::NoError => None,
        code => Some(format!("{code:?}")),
    };
    host.status(StatusReport {
        charge_point: charge_point.to_owned(),
        connector: request.connector_id,
        status: convert::connector_status(&request.status),
        error,
        info: request.info,
        at: request
            .timestamp
            .map_or_else(|| host.now(), convert::millis),
    })
    .await?;
    Ok(empty())
}
