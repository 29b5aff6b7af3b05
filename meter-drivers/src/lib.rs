//! Energy meters over Modbus: from registers to readings fit for billing.
//!
//! A meter model is data: a [`RegisterMap`], one TOML file per model. [`ModbusTcpMeter`] asks a
//! meter for the registers its map names and hands out a [`Reading`]: the total import register in
//! whole Wh, how finely that register counts, and the moment the answer arrived. Whatever is not
//! such a reading (a late answer, another unit's, a NaN) is a [`MeterError`] whose variant tells an
//! unreachable device from a silent unit and from a wrong register map.
//!
//! What it leaves out: sessions, bills and clocks. Nothing here decides what a reading costs, and
//! the time comes from the caller's [`Clock`].
//!
//! Types to meet first: [`MeterConfig`], [`ModbusTcpMeter`], [`Reading`], [`MeterError`].
//!
//! ```no_run
//! use std::time::Duration;
//! use meter_drivers::{MeterConfig, MeterError, ModbusTcpMeter, Reading, RegisterMap};
//! use protocol::UnixMillis;
//!
//! async fn read_once(now: impl Fn() -> UnixMillis + Send + Sync) -> Result<Reading, MeterError> {
//!     let mut meter = ModbusTcpMeter::new(MeterConfig {
//!         name: "yard".to_owned(),
//!         address: "192.0.2.7:502".to_owned(),
//!         unit_id: 1,
//!         timeout: Duration::from_millis(1_000),
//!         map: RegisterMap::builtin("eastron-sdm630").expect("listed in RegisterMap::builtin_ids"),
//!     });
//!     let identity = meter.identify().await?;
//!     let reading = meter.read(&now).await?;
//!     assert_eq!(reading.serial, identity.serial);
//!     Ok(reading)
//! }
//! ```
//!
//! The feature `simulator` adds a meter to read from where there is none.
#![warn(missing_docs)]

pub mod block;
pub mod decode;
pub mod error;
mod link;
pub mod map;
pub mod reading;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod sunspec;
pub mod tcp;
pub mod watch;

pub use block::{Block, Request};
pub use decode::{Exact, NoNumber, RawValue};
pub use error::{Finding, MeterError};
pub use map::{
    Connection, Energy, MapError, Measurand, Probe, Quantity, Register, RegisterMap, RegisterMaps,
    RegisterSpace, Scale, ValueType, WordOrder,
};
pub use reading::{Clock, Identity, MeterSerial, Reading};
#[cfg(feature = "simulator")]
pub use simulator::{SimulatedMeter, Simulator};
pub use tcp::{MeterConfig, ModbusTcpMeter};
