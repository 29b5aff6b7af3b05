//! BootNotification.

use protocol::rpc::{Json, to_json};
use rust_ocpp::v1_6::messages::boot_notification::{
    BootNotificationRequest, BootNotificationResponse,
};
use rust_ocpp::v1_6::types::RegistrationStatus;

use super::{BootInfo, BootStatus, CentralSystemHost};
use crate::v16::{Refusal, convert, messages, schema};

pub(super) async fn answer<H: CentralSystemHost>(
    host: &H,
    charge_point: &str,
    payload: &Json,
) -> Result<Json, Refusal> {
    let request: BootNotificationRequest = schema::read(payload, messages::BOOT_NOTIFICATION)?;
    let info = BootInfo {
        vendor: request.charge_point_vendor,
        model: request.charge_point_model,
        serial: request
            .charge_point_serial_number
            .or(request.charge_box_serial_number),
        firmware: request.firmware_version,
        meter_serial: request.meter_serial_number,
        meter_type: request.meter_type,
    };
    let boot = host.boot(charge_point, info).await?;
    tracing::info!(status = ?boot.status, "charge point booted");
    Ok(to_json(&BootNotificationResponse {
        current_time: convert::wire_time(host.now()),
        interval: boot.interval_s,
        status: match boot.status {
            BootStatus::Accepted => RegistrationStatus::Accepted,
            BootStatus::Pending => RegistrationStatus::Pending,
            BootStatus::Rejected => RegistrationStatus::Rejected,
        },
    }))
}
