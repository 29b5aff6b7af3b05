//! The ground under every other crate: units, ids, keys, the signed charge profile, the paper's
//! messages and the RPC frame.
//!
//! What it leaves out: rules (they are in `ledger`) and everything that touches a clock or a disk.
#![warn(missing_docs)]

pub mod crypto;
pub mod genesis;
pub mod ids;
#[cfg(feature = "link")]
pub mod link;
pub mod message;
pub mod neighbour;
pub mod profile;
pub mod rpc;
pub mod signed;
pub mod time;
pub mod units;

pub use crypto::{Domain, Hash, HexBytes, KeyPair, PublicKey, Signature, SignatureError, Verifier};
pub use genesis::{Challenge, Genesis};
pub use ids::{
    ChargerId, GrantId, GroupId, IdTag, IdTagError, NodeId, Salt, SupplyPointId, TariffId,
};
pub use neighbour::{Enrolment, Neighbour, NodeAddress, NodeAddressError, SignedEnrolment};
pub use profile::{
    ChargeProfile, Deputy, Grant, MeterExchange, ProfileAck, Receipt, SignedDeputy, SignedGrant,
    SignedMeterExchange, SignedProfile, SignedReceipt,
};
pub use signed::{DecodeError, Signable, Signed, canonical, decode};
pub use time::{TimeError, UnixMillis, UnixSeconds};
pub use units::{EnergyWh, MinorUnits, PowerW};
