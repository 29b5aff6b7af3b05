//! Blocks: no block but the one sealed is valid after a state.

use ledger::apply::apply;
use ledger::block::Block;
use protocol::canonical;

use super::{Corpus, canonical_value, numbered};
use crate::chain::chain;

pub(super) fn check(bytes: &[u8]) {
    let Some(block) = canonical_value::<Block>(bytes) else {
        return;
    };
    let chain = chain();
    for (state, sealed) in chain.states.iter().zip(&chain.blocks) {
        let is_valid = apply(state, &block).is_ok();
        assert_eq!(is_valid, block == *sealed, "height {}", state.height + 1);
    }
}

pub(super) fn corpus() -> Corpus {
    numbered(chain().blocks.iter().map(canonical))
}
