//! SunSpec: meters that say themselves where their registers are.
//!
//! [`Discovery`] finds the meter model of a device and makes a [`RegisterMap`](crate::RegisterMap) of
//! it. It asks for registers and is told the answers, so it needs no connection of its own:
//!
//! ```
//! use meter_drivers::sunspec::{Discovery, NoMeter};
//! use meter_drivers::{Block, RegisterMap};
//!
//! /// `read` gives the words of a block, and `None` where the device has no such registers.
//! fn discover(mut read: impl FnMut(Block) -> Option<Vec<u16>>) -> Result<RegisterMap, NoMeter> {
//!     let mut discovery = Discovery::new();
//!     while let Some(block) = discovery.ask() {
//!         discovery.answer(read(block).as_deref());
//!     }
//!     Ok(discovery.finish()?.into_map())
//! }
//! # assert!(discover(|_| None).is_err());
//! ```
//!
//! A map made this way reads as any other: a value and its scale factor come from one answer, what is
//! not implemented is no number, and the marker and the model's id are asked for again with every
//! connection, since a device that was given other options may count its addresses anew.
//!
//! # Source
//! SunSpec Device Information Model Specification V1.0; the models as published by the SunSpec
//! Alliance (sunspec/models, commit 7abdf89).

mod discovery;
mod model;

pub use discovery::{Discovery, Layout, ModelHeader, NoMeter, Reason};
