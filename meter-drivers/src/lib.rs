//! Energy meters over Modbus: from registers to readings fit for billing.
//!
//! A meter model is data: a [`RegisterMap`], one TOML file per model. A [`Bus`] is the line that meters
//! are on: Modbus TCP, RTU on a serial port, or RTU over TCP. A [`Meter`] asks over its bus for the
//! registers its map names and hands out a [`Reading`]: the total import register in whole Wh, how
//! finely that register counts, and the moment the answer arrived. Whatever is not such a reading (a
//! late answer, another unit's, a NaN) is a [`MeterError`] whose variant tells an unreachable device
//! from a silent unit and from a wrong register map.
//!
//! An [`Actuator`] sets a relay or a current limit over the same bus, and believes what it reads back.
//!
//! What it leaves out: sessions, bills and clocks. Nothing here decides what a reading costs, and
//! the time comes from the caller's [`Clock`].
//!
//! Types to meet first: [`Endpoint`], [`Bus`], [`MeterConfig`], [`Meter`], [`Reading`], [`MeterError`].
//!
//! ```no_run
//! use std::time::Duration;
//! use meter_drivers::{Bus, Endpoint, Meter, MeterConfig, MeterError, Reading, RegisterMap};
//! use protocol::UnixMillis;
//!
//! async fn read_once(now: impl Fn() -> UnixMillis + Send + Sync) -> Result<Reading, MeterError> {
//!     let bus = Bus::start(Endpoint::Tcp { address: "192.0.2.7:502".to_owned() });
//!     let mut meter = Meter::new(
//!         MeterConfig {
//!             name: "yard".to_owned(),
//!             unit_id: 1,
//!             timeout: Duration::from_millis(1_000),
//!             pause: Duration::ZERO,
//!             map: RegisterMap::builtin("eastron-sdm630").expect("listed in RegisterMap::builtin_ids"),
//!         },
//!         &bus,
//!     );
//!     let identity = meter.identify().await?;
//!     let reading = meter.read(&now).await?;
//!     assert_eq!(reading.serial, identity.serial);
//!     Ok(reading)
//! }
//! ```
//!
//! The feature `simulator` adds meters to read from where there are none.
#![warn(missing_docs)]

pub mod actuator;
mod asked;
pub mod block;
pub mod bus;
pub mod decode;
pub mod em580;
pub mod error;
pub mod listen;
pub mod map;
pub mod meter;
pub mod reading;
pub mod recording;
mod retry;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod sunspec;
pub mod transport;
pub mod watch;

pub use actuator::{Actuator, ActuatorConfig, ActuatorError, Target};
pub use block::{Block, Request};
pub use bus::Bus;
pub use decode::{Exact, NoNumber, RawValue};
pub use em580::{
    Em580, Em580Config, Em580Error, Em580Facts, Em580Failure, Em580IdentificationType,
    Em580Session, Em580Step,
};
pub use error::{Finding, MeterError};
pub use map::{
    Connection, Energy, MapError, Measurand, Parity, Probe, Quantity, Register, RegisterMap,
    RegisterMaps, RegisterSpace, Scale, ValueType, WordOrder,
};
pub use meter::{Meter, MeterConfig};
pub use reading::{Clock, Identity, MeterSerial, Reading};
pub use recording::{Recorded, Recording};
#[cfg(feature = "simulator")]
pub use simulator::{SimulatedMeter, Simulator};
pub use transport::serial::{SerialSettings, StopBits};
pub use transport::{Dial, Endpoint, Framing};
