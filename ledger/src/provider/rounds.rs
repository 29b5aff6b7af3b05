//! From submission to block: receipts, group blocks, ballots, sealing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    GrantId, GroupId, Hash, NodeId, ProfileAck, Receipt, Signed, SignedGrant, SignedProfile,
    SignedReceipt, UnixMillis,
};

use super::{Effect, Event, Provider, disk};
use crate::apply::{
    apply_record, book, check_ballot, check_grant, check_group_block, check_profile, grant_account,
    parent_key,
};
use crate::block::{Ballot, Block, Body, ChargeLine, Record};
use crate::finality;
use crate::frame::{Frame, MAX_DETAIL_BYTES, SealedGroup, Submission, Witnessed};
use crate::seal::seal;
use crate::state::{GroupAccount, State};
use crate::tariff::Price;

/// Charges of one round at most, so that its block fits a frame whatever else it holds; the next
/// ones are promised for the next round.
const MAX_CHARGES: usize = 10_000;

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
    records: BTreeMap<u64, Record>,
    next_record: u64,
    received: BTreeMap<(NodeId, u32), Received>,
    acks: BTreeSet<(u64, GroupId)>,
    group_blocks: BTreeMap<(u64, GroupId), SealedGroup>,
    ballots: BTreeMap<GroupId, Signed<Ballot>>,
    // Height of the newest block with more than ballots.
    last_content: u64,
}

