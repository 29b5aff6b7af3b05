//! What a node does for its groups each round, and as a witness for others.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{ChargerId, GroupId, Hash, NodeId, ProfileAck, Signed, SignedProfile, UnixMillis};

use super::disk::LastSealed;
use super::{Effect, Node, Pending, disk};
use crate::apply::parent_key;
use crate::block::{Block, GroupBlock};
use crate::frame::{Frame, SealedGroup, SealedProfile, Witnessed};

/// Witnessed charges kept at once; more are not watched.
const MAX_WITNESSED: usize = 100_000;

type SortKey = (ChargerId, NodeId, u32);

/// Open rounds: charges of our groups, and promises we witnessed.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    open: BTreeMap<(u64, GroupId), BTreeMap<SortKey, SignedProfile>>,
    sealed: BTreeMap<GroupId, SealedGroup>,
    witnessed: BTreeMap<(u64, Hash), Witnessed>,
    // The first round to seal group blocks for, once a link was up.
    first: Option<u64>,
}

impl Rounds {
    pub(super) fn restore(&mut self, last: LastSealed) {
        self.sealed.insert(last.group, last.sealed);
    }

    /// The block of `round` is here: the promises that it breaks.
    pub(super) fn settle(&mut self, round: u64, block: Option<&Block>) -> Vec<Witnessed> {
        self.open.retain(|(of, _), _| *of > round);
        let later = (round.saturating_add(1), Hash::ZERO);
        let later = self.witnessed.split_off(&later);
        let due = std::mem::replace(&mut self.witnessed, later);
        let charges = block.map(|block| block.body.charges.as_slice());
        let held: BTreeSet<Hash> = charges
            .unwrap_or_default()
            .iter()
            .map(|line| line.profile.hash())
            .collect();
        let missing = due
            .into_iter()
            .filter(|((_, hash), _)| !held.contains(hash));
        missing.map(|(_, promised)| promised).collect()
    }

    /// Notes a promise whose block must hold the charge.
    pub(super) fn watch(&mut self, promised: Witnessed) {
        if self.witnessed.len() < MAX_WITNESSED {
            let promise = &promised.receipt.body;
            let key = (promise.round, promise.profile);
            self.witnessed.insert(key, promised);
        }
    }

    /// Promises whose round's block is not here yet.
    pub(super) fn witnessed(&self) -> impl Iterator<Item = &Witnessed> {
        self.witnessed.values()
    }

    /// The first link of this process is up in `round`. Group blocks of rounds that have begun may
    /// have been sealed before, and forgotten since by a state directory restored from a backup:
    /// a second one would convict this node. Their charges come late, which costs nobody anything.
    pub(super) fn begin_after(&mut self, round: u64) {
        self.first.get_or_insert(round.saturating_add(1));
    }

    /// Seals nothing of `round` nor before: this node is shown a charge that it cannot take in yet,
    /// and may have acknowledged before its state directory was replaced.
    fn skip(&mut self, round: u64) {
        let next = round.saturating_add(1);
        self.first = Some(self.first.unwrap_or(next).max(next));
        self.open.retain(|(open, _), _| *open > round);
    }

    /// Promises of a story that is given up.
    pub(super) fn forget_promises(&mut self) {
        self.witnessed.clear();
        self.open.clear();
    }

    fn may_seal(&self, round: u64) -> bool {
        self.first.is_some_and(|first| first <= round)
    }

    fn has_sealed(&self, group: GroupId, round: u64) -> bool {
        let last = self.sealed.get(&group);
        last.is_some_and(|sealed| sealed.block.body.round >= round)
    }
}

impl Node {
    /// The provider shows a charge and its promise about it.
    pub(super) fn witness(&mut self, now: UnixMillis, witnessed: Witnessed) {
        let (Some(genesis), Some(id)) = (self.kept.genesis(), self.id) else {
            return;
        };
        if self.stopped.is_some() {
            return;
        }
        let Witnessed {
            profile, receipt, ..
        } = witnessed.clone();
        let (promise, chain_id) = (&receipt.body, genesis.chain_id());
        let is_promised = receipt.verify(&genesis.provider_key, &chain_id).is_ok()
            && promise.profile == profile.hash();
        if !is_promised {
            return;
        }
        let Some(chain) = self.kept.blocks() else {
            self.rounds.skip(promise.round);
            return;
        };
        let state = &chain.state;
        if promise.round <= state.round {
            return;
        }
        let is_behind = state.height < chain.tip;
        let group = profile.body.payer;
        let is_ours = state
            .groups
            .get(&group)
            .is_some_and(|account| account.parent == id);
        let node = state.nodes.get(&profile.body.node);
        let is_signed = node.is_some_and(|n| profile.verify(&n.key, &chain_id).is_ok());
        self.rounds.watch(witnessed);
        let may_seal =
            self.rounds.may_seal(promise.round) && !self.rounds.has_sealed(group, promise.round);
        if is_ours && is_signed && may_seal {
            self.acknowledge(now, promise.round, profile);
        } else if is_behind && !(is_ours && is_signed) {
            self.rounds.skip(promise.round);
        }
    }

