//! The calls of a charge point: what they carry, and what their outcome changes.

use std::sync::Arc;
use std::time::Duration;

use protocol::link::CallFailure;
use protocol::rpc::{Json, to_json};
use rust_ocpp::v1_6::messages::authorize::{AuthorizeRequest, AuthorizeResponse};
use rust_ocpp::v1_6::messages::boot_notification::{
    BootNotificationRequest, BootNotificationResponse,
};
use rust_ocpp::v1_6::messages::heart_beat::HeartbeatResponse;
use rust_ocpp::v1_6::messages::start_transaction::StartTransactionResponse;
use rust_ocpp::v1_6::messages::status_notification::StatusNotificationRequest;
use rust_ocpp::v1_6::types::{ChargePointErrorCode, RegistrationStatus};
use serde_json::json;
use tokio::time::Instant;

use super::configuration::Change;
use super::face::{Face, Purpose, Registration};
use super::queue::Entry;
use super::{AskError, ChargePointConfig, ChargePointHost, Journal, JournalError};
use crate::session::{Authorization, Observation};
use crate::v16::meter_values::meter_value;
use crate::v16::{convert, messages, schema};

const INFO_MAX_CHARS: usize = 50;

type Call = (&'static str, Json);

impl<H: ChargePointHost, J: Journal> Face<H, J> {
    /// The call for `purpose`; `None` where there is nothing to say any more.
    pub(super) fn call_for(&self, purpose: &Purpose) -> Option<Call> {
        match purpose {
            Purpose::Boot => Some(("BootNotification", boot(&self.config))),
            Purpose::Heartbeat => Some(("Heartbeat", protocol::rpc::empty())),
            Purpose::Status(connector) => self.status_call(*connector),
            Purpose::Meter(connector) => self.triggered_meter_call(*connector),
            Purpose::Transaction => self.transaction_call(),
            Purpose::Authorize(id_tag, _) => {
                let request = AuthorizeRequest {
                    id_tag: id_tag.as_str().to_owned(),
                };
                Some(("Authorize", to_json(&request)))
            }
        }
    }

    fn status_call(&self, connector: u32) -> Option<Call> {
        let status = self.statuses.get(&connector)?;
        let info = status
            .fault
            .as_ref()
            .map(|fault| fault.chars().take(INFO_MAX_CHARS).collect());
        let request = StatusNotificationRequest {
            connector_id: connector,
            error_code: match status.fault {
                Some(_) => ChargePointErrorCode::OtherError,
                None => ChargePointErrorCode::NoError,
            },
            info,
            status: convert::wire_status(status.status),
            timestamp: Some(convert::wire_time(status.at)),
            vendor_id: None,
            vendor_error_code: None,
        };
        Some(("StatusNotification", to_json(&request)))
    }

    fn triggered_meter_call(&self, connector: u32) -> Option<Call> {
        let reading = self.selected(*self.readings.get(&connector)?);
        let transaction = self.queue.transaction_at(connector);
        meter_call(connector, transaction, &reading, "Trigger")
    }

    /// `None` where the transaction never got its id.
    fn transaction_call(&self) -> Option<Call> {
        match self.queue.head()? {
            // Not rust-ocpp's type: its registers are 32 bits wide.
            Entry::Start {
                connector,
                id_tag,
                at,
                register,
                ..
            } => Some((
                "StartTransaction",
                to_json(&json!({
                    "connectorId": connector,
                    "idTag": id_tag.as_str(),
                    "meterStart": register.0,
                    "timestamp": at.to_string(),
                })),
            )),
            Entry::Meter {
                charge,
                connector,
                observation,
            } => {
                let transaction = self.queue.transaction_id(*charge)?;
                meter_call(
                    *connector,
                    Some(transaction),
                    observation,
                    "Sample.Periodic",
                )
            }
            stop @ Entry::Stop { .. } => self.stop_call(stop),
            Entry::Known { .. } => None,
        }
    }

    fn stop_call(&self, stop: &Entry) -> Option<Call> {
        let Entry::Stop {
            charge,
            id_tag,
            at,
            register,
            reason,
            detail,
        } = stop
        else {
            return None;
        };
        let mut payload = json!({
            "transactionId": self.queue.transaction_id(*charge)?,
            "meterStop": register.0,
            "timestamp": at.to_string(),
            "reason": convert::wire_reason(*reason),
        });
        if let Some(id_tag) = id_tag {
            payload["idTag"] = id_tag.as_str().into();
        }
        if self.configuration.sends_transaction_data() && !detail.is_empty() {
            payload["transactionData"] = detail
                .iter()
                .map(|reading| json!(meter_value(reading, "Sample.Periodic")))
                .collect();
        }
        Some(("StopTransaction", to_json(&payload)))
    }

    /// Takes the outcome of the call for `purpose` to heart.
    pub(super) async fn settle(
        &mut self,
        purpose: Purpose,
        outcome: Result<Json, CallFailure>,
        now: Instant,
    ) -> Result<(), JournalError> {
        match purpose {
            Purpose::Boot => self.booted(outcome, now),
            Purpose::Heartbeat => {
                self.last_heartbeat = now;
                note_heartbeat(outcome);
            }
            Purpose::Status(connector) => {
                if matches!(outcome, Err(CallFailure::LinkLost | CallFailure::TimedOut)) {
                    self.unsaid.insert(connector);
                }
            }
            Purpose::Meter(_) => {}
            Purpose::Transaction => self.transaction_settled(outcome, now).await?,
            Purpose::Authorize(_, reply) => {
                // Who asked may have given up.
                let _ = reply.send(authorization(outcome));
            }
        }
        Ok(())
    }

    fn booted(&mut self, outcome: Result<Json, CallFailure>, now: Instant) {
        if matches!(outcome, Err(CallFailure::LinkLost)) {
            // Said again as soon as there is a link.
            return;
        }
        let answer = outcome
            .map_err(|failure| failure.to_string())
            .and_then(|json| {
                schema::read::<BootNotificationResponse>(&json, messages::BOOT_NOTIFICATION_CONF)
                    .map_err(|error| error.to_string())
            });
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                tracing::warn!(%why, "no answer to BootNotification");
                self.next_boot = now + self.config.boot_retry;
                return;
            }
        };
        tracing::info!(status = ?answer.status, "BootNotification answered");
        match answer.status {
            RegistrationStatus::Accepted => {
                self.registration = Registration::Accepted;
                self.last_heartbeat = now;
                self.unsaid = self.statuses.keys().copied().collect();
                if answer.interval > 0 {
                    self.adopt_heartbeat(answer.interval);
                }
                return;
            }
            RegistrationStatus::Pending => self.registration = Registration::Pending,
            RegistrationStatus::Rejected => self.registration = Registration::Rejected,
        }
        let wait = match answer.interval {
            // The choice is ours.
            0 => self.config.boot_retry,
            seconds => Duration::from_secs(seconds.into()),
        };
        self.next_boot = now + wait;
    }

    fn adopt_heartbeat(&mut self, interval_s: u32) {
        let change = self
            .configuration
            .change("HeartbeatInterval", &interval_s.to_string());
        if change == Change::Rejected {
            tracing::warn!(
                interval_s,
                "heartbeat interval out of bounds, kept the old one"
            );
        }
    }

    async fn transaction_settled(
        &mut self,
        outcome: Result<Json, CallFailure>,
        now: Instant,
    ) -> Result<(), JournalError> {
        let refused = match outcome {
            // Nobody has failed: it is sent again over the next link.
            Err(CallFailure::LinkLost | CallFailure::Busy) => return Ok(()),
            Err(failure @ (CallFailure::TimedOut | CallFailure::Refused(_))) => failure.to_string(),
            Ok(json) => match self.transaction_confirmed(&json).await? {
                Ok(()) => {
                    self.attempts = 0;
                    return Ok(());
                }
                Err(error) => error.to_string(),
            },
        };
        self.attempts += 1;
        if self.attempts >= self.configuration.transaction_attempts() {
            tracing::error!(why = %refused, "transaction message given up");
            self.attempts = 0;
            return self.queue.drop_head().await;
        }
        tracing::warn!(why = %refused, attempt = self.attempts, "transaction message failed");
        self.retry_at = now + self.configuration.transaction_retry_interval() * self.attempts;
        Ok(())
    }

    async fn transaction_confirmed(
        &mut self,
        json: &Json,
    ) -> Result<Result<(), schema::SchemaError>, JournalError> {
        if !matches!(self.queue.head(), Some(Entry::Start { .. })) {
            self.queue.drop_head().await?;
            return Ok(Ok(()));
        }
        let answer: StartTransactionResponse =
            match schema::read(json, messages::START_TRANSACTION_CONF) {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(error)),
            };
        let transaction_id = answer.transaction_id;
        if let Some(charge) = self.queue.confirm_start(transaction_id).await? {
            let authorization = convert::authorization(&answer.id_tag_info);
            let host = Arc::clone(&self.host);
            // Beside our own work: the host may report to us from in there.
            tokio::spawn(async move { host.started(charge, transaction_id, authorization).await });
        }
        Ok(Ok(()))
    }
}

