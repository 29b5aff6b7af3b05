//! The shared test vectors of `docs/protocol.md`, made by the code that they describe.
//!
//! Everything in them follows from fixed seeds, so that they are the same wherever they are made.
//! They are committed in `tests/vectors`, where another implementation finds them; the program
//! `vectors` writes them, and a test compares.

mod blocks;
mod chain;
mod crypto;
mod evidence;
mod group_blocks;
mod json;
mod link;
mod lying_receipts;
mod prices;
mod receipts;
mod refused_blocks;
mod states;
mod structures;
mod trees;

use std::path::PathBuf;

use chain::Chain;
use json::Json;

/// One file of vectors.
#[derive(Debug)]
pub struct Vector {
    /// The file's name.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl Vector {
    fn new(name: &str, json: Json) -> Self {
        Self {
            name: format!("{name}.json"),
            text: json.to_string(),
        }
    }
}

/// Where the vectors are.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// All of them, as today's code makes them.
///
/// # Panics
/// Where the code contradicts what a vector says of itself.
#[must_use]
pub fn all() -> Vec<Vector> {
    let chain = Chain::told();
    let mut vectors = vec![
        Vector::new("signatures", crypto::signatures()),
        Vector::new("genesis", structures::genesis()),
        Vector::new("chargers", structures::charger_ids()),
        Vector::new("structures", structures::signed(&chain)),
        Vector::new("trees", trees::trees()),
        Vector::new("state", states::states(&chain)),
        Vector::new("blocks", blocks::blocks(&chain)),
        Vector::new("blocks-refused", refused_blocks::refused(&chain)),
        Vector::new("receipts", receipts::receipts(&chain)),
        Vector::new("receipts-refused", receipts::refused(&chain)),
        Vector::new("evidence", evidence::recorded(&chain)),
        Vector::new("evidence-files", evidence::files(&chain)),
        Vector::new("handshake", structures::handshake(&chain)),
        Vector::new("frames", link::frames(&chain)),
        Vector::new("calls", link::calls(&chain)),
        Vector::new("rounds", structures::rounds()),
        Vector::new("prices", prices::prices()),
    ];
    vectors.extend(group_blocks::all(&chain));
    vectors
}
