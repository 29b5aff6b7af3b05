//! A charger without OCPP: the meter at its outlet, who may charge there, and the charge point
//! that a central system sees.

use std::sync::Arc;

use ledger::node::Decision;
use ocpp_bridge::session::{Authorization, ConnectorStatus, EndedCharge, Observation, StopReason};
use ocpp_bridge::v16::charge_point::{
    AvailabilityAnswer, ChargeKey, ChargePointHandle, ChargePointHost, RemoteStart, ResetKind,
    SessionEvent, UnlockAnswer,
};
use protocol::message::Status;
use protocol::{IdTag, UnixMillis};
use tokio::sync::Mutex;

use crate::charges::{Begin, ChargeError, Charges, End, Record};
use crate::config::{ModbusChargerConfig, Policy};
use crate::power::{Power, PowerState};

/// A charger without OCPP.
#[derive(Debug)]
pub(crate) struct ModbusCharger {
    id: String,
    config: ModbusChargerConfig,
    charges: Arc<Charges>,
    north: Option<ChargePointHandle>,
    // Where nothing switches it, a charge is counted and no more.
    power: Option<Power>,
    // Held while a charge begins or ends: an outlet does one thing at a time.
    turn: Mutex<Availability>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Availability {
    Operative,
    Inoperative,
}

/// Why a presented idTag did not start or stop a charge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SwipeError {
    /// It may not charge here.
    #[error("the idTag may not charge here: {0:?}")]
    Refused(Authorization),
    /// Somebody else is charging.
    #[error("somebody else is charging here")]
    NotYours,
    /// Switched off by the central system.
    #[error("the outlet is out of service")]
    OutOfService,
    /// Its power cannot be switched.
    #[error("no power here: {0}")]
    Power(String),
    /// The charge could not begin or end.
    #[error(transparent)]
    Charge(#[from] ChargeError),
}

/// What presenting an idTag did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Swiped {
    /// A charge began.
    Began { transaction: i32 },
    /// The charge ended.
    Ended(EndedCharge),
}

impl ModbusCharger {
    pub(crate) fn new(
        id: &str,
        config: ModbusChargerConfig,
        charges: Arc<Charges>,
        north: Option<ChargePointHandle>,
        power: Option<Power>,
    ) -> Self {
        Self {
            id: id.to_owned(),
            config,
            charges,
            north,
            power,
            turn: Mutex::new(Availability::Operative),
        }
    }

    pub(crate) fn outlet(&self) -> &str {
        &self.config.outlet
    }

    /// Closes what a restart interrupted, and tells the central system what it missed. Until then
    /// the outlet is taken.
    pub(crate) async fn recover(&self) -> Result<(), ChargeError> {
        for record in self.charges.interrupted(&self.id) {
            if !record.is_announced {
                self.report_began(&record).await;
            }
            if let Some(power) = self.power.as_ref().filter(|_| record.ended.is_none()) {
                // What flows until it is off belongs to the charge.
                power.until_off().await;
            }
            self.charges.wait_for_meter(&record).await;
            let _turn = self.turn.lock().await;
            let transaction = record.charge.transaction_id;
            if let Some(ended) = self.charges.close_interrupted(transaction).await? {
                self.report_ended(transaction, &ended, None).await?;
            }
        }
        let turn = self.turn.lock().await;
        self.report_idle(*turn).await;
        Ok(())
    }

    /// An idTag was presented: starts a charge, or stops the one it started.
    pub(crate) async fn swipe(&self, id_tag: &IdTag) -> Result<Swiped, SwipeError> {
        match self.charges.at_outlet(&self.config.outlet) {
            None => {
                let transaction = self.start(id_tag, true).await?;
                Ok(Swiped::Began { transaction })
            }
            Some(record) if record.is_interrupted => {
                Err(ChargeError::Interrupted(record.outlet).into())
            }
            Some(record) if record.charge.id_tag == *id_tag => {
                let transaction = record.charge.transaction_id;
                let ended = self
                    .stop(transaction, StopReason::Local, Some(id_tag))
                    .await?;
                Ok(Swiped::Ended(ended))
            }
            Some(_) => Err(SwipeError::NotYours),
        }
    }

