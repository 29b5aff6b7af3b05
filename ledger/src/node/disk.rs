//! What a node stores, and how it finds itself again after a restart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    EnergyWh, Genesis, GroupId, Hash, IdTag, KeyPair, Neighbour, NodeId, PublicKey, Signed,
    SignedEnrolment, SupplyPointId, UnixMillis,
};

use super::authorize::{Known, KnownCharger};
use super::blocks::{Blocks, Vote};
use super::headers::Headers;
use super::kept::Kept;
use super::meter_exchange::Exchange;
use super::neighbours::Neighbours;
use super::outbox::{Charge, Outbox};
use super::parent::Rounds;
use super::resume::Pick;
use super::{Node, NodeConfig};
use crate::block::{Block, Header};
use crate::frame::SealedGroup;
use crate::resume::Resume;
use crate::store::{Store, StoreError, Table, Write};

/// The node's own few facts.
const NODE: Table = Table("node");
/// Blocks by height.
pub(super) const BLOCKS: Table = Table("blocks");
/// Headers by height, of a node that keeps no blocks.
const HEADERS: Table = Table("headers");
/// Registers at the ends of charges that have left the outbox, of a node that keeps no blocks.
const REGISTERS: Table = Table("registers");
/// Charges that are not final, by the order they were measured in.
pub(super) const OUTBOX: Table = Table("outbox");
/// Names of the newest charges that have left the outbox, by the same order.
const TAKEN: Table = Table("taken");
/// Charges that are final, with the heights of their blocks.
const RELEASED: Table = Table("released");
/// Receipt files by profile number.
pub(super) const RECEIPTS: Table = Table("receipts");
const CHARGERS: Table = Table("chargers");
/// Numbers of groups by name.
const GROUPS: Table = Table("groups");
const OUTLETS: Table = Table("outlets");
/// The newest meter exchange of an outlet, by its name.
const EXCHANGES: Table = Table("exchanges");
const GROUP_BLOCKS: Table = Table("group_blocks");
/// Enrolment numbers that the node had before, each with its last profile.
const NUMBERS: Table = Table("numbers");
/// Invalid blocks by their hash.
const PROOFS: Table = Table("proofs");
/// Evidence files against the provider by the height of the block that they are about.
const EVIDENCE: Table = Table("evidence");
/// Other nodes by their key.
const NEIGHBOURS: Table = Table("neighbours");

const GENESIS_KEY: &[u8] = b"genesis";
const ID_KEY: &[u8] = b"id";
const VOTE_KEY: &[u8] = b"vote";
const KEEPS_BLOCKS_KEY: &[u8] = b"keeps_blocks";
const LAST_PROFILE_KEY: &[u8] = b"last_profile";
const ENROLMENT_KEY: &[u8] = b"enrolment";
const UNCONFIRMED_KEY: &[u8] = b"unconfirmed";
const STOPPED_KEY: &[u8] = b"stopped";
const PICK_KEY: &[u8] = b"pick";
const RESUMED_KEY: &[u8] = b"resumed";
const FOLLOWED_KEY: &[u8] = b"followed";

/// A group's newest sealed group block, so that no round is ever sealed twice.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct LastSealed {
    pub(super) group: GroupId,
    pub(super) sealed: SealedGroup,
}

pub(super) fn genesis(genesis: &Genesis) -> Write {
    Write::put(NODE, GENESIS_KEY, genesis)
}

pub(super) fn node(id: NodeId) -> Write {
    Write::put(NODE, ID_KEY, &id)
}

pub(super) fn vote(vote: &Vote) -> Write {
    Write::put(NODE, VOTE_KEY, vote)
}

pub(super) fn block(block: &Block) -> Write {
    Write::put(BLOCKS, block.header.body.height.to_be_bytes(), block)
}

pub(super) fn header(header: &Signed<Header>) -> Write {
    Write::put(HEADERS, header.body.height.to_be_bytes(), header)
}

pub(super) fn forget_header(height: u64) -> Write {
    Write::delete(HEADERS, height.to_be_bytes())
}

pub(super) fn keeps_blocks() -> Write {
    Write::put(NODE, KEEPS_BLOCKS_KEY, &true)
}

/// Number and hash of the newest profile that has left the outbox of a node without blocks.
pub(super) fn last_profile(last: &(u32, Hash)) -> Write {
    Write::put(NODE, LAST_PROFILE_KEY, last)
}

/// Whether a restored provider may have lost what is registered.
pub(super) fn are_unconfirmed(are: bool) -> Write {
    Write::put(NODE, UNCONFIRMED_KEY, &are)
}

pub(super) fn number(node: NodeId, last: (u32, Hash)) -> Write {
    Write::put(NUMBERS, node.0.to_be_bytes(), &(node, last))
}

pub(super) fn register(supply_point: SupplyPointId, register: EnergyWh) -> Write {
    let entry = (supply_point, register);
    Write::put(REGISTERS, supply_point.0.to_be_bytes(), &entry)
}

pub(super) fn charge(charge: &Charge) -> Write {
    Write::put(OUTBOX, charge.number.to_be_bytes(), charge)
}

