//! The provider's database: the only module that knows which one it is.

use std::sync::{Arc, Mutex, PoisonError};

use ledger::provider::{stored_blocks, stored_genesis, stored_proofs};
use ledger::store::{Store, StoreError};
use ledger::{Block, Frame, Provider};
use protocol::{Genesis, KeyPair, NodeId, UnixSeconds, canonical};

use crate::config::{ChainConfig, Config};
use crate::error::Error;
use crate::state_dir::StateDir;

/// Opens the store of `state_dir` and the provider that it holds; begins a chain at `now` where it
/// holds none.
pub(crate) fn open(
    config: &Config,
    state_dir: &StateDir,
    now: UnixSeconds,
) -> Result<(Provider, KeyPair, Arc<Store>), Error> {
    let store = Store::open(&state_dir.store())?;
    let stored = stored_genesis(&store)?;
    let key = key_of(state_dir, stored.as_ref())?;
    let genesis = match stored {
        Some(genesis) => {
            check_parameters(&genesis, &config.chain, state_dir)?;
            genesis
        }
        None => genesis(&key, &config.chain, now),
    };
    let provider = Provider::load(key.clone(), genesis, config.tariff.clone(), &store)?;
    let height = provider.state().height;
    let mut is_whole = true;
    stored_blocks(&store, height + 1, 1, |_| is_whole = false)?;
    if !is_whole {
        return Err(Error::BrokenChain {
            height: height + 1,
            state_dir: state_dir.path().to_owned(),
        });
    }
    Ok((provider, key, Arc::new(store)))
}

/// The key of the stored chain; a new one only where there is no chain yet.
fn key_of(state_dir: &StateDir, stored: Option<&Genesis>) -> Result<KeyPair, Error> {
    let other = || Error::OtherChain {
        state_dir: state_dir.path().to_owned(),
    };
    match (state_dir.key()?, stored) {
        (Some(key), Some(genesis)) if key.public() != genesis.provider_key => Err(other()),
        (Some(key), _) => Ok(key),
        (None, None) => state_dir.create_key(),
        (None, Some(_)) => Err(other()),
    }
}

fn genesis(key: &KeyPair, chain: &ChainConfig, now: UnixSeconds) -> Genesis {
    Genesis {
        provider_key: key.public(),
        time: now,
        interval_s: chain.interval_s,
        witnesses: chain.witnesses,
        dormancy_s: chain.dormancy_s,
        dispute_period_s: chain.dispute_period_s,
        currency: chain.currency.clone(),
        test: chain.test,
    }
}

fn check_parameters(
    stored: &Genesis,
    configured: &ChainConfig,
    state_dir: &StateDir,
) -> Result<(), Error> {
    let pairs = [
        (
            "interval_s",
            configured.interval_s.to_string(),
            stored.interval_s.to_string(),
        ),
        (
            "witnesses",
            configured.witnesses.to_string(),
            stored.witnesses.to_string(),
        ),
        (
            "dormancy_s",
            configured.dormancy_s.to_string(),
            stored.dormancy_s.to_string(),
        ),
        (
            "dispute_period_s",
            configured.dispute_period_s.to_string(),
            stored.dispute_period_s.to_string(),
        ),
        (
            "currency",
            configured.currency.clone(),
            stored.currency.clone(),
        ),
        ("test", configured.test.to_string(), stored.test.to_string()),
    ];
    for (key, configured, stored) in pairs {
        if configured != stored {
            return Err(Error::OtherParameter {
                key,
                configured,
                stored,
                state_dir: state_dir.path().to_owned(),
            });
        }
    }
    Ok(())
}

/// The sealed blocks, read beside the engine: they never change.
#[derive(Debug)]
pub(crate) struct Blocks {
    store: Arc<Store>,
    // Every link sends the newest block at the same time; it is read and written once.
    newest: Mutex<Option<(u64, Arc<Vec<u8>>)>>,
}

impl Blocks {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            newest: Mutex::new(None),
        }
    }

    /// The frame with the block at `height`; `None` above the tip. Reads the disk.
    pub(crate) fn frame(&self, height: u64) -> Result<Option<Arc<Vec<u8>>>, StoreError> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = newest.as_ref().filter(|(of, _)| *of == height) {
            return Ok(Some(Arc::clone(frame)));
        }
        let is_newer = newest.as_ref().is_none_or(|(of, _)| *of < height);
        if !is_newer {
            drop(newest);
            return Ok(self.read(height)?.map(Arc::new));
        }
        let frame = self.read(height)?.map(Arc::new);
        if let Some(frame) = &frame {
            *newest = Some((height, Arc::clone(frame)));
        }
        Ok(frame)
    }

    fn read(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let mut frame = None;
        stored_blocks(&self.store, height, 1, |block| {
            frame = Some(canonical(&Frame::Block(Box::new(block))));
        })?;
        Ok(frame)
    }

    /// The blocks from `from` on, at most `count`. Reads the disk.
    pub(crate) fn blocks(&self, from: u64, count: u64) -> Result<Vec<Block>, StoreError> {
        let mut blocks = Vec::new();
        stored_blocks(&self.store, from, count, |block| blocks.push(block))?;
        Ok(blocks)
    }

    /// Frames with the headers from `from` on, at most `count`. Reads the disk.
    pub(crate) fn headers(&self, from: u64, count: u64) -> Result<Vec<Frame>, StoreError> {
        let mut frames = Vec::new();
        stored_blocks(&self.store, from, count, |block| {
            frames.push(Frame::Header(Box::new(block.header)));
        })?;
        Ok(frames)
    }

    /// Frames with the receipt files of `node`'s charges above number `after`, at most `count`.
    /// Reads the disk.
    pub(crate) fn proofs(
        &self,
        node: NodeId,
        after: u32,
        count: u32,
    ) -> Result<Vec<Frame>, StoreError> {
        let mut frames = Vec::new();
        stored_proofs(&self.store, node, after, count, |file| {
            frames.push(Frame::Proof(file.to_bytes()));
        })?;
        Ok(frames)
    }
}