    async fn start(&self, id_tag: &IdTag, ask_first: bool) -> Result<i32, SwipeError> {
        let turn = self.turn.lock().await;
        if *turn == Availability::Inoperative {
            return Err(SwipeError::OutOfService);
        }
        if self.charges.at_outlet(&self.config.outlet).is_some() {
            return Err(ChargeError::Busy(self.config.outlet.clone()).into());
        }
        self.is_without_power()?;
        let authorization = self.authorize(id_tag, ask_first).await;
        if !authorization.is_accepted() {
            return Err(SwipeError::Refused(authorization));
        }
        let begin = Begin {
            charge_point: self.id.clone(),
            connector: 1,
            id_tag: id_tag.clone(),
            register: None,
            at: self.charges.now(),
        };
        let transaction = self.charges.begin(begin).await?;
        if let Some(record) = self.charges.at_outlet(&self.config.outlet) {
            self.report_began(&record).await;
        }
        // Durable, and its start is read: nothing flows unmeasured.
        if let Some(power) = &self.power
            && let Err(why) = power.on().await
        {
            self.finish(*turn, transaction, StopReason::Other, None)
                .await?;
            return Err(SwipeError::Power(why));
        }
        self.report_status(ConnectorStatus::Charging).await;
        Ok(transaction)
    }

    /// A charge begins only where nothing flows yet.
    fn is_without_power(&self) -> Result<(), SwipeError> {
        let state = self.power.as_ref().map(Power::state);
        match state.filter(|state| !state.is_off()) {
            None => Ok(()),
            Some(state) => {
                let looking = || "it is not known yet whether it is off; try again".to_owned();
                Err(SwipeError::Power(state.fault.unwrap_or_else(looking)))
            }
        }
    }

    /// Who says yes depends on the policy. An unreachable central system leaves it to the chain.
    async fn authorize(&self, id_tag: &IdTag, ask_central_system: bool) -> Authorization {
        let by_chain = match self.charges.decide(id_tag).await {
            Decision::Accepted { expiry } => Authorization::Accepted {
                expiry: Some(expiry),
                parent: None,
            },
            Decision::Refused(Status::Blocked) => Authorization::Blocked,
            Decision::Refused(Status::Expired) => Authorization::Expired,
            Decision::Refused(Status::ConcurrentTx) => Authorization::ConcurrentTx,
            Decision::Refused(_) => Authorization::Invalid,
        };
        let policy = self.config.authorization;
        if policy == Policy::Chain || (policy == Policy::Both && !by_chain.is_accepted()) {
            return by_chain;
        }
        match &self.north {
            // The central system started the charge itself and wants no question.
            Some(_) if !ask_central_system => Authorization::Accepted {
                expiry: None,
                parent: None,
            },
            Some(north) => match north.ask_authorize(id_tag).await {
                Ok(answer) => answer,
                Err(error) => {
                    tracing::warn!(charge_point = self.id, %error, "the chain decides alone");
                    by_chain
                }
            },
            None => by_chain,
        }
    }

    async fn stop(
        &self,
        transaction: i32,
        reason: StopReason,
        id_tag: Option<&IdTag>,
    ) -> Result<EndedCharge, ChargeError> {
        let turn = self.turn.lock().await;
        self.finish(*turn, transaction, reason, id_tag).await
    }

    /// Takes power away and ends the charge with what its meter shows after that. A relay that does not
    /// open keeps no charge from its end: it shows in the local API, and no other charge begins.
    async fn finish(
        &self,
        availability: Availability,
        transaction: i32,
        reason: StopReason,
        id_tag: Option<&IdTag>,
    ) -> Result<EndedCharge, ChargeError> {
        let record = self.charges.at_outlet(&self.config.outlet);
        let is_here = record.is_some_and(|record| record.charge.transaction_id == transaction);
        if let Some(power) = self.power.as_ref().filter(|_| is_here)
            && let Err(why) = power.off().await
        {
            tracing::error!(charge_point = self.id, why, "the charge ends with power on");
        }
        let end = End {
            register: None,
            at: self.charges.now(),
            reason,
        };
        let ended = self.charges.end(transaction, end).await?;
        let ended = ended.ok_or_else(|| ChargeError::Idle(self.config.outlet.clone()))?;
        self.report_ended(transaction, &ended, id_tag).await?;
        self.report_idle(availability).await;
        Ok(ended)
    }

