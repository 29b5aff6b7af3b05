//! Signed meter data of charges: judged at the end, kept in the detail that the profile's hash
//! covers, exported for the driver.
//!
//! The detail holds each record byte for byte, not its hash alone: node and provider both keep the
//! detail, so whoever disputes a charge gets the meter's own words also when the gateway is gone.

mod detail;
mod export;
mod judge;
mod key;
mod tell;

use ledger::store::Table;

pub use detail::{Carried, SignedDetail, Standing};
pub(crate) use export::{export, kept_for_export};
pub(crate) use judge::{Billed, Judged, judge};
pub(crate) use key::SignedMeterKey;
pub(crate) use tell::{verify_file, with_detail};

/// Details with signed data, by their hash, until they are in files beside their receipts.
pub(crate) const DETAILS: Table = Table("signed_details");
/// The last page (`PG`) that a verified charge used, by the hash of the meter's key.
pub(crate) const PAGES: Table = Table("signed_pages");