fn boot(config: &ChargePointConfig) -> Json {
    to_json(&BootNotificationRequest {
        charge_box_serial_number: None,
        charge_point_model: config.model.clone(),
        charge_point_serial_number: config.serial.clone(),
        charge_point_vendor: config.vendor.clone(),
        firmware_version: config.firmware.clone(),
        iccid: None,
        imsi: None,
        meter_serial_number: config.meter_serial.clone(),
        meter_type: config.meter_type.clone(),
    })
}

fn meter_call(
    connector: u32,
    transaction_id: Option<i32>,
    reading: &Observation,
    context: &str,
) -> Option<Call> {
    if reading.register.is_none() && reading.power.is_none() {
        return None;
    }
    let mut payload = json!({
        "connectorId": connector,
        "meterValue": [meter_value(reading, context)],
    });
    if let Some(transaction_id) = transaction_id {
        payload["transactionId"] = transaction_id.into();
    }
    Some(("MeterValues", to_json(&payload)))
}

fn note_heartbeat(outcome: Result<Json, CallFailure>) {
    // The clock is not ours to set; a broken answer is worth a line all the same.
    if let Ok(json) = outcome
        && let Err(error) = schema::read::<HeartbeatResponse>(&json, messages::HEARTBEAT_CONF)
    {
        tracing::warn!(%error, "unreadable answer to Heartbeat");
    }
}

fn authorization(outcome: Result<Json, CallFailure>) -> Result<Authorization, AskError> {
    let json = outcome.map_err(AskError::Failed)?;
    let answer: AuthorizeResponse =
        schema::read(&json, messages::AUTHORIZE_CONF).map_err(AskError::Unreadable)?;
    Ok(convert::authorization(&answer.id_tag_info))
}
