//! OCPP on both sides of the gateway, and the version-neutral charging session between them.
//!
//! - [`session`]: a charge as every version sees it; pure, savable.
//! - [`v16::central_system`]: the southbound face, charge points' central system.
//! - [`v16::charge_point`]: the northbound face, a charge point at an existing central system.
//!
//! What it leaves out: who may charge, what is stored, what is billed. Both faces ask a host
//! trait for that, which the gateway implements in session terms.
//!
//! ```
//! use ocpp_bridge::session::{Observation, RunningCharge, StopReason};
//! use protocol::{EnergyWh, IdTag, UnixMillis};
//!
//! let tag = IdTag::parse("FLEET-1")?;
//! let start = UnixMillis(1_700_000_000_000);
//! let mut charge = RunningCharge::begin(1, "CP-1".into(), 1, tag, start, EnergyWh(10_000));
//! charge.observe(&Observation {
//!     at: start.plus_ms(60_000),
//!     register: Some(EnergyWh(10_180)),
//!     power: None,
//! });
//! let ended = charge.end(start.plus_ms(120_000), EnergyWh(10_360), StopReason::Local);
//! assert_eq!(ended.energy, EnergyWh(360));
//! # Ok::<(), protocol::IdTagError>(())
//! ```
#![warn(missing_docs)]

pub mod session;
pub mod v16;

pub use session::{
    Authorization, ConnectorStatus, EndedCharge, Observation, RunningCharge, SignedContext,
    SignedData, SignedMeterValue, StopReason,
};
