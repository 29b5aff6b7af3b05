//! The calls of the central system.

use std::sync::Arc;

use protocol::link::{IncomingCall, Responder};
use protocol::rpc::{Json, to_json};
use rust_ocpp::v1_6::messages::change_availability::{
    ChangeAvailabilityRequest, ChangeAvailabilityResponse,
};
use rust_ocpp::v1_6::messages::change_configuration::{
    ChangeConfigurationRequest, ChangeConfigurationResponse,
};
use rust_ocpp::v1_6::messages::clear_cache::ClearCacheResponse;
use rust_ocpp::v1_6::messages::data_transfer::{DataTransferRequest, DataTransferResponse};
use rust_ocpp::v1_6::messages::get_configuration::{
    GetConfigurationRequest, GetConfigurationResponse,
};
use rust_ocpp::v1_6::messages::remote_start_transaction::RemoteStartTransactionResponse;
use rust_ocpp::v1_6::messages::remote_stop_transaction::{
    RemoteStopTransactionRequest, RemoteStopTransactionResponse,
};
use rust_ocpp::v1_6::messages::reset::{ResetRequest, ResetResponse};
use rust_ocpp::v1_6::messages::trigger_message::{TriggerMessageRequest, TriggerMessageResponse};
use rust_ocpp::v1_6::messages::unlock_connector::{
    UnlockConnectorRequest, UnlockConnectorResponse,
};
use rust_ocpp::v1_6::types::{
    AvailabilityStatus, AvailabilityType, ClearCacheStatus, ConfigurationStatus,
    DataTransferStatus, KeyValue, MessageTrigger, RemoteStartStopStatus, ResetRequestStatus,
    ResetResponseStatus, TriggerMessageStatus, UnlockStatus,
};
use serde::Deserialize;
use tokio::time::Instant;

use super::configuration::{Change, Shown};
use super::face::{Face, Registration, Trigger};
use super::{AvailabilityAnswer, ChargePointHost, Journal, RemoteStart, ResetKind, UnlockAnswer};
use crate::v16::messages::refuse_action;
use crate::v16::{Refusal, convert, messages, schema};

/// What an incoming call comes to.
enum Reply {
    Now(Json),
    /// The host has taken the responder.
    Later,
}

/// Not rust-ocpp's: its charging profile is parsed strictly, and this face does not use it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoteStartRequest {
    connector_id: Option<u32>,
    id_tag: String,
}

impl<H: ChargePointHost, J: Journal> Face<H, J> {
    /// Answers a call, or has the host answer it.
    pub(super) fn answer(&mut self, call: IncomingCall) {
        // The standard: a rejected charge point does not respond.
        if self.registration == Registration::Rejected {
            call.responder.ignore();
            return;
        }
        tracing::debug!(action = %call.action, "call of the central system");
        let mut responder = Some(call.responder);
        let outcome = self.carry_out(&call.action, &call.payload, &mut responder);
        let Some(responder) = responder else {
            return;
        };
        match outcome {
            Ok(Reply::Now(json)) => responder.answer(Ok(json)),
            // Nobody took it: dropped, it answers InternalError.
            Ok(Reply::Later) => drop(responder),
            Err(refusal) => {
                tracing::warn!(action = %call.action, %refusal, "call refused");
                responder.answer(Err(refusal.to_call_error()));
            }
        }
    }

    fn carry_out(
        &mut self,
        action: &str,
        payload: &Json,
        responder: &mut Option<Responder>,
    ) -> Result<Reply, Refusal> {
        match action {
            "ChangeAvailability" => self.change_availability(payload, responder),
            "ChangeConfiguration" => self.change_configuration(payload),
            "ClearCache" => clear_cache(payload),
            "DataTransfer" => data_transfer(payload),
            "GetConfiguration" => self.get_configuration(payload),
            "RemoteStartTransaction" => self.remote_start(payload, responder),
            "RemoteStopTransaction" => self.remote_stop(payload, responder),
            "Reset" => self.reset(payload),
            "TriggerMessage" => self.trigger_message(payload),
            "UnlockConnector" => self.unlock_connector(payload, responder),
            _ => Err(refuse_action(action)),
        }
    }

    fn remote_start(
        &self,
        payload: &Json,
        responder: &mut Option<Responder>,
    ) -> Result<Reply, Refusal> {
        let request: RemoteStartRequest =
            schema::read(payload, messages::REMOTE_START_TRANSACTION)?;
        let start = RemoteStart {
            connector: request.connector_id,
            id_tag: convert::id_tag("idTag", &request.id_tag)?,
            authorize_first: self.configuration.authorizes_remote_starts(),
        };
        // Connector 0 cannot charge.
        let is_possible = start
            .connector
            .is_none_or(|connector| (1..=self.config.connectors).contains(&connector));
        if !is_possible || !self.is_in_service() {
            return Ok(remote_start_reply(false));
        }
        let host = Arc::clone(&self.host);
        Ok(later(responder, async move {
            remote_start_json(host.remote_start(start).await)
        }))
    }

