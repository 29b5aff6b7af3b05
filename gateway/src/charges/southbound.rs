//! The gateway as the OCPP chargers' central system.

use ledger::node::Decision;
use ledger::store::Write;
use ocpp_bridge::session::Authorization;
use ocpp_bridge::v16::central_system::{
    BeginCharge, Begun, BootAnswer, BootInfo, BootStatus, CentralSystemHost, DataAnswer,
    DataRequest, EndCharge, HostError, MeterReport, StatusReport,
};
use protocol::message::Status;
use protocol::{Hash, IdTag, UnixMillis};

use super::{Begin, ChargeError, Charges, End, ORPHANS};

impl From<ChargeError> for HostError {
    fn from(error: ChargeError) -> Self {
        Self::Unavailable {
            why: error.to_string(),
        }
    }
}

/// What OCPP calls a decision.
pub(crate) fn authorization(decision: Decision) -> Authorization {
    match decision {
        Decision::Accepted { expiry } => Authorization::Accepted {
            expiry: Some(expiry),
            parent: None,
        },
        Decision::Refused(Status::Blocked) => Authorization::Blocked,
        Decision::Refused(Status::Expired) => Authorization::Expired,
        Decision::Refused(Status::ConcurrentTx) => Authorization::ConcurrentTx,
        Decision::Refused(Status::Accepted | Status::Invalid | Status::Pending) => {
            Authorization::Invalid
        }
    }
}

impl CentralSystemHost for Charges {
    fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    async fn boot(&self, charge_point: &str, info: BootInfo) -> Result<BootAnswer, HostError> {
        tracing::info!(
            charge_point,
            vendor = info.vendor,
            model = info.model,
            "charge point booted"
        );
        let config = self.config.charge_points.get(charge_point);
        Ok(match config {
            Some(config) => BootAnswer {
                status: BootStatus::Accepted,
                interval_s: config.heartbeat_interval_s,
            },
            None => BootAnswer {
                status: BootStatus::Rejected,
                interval_s: 300,
            },
        })
    }

    async fn authorize(&self, _: &str, id_tag: &IdTag) -> Result<Authorization, HostError> {
        Ok(authorization(self.decide(id_tag).await))
    }

    async fn begin(&self, charge: BeginCharge) -> Result<Begun, HostError> {
        let id_tag = charge.id_tag.clone();
        let begin = Begin {
            charge_point: charge.charge_point,
            connector: charge.connector,
            id_tag: charge.id_tag,
            register: Some(charge.register),
            at: charge.at,
        };
        let transaction_id = Self::begin(self, begin).await?;
        Ok(Begun {
            transaction_id,
            authorization: authorization(self.decide(&id_tag).await),
        })
    }

    async fn observe(&self, report: MeterReport) -> Result<(), HostError> {
        self.carry_signed(
            &report.charge_point,
            report.connector,
            report.transaction_id,
            &report.signed,
        )
        .await?;
        let observed = Self::observe(
            self,
            &report.charge_point,
            report.connector,
            report.transaction_id,
            &report.observations,
        );
        Ok(observed.await?)
    }

    async fn end(&self, charge: EndCharge) -> Result<Option<Authorization>, HostError> {
        let transaction = charge.transaction_id;
        self.carry_signed(&charge.charge_point, 0, Some(transaction), &charge.signed)
            .await?;
        Self::observe(
            self,
            &charge.charge_point,
            0,
            Some(transaction),
            &charge.observations,
        )
        .await?;
        let end = End {
            register: Some(charge.register),
            at: charge.at,
            reason: charge.reason,
        };
        if self.is_transaction_of(transaction, &charge.charge_point) || self.is_over(transaction) {
            Self::end(self, transaction, end).await?;
        } else {
            self.keep_orphan(&charge).await?;
        }
        match &charge.id_tag {
            Some(id_tag) => Ok(Some(authorization(self.decide(id_tag).await))),
            None => Ok(None),
        }
    }

    async fn status(&self, report: StatusReport) -> Result<(), HostError> {
        tracing::info!(
            charge_point = report.charge_point,
            connector = report.connector,
            status = ?report.status,
            error = report.error,
            "connector status"
        );
        Ok(())
    }

    async fn data_transfer(&self, _: &str, _: DataRequest) -> Result<DataAnswer, HostError> {
        Ok(DataAnswer::UnknownMessageId)
    }
}

impl Charges {
    fn is_transaction_of(&self, transaction: i32, charge_point: &str) -> bool {
        self.with(|running| {
            let record = running.records.get(&transaction);
            record.is_some_and(|record| record.charge.charge_point == charge_point)
        })
    }

    /// Whether the id is one this gateway gave, of a charge that has ended.
    fn is_over(&self, transaction: i32) -> bool {
        self.with(|running| {
            let was_given = (1..=running.last_transaction).contains(&transaction);
            was_given && !running.records.contains_key(&transaction)
        })
    }

    /// Keeps the stop of a transaction that never began there, for somebody to look at.
    async fn keep_orphan(&self, charge: &EndCharge) -> Result<(), ChargeError> {
        let text = format!(
            "{} stopped transaction {} at {} with register {}; it did not begin there",
            charge.charge_point, charge.transaction_id, charge.at, charge.register
        );
        tracing::warn!(
            charge_point = charge.charge_point,
            transaction = charge.transaction_id,
            "stop of a transaction that did not begin there; it is kept, not billed"
        );
        let key = Hash::of(text.as_bytes());
        let write = Write::put(ORPHANS, key.0, &text);
        self.queue(vec![write], Vec::new())?.wait().await
    }
}
