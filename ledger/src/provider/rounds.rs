//! What waits for the next blocks, and the preview that everything new is judged by.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    GroupId, Hash, NodeId, ProfileAck, Signed, SignedGrant, SignedProfile, SignedReceipt,
};

use super::{Provider, disk};
use crate::apply::{Keys, Signatures, apply_record, book, grant_account};
use crate::block::{Ballot, Body, ChargeLine, Record};
use crate::frame::{SealedGroup, Witnessed};
use crate::history::History;
use crate::state::State;

/// A profile with its receipt, in no block yet.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Received {
    pub(super) profile: SignedProfile,
    // Goes into the block with it, where the state does not hold it.
    pub(super) grant: SignedGrant,
    pub(super) receipt: SignedReceipt,
}

/// The last hash there is, for ranges.
const LAST_HASH: Hash = Hash([0xff; 32]);

impl Received {
    fn number(&self) -> (NodeId, u32) {
        (self.profile.body.node, self.profile.body.seq)
    }

    fn place(&self) -> (u64, GroupId, Hash) {
        let receipt = &self.receipt.body;
        (receipt.round, self.profile.body.payer, receipt.profile)
    }

    pub(super) fn witnessed(&self) -> Witnessed {
        Witnessed {
            profile: self.profile.clone(),
            receipt: self.receipt.clone(),
            grant: self.grant.clone(),
        }
    }
}

/// What waits for the next blocks.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    pub(super) records: BTreeMap<u64, Record>,
    pub(super) next_record: u64,
    received: BTreeMap<(NodeId, u32), Received>,
    // Invariant: the same charges by round, payer and profile.
    places: BTreeMap<(u64, GroupId, Hash), (NodeId, u32)>,
    // Invariant: how many they are, by round.
    counts: BTreeMap<u64, usize>,
    // By round, group and profile.
    acks: BTreeMap<(u64, GroupId, Hash), Signed<ProfileAck>>,
    group_blocks: BTreeMap<(u64, GroupId), SealedGroup>,
    // Invariant: rounds and groups that are in `acks` and not in `group_blocks`.
    awaited: BTreeSet<(u64, GroupId)>,
    pub(super) ballots: BTreeMap<GroupId, Signed<Ballot>>,
    // Height of the newest block with more than ballots.
    pub(super) last_content: u64,
}

impl Rounds {
    pub(super) fn restore(
        records: Vec<(u64, Record)>,
        received: Vec<Received>,
        history: &History,
    ) -> Self {
        let records: BTreeMap<_, _> = records.into_iter().collect();
        let next_record = records.last_key_value().map_or(0, |(number, _)| number + 1);
        let with_content = history.blocks().filter(|b| has_content(&b.body)).last();
        let mut rounds = Self {
            records,
            next_record,
            last_content: with_content.map_or(0, |block| block.header.body.height),
            ..Self::default()
        };
        for received in received {
            rounds.take_in(received);
        }
        rounds
    }

    pub(super) fn take_in(&mut self, received: Received) {
        let number = received.number();
        self.places.insert(received.place(), number);
        *self.counts.entry(received.receipt.body.round).or_default() += 1;
        self.received.insert(number, received);
    }

