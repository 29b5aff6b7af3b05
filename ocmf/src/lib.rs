//! Signed meter data in the Open Charge Metering Format (OCMF) 1.4 of S.A.F.E. e.V.
//!
//! A [`Record`] is what a meter signed, byte for byte: the signature covers the payload as it was
//! written, so nothing here ever writes it again. [`SignedRecord`] is a record whose signature was
//! verified with a [`PublicKey`], or one that is carried because nobody knows the key. [`Charge::of`]
//! judges whether records are the start and stop of one charge, and says what it was in exact Wh, or
//! gives a [`Refusal`]. [`SignedValue`] takes records out of what OCPP carries them in, and [`to_xml`]
//! writes them for the driver's transparency software.
//!
//! What it leaves out: whose key it is, what a charge costs, and any claim of conformity with
//! calibration law. No clock, no files, no network. It does not sign either: the writer behind the
//! feature `test-bench` is for tests and simulators.
//!
//! ```
//! use ocmf::{Charge, PublicKey, Record, SignedRecord};
//!
//! // What a meter of the test bench signed: `TestMeter::new(Curve::Secp256r1, "example")`.
//! let text = concat!(
//!     r#"OCMF|{"FV":"1.4","GI":"BENCH 1","GS":"G-7","PG":"T8","MS":"M-42","IS":false,"#,
//!     r#""IT":"NONE","RD":[{"TM":"2026-03-01T10:00:00,000+0100 S","TX":"B","RV":4071.600,"#,
//!     r#""RI":"1-0:1.8.0","RU":"kWh","ST":"G"},{"TM":"2026-03-01T10:30:00,000+0100 S","#,
//!     r#""TX":"E","RV":4101.100}]}|{"SA":"ECDSA-secp256r1-SHA256","SD":""#,
//!     "3046022100CCA1679C8CD8A33C6A2FBDC801DAC49EF2BCD06CB1CFA9EF29887FD971A90FA10221009D71EF",
//!     r#"F6EDB96DAFBC17C32C0D3A0E76FE04CCC4A8D47BE84D994AB711597844"}"#,
//! );
//! let key = concat!(
//!     "3059301306072A8648CE3D020106082A8648CE3D03010703420004A6C7A22B7889AD6C9EAF9BA9F2CF873C9FA3A",
//!     "C0797726A72E0A22D07F01E0A5FF2A24F59998B22C678F6C9D792E5291384FA3049B777DEEDF7E89EB5CFABCB1F",
//! );
//! let record = SignedRecord::verified(Record::parse(text)?, PublicKey::parse(key, None)?)?;
//! let charge = Charge::of(&[record], None)?;
//! assert_eq!(charge.energy_wh.to_string(), "29500");
//! assert_eq!(charge.resolution_wh.to_string(), "1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

pub mod algorithm;
mod billed;
pub mod charge;
mod curves;
pub mod decimal;
pub mod error;
mod json;
pub mod key;
pub mod ocpp;
pub mod payload;
pub mod reading;
pub mod record;
pub mod refusal;
pub mod register;
mod secp192k1;
#[cfg(feature = "test-bench")]
pub mod test_bench;
pub mod time;
pub mod transparency;
pub mod verify;

pub use algorithm::{Algorithm, Curve, Hash};
pub use charge::{Charge, RegisterReading, TimeQuality};
pub use decimal::Decimal;
pub use error::{KeyError, ParseError, VerifyError};
pub use key::PublicKey;
pub use ocpp::{OcppValueError, SignedValue};
pub use payload::{LossCompensation, Pagination, PaginationContext, Payload, UserAssignment};
pub use reading::{ErrorFlags, MeterStatus, Reading, Reason, Unit};
pub use record::{MAX_DEPTH, MAX_TEXT_BYTES, Record, Signature};
pub use refusal::Refusal;
pub use register::{Register, RegisterKind};
pub use time::{ReadingTime, TimeStatus};
pub use transparency::{ExportError, to_xml};
pub use verify::SignedRecord;
