//! What the provider stores, and how it finds itself again after a restart.

use std::collections::VecDeque;

use protocol::{Genesis, GroupId, KeyPair, NodeId, SupplyPointId};

use super::Provider;
use super::enrol::Token;
use super::grants::CheckedGrants;
use super::links::Links;
use super::neighbours::{AddressEntry, Addresses};
use super::registry::{Charger, GroupEntry, NodeEntry, OutletEntry, Registry};
use super::relay::Relay;
use super::reports::Reports;
use super::rounds::{Received, Rounds};
use crate::apply::apply;
use crate::block::{Block, Record};
use crate::history::History;
use crate::receipt_file::{self, FinalityProof, ReceiptFile};
use crate::state::State;
use crate::store::{Store, StoreError, Table, Write};
use crate::tariff::FlatTariff;

const PROVIDER: Table = Table("provider");
const BLOCKS: Table = Table("blocks");
/// Profiles with a receipt that are in no block yet.
const RECEIVED: Table = Table("received");
const DETAILS: Table = Table("details");
/// Records that are in no block yet.
const RECORDS: Table = Table("records");
const TOKENS: Table = Table("tokens");
const NODES: Table = Table("nodes");
const GROUPS: Table = Table("groups");
const CHARGERS: Table = Table("chargers");
const OUTLETS: Table = Table("outlets");
const ADDRESSES: Table = Table("addresses");

/// Where each node's charges are: height and position, by node and number.
const PLACES: Table = Table("places");
/// What makes each block with charges final, by height.
const FINALITY: Table = Table("finality");

const GENESIS_KEY: &[u8] = b"genesis";

/// The chain this store holds; `None` where it holds none yet.
///
/// # Errors
/// `Disk` or `Damaged`.
pub fn stored_genesis(store: &Store) -> Result<Option<Genesis>, StoreError> {
    store.get(PROVIDER, GENESIS_KEY)
}

/// Gives every block from height `from` on to `take`; at most `count`.
///
/// # Errors
/// `Disk` or `Damaged`.
pub fn stored_blocks(
    store: &Store,
    from: u64,
    count: u64,
    mut take: impl FnMut(Block),
) -> Result<(), StoreError> {
    for height in from..from.saturating_add(count) {
        match store.get(BLOCKS, &height.to_be_bytes())? {
            Some(block) => take(block),
            None => break,
        }
    }
    Ok(())
}

/// Gives the receipt files of `node`'s charges above number `after` to `take`, in order, at most
/// `count` and as far as their blocks are final.
///
/// # Errors
/// `Disk` or `Damaged`.
pub fn stored_proofs(
    store: &Store,
    node: NodeId,
    after: u32,
    count: u32,
    mut take: impl FnMut(ReceiptFile),
) -> Result<(), StoreError> {
    let Some(genesis) = stored_genesis(store)? else {
        return Ok(());
    };
    for seq in after.saturating_add(1)..=after.saturating_add(count) {
        match stored_proof(store, &genesis, node, seq)? {
            Some(file) => take(file),
            None => break,
        }
    }
    Ok(())
}

fn stored_proof(
    store: &Store,
    genesis: &Genesis,
    node: NodeId,
    seq: u32,
) -> Result<Option<ReceiptFile>, StoreError> {
    let Some((height, index)) = store.get::<(u64, u32)>(PLACES, &profile_key(node, seq))? else {
        return Ok(None);
    };
    let key = height.to_be_bytes();
    let block: Option<Block> = store.get(BLOCKS, &key)?;
    let (Some(block), Some(finality)) = (block, store.get(FINALITY, &key)?) else {
        return Ok(None);
    };
    let index = usize::try_from(index).expect("a position in memory");
    Ok(receipt_file::issue(genesis, &block, index, finality))
}

pub(super) fn place(node: NodeId, seq: u32, height: u64, index: u32) -> Write {
    Write::put(PLACES, profile_key(node, seq), &(height, index))
}

pub(super) fn finality(height: u64, finality: &FinalityProof) -> Write {
    Write::put(FINALITY, height.to_be_bytes(), finality)
}

pub(super) fn genesis(genesis: &Genesis) -> Write {
    Write::put(PROVIDER, GENESIS_KEY, genesis)
}

pub(super) fn block(block: &Block) -> Write {
    Write::put(BLOCKS, block.header.body.height.to_be_bytes(), block)
}

fn profile_key(node: NodeId, seq: u32) -> Vec<u8> {
    [node.0.to_be_bytes(), seq.to_be_bytes()].concat()
}

pub(super) fn received(received: &Received) -> Write {
    let body = &received.profile.body;
    Write::put(RECEIVED, profile_key(body.node, body.seq), received)
}

pub(super) fn forget_received(received: &Received) -> Write {
    let body = &received.profile.body;
    Write::delete(RECEIVED, profile_key(body.node, body.seq))
}

