//! OCPP 1.6 (edition 2) over JSON; its types stay in here.
//!
//! Messages are first checked against a table of their fields ([`Refusal`] says what was wrong),
//! then read into rust-ocpp's types. The table is ours because serde reports what is wrong as
//! prose, while OCPP-J wants a code, and because rust-ocpp's `validate` refuses valid empty strings
//! and misses maximum lengths. Fields that the standard does not name are ignored: refusing a
//! StopTransaction for a vendor's extra field would cost a charge.
//!
//! Two message types are not rust-ocpp's: MeterValues (it does not know the unit Hertz, and one
//! such sample would refuse the message) and what is sent with a register in it (its registers are
//! 32 bits wide).

pub mod central_system;
pub mod charge_point;
mod convert;
mod messages;
mod meter_values;
mod refusal;
mod schema;

pub use refusal::Refusal;
pub use schema::{SchemaError, Violation};

/// The WebSocket subprotocol of OCPP 1.6J.
pub const SUBPROTOCOL: &str = "ocpp1.6";
