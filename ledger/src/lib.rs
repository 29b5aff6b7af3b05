//! The billing chain: its bytes, its one consensus rule, and the rules of node and provider.
//!
//! Everything here is pure, but for [`store`] at its edge: no clock, no randomness, no socket.
//! Time and bytes go in as arguments, decisions come out as values.
//!
//! [`node::Node`] and [`provider::Provider`] are sans-IO state machines. The contract of both:
//! give one input to `handle`, then drain `poll` until it is empty. A `Persist` precedes every
//! effect that relies on it: make all of them durable, then carry the effects out, in order.
//! [`store::drive`] does the first half, for a whole batch of inputs in one sync.
//!
//! Types to meet first: [`block::Block`], [`state::State`], [`apply::apply`],
//! [`receipt_file::ReceiptFile`].
//!
//! What it leaves out: tariffs other than flat ones, Charge List Blocks.
//!
//! ```
//! use ledger::block::{Body, Record};
//! use ledger::{apply::apply, seal::seal, state::State, tariff::FlatTariff};
//! use protocol::{Genesis, KeyPair, NodeId, TariffId, UnixSeconds};
//!
//! let provider = KeyPair::from_seed(&[1; 32]);
//! let node = KeyPair::from_seed(&[2; 32]);
//! let genesis = Genesis {
//!     provider_key: provider.public(),
//!     time: UnixSeconds(1_800_000_000),
//!     interval_s: 900,
//!     witnesses: 8,
//!     dormancy_s: Genesis::DORMANCY_S,
//!     dispute_period_s: Genesis::DISPUTE_PERIOD_S,
//!     currency: "EUR".to_owned(),
//!     test: true,
//! };
//! let empty = State::new(genesis);
//! let tariff = FlatTariff::new("EUR", "0.40", "0.30")?;
//! let body = Body {
//!     records: vec![
//!         Record::Tariff { id: TariffId(1), document: tariff.document() },
//!         Record::EnrolNode { node: NodeId(1), key: node.public() },
//!     ],
//!     ..Body::default()
//! };
//! let (block, sealed) = seal(&empty, body, 1, UnixSeconds(1_800_000_900), &provider)?;
//! assert_eq!(apply(&empty, &block)?, sealed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

pub mod accounts;
pub mod apply;
pub mod block;
pub mod evidence;
mod finality;
pub mod frame;
mod history;
pub mod merkle;
pub mod node;
pub mod provider;
pub mod receipt_file;
pub mod resume;
pub mod seal;
pub mod state;
pub mod store;
pub mod tariff;

pub use apply::{Invalid, apply};
pub use block::{Ballot, Block, Body, ChargeLine, GroupBlock, Header, Record};
pub use evidence::{Evidence, EvidenceFile};
pub use frame::Frame;
pub use node::Node;
pub use provider::Provider;
pub use receipt_file::{Proven, ReceiptError, ReceiptFile};
pub use state::State;
