//! What the gateway implements to be a central system.

use std::future::Future;

use protocol::{EnergyWh, IdTag, UnixMillis};

use crate::session::{Authorization, ConnectorStatus, Observation, SignedMeterValue, StopReason};
use crate::v16::Refusal;

/// Decides for, and remembers, everything the charge points report.
pub trait CentralSystemHost: Send + Sync + 'static {
    /// The clock that charge points are given.
    fn now(&self) -> UnixMillis;

    /// May this charge point work?
    fn boot(
        &self,
        charge_point: &str,
        info: BootInfo,
    ) -> impl Future<Output = Result<BootAnswer, HostError>> + Send;

    /// May this idTag charge here?
    fn authorize(
        &self,
        charge_point: &str,
        id_tag: &IdTag,
    ) -> impl Future<Output = Result<Authorization, HostError>> + Send;

    /// Opens a transaction, also for an idTag that is refused; durable when it returns.
    ///
    /// The same charge point, connector, idTag, time and register give the same transaction again:
    /// charge points repeat what was not answered.
    fn begin(&self, charge: BeginCharge) -> impl Future<Output = Result<Begun, HostError>> + Send;

    /// Takes in meter values, possibly late, repeated, or of no transaction. Signed ones are
    /// durable when it returns.
    fn observe(&self, report: MeterReport) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Ends a transaction, known or not; durable when it returns. Repeating it changes nothing.
    ///
    /// The authorization is that of the idTag given, `None` where there is none.
    fn end(
        &self,
        charge: EndCharge,
    ) -> impl Future<Output = Result<Option<Authorization>, HostError>> + Send;

    /// Takes in a connector's status.
    fn status(&self, report: StatusReport) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Answers a DataTransfer of the vendor [`BILLING_VENDOR`](super::BILLING_VENDOR).
    fn data_transfer(
        &self,
        charge_point: &str,
        request: DataRequest,
    ) -> impl Future<Output = Result<DataAnswer, HostError>> + Send;
}

/// Why the host does not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Not now (disk, start-up): the charge point should ask again. Answered `InternalError`.
    #[error("cannot do this now: {why}")]
    Unavailable {
        /// For people.
        why: String,
    },
    /// Never. Answered `GenericError`.
    #[error("refused: {why}")]
    Rejected {
        /// For people.
        why: String,
    },
}

impl From<HostError> for Refusal {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Unavailable { why } => Self::Unavailable { why },
            HostError::Rejected { why } => Self::Rejected { why },
        }
    }
}

/// What a charge point says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootInfo {
    /// Who built it.
    pub vendor: String,
    /// What it is.
    pub model: String,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its firmware version.
    pub firmware: Option<String>,
    /// Its meter's serial number.
    pub meter_serial: Option<String>,
    /// Its meter's type.
    pub meter_type: Option<String>,
}

/// Whether a charge point may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootStatus {
    /// It may.
    Accepted,
    /// Not yet; it may be configured.
    Pending,
    /// No.
    Rejected,
}

/// What a charge point is told when it boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootAnswer {
    /// Whether it may work.
    pub status: BootStatus,
    /// Heartbeat interval where accepted, else when to ask again.
    pub interval_s: u32,
}

/// A StartTransaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginCharge {
    /// Identity of the link.
    pub charge_point: String,
    /// Counted from 1.
    pub connector: u32,
    /// Who charges.
    pub id_tag: IdTag,
    /// The register at the start.
    pub register: EnergyWh,
    /// When it began.
    pub at: UnixMillis,
}

/// A transaction that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its id, unique for ever.
    pub transaction_id: i32,
    /// Whether its idTag may charge.
    pub authorization: Authorization,
}

/// MeterValues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterReport {
    /// Identity of the link.
    pub charge_point: String,
    /// 0 is the main meter.
    pub connector: u32,
    /// The transaction, where the charge point names it.
    pub transaction_id: Option<i32>,
    /// What was read.
    pub observations: Vec<Observation>,
    /// What the meter signed.
    pub signed: Vec<SignedMeterValue>,
}

/// A StopTransaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndCharge {
    /// Identity of the link.
    pub charge_point: String,
    /// As given by [`CentralSystemHost::begin`], or unknown.
    pub transaction_id: i32,
    /// Who stopped it, where somebody did.
    pub id_tag: Option<IdTag>,
    /// The register at the end.
    pub register: EnergyWh,
    /// When it ended.
    pub at: UnixMillis,
    /// Why.
    pub reason: StopReason,
    /// Readings of the whole charge, sent with its end.
    pub observations: Vec<Observation>,
    /// What the meter signed, sent with the end.
    pub signed: Vec<SignedMeterValue>,
}

/// A StatusNotification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// Identity of the link.
    pub charge_point: String,
    /// 0 is the charge point itself.
    pub connector: u32,
    /// What it is doing.
    pub status: ConnectorStatus,
    /// OCPP's error code, `None` where there is no error.
    pub error: Option<String>,
    /// More about the error.
    pub info: Option<String>,
    /// Since when; where the charge point does not say, when it arrived.
    pub at: UnixMillis,
}

/// A DataTransfer to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataRequest {
    /// What is asked.
    pub message_id: Option<String>,
    /// With what.
    pub data: Option<String>,
}

/// The answer to a DataTransfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataAnswer {
    /// Done.
    Accepted {
        /// What was asked for.
        data: Option<String>,
    },
    /// Understood, not done.
    Rejected,
    /// The message id is not known.
    UnknownMessageId,
}