impl Rounds {
    pub(super) fn restore(
        records: Vec<(u64, Record)>,
        received: Vec<Received>,
        open: &VecDeque<Block>,
    ) -> Self {
        let records: BTreeMap<_, _> = records.into_iter().collect();
        let next_record = records.last_key_value().map_or(0, |(number, _)| number + 1);
        let with_content = open.iter().rev().find(|block| has_content(&block.body));
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

    fn of_round(&self, round: u64) -> impl Iterator<Item = &Received> {
        self.received
            .values()
            .filter(move |received| received.receipt.body.round == round)
    }

    fn oldest_round(&self) -> Option<u64> {
        self.received.values().map(|r| r.receipt.body.round).min()
    }

    fn newest_round(&self) -> Option<u64> {
        self.received.values().map(|r| r.receipt.body.round).max()
    }
}

fn has_content(body: &Body) -> bool {
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

    /// A node submits a charge.
    pub(super) fn submission(&mut self, now: UnixMillis, node: NodeId, submission: Submission) {
        let body = &submission.profile.body;
        let seq = body.seq;
        if let Some(known) = self.rounds.received.get(&(node, seq)) {
            if known.profile == submission.profile {
                let receipt = known.receipt.clone();
                self.send_to_node(node, Frame::Receipt(receipt));
            } else {
                self.refuse(node, seq, "another profile has this number");
            }
            return;
        }
        let sealed = self
            .state
            .nodes
            .get(&node)
            .map_or(0, |account| account.last_seq);
        if seq <= sealed {
            // It is in the chain already; the node sees it there.
            return;
        }
        match self.check_submission(node, &submission) {
            Ok(()) => self.take_in(now, submission),
            Err(reason) => self.refuse(node, seq, &reason),
        }
    }

    fn refuse(&mut self, node: NodeId, seq: u32, reason: &str) {
        let reason = reason.to_owned();
        self.send_to_node(
            node,
            Frame::Refused {
                seq,
                reason: reason.clone(),
            },
        );
        self.notify(Event::ProfileRefused { node, seq, reason });
    }

    fn check_submission(&mut self, node: NodeId, submission: &Submission) -> Result<(), String> {
        let body = &submission.profile.body;
        if body.node != node {
            return Err("it is another node's".to_owned());
        }
        if submission.detail.len() > MAX_DETAIL_BYTES || Hash::of(&submission.detail) != body.detail
        {
            return Err("the detail is not the one the profile names".to_owned());
        }
        if submission.grant.body.id() != body.grant {
            return Err("the grant is not the one the profile names".to_owned());
        }
        self.tariff
            .price(body.energy_wh)
            .map_err(|error| error.to_string())?;
        self.check_under_grant(&submission.profile, &submission.grant)
    }

    /// Checks a profile with its grant in the preview. The grant stays there only if the profile
    /// is taken: no block holds one that no charge rests on.
    fn check_under_grant(
        &mut self,
        profile: &SignedProfile,
        grant: &SignedGrant,
    ) -> Result<(), String> {
        check_grant(&self.preview, grant).map_err(|invalid| invalid.to_string())?;
        let is_new = keep_grant(&mut self.preview, grant);
        let checked = check_profile(&self.preview, profile).map_err(|fault| fault.to_string());
        if is_new && checked.is_err() {
            self.preview.grants.remove(&grant.body.id());
        }
        checked
    }

    fn take_in(&mut self, now: UnixMillis, submission: Submission) {
        let Submission {
            profile,
            grant,
            detail,
        } = submission;
        let (node, seq) = (profile.body.node, profile.body.seq);
        let receipt = Receipt {
            profile: profile.hash(),
            node,
            seq,
            round: self.open_round(now),
        };
        let received = Received {
            receipt: Signed::new(receipt, &self.key, &self.chain_id),
            profile,
            grant,
        };
        book(&mut self.preview, &unpriced(&received));
        self.persist(disk::received(&received));
        self.persist(disk::detail(node, seq, &detail));
        self.send_to_node(node, Frame::Receipt(received.receipt.clone()));
        for witness in self.witnesses(received.profile.body.payer) {
            self.send_to_node(witness, Frame::Witness(received.witnessed()));
        }
        self.rounds.received.insert((node, seq), received);
        self.wake(now);
    }

    /// The round that a receipt given now names: never one that has its block, never one before
    /// an earlier receipt's, whatever the clock did.
    fn open_round(&self, now: UnixMillis) -> u64 {
        let by_clock = self.state.genesis.round_at(now);
        let after_sealed = self.state.round + 1;
        // The first charge waits a round for the first voter.
        let enrolment = u64::from(self.state.groups.is_empty());
        let promised = self.rounds.newest_round().unwrap_or(0);
        let round = (by_clock.max(after_sealed) + enrolment).max(promised);
        match self.rounds.of_round(round).count() < MAX_CHARGES {
            true => round,
            false => round + 1,
        }
    }

    /// The payer's parent, and the parents of as many other groups as the chain asks for, drawn
    /// by hash so that nobody picks them.
    fn witnesses(&self, payer: GroupId) -> BTreeSet<NodeId> {
        let mut others: Vec<_> = self
            .preview
            .groups
            .iter()
            .filter(|(group, _)| **group != payer)
            .map(|(group, account)| {
                let lot = Hash::of_parts(&[
                    &self.state.tip.0,
                    &payer.0.to_be_bytes(),
                    &group.0.to_be_bytes(),
                ]);
                (lot, account.parent)
            })
            .collect();
        others.sort_unstable();
        others.truncate(self.state.genesis.witnesses.into());
        let parent = self
            .preview
            .groups
            .get(&payer)
            .map(|account| account.parent);
        parent
            .into_iter()
            .chain(others.into_iter().map(|(_, parent)| parent))
            .collect()
    }

    pub(super) fn profile_ack(&mut self, node: NodeId, ack: &Signed<ProfileAck>) {
        let ProfileAck { group, round, .. } = ack.body;
        let is_parent = self
            .preview
            .groups
            .get(&group)
            .is_some_and(|g| g.parent == node);
        let key = parent_key(&self.preview, group);
        let is_signed = key.is_some_and(|key| ack.verify(&key, &self.chain_id).is_ok());
        let is_known = self
            .rounds
            .of_round(round)
            .any(|r| r.receipt.body.profile == ack.body.profile);
        if is_parent && is_signed && is_known {
            self.rounds.acks.insert((round, group));
        }
    }

    pub(super) fn group_block(&mut self, now: UnixMillis, node: NodeId, sealed: SealedGroup) {
        let (round, group) = (sealed.block.body.round, sealed.block.body.group);
        let is_parent = self
            .preview
            .groups
            .get(&group)
            .is_some_and(|g| g.parent == node);
        let is_open = self
            .rounds
            .of_round(round)
            .any(|r| r.profile.body.payer == group);
        if is_parent && is_open && !self.rounds.group_blocks.contains_key(&(round, group)) {
            self.rounds.group_blocks.insert((round, group), sealed);
            self.tick(now);
        }
    }

    pub(super) fn ballot(&mut self, ballot: Signed<Ballot>) {
        let voter = ballot.body.voter;
        let before = self.rounds.ballots.get(&voter).map(|b| b.body.height);
        let is_news = before.is_none_or(|height| height < ballot.body.height);
        if is_news && check_ballot(&self.state, &ballot).is_ok() {
            self.rounds.ballots.insert(voter, ballot);
        }
    }

    /// Seals every round that is over.
    pub(super) fn tick(&mut self, now: UnixMillis) {
        while let Some(round) = self.due(now) {
            if !self.seal_round(now, round) {
                break;
            }
        }
        self.wake(now);
    }

    /// The next round to seal: one with charges that is over and complete, or the newest that is
    /// over where records or ballots wait.
    fn due(&self, now: UnixMillis) -> Option<u64> {
        let over = self.state.genesis.round_at(now).checked_sub(1)?;
        let oldest = self.rounds.oldest_round();
        if let Some(round) = oldest.filter(|_| self.state.groups.is_empty()) {
            // No charge before somebody can vote on it: the enrolments get a block of their own,
            // also where the round of the charge is over by now.
            return Some(round - 1).filter(|round| *round <= over);
        }
        match oldest {
            Some(round) if round <= over => self.is_complete(now, round).then_some(round),
            _ => {
                let waits = !self.rounds.records.is_empty() || self.ballots_help();
                (over > self.state.round && waits).then_some(over)
            }
        }
    }

    /// Whether nothing more is awaited for `round`: every parent that acknowledged has sealed, or
    /// the grace is over.
    fn is_complete(&self, now: UnixMillis, round: u64) -> bool {
        let sealed = |group| self.rounds.group_blocks.contains_key(&(round, group));
        let payers: BTreeSet<GroupId> = self
            .rounds
            .of_round(round)
            .map(|r| r.profile.body.payer)
            .collect();
        let is_awaited =
            |group: &GroupId| self.rounds.acks.contains(&(round, *group)) && !sealed(*group);
        now >= self.grace_end(round) || !payers.iter().any(is_awaited)
    }

    fn grace_end(&self, round: u64) -> UnixMillis {
        let genesis = &self.state.genesis;
        let grace = genesis.group_block_grace_ms();
        genesis.round_start(round + 1).plus_ms(grace)
    }

    /// Whether a block of ballots alone would bring charges or records nearer to being final.
    fn ballots_help(&self) -> bool {
        let is_open = self.state.final_height < self.rounds.last_content;
        let voted = |group, account: &GroupAccount| {
            let ballot = self.rounds.ballots.get(&group).map_or(0, |b| b.body.height);
            ballot.max(account.voted_height)
        };
        is_open && finality::reach(&self.state, voted) > self.state.final_height
    }

    fn wake(&mut self, now: UnixMillis) {
        let waits = !self.rounds.records.is_empty()
            || !self.rounds.received.is_empty()
            || self.state.final_height < self.rounds.last_content;
        if !waits {
            return;
        }
        let genesis = &self.state.genesis;
        let round_end = genesis.round_start(genesis.round_at(now) + 1);
        let grace_end = self
            .rounds
            .oldest_round()
            .map(|round| self.grace_end(round));
        let next = grace_end
            .filter(|at| *at > now)
            .map_or(round_end, |at| at.min(round_end));
        self.effect(Effect::WakeAt(next));
    }

    /// Seals the block of `round`; `false` where there is nothing to seal.
    fn seal_round(&mut self, now: UnixMillis, round: u64) -> bool {
        let body = self.body_of(round);
        if !has_content(&body) && body.ballots.is_empty() {
            return false;
        }
        let sealed = seal(&self.state, body, round, now.seconds(), &self.key);
        let (block, next) = match sealed {
            Ok(sealed) => sealed,
            Err(invalid) => unreachable!("every entry was checked when it was taken in: {invalid}"),
        };
        self.persist(disk::block(&block));
        self.forget_sealed(&block, round);
        self.state = next;
        self.rebuild_preview();
        self.announce(block);
        true
    }

    fn body_of(&mut self, round: u64) -> Body {
        let mut group_blocks = Vec::new();
        let mut in_time = BTreeSet::new();
        let sealed: Vec<SealedGroup> = self
            .rounds
            .group_blocks
            .range((round, GroupId(0))..=(round, GroupId(u32::MAX)))
            .map(|(_, sealed)| sealed.clone())
            .collect();
        for sealed in sealed {
            match self.check_sealed(round, &sealed) {
                Ok(()) => {
                    in_time.extend(sealed.profiles);
                    group_blocks.push(sealed.block);
                }
                Err(reason) => {
                    let group = sealed.block.body.group;
                    self.notify(Event::GroupBlockRefused { group, reason });
                }
            }
        }
        let mut charges: Vec<ChargeLine> = self
            .rounds
            .of_round(round)
            .map(|received| self.priced(received, &in_time))
            .collect();
        charges.sort_by_key(|line| line.profile.body.sort_key());
        let is_valid = |ballot: &&Signed<Ballot>| check_ballot(&self.state, ballot).is_ok();
        Body {
            records: self.records_of(round),
            group_blocks,
            charges,
            ballots: self
                .rounds
                .ballots
                .values()
                .filter(is_valid)
                .cloned()
                .collect(),
        }
    }

    /// The records that wait, and the grants that this round's charges rest on and the state does
    /// not hold (any more).
    fn records_of(&self, round: u64) -> Vec<Record> {
        let grants: BTreeMap<GrantId, &SignedGrant> = self
            .rounds
            .of_round(round)
            .map(|received| (received.grant.body.id(), &received.grant))
            .filter(|(id, _)| !self.state.grants.contains_key(id))
            .collect();
        let waiting = self.rounds.records.values().cloned();
        waiting
            .chain(grants.into_values().cloned().map(Record::Grant))
            .collect()
    }

    /// Whether a group block seals charges that were received for this round, and is well signed.
    fn check_sealed(&self, round: u64, sealed: &SealedGroup) -> Result<(), String> {
        let group = sealed.block.body.group;
        let named: BTreeSet<&Hash> = sealed.profiles.iter().collect();
        let mut profiles: Vec<&SignedProfile> = self
            .rounds
            .of_round(round)
            .map(|received| &received.profile)
            .filter(|profile| profile.body.payer == group && named.contains(&profile.hash()))
            .collect();
        profiles.sort_by_key(|profile| profile.body.sort_key());
        if profiles.len() != sealed.profiles.len() {
            return Err("it names charges that were not received for this round".to_owned());
        }
        check_group_block(&self.preview, round, &sealed.block, profiles.into_iter())
            .map_err(|invalid| invalid.to_string())
    }

    fn priced(&self, received: &Received, in_time: &BTreeSet<Hash>) -> ChargeLine {
        // Priced when it was taken in, too. A dearer tariff since then can only stop at what a
        // line carries: the payer then owes less than that tariff says, never more.
        let most = Price {
            amount: u32::MAX,
            credit: u32::MAX,
        };
        let price = self.tariff.price(received.profile.body.energy_wh);
        let price = price.unwrap_or(most);
        ChargeLine {
            profile: received.profile.clone(),
            late: !in_time.contains(&received.profile.hash()),
            amount: price.amount,
            credit: price.credit,
            tariff: self.preview.tariff(),
        }
    }

    fn forget_sealed(&mut self, block: &Block, round: u64) {
        for number in std::mem::take(&mut self.rounds.records).into_keys() {
            self.persist(disk::forget_record(number));
        }
        for line in &block.body.charges {
            let key = (line.profile.body.node, line.profile.body.seq);
            if let Some(received) = self.rounds.received.remove(&key) {
                self.persist(disk::forget_received(&received));
            }
        }
        for ballot in &block.body.ballots {
            let voter = ballot.body.voter;
            if self.rounds.ballots.get(&voter) == Some(ballot) {
                self.rounds.ballots.remove(&voter);
            }
        }
        let next = (round + 1, GroupId(0));
        self.rounds.acks = self.rounds.acks.split_off(&next);
        self.rounds.group_blocks = self.rounds.group_blocks.split_off(&next);
        if has_content(&block.body) {
            self.rounds.last_content = block.header.body.height;
        }
    }

    /// Sends a new block to everyone, and the bills of what it made final.
    fn announce(&mut self, block: Block) {
        let header = &block.header.body;
        self.notify(Event::Sealed {
            height: header.height,
            round: header.round,
            charges: header.charges,
            final_height: self.state.final_height,
        });
        let links: Vec<_> = self.links.keys().copied().collect();
        for link in links {
            self.send(link, Frame::Block(Box::new(block.clone())));
        }
        self.open.push_back(block);
        let finals: Vec<Block> = self
            .open
            .iter()
            .filter(|block| block.header.body.height <= self.state.final_height)
            .cloned()
            .collect();
        disk::forget_final(&mut self.open, &self.state);
        for block in finals {
            self.send_bills(&block);
        }
    }
}

/// Puts a grant where charges are judged; `false` where it is there already.
fn keep_grant(state: &mut State, grant: &SignedGrant) -> bool {
    let before = state.grants.insert(grant.body.id(), grant_account(grant));
    before.is_none()
}

/// A line that moves numbers and registers of the preview, and no money.
fn unpriced(received: &Received) -> ChargeLine {
    ChargeLine {
        profile: received.profile.clone(),
        late: true,
        amount: 0,
        credit: 0,
        tariff: protocol::TariffId(0),
    }
}
