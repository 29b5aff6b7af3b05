//! Heartbeat.

use protocol::rpc::{Json, to_json};
use rust_ocpp::v1_6::messages::heart_beat::{HeartbeatRequest, HeartbeatResponse};

use super::CentralSystemHost;
use crate::v16::{Refusal, convert, messages, schema};

pub(super) fn answer<H: CentralSystemHost>(host: &H, payload: &Json) -> Result<Json, Refusal> {
    let HeartbeatRequest {} = schema::read(payload, messages::NO_FIELDS)?;
    Ok(to_json(&HeartbeatResponse {
        current_time: convert::wire_time(host.now()),
    }))
}
