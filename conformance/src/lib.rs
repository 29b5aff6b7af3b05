//! Runs test cases against a peer and says which clause it breaks.
//!
//! Start with [`run`]: it plays a charge point, works through [`CASES`] over a real link and gives
//! a [`Report`]. Every deviation is a [`Failure`] that names the clause and what was seen.
//!
//! Left out: certification. The ids are those of the Open Charge Alliance's compliancy test cases,
//! the cases are written from the standard, in our own words.
//!
//! ```
//! use conformance::{CASES, Settings, SettingsError};
//!
//! assert!(CASES.iter().any(|case| case.id == "TC_001_CSMS"));
//! let wanted = Settings::new("ws://127.0.0.1:8080/ocpp", "CP-1", &["TC_999".to_owned()]);
//! assert!(matches!(wanted, Err(SettingsError::UnknownCase { .. })));
//! ```

mod answer;
mod cases;
mod failure;
mod peer;
mod report;
mod run;

pub use cases::{CASES, Case, Target};
pub use failure::Failure;
pub use report::{CaseReport, Report};
pub use run::{RunError, Settings, SettingsError, run};
