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
//! // A KEBA KCP30, published with the transparency software as test_ocmf_keba_kcp30.xml.
//! let text = concat!(
//!     r#"OCMF|{"FV":"1.0","GI":"KEBA_KCP30","GS":"17619300","GV":"2.8.5","PG":"T32","IS":false,"#,
//!     r#""IL":"NONE","IF":["RFID_NONE","OCPP_NONE","ISO15118_NONE","PLMN_NONE"],"IT":"NONE","#,
//!     r#""ID":"","RD":[{"TM":"2019-08-13T10:03:15,000+0000 I","TX":"B","EF":"","ST":"G","#,
//!     r#""RV":0.2596,"RI":"1-b:1.8.0","RU":"kWh"},{"TM":"2019-08-13T10:03:36,000+0000 R","#,
//!     r#""TX":"E","EF":"","ST":"G","RV":0.2597,"RI":"1-b:1.8.0","RU":"kWh"}]}|{"SD":"#,
//!     r#""304502200E2F107C987A300AC1695CA89EA149A8CDFA16188AF0A33EE64B67964AA943F9"#,
//!     r#"022100889A72B6D65364BEA8562E7F6A0253157ACFF84FE4929A93B5964D23C4265699"}"#,
//! );
//! let key = concat!(
//!     "3059301306072A8648CE3D020106082A8648CE3D030107034200043AEEB45C392357820A58FDFB0857BD77ADA315",
//!     "85C61C430531DFA53B440AFBFDD95AC887C658EA55260F808F55CA948DF235C2108A0D6DC7D4AB1A5E1A7955BE",
//! );
//! let record = SignedRecord::verified(Record::parse(text)?, PublicKey::parse(key, None)?)?;
//! let charge = Charge::of(&[record], None)?;
//! assert_eq!(charge.energy_wh.to_string(), "0.1");
//! assert_eq!(charge.resolution_wh.to_string(), "0.1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

pub mod algorithm;
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
