//! Every decoder of bytes from outside, as a target that a fuzzer drives.
//!
//! A [`Target`] is a decoder with what must hold for any input: it does not panic, it takes no more
//! memory than the input justifies, what it reads it writes again the same, and nothing is proven
//! by a file that nobody made. Its corpus is made from our own types by [`Target::corpus`] and
//! committed below `corpus`.
//!
//! The program `decoders` is driven by libFuzzer when cargo-fuzz builds it, and otherwise replays
//! files and writes the corpora. Types to meet first: [`Target`], [`targets()`].
//!
//! What it leaves out: what comes from our own disk, and the operator's API on loopback.
//!
//! ```
//! let target = fuzz::target("id_tag").expect("a target of this name");
//! target.run(b"FLEET-1");
//! ```

mod bounded;
mod chain;
pub mod corpus;
mod lies;
pub mod mutate;
mod stores;
pub mod structures;
mod targets;

pub use structures::{Structure, structures};
pub use targets::{Target, target, targets};