    /// Follows the power: a charge that lost it ends, and the central system is told of faults.
    pub(crate) async fn follow_power(&self) {
        let Some(power) = &self.power else { return };
        let mut states = power.follow();
        let mut has_fault = false;
        while states.changed().await.is_ok() {
            let state = states.borrow_and_update().clone();
            if state.lost.is_some() {
                self.end_without_power(power).await;
            }
            let is_faulted = !state.is_wanted && state.fault.is_some();
            if is_faulted != has_fault {
                has_fault = is_faulted;
                let turn = self.turn.lock().await;
                if self.charges.at_outlet(&self.config.outlet).is_none() {
                    self.report_idle(*turn).await;
                }
            }
        }
    }

    async fn end_without_power(&self, power: &Power) {
        let turn = self.turn.lock().await;
        // Meanwhile it may have ended, and another may have begun.
        let Some(why) = power.state().lost else {
            return;
        };
        let record = self.charges.at_outlet(&self.config.outlet);
        let Some(record) = record.filter(|record| !record.is_interrupted) else {
            return;
        };
        let transaction = record.charge.transaction_id;
        tracing::error!(
            charge_point = self.id,
            transaction,
            why,
            "the charge lost its power"
        );
        let ended = self.finish(*turn, transaction, StopReason::Other, None);
        if let Err(error) = ended.await {
            tracing::error!(charge_point = self.id, %error, "the charge without power is not ended");
        }
    }

    /// Takes power away because the gateway stops; the charge is kept, and closed after the next start.
    pub(crate) async fn power_down(&self) {
        if let Some(power) = &self.power
            && let Err(why) = power.off().await
        {
            tracing::error!(charge_point = self.id, why, "stopping with power on");
        }
        let record = self.charges.at_outlet(&self.config.outlet);
        if let Some(record) = record.filter(|_| self.power.is_some())
            && let Err(error) = self.charges.observe_now(&record).await
        {
            tracing::error!(charge_point = self.id, %error, "the last reading is not kept");
        }
    }

    /// What is known of its power, where something switches or limits it.
    pub(crate) fn power(&self) -> Option<&Power> {
        self.power.as_ref()
    }

    /// The meter at the outlet was read.
    pub(crate) async fn observed(&self, observation: Observation) {
        let event = SessionEvent::Observed {
            connector: 1,
            observation,
        };
        if let Some(north) = &self.north
            && let Err(error) = north.report(event).await
        {
            // Readings come every second; that the face has ended is told once, where it ran.
            tracing::debug!(charge_point = self.id, %error, "a reading is not reported");
        }
    }

    async fn report_began(&self, record: &Record) {
        let transaction = record.charge.transaction_id;
        let event = SessionEvent::Began {
            charge: key(transaction),
            connector: 1,
            id_tag: record.charge.id_tag.clone(),
            at: record.charge.started_at,
            register: record.charge.register_start,
        };
        if self.report(event).await {
            self.charges.announced(transaction);
        }
    }

    /// Reports the end; once the central system's side has it, the gateway forgets the charge.
    async fn report_ended(
        &self,
        transaction: i32,
        ended: &EndedCharge,
        id_tag: Option<&IdTag>,
    ) -> Result<(), ChargeError> {
        let Some(north) = &self.north else {
            return Ok(());
        };
        let event = SessionEvent::Ended {
            charge: key(transaction),
            id_tag: id_tag.cloned(),
            at: ended.ended_at,
            register: ended.register_end,
            reason: ended.reason,
            detail: Vec::new(),
        };
        match north.report(event).await {
            Ok(()) => self.charges.forget(transaction).await,
            Err(error) => {
                tracing::error!(charge_point = self.id, %error, "told again after the next start");
                Ok(())
            }
        }
    }

