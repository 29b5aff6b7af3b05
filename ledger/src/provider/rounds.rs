//! What waits for the next blocks, and the preview that everything new is judged by.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    GroupId, Hash, NodeId, ProfileAck, Signed, SignedGrant, SignedProfile, SignedReceipt,
};

use super::{Provider, disk};
use crate::apply::{apply_record, book, grant_account};
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

impl Received {
    pub(super) fn witnessed(&self) -> Witnessed {
        Witnessed {
            profile: self.profile.clone(),
            receipt: self.receipt.clone(),
        }
    }
}

/// What waits for the next blocks.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    pub(super) records: BTreeMap<u64, Record>,
    pub(super) next_record: u64,
    pub(super) received: BTreeMap<(NodeId, u32), Received>,
    // By round, group and profile.
    pub(super) acks: BTreeMap<(u64, GroupId, Hash), Signed<ProfileAck>>,
    pub(super) group_blocks: BTreeMap<(u64, GroupId), SealedGroup>,
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
        let by_number = |r: Received| ((r.profile.body.node, r.profile.body.seq), r);
        Self {
            records,
            next_record,
            received: received.into_iter().map(by_number).collect(),
            last_content: with_content.map_or(0, |block| block.header.body.height),
            ..Self::default()
        }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.values().cloned().collect()
    }

    pub(super) fn of_round(&self, round: u64) -> impl Iterator<Item = &Received> {
        self.received
            .values()
            .filter(move |received| received.receipt.body.round == round)
    }

    /// What the parent of `group` acknowledged for `round`.
    pub(super) fn acks_of(
        &self,
        round: u64,
        group: GroupId,
    ) -> impl Iterator<Item = &Signed<ProfileAck>> {
        let all = (round, group, Hash::ZERO)..=(round, group, Hash([0xff; 32]));
        self.acks.range(all).map(|(_, ack)| ack)
    }

    pub(super) fn oldest_round(&self) -> Option<u64> {
        self.received.values().map(|r| r.receipt.body.round).min()
    }

    pub(super) fn newest_round(&self) -> Option<u64> {
        self.received.values().map(|r| r.receipt.body.round).max()
    }
}

pub(super) fn has_content(body: &Body) -> bool {
    !(body.records.is_empty() && body.charges.is_empty())
}

impl Provider {
    /// Takes a record into the next block.
    pub(super) fn record(&mut self, record: Record) {
        if apply_record(&mut self.preview, &record).is_err() {
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
            let applied = apply_record(&mut preview, record);
            debug_assert!(applied.is_ok(), "it was applied when it was taken in");
        }
        for received in self.rounds.received.values() {
            keep_grant(&mut preview, &received.grant);
            book(&mut preview, &unpriced(received));
        }
        self.preview = preview;
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