pub(super) fn forget_charge(number: u64) -> Write {
    Write::delete(OUTBOX, number.to_be_bytes())
}

pub(super) fn taken(number: u64, id: [u8; 16]) -> Write {
    Write::put(TAKEN, number.to_be_bytes(), &(number, id))
}

pub(super) fn forget_taken(number: u64) -> Write {
    Write::delete(TAKEN, number.to_be_bytes())
}

pub(super) fn released(height: u64, charge: &Charge) -> Write {
    Write::put(RELEASED, charge.number.to_be_bytes(), &(height, charge))
}

pub(super) fn forget_released(number: u64) -> Write {
    Write::delete(RELEASED, number.to_be_bytes())
}

pub(super) fn receipt(seq: u32, file: &Vec<u8>) -> Write {
    Write::put(RECEIPTS, seq.to_be_bytes(), file)
}

pub(super) fn charger(id_tag: &IdTag, known: &KnownCharger) -> Write {
    let entry = (id_tag.clone(), known.clone());
    Write::put(CHARGERS, id_tag.as_str().as_bytes(), &entry)
}

pub(super) fn group(group_id: &IdTag, group: GroupId) -> Write {
    let entry = (group_id.clone(), group);
    Write::put(GROUPS, group_id.as_str().as_bytes(), &entry)
}

pub(super) fn outlet(name: &str, supply_point: SupplyPointId) -> Write {
    let entry = (name.to_owned(), supply_point);
    Write::put(OUTLETS, name.as_bytes(), &entry)
}

pub(super) fn exchange(exchange: &Exchange) -> Write {
    Write::put(EXCHANGES, exchange.outlet.as_bytes(), exchange)
}

pub(super) fn group_block(last: &LastSealed) -> Write {
    Write::put(GROUP_BLOCKS, last.group.0.to_be_bytes(), last)
}

/// Keeps what proves a broken rule; the key is its hash, so that repeats take no space.
pub(super) fn proof(block: &Block) -> Write {
    let bytes = protocol::canonical(block);
    Write::put(PROOFS, Hash::of(&bytes).0, block)
}

/// Why nothing is built on the chain any more; a restart does not change that.
pub(super) fn stopped(reason: &String) -> Write {
    Write::put(NODE, STOPPED_KEY, reason)
}

/// What stopped this node stops it no more.
pub(super) fn going_on() -> Write {
    Write::delete(NODE, STOPPED_KEY)
}

pub(super) fn pick(pick: &Pick) -> Write {
    Write::put(NODE, PICK_KEY, pick)
}

pub(super) fn resumed(words: &Vec<Signed<Resume>>) -> Write {
    Write::put(NODE, RESUMED_KEY, words)
}

/// The newest header from before this node kept blocks.
pub(super) fn followed(header: &Signed<Header>) -> Write {
    Write::put(NODE, FOLLOWED_KEY, header)
}

pub(super) fn forget_followed() -> Write {
    Write::delete(NODE, FOLLOWED_KEY)
}

pub(super) fn forget_vote() -> Write {
    Write::delete(NODE, VOTE_KEY)
}

pub(super) fn forget_block(height: u64) -> Write {
    Write::delete(BLOCKS, height.to_be_bytes())
}

pub(super) fn evidence(height: u64, file: &Vec<u8>) -> Write {
    Write::put(EVIDENCE, height.to_be_bytes(), file)
}

pub(super) fn neighbour(neighbour: &Neighbour) -> Write {
    Write::put(NEIGHBOURS, neighbour.key.0, neighbour)
}

pub(super) fn forget_neighbour(key: &PublicKey) -> Write {
    Write::delete(NEIGHBOURS, key.0)
}

pub(super) fn enrolment(enrolment: &SignedEnrolment) -> Write {
    Write::put(NODE, ENROLMENT_KEY, enrolment)
}

/// What this node shows to those it calls; `None` before the provider gave it.
///
/// # Errors
/// `Disk` or `Damaged`.
pub fn stored_enrolment(store: &Store) -> Result<Option<SignedEnrolment>, StoreError> {
    store.get(NODE, ENROLMENT_KEY)
}

/// Gives the headers from height `from` on to `take`; at most `count`.
///
/// # Errors
/// `Disk` or `Damaged`.
pub fn stored_headers(
    store: &Store,
    from: u64,
    count: u64,
    mut take: impl FnMut(Signed<Header>),
) -> Result<(), StoreError> {
    let keeps_blocks = store.get(NODE, KEEPS_BLOCKS_KEY)?.unwrap_or(false);
    for height in from..from.saturating_add(count) {
        let key = height.to_be_bytes();
        let header = match keeps_blocks {
            true => store.get(BLOCKS, &key)?.map(|block: Block| block.header),
            false => store.get(HEADERS, &key)?,
        };
        match header {
            Some(header) => take(header),
            None => break,
        }
    }
    Ok(())
}

/// The evidence files in a store, by the height of the block that they are about.
///
/// # Errors
/// `Disk` or `Damaged`.
pub fn stored_evidence(
    store: &Store,
    mut take: impl FnMut(u64, Vec<u8>),
) -> Result<(), StoreError> {
    store.for_each(EVIDENCE, |key, file: Vec<u8>| {
        if let Ok(height) = key.try_into() {
            take(u64::from_be_bytes(height), file);
        }
    })
}