    fn remote_stop(
        &self,
        payload: &Json,
        responder: &mut Option<Responder>,
    ) -> Result<Reply, Refusal> {
        let request: RemoteStopTransactionRequest =
            schema::read(payload, messages::REMOTE_STOP_TRANSACTION)?;
        let running = self.queue.running_charge(request.transaction_id);
        let Some(charge) = running.filter(|_| self.is_in_service()) else {
            return Ok(Reply::Now(remote_stop_json(false)));
        };
        let host = Arc::clone(&self.host);
        Ok(later(responder, async move {
            remote_stop_json(host.remote_stop(charge).await)
        }))
    }

    /// Neither waiting to be accepted nor about to reset.
    fn is_in_service(&self) -> bool {
        self.registration == Registration::Accepted && self.reset_by.is_none()
    }

    fn get_configuration(&self, payload: &Json) -> Result<Reply, Refusal> {
        let request: GetConfigurationRequest = schema::read(payload, messages::GET_CONFIGURATION)?;
        let asked = request.key.unwrap_or_default();
        let (known, unknown): (Vec<_>, Vec<_>) = asked
            .iter()
            .partition(|name| self.configuration.show(name).is_some());
        let shown = if asked.is_empty() {
            self.configuration.show_all().map(key_value).collect()
        } else {
            known
                .into_iter()
                .filter_map(|name| self.configuration.show(name))
                .map(key_value)
                .collect()
        };
        Ok(Reply::Now(to_json(&GetConfigurationResponse {
            configuration_key: Some(shown),
            unknown_key: Some(unknown.into_iter().cloned().collect())
                .filter(|unknown: &Vec<String>| !unknown.is_empty()),
        })))
    }

    fn change_configuration(&mut self, payload: &Json) -> Result<Reply, Refusal> {
        let request: ChangeConfigurationRequest =
            schema::read(payload, messages::CHANGE_CONFIGURATION)?;
        let change = self.configuration.change(&request.key, &request.value);
        let (status, changed) = match change {
            Change::Accepted(name) => (ConfigurationStatus::Accepted, Some(name)),
            Change::RebootRequired(name) => (ConfigurationStatus::RebootRequired, Some(name)),
            Change::Rejected => (ConfigurationStatus::Rejected, None),
            Change::NotSupported => (ConfigurationStatus::NotSupported, None),
        };
        if let Some(shown) = changed.and_then(|name| self.configuration.show(name)) {
            let (name, value) = (shown.name, shown.value.to_owned());
            let host = Arc::clone(&self.host);
            tokio::spawn(async move { host.configuration_changed(name, &value).await });
        }
        Ok(Reply::Now(to_json(&ChangeConfigurationResponse { status })))
    }

    fn reset(&mut self, payload: &Json) -> Result<Reply, Refusal> {
        let request: ResetRequest = schema::read(payload, messages::RESET)?;
        let kind = match request.kind {
            ResetRequestStatus::Hard => ResetKind::Hard,
            ResetRequestStatus::Soft => ResetKind::Soft,
        };
        if self.reset_by.is_none() {
            self.reset_by = Some(Instant::now() + self.config.reset_timeout);
            let host = Arc::clone(&self.host);
            tokio::spawn(async move { host.reset(kind).await });
        }
        let status = ResetResponseStatus::Accepted;
        Ok(Reply::Now(to_json(&ResetResponse { status })))
    }

    fn trigger_message(&mut self, payload: &Json) -> Result<Reply, Refusal> {
        let request: TriggerMessageRequest = schema::read(payload, messages::TRIGGER_MESSAGE)?;
        let connectors = match request.connector_id {
            Some(connector) => connector..=connector,
            None => 0..=self.config.connectors,
        };
        let wanted: Option<Vec<Trigger>> = match request.requested_message {
            MessageTrigger::BootNotification => Some(vec![Trigger::Boot]),
            MessageTrigger::Heartbeat => Some(vec![Trigger::Heartbeat]),
            MessageTrigger::StatusNotification => Some(
                connectors
                    .filter(|connector| self.statuses.contains_key(connector))
                    .map(Trigger::Status)
                    .collect(),
            ),
            MessageTrigger::MeterValues => Some(
                connectors
                    .filter(|connector| self.readings.contains_key(connector))
                    .map(Trigger::Meter)
                    .collect(),
            ),
            MessageTrigger::DiagnosticsStatusNotification
            | MessageTrigger::FirmwareStatusNotification => None,
        };
        let status = match wanted {
            None => TriggerMessageStatus::NotImplemented,
            // No such connector, or nothing read there yet.
            Some(triggers) if triggers.is_empty() => TriggerMessageStatus::Rejected,
            Some(triggers) => {
                for trigger in triggers {
                    if !self.triggers.contains(&trigger) {
                        self.triggers.push_back(trigger);
                    }
                }
                TriggerMessageStatus::Accepted
            }
        };
        Ok(Reply::Now(to_json(&TriggerMessageResponse { status })))
    }

