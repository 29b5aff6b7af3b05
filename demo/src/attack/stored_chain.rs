//! What a stopped provider left in its state directory: key, blocks, and the state they lead to.

use std::path::Path;

use anyhow::{Context, bail};
use ledger::provider::{stored_blocks, stored_genesis};
use ledger::store::Store;
use ledger::tariff::FlatTariff;
use ledger::{Block, Record, State, apply};
use protocol::{Hash, KeyPair};

/// A provider's chain and the key that goes on with it.
pub(super) struct StoredChain {
    pub(super) key: KeyPair,
    pub(super) blocks: Vec<Block>,
    pub(super) state: State,
    pub(super) tariff: FlatTariff,
}

impl StoredChain {
    /// Reads the state directory and changes nothing in it.
    pub(super) fn read(state_dir: &Path) -> anyhow::Result<Self> {
        let key = std::fs::read_to_string(state_dir.join("provider.key"));
        let seed = Hash::try_from(key.context("no provider's key")?.trim().to_owned())?;
        let key = KeyPair::from_seed(&seed.0);
        let store = state_dir.join("provider.redb");
        if !store.exists() {
            bail!("{} holds no provider's chain", state_dir.display());
        }
        let store = Store::open(&store)?;
        let genesis = stored_genesis(&store)?.context("the store holds no chain")?;
        let mut blocks = Vec::new();
        stored_blocks(&store, 1, u64::MAX, |block| blocks.push(block))?;
        let mut state = State::new(genesis);
        for block in &blocks {
            state = apply(&state, block)?;
        }
        let tariff = newest_tariff(&blocks).context("the chain holds no tariff")?;
        Ok(Self {
            key,
            state,
            tariff: FlatTariff::parse(tariff)?,
            blocks,
        })
    }
}

fn newest_tariff(blocks: &[Block]) -> Option<&str> {
    let records = blocks
        .iter()
        .rev()
        .flat_map(|b| b.body.records.iter().rev());
    let mut documents = records.filter_map(|record| match record {
        Record::Tariff { document, .. } => Some(document.as_str()),
        _ => None,
    });
    documents.next()
}