/// Drops a receipt file from the store, once it is safe elsewhere.
#[must_use]
pub fn forget_receipt(seq: u32) -> Write {
    Write::delete(RECEIPTS, seq.to_be_bytes())
}

/// The receipt files in a store, by profile number.
///
/// # Errors
/// `Disk` or `Damaged`.
pub fn stored_receipts(
    store: &Store,
    mut take: impl FnMut(u32, Vec<u8>),
) -> Result<(), StoreError> {
    store.for_each(RECEIPTS, |key, file: Vec<u8>| {
        if let Ok(seq) = key.try_into() {
            take(u32::from_be_bytes(seq), file);
        }
    })
}

/// Gives every block from height `from` on to `take`, at most `count`; none of a node that keeps
/// headers only.
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

/// The chain that the state directory belongs to; `None` before the first link.
///
/// # Errors
/// `Disk` or `Damaged`.
pub fn stored_genesis(store: &Store) -> Result<Option<Genesis>, StoreError> {
    store.get(NODE, GENESIS_KEY)
}

impl Node {
    /// The node as its store knows it; a new one where the store is empty. Every stored block is
    /// verified again.
    ///
    /// # Errors
    /// `Disk` or `Damaged`.
    pub fn load(key: KeyPair, config: NodeConfig, store: &Store) -> Result<Self, StoreError> {
        let id: Option<NodeId> = store.get(NODE, ID_KEY)?;
        let outbox = Outbox::restore(store.all(OUTBOX)?, store.all(TAKEN)?, store.all(RELEASED)?);
        let kept = match stored_genesis(store)? {
            None => Kept::Nothing,
            Some(genesis) if store.get(NODE, KEEPS_BLOCKS_KEY)?.unwrap_or(false) => {
                Kept::Blocks(Box::new(replayed(genesis, &outbox, store)?))
            }
            Some(genesis) => Kept::Headers(Box::new(kept_headers(genesis, store)?)),
        };
        let mut rounds = Rounds::default();
        for last in store.all::<LastSealed>(GROUP_BLOCKS)? {
            rounds.restore(last);
        }
        let mut evidence = None;
        stored_evidence(store, |_, file| evidence = evidence.take().or(Some(file)))?;
        let neighbours = Neighbours::restore(
            &config.neighbours,
            store.all(NEIGHBOURS)?,
            stored_enrolment(store)?,
            evidence,
        );
        let mut node = Self {
            key,
            config,
            kept,
            stopped: store.get(NODE, STOPPED_KEY)?,
            pick: store.get(NODE, PICK_KEY)?,
            resumed: store.get(NODE, RESUMED_KEY)?.unwrap_or_default(),
            id,
            is_linked: false,
            known: Known::restore(store.all(CHARGERS)?, store.all(GROUPS)?),
            outlets: store
                .all::<(String, SupplyPointId)>(OUTLETS)?
                .into_iter()
                .collect(),
            exchanges: store
                .all::<Exchange>(EXCHANGES)?
                .into_iter()
                .map(|exchange| (exchange.outlet.clone(), exchange))
                .collect(),
            told_deputies: BTreeMap::new(),
            outbox,
            rounds,
            neighbours,
            early_bills: VecDeque::new(),
            asked: BTreeSet::new(),
            unconfirmed: BTreeSet::new(),
            deferred: BTreeMap::new(),
            provider_last: (0, Hash::ZERO),
            signed_last: store
                .get(NODE, LAST_PROFILE_KEY)?
                .unwrap_or((0, Hash::ZERO)),
            numbers: store
                .all::<(NodeId, (u32, Hash))>(NUMBERS)?
                .into_iter()
                .collect(),
            now: UnixMillis(0),
            steps: VecDeque::new(),
        };
        if store.get(NODE, UNCONFIRMED_KEY)?.unwrap_or(false) {
            node.repeat_registrations();
        }
        node.watch_own_receipts();
        node.find_charges_in_chain();
        Ok(node)
    }
}

fn replayed(genesis: Genesis, outbox: &Outbox, store: &Store) -> Result<Blocks, StoreError> {
    let mut blocks = Blocks::new(genesis);
    let mut needed = None;
    store.for_each(BLOCKS, |_, block: Block| {
        let is_ours = outbox.is_in(&block);
        if is_ours && needed.is_none() {
            needed = Some(block.header.body.height);
        }
        blocks.replay(block, is_ours, needed);
    })?;
    blocks.vote = store.get(NODE, VOTE_KEY)?;
    blocks.follow(store.get(NODE, FOLLOWED_KEY)?);
    Ok(blocks)
}

fn kept_headers(genesis: Genesis, store: &Store) -> Result<Headers, StoreError> {
    let mut headers = Headers::new(genesis);
    store.for_each(HEADERS, |_, header: Signed<Header>| headers.replay(&header))?;
    for (supply_point, register) in store.all(REGISTERS)? {
        headers.restore_register(supply_point, register);
    }
    Ok(headers)
}