    fn acknowledge(&mut self, now: UnixMillis, round: u64, profile: SignedProfile) {
        let Some(chain_id) = self.chain_id() else {
            return;
        };
        let group = profile.body.payer;
        let ack = ProfileAck {
            group,
            round,
            profile: profile.hash(),
        };
        let open = self.rounds.open.entry((round, group)).or_default();
        open.insert(profile.body.sort_key(), profile);
        self.send(Frame::ProfileAck(Signed::new(ack, &self.key, &chain_id)));
        self.wake_for_seal(now);
    }

    pub(super) fn tick(&mut self, now: UnixMillis) {
        let due: Vec<(u64, GroupId)> = self
            .rounds
            .open
            .keys()
            .copied()
            .filter(|(round, _)| self.seal_time(*round).is_some_and(|at| at <= now))
            .collect();
        for (round, group) in due {
            if let Some(profiles) = self.rounds.open.remove(&(round, group)) {
                self.seal(group, round, &profiles);
            }
        }
        self.wake_for_seal(now);
        // What was refused for want of a peer, or of time, may go through now.
        let is_proof_due =
            self.deferred.contains_key(&Pending::Proof) && !self.is_deferred(&Pending::Proof);
        self.deferred.retain(|_, at| *at > now);
        if is_proof_due {
            // No header may come for long that would ask again.
            self.deferred.remove(&Pending::Proof);
            self.ask_for_proofs();
        }
        self.ask_for_chain();
        self.vote(now);
        self.register_configured();
        self.name_deputies();
        self.report_exchanges();
        self.visit_neighbours(now);
        self.submit(now);
    }

    fn seal(&mut self, group: GroupId, round: u64, profiles: &BTreeMap<SortKey, SignedProfile>) {
        let Some(chain) = self.kept.blocks() else {
            return;
        };
        let state = &chain.state;
        let is_parent = parent_key(state, group) == Some(self.key.public());
        if self.stopped.is_some() || !is_parent || self.rounds.has_sealed(group, round) {
            return;
        }
        let previous = state.groups[&group].last_group_block;
        let block = GroupBlock::over(group, round, previous, profiles.values());
        let sealed = SealedGroup {
            block: Signed::new(block, &self.key, &state.chain_id()),
            profiles: profiles
                .values()
                .map(|profile| SealedProfile::Known(profile.hash()))
                .collect(),
        };
        self.persist(disk::group_block(&LastSealed {
            group,
            sealed: sealed.clone(),
        }));
        self.rounds.sealed.insert(group, sealed.clone());
        self.send(Frame::GroupBlock(sealed));
    }

    /// Sends group blocks again whose round's block is not here yet.
    pub(super) fn repeat_group_blocks(&mut self) {
        let Some(chain) = self.kept.blocks() else {
            return;
        };
        let round = chain.state.round;
        let open: Vec<SealedGroup> = self
            .rounds
            .sealed
            .values()
            .filter(|sealed| sealed.block.body.round > round)
            .cloned()
            .collect();
        for sealed in open {
            self.send(Frame::GroupBlock(sealed));
        }
    }

    fn seal_time(&self, round: u64) -> Option<UnixMillis> {
        let genesis = self.kept.genesis()?;
        let end = genesis.round_start(round.saturating_add(1));
        Some(end.plus_ms(genesis.group_block_delay_ms()))
    }

    fn wake_for_seal(&mut self, now: UnixMillis) {
        let next = self.rounds.open.keys().next().copied();
        if let Some(at) = next.and_then(|(round, _)| self.seal_time(round)) {
            self.effect(Effect::WakeAt(at.max(now)));
        }
    }
}