    /// Forgets a charge that is in a block.
    pub(super) fn remove(&mut self, number: (NodeId, u32)) -> Option<Received> {
        let received = self.received.remove(&number)?;
        self.places.remove(&received.place());
        let round = received.receipt.body.round;
        if let Some(count) = self.counts.get_mut(&round) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&round);
            }
        }
        Some(received)
    }

    /// Empties the charges that wait.
    pub(super) fn take_all(&mut self) -> Vec<Received> {
        self.places.clear();
        self.counts.clear();
        std::mem::take(&mut self.received).into_values().collect()
    }

    pub(super) fn received(&self, number: (NodeId, u32)) -> Option<&Received> {
        self.received.get(&number)
    }

    pub(super) fn has_received(&self) -> bool {
        !self.received.is_empty()
    }

    /// The charges that a node submitted, in their order.
    pub(super) fn of_node(&self, node: NodeId) -> impl DoubleEndedIterator<Item = &Received> {
        let all = self.received.range((node, 0)..=(node, u32::MAX));
        all.map(|(_, received)| received)
    }

    pub(super) fn count_of(&self, round: u64) -> usize {
        self.counts.get(&round).copied().unwrap_or(0)
    }

    pub(super) fn of_round(&self, round: u64) -> impl Iterator<Item = &Received> {
        let first = (round, GroupId(0), Hash::ZERO);
        let last = (round, GroupId(u32::MAX), LAST_HASH);
        self.places
            .range(first..=last)
            .map(|(_, number)| &self.received[number])
    }

    /// The charges of a round that `group` pays.
    pub(super) fn of_group(&self, round: u64, group: GroupId) -> impl Iterator<Item = &Received> {
        self.places
            .range((round, group, Hash::ZERO)..=(round, group, LAST_HASH))
            .map(|(_, number)| &self.received[number])
    }

    /// The charges that `group` pays, of every round.
    pub(super) fn paid_by(&self, group: GroupId) -> impl Iterator<Item = &Received> {
        let rounds = self.counts.keys();
        rounds.flat_map(move |round| self.of_group(*round, group))
    }

    /// Notes what a parent acknowledged, where it is a charge of that round and group.
    pub(super) fn acknowledge(&mut self, ack: &Signed<ProfileAck>) {
        let ProfileAck {
            group,
            round,
            profile,
        } = ack.body;
        let key = (round, group, profile);
        if self.places.contains_key(&key) {
            self.acks.insert(key, ack.clone());
            if !self.group_blocks.contains_key(&(round, group)) {
                self.awaited.insert((round, group));
            }
        }
    }

    /// Takes in a group block of a round that waits; `false` where it has one or awaits none.
    pub(super) fn seal(&mut self, sealed: SealedGroup) -> bool {
        let key = (sealed.block.body.round, sealed.block.body.group);
        let is_open = self.of_group(key.0, key.1).next().is_some();
        if !is_open || self.group_blocks.contains_key(&key) {
            return false;
        }
        self.awaited.remove(&key);
        self.group_blocks.insert(key, sealed);
        true
    }

    pub(super) fn group_block(&self, round: u64, group: GroupId) -> Option<&SealedGroup> {
        self.group_blocks.get(&(round, group))
    }

    pub(super) fn group_block_mut(
        &mut self,
        round: u64,
        group: GroupId,
    ) -> Option<&mut SealedGroup> {
        self.group_blocks.get_mut(&(round, group))
    }

    /// The group blocks of a round, sorted by group.
    pub(super) fn group_blocks_of(&self, round: u64) -> impl Iterator<Item = &SealedGroup> {
        self.group_blocks
            .range((round, GroupId(0))..=(round, GroupId(u32::MAX)))
            .map(|(_, sealed)| sealed)
    }

    /// Whether a parent acknowledged charges of `round` and has not sealed them yet.
    pub(super) fn awaits_group_block(&self, round: u64) -> bool {
        let all = (round, GroupId(0))..=(round, GroupId(u32::MAX));
        self.awaited.range(all).next().is_some()
    }

    /// Forgets acknowledgements and group blocks up to `round`.
    pub(super) fn close(&mut self, round: u64) {
        let next = round.saturating_add(1);
        self.acks = self.acks.split_off(&(next, GroupId(0), Hash::ZERO));
        self.group_blocks = self.group_blocks.split_off(&(next, GroupId(0)));
        self.awaited = self.awaited.split_off(&(next, GroupId(0)));
    }

    /// What the parent of `group` acknowledged for `round`.
    pub(super) fn acks_of(
        &self,
        round: u64,
        group: GroupId,
    ) -> impl Iterator<Item = &Signed<ProfileAck>> {
        let all = (round, group, Hash::ZERO)..=(round, group, LAST_HASH);
        self.acks.range(all).map(|(_, ack)| ack)
    }

    pub(super) fn oldest_round(&self) -> Option<u64> {
        self.counts.first_key_value().map(|(round, _)| *round)
    }

    pub(super) fn newest_round(&self) -> Option<u64> {
        self.counts.last_key_value().map(|(round, _)| *round)
    }
}

pub(super) fn has_content(body: &Body) -> bool {
    !(body.records.is_empty() && body.charges.is_empty())
}

impl Provider {
    /// Takes a record into the next block.
    pub(super) fn record(&mut self, record: Record) {
        let keys = Keys::new(self.chain_id);
        if apply_record(&mut self.preview, &record, Signatures::Check(&keys)).is_err() {
            return;
        }
        let number = self.rounds.next_record;
        self.rounds.next_record += 1;
        self.persist(disk::record(number, &record));
        self.rounds.records.insert(number, record);
    }

    /// Puts the configured tariff into the next block, unless it is in force already.
    pub(super) fn announce_tariff(&mut self) {
        let document = self.tariff.document();
        let newest = self.preview.tariffs.last_key_value();
        if newest.is_none_or(|(_, hash)| *hash != Hash::of(document.as_bytes())) {
            let id = protocol::TariffId(self.preview.tariff().0 + 1);
            self.record(Record::Tariff { id, document });
        }
    }

    /// Makes the preview again: the sealed state with everything that waits.
    pub(super) fn rebuild_preview(&mut self) {
        let mut preview = self.state.clone();
        preview.height += 1;
        for record in self.rounds.records.values() {
            let applied = apply_record(&mut preview, record, Signatures::Checked);
            debug_assert!(applied.is_ok(), "it was applied when it was taken in");
        }
        for received in self.rounds.received.values() {
            keep_grant(&mut preview, &received.grant);
            book(&mut preview, &unpriced(received));
        }
        self.preview = preview;
        self.grants.forget(&self.preview);
    }
}

/// A line that moves numbers and registers of the preview, and no money.
pub(super) fn unpriced(received: &Received) -> ChargeLine {
    ChargeLine {
        profile: received.profile.clone(),
        late: true,
        amount: 0,
        credit: 0,
        tariff: protocol::TariffId(0),
    }
}

/// Puts a grant where charges are judged; `false` where it is there already.
pub(super) fn keep_grant(state: &mut State, grant: &SignedGrant) -> bool {
    let before = state.grants.insert(grant.body.id(), grant_account(grant));
    before.is_none()
}
