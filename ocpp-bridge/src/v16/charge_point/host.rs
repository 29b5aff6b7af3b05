//! What the gateway implements to be a charge point.

use std::future::Future;

use protocol::{IdTag, UnixMillis};

use super::ChargeKey;
use crate::session::Authorization;

/// Carries out what the central system asks for.
///
/// The face calls these beside its own work, so they may report to and ask through its
/// [handle](super::ChargePointHandle).
pub trait ChargePointHost: Send + Sync + 'static {
    /// The clock for what has no time of its own.
    fn now(&self) -> UnixMillis;

    /// Starts a charge; true where it will be tried.
    fn remote_start(&self, start: RemoteStart) -> impl Future<Output = bool> + Send;

    /// Stops a charge; true where it will be tried.
    fn remote_stop(&self, charge: ChargeKey) -> impl Future<Output = bool> + Send;

    /// Ends all running charges with [`ResetKind::stop_reason`] and reports them.
    fn reset(&self, kind: ResetKind) -> impl Future<Output = ()> + Send;

    /// Puts a connector (0: all) into or out of service.
    fn set_available(
        &self,
        connector: u32,
        available: bool,
    ) -> impl Future<Output = AvailabilityAnswer> + Send;

    /// Opens a connector's lock.
    fn unlock(&self, connector: u32) -> impl Future<Output = UnlockAnswer> + Send;

    /// Learns what the central system calls a charge and whether it accepts its idTag.
    fn started(
        &self,
        charge: ChargeKey,
        transaction_id: i32,
        authorization: Authorization,
    ) -> impl Future<Output = ()> + Send;

    /// Keeps a configuration key for the next start; give it back in
    /// [`ChargePointConfig::configuration`](super::ChargePointConfig::configuration).
    fn configuration_changed(&self, key: &str, value: &str) -> impl Future<Output = ()> + Send;
}

/// A RemoteStartTransaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteStart {
    /// Where; `None` leaves the choice to the charge point.
    pub connector: Option<u32>,
    /// For whom.
    pub id_tag: IdTag,
    /// AuthorizeRemoteTxRequests: ask before starting, as if the idTag had been presented here.
    pub authorize_first: bool,
}

/// How to reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetKind {
    /// At once.
    Hard,
    /// In good order.
    Soft,
}

impl ResetKind {
    /// The reason that running charges end with.
    #[must_use]
    pub fn stop_reason(self) -> crate::session::StopReason {
        match self {
            Self::Hard => crate::session::StopReason::HardReset,
            Self::Soft => crate::session::StopReason::SoftReset,
        }
    }
}

/// The answer to ChangeAvailability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AvailabilityAnswer {
    /// Done.
    Accepted,
    /// Not possible.
    Rejected,
    /// When the charge ends.
    Scheduled,
}

/// The answer to UnlockConnector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlockAnswer {
    /// Open.
    Unlocked,
    /// It did not open.
    Failed,
    /// There is no lock.
    NotSupported,
}