    /// No charge goes on.
    async fn report_idle(&self, availability: Availability) {
        let state = self.power.as_ref().map(Power::state);
        let has_fault = |state: PowerState| state.fault.is_some();
        self.report_status(match availability {
            _ if state.is_some_and(has_fault) => ConnectorStatus::Faulted,
            Availability::Operative => ConnectorStatus::Available,
            Availability::Inoperative => ConnectorStatus::Unavailable,
        })
        .await;
    }

    async fn report_status(&self, status: ConnectorStatus) {
        self.report(SessionEvent::Status {
            connector: 1,
            status,
            fault: None,
            at: self.charges.now(),
        })
        .await;
    }

    /// True where the central system's side has it.
    async fn report(&self, event: SessionEvent) -> bool {
        let Some(north) = &self.north else {
            return false;
        };
        let reported = north.report(event).await;
        if let Err(error) = &reported {
            tracing::error!(charge_point = self.id, %error, "the central system is not told");
        }
        reported.is_ok()
    }
}

fn key(transaction: i32) -> ChargeKey {
    ChargeKey(u64::try_from(transaction).expect("transactions count from 1"))
}

impl ChargePointHost for ModbusCharger {
    fn now(&self) -> UnixMillis {
        self.charges.now()
    }

    async fn remote_start(&self, start: RemoteStart) -> bool {
        if start.connector.is_some_and(|connector| connector != 1) {
            return false;
        }
        match self.start(&start.id_tag, start.authorize_first).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(charge_point = self.id, %error, "remote start refused");
                false
            }
        }
    }

    async fn remote_stop(&self, charge: ChargeKey) -> bool {
        let Ok(transaction) = i32::try_from(charge.0) else {
            return false;
        };
        match self.stop(transaction, StopReason::Remote, None).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(charge_point = self.id, %error, "remote stop refused");
                false
            }
        }
    }

    async fn reset(&self, kind: ResetKind) {
        if let Some(record) = self.charges.at_outlet(&self.config.outlet) {
            let transaction = record.charge.transaction_id;
            if let Err(error) = self.stop(transaction, kind.stop_reason(), None).await {
                tracing::error!(charge_point = self.id, %error, "the charge goes on over the reset");
            }
        }
    }

    async fn set_available(&self, connector: u32, available: bool) -> AvailabilityAnswer {
        if connector > 1 {
            return AvailabilityAnswer::Rejected;
        }
        let mut turn = self.turn.lock().await;
        *turn = match available {
            true => Availability::Operative,
            false => Availability::Inoperative,
        };
        let is_charging = self.charges.at_outlet(&self.config.outlet).is_some();
        match (is_charging, available) {
            (true, true) => AvailabilityAnswer::Accepted,
            (true, false) => AvailabilityAnswer::Scheduled,
            (false, _) => {
                self.report_idle(*turn).await;
                AvailabilityAnswer::Accepted
            }
        }
    }

    async fn unlock(&self, _: u32) -> UnlockAnswer {
        UnlockAnswer::NotSupported
    }

    async fn started(&self, charge: ChargeKey, _: i32, authorization: Authorization) {
        let is_refused = !authorization.is_accepted();
        if is_refused && self.config.authorization != Policy::Chain {
            tracing::warn!(
                charge_point = self.id,
                "the central system refuses the charge"
            );
            if let Ok(transaction) = i32::try_from(charge.0) {
                let stopped = self.stop(transaction, StopReason::DeAuthorized, None).await;
                if let Err(error) = stopped {
                    tracing::warn!(charge_point = self.id, %error, "it was over already");
                }
            }
        }
    }

    async fn configuration_changed(&self, key: &str, value: &str) {
        self.charges.keep_configuration(&self.id, key, value).await;
    }
}
