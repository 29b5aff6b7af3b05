//! The chain, rebuilt by the demo itself from the blocks it saw: nobody's word is taken for it.

use std::collections::BTreeMap;

use ledger::block::{ChargeLine, Record};
use ledger::{Block, State, apply};
use protocol::{Genesis, Hash, TariffId};

/// A block that the provider signed and that breaks a rule, or a second one for a height.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) height: u64,
    pub(crate) header: Hash,
    pub(crate) reason: String,
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is the newest now.
    New,
    /// It was there already, or was refused already.
    Known,
    /// It was refused.
    Refused,
}

/// The verified chain.
#[derive(Debug)]
pub(crate) struct Chain {
    state: State,
    blocks: Vec<Block>,
    /// Where each of `blocks` is by its header's hash.
    headers: Vec<Hash>,
    tariffs: BTreeMap<TariffId, String>,
    refused: Vec<Refused>,
}

impl Chain {
    pub(super) fn new(genesis: Genesis) -> Self {
        Self {
            state: State::new(genesis),
            blocks: Vec::new(),
            headers: Vec::new(),
            tariffs: BTreeMap::new(),
            refused: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, block: &Block) -> Taken {
        let (height, header) = (block.header.body.height, block.header.body.hash());
        let is_refused = self.refused.iter().any(|refused| refused.header == header);
        if self.header(height) == Some(header) || is_refused {
            return Taken::Known;
        }
        match apply(&self.state, block) {
            Ok(state) => {
                self.state = state;
                self.keep(block, header);
                Taken::New
            }
            Err(invalid) => {
                self.refused.push(Refused {
                    height,
                    header,
                    reason: invalid.to_string(),
                });
                Taken::Refused
            }
        }
    }

    fn keep(&mut self, block: &Block, header: Hash) {
        for record in &block.body.records {
            if let Record::Tariff { id, document } = record {
                self.tariffs.insert(*id, document.clone());
            }
        }
        self.headers.push(header);
        self.blocks.push(block.clone());
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The header's hash at a height.
    pub(crate) fn header(&self, height: u64) -> Option<Hash> {
        let index = usize::try_from(height.checked_sub(1)?).ok()?;
        self.headers.get(index).copied()
    }

    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// A charge with the block that holds it, by its profile's hash.
    pub(crate) fn charge(&self, profile: &Hash) -> Option<(&Block, &ChargeLine)> {
        self.blocks.iter().find_map(|block| {
            let mut lines = block.body.charges.iter();
            let line = lines.find(|line| line.profile.hash() == *profile)?;
            Some((block, line))
        })
    }

    /// A tariff's document.
    pub(crate) fn tariff(&self, id: TariffId) -> Option<&str> {
        self.tariffs.get(&id).map(String::as_str)
    }

    /// Blocks that were signed and refused.
    pub(crate) fn refused(&self) -> &[Refused] {
        &self.refused
    }
}