pub(super) fn detail(node: NodeId, seq: u32, detail: &Vec<u8>) -> Write {
    Write::put(DETAILS, profile_key(node, seq), detail)
}

pub(super) fn record(number: u64, record: &Record) -> Write {
    Write::put(RECORDS, number.to_be_bytes(), &(number, record.clone()))
}

pub(super) fn forget_record(number: u64) -> Write {
    Write::delete(RECORDS, number.to_be_bytes())
}

pub(super) fn token(token: &Token) -> Write {
    Write::put(TOKENS, token.hash.0, token)
}

pub(super) fn node(node: &NodeEntry) -> Write {
    Write::put(NODES, node.node.0.to_be_bytes(), node)
}

pub(super) fn forget_node(node: NodeId) -> Write {
    Write::delete(NODES, node.0.to_be_bytes())
}

pub(super) fn forget_group(group: GroupId) -> Write {
    Write::delete(GROUPS, group.0.to_be_bytes())
}

pub(super) fn forget_outlet(supply_point: SupplyPointId) -> Write {
    Write::delete(OUTLETS, supply_point.0.to_be_bytes())
}

pub(super) fn group(group: &GroupEntry) -> Write {
    Write::put(GROUPS, group.group.0.to_be_bytes(), group)
}

pub(super) fn charger(charger: &Charger) -> Write {
    Write::put(CHARGERS, charger.id_tag.as_str().as_bytes(), charger)
}

pub(super) fn forget_charger(charger: &Charger) -> Write {
    Write::delete(CHARGERS, charger.id_tag.as_str().as_bytes())
}

pub(super) fn outlet(outlet: &OutletEntry) -> Write {
    Write::put(OUTLETS, outlet.supply_point.0.to_be_bytes(), outlet)
}

pub(super) fn address(entry: &AddressEntry) -> Write {
    Write::put(ADDRESSES, entry.node.0.to_be_bytes(), entry)
}

pub(super) fn forget_address(node: NodeId) -> Write {
    Write::delete(ADDRESSES, node.0.to_be_bytes())
}

impl Provider {
    /// The provider as its store knows it. A store without a chain begins the one of `genesis`;
    /// a tariff other than the one in force becomes a record of the next block.
    ///
    /// # Errors
    /// `Disk`, `Damaged` or `BrokenChain`.
    pub fn load(
        key: KeyPair,
        genesis: Genesis,
        tariff: FlatTariff,
        store: &Store,
    ) -> Result<Self, StoreError> {
        let stored = stored_genesis(store)?;
        let is_new = stored.is_none();
        let genesis = match stored {
            Some(stored) => stored,
            None => {
                store.commit(&[self::genesis(&genesis)])?;
                genesis
            }
        };
        let mut state = State::new(genesis);
        let mut history = History::default();
        let mut broken = None;
        store.for_each(BLOCKS, |_, block: Block| match apply(&state, &block) {
            Ok(next) if broken.is_none() => {
                let before = std::mem::replace(&mut state, next);
                keep(&mut history, block, before);
                history.forget(state.final_height);
            }
            // Going on from an older block would sign a second one for the same height.
            _ => broken = broken.or(Some(state.height + 1)),
        })?;
        if let Some(height) = broken {
            return Err(StoreError::BrokenChain { height });
        }
        let mut provider = Self {
            key,
            chain_id: state.chain_id(),
            preview: state.clone(),
            registry: registry(store)?,
            addresses: Addresses::restore(store.all(ADDRESSES)?),
            relay: Relay::default(),
            grants: CheckedGrants::default(),
            rounds: Rounds::restore(store.all(RECORDS)?, store.all(RECEIVED)?, &history),
            links: Links::default(),
            reports: Reports::new(is_new),
            steps: VecDeque::new(),
            state,
            tariff,
            history,
        };
        provider.rebuild_preview();
        provider.announce_tariff();
        Ok(provider)
    }
}

/// Appends a block to the history, with the state before it where its charges are to be proven.
pub(super) fn keep(history: &mut History, block: Block, before: State) {
    let has_charges = !block.body.charges.is_empty();
    history.push(block, has_charges.then_some(before));
}

fn registry(store: &Store) -> Result<Registry, StoreError> {
    let mut registry = Registry::default();
    for token in store.all::<Token>(TOKENS)? {
        registry.tokens.insert(token.hash, token);
    }
    for node in store.all::<NodeEntry>(NODES)? {
        registry.put_node(node);
    }
    for group in store.all::<GroupEntry>(GROUPS)? {
        registry.put_group(group);
    }
    for charger in store.all::<Charger>(CHARGERS)? {
        registry.put_charger(charger);
    }
    for outlet in store.all::<OutletEntry>(OUTLETS)? {
        registry.put_outlet(outlet);
    }
    Ok(registry)
}