    fn change_availability(
        &self,
        payload: &Json,
        responder: &mut Option<Responder>,
    ) -> Result<Reply, Refusal> {
        let request: ChangeAvailabilityRequest =
            schema::read(payload, messages::CHANGE_AVAILABILITY)?;
        if request.connector_id > self.config.connectors {
            return Ok(Reply::Now(availability_json(AvailabilityAnswer::Rejected)));
        }
        let available = match request.kind {
            AvailabilityType::Operative => true,
            AvailabilityType::Inoperative => false,
        };
        let host = Arc::clone(&self.host);
        Ok(later(responder, async move {
            availability_json(host.set_available(request.connector_id, available).await)
        }))
    }

    fn unlock_connector(
        &self,
        payload: &Json,
        responder: &mut Option<Responder>,
    ) -> Result<Reply, Refusal> {
        let request: UnlockConnectorRequest = schema::read(payload, messages::UNLOCK_CONNECTOR)?;
        let connector = request.connector_id;
        if !(1..=self.config.connectors).contains(&connector) {
            return Ok(Reply::Now(unlock_json(UnlockAnswer::NotSupported)));
        }
        let host = Arc::clone(&self.host);
        Ok(later(responder, async move {
            unlock_json(host.unlock(connector).await)
        }))
    }
}

/// Answers when `json` is ready. Beside our own work: the host may ask us meanwhile. The number of
/// such tasks is bounded by the link's limit of open calls.
fn later(
    responder: &mut Option<Responder>,
    json: impl Future<Output = Json> + Send + 'static,
) -> Reply {
    if let Some(responder) = responder.take() {
        tokio::spawn(async move { responder.answer(Ok(json.await)) });
    }
    Reply::Later
}

fn key_value(shown: Shown<'_>) -> KeyValue {
    KeyValue {
        key: shown.name.to_owned(),
        readonly: shown.read_only,
        value: Some(shown.value.to_owned()),
    }
}

fn start_stop(accepted: bool) -> RemoteStartStopStatus {
    if accepted {
        RemoteStartStopStatus::Accepted
    } else {
        RemoteStartStopStatus::Rejected
    }
}

fn remote_start_reply(accepted: bool) -> Reply {
    Reply::Now(remote_start_json(accepted))
}

fn remote_start_json(accepted: bool) -> Json {
    let status = start_stop(accepted);
    to_json(&RemoteStartTransactionResponse { status })
}

fn remote_stop_json(accepted: bool) -> Json {
    let status = start_stop(accepted);
    to_json(&RemoteStopTransactionResponse { status })
}

fn availability_json(answer: AvailabilityAnswer) -> Json {
    let status = match answer {
        AvailabilityAnswer::Accepted => AvailabilityStatus::Accepted,
        AvailabilityAnswer::Rejected => AvailabilityStatus::Rejected,
        AvailabilityAnswer::Scheduled => AvailabilityStatus::Scheduled,
    };
    to_json(&ChangeAvailabilityResponse { status })
}

fn unlock_json(answer: UnlockAnswer) -> Json {
    let status = match answer {
        UnlockAnswer::Unlocked => UnlockStatus::Unlocked,
        UnlockAnswer::Failed => UnlockStatus::UnlockFailed,
        UnlockAnswer::NotSupported => UnlockStatus::NotSupported,
    };
    to_json(&UnlockConnectorResponse { status })
}

/// There is no cache here, so none was cleared.
fn clear_cache(payload: &Json) -> Result<Reply, Refusal> {
    schema::read::<serde_json::Value>(payload, messages::NO_FIELDS)?;
    let status = ClearCacheStatus::Rejected;
    Ok(Reply::Now(to_json(&ClearCacheResponse { status })))
}

fn data_transfer(payload: &Json) -> Result<Reply, Refusal> {
    schema::read::<DataTransferRequest>(payload, messages::DATA_TRANSFER)?;
    Ok(Reply::Now(to_json(&DataTransferResponse {
        status: DataTransferStatus::UnknownVendorId,
        data: None,
    })))
}
