//! DataTransfer.

use protocol::rpc::{Json, to_json};
use rust_ocpp::v1_6::messages::data_transfer::{DataTransferRequest, DataTransferResponse};
use rust_ocpp::v1_6::types::DataTransferStatus;

use super::{BILLING_VENDOR, CentralSystemHost, DataAnswer, DataRequest};
use crate::v16::{Refusal, messages, schema};

pub(super) async fn answer<H: CentralSystemHost>(
    host: &H,
    charge_point: &str,
    payload: &Json,
) -> Result<Json, Refusal> {
    let request: DataTransferRequest = schema::read(payload, messages::DATA_TRANSFER)?;
    // CiString: vendor ids compare without case.
    let (status, data) = if request.vendor_string.eq_ignore_ascii_case(BILLING_VENDOR) {
        let request = DataRequest {
            message_id: request.message_id,
            data: request.data,
        };
        match host.data_transfer(charge_point, request).await? {
            DataAnswer::Accepted { data } => (DataTransferStatus::Accepted, data),
            DataAnswer::Rejected => (DataTransferStatus::Rejected, None),
            DataAnswer::UnknownMessageId => (DataTransferStatus::UnknownMessageId, None),
        }
    } else {
        (DataTransferStatus::UnknownVendorId, None)
    };
    Ok(to_json(&DataTransferResponse { status, data }))
}
