//! The charging session as every OCPP version sees it; knows none of them.

mod running_charge;
mod signed_value;

use protocol::{EnergyWh, IdTag, PowerW, UnixMillis, UnixSeconds};
use serde::{Deserialize, Serialize};

pub use running_charge::{
    Anomaly, DetailPoint, EndedCharge, MAX_ANOMALIES, MAX_DETAIL_POINTS, Noted, RunningCharge,
};
pub use signed_value::{SignedContext, SignedData, SignedMeterValue};

/// What the meter of a connector said at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The reading's own time.
    pub at: UnixMillis,
    /// The import register, where the reading has it.
    pub register: Option<EnergyWh>,
    /// The import power, where the reading has it.
    pub power: Option<PowerW>,
}

/// May this idTag charge?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authorization {
    /// Yes.
    Accepted {
        /// Until when the answer may be remembered.
        expiry: Option<UnixSeconds>,
        /// The group it belongs to.
        parent: Option<IdTag>,
    },
    /// The idTag is blocked.
    Blocked,
    /// The idTag has expired.
    Expired,
    /// The idTag is not known.
    Invalid,
    /// The idTag charges elsewhere already.
    ConcurrentTx,
}

impl Authorization {
    /// True where charging is allowed.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }
}

/// Why a charge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// The idTag turned out to be refused.
    DeAuthorized,
    /// Emergency stop.
    EmergencyStop,
    /// The cable was pulled at the vehicle.
    EvDisconnected,
    /// A hard reset.
    HardReset,
    /// At the charge point, by the person.
    Local,
    /// Anything else.
    Other,
    /// The power failed.
    PowerLoss,
    /// The charge point restarted.
    Reboot,
    /// From afar.
    Remote,
    /// A soft reset.
    SoftReset,
    /// The connector was unlocked from afar.
    UnlockCommand,
}

/// What a connector is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectorStatus {
    /// Free.
    Available,
    /// Somebody has begun: a plug or a tag.
    Preparing,
    /// Energy flows.
    Charging,
    /// The charge point holds back.
    SuspendedEvse,
    /// The vehicle holds back.
    SuspendedEv,
    /// The charge is over, the cable still in.
    Finishing,
    /// Kept for somebody.
    Reserved,
    /// Switched off by an operator.
    Unavailable,
    /// Broken.
    Faulted,
}
