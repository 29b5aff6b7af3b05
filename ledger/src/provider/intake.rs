//! What nodes submit: charges and their receipts, acknowledgements, group blocks, ballots.

use std::collections::BTreeSet;

use protocol::{GroupId, Hash, NodeId, ProfileAck, Signed, SignedGrant, SignedProfile, UnixMillis};

use super::rounds::{Received, keep_grant, unpriced};
use super::witnesses::draw;
use super::{Event, Provider, disk};
use crate::apply::{book, check_ballot, check_profile, parent_key};
use crate::block::{Ballot, GroupBlock, Record};
use crate::evidence::{Evidence, TwoGroupBlocks, TwoProfiles};
use crate::frame::{Frame, MAX_DETAIL_BYTES, SealedGroup, Submission};

/// Charges of one round at most, so that its block fits a frame whatever else it holds; the next
/// ones are promised for the next round.
const MAX_CHARGES: usize = 10_000;

impl Provider {
    /// A node submits a charge.
    pub(super) fn submission(&mut self, now: UnixMillis, node: NodeId, submission: Submission) {
        let body = &submission.profile.body;
        let seq = body.seq;
        // A promise made before may name another round. Nodes send it again when this goes on.
        if !self.reports.go_on() {
            return;
        }
        if let Some(known) = self.rounds.received((node, seq)) {
            if known.profile == submission.profile {
                let receipt = known.receipt.clone();
                self.send_to_node(node, Frame::Receipt(receipt));
            } else {
                self.convict_second_profile(known.profile.clone(), submission.profile);
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
        if let Some(promised) = self.reports.promises.get(&(node, seq))
            && !promised.is_of(&submission.profile)
        {
            for first in promised.profiles().cloned().collect::<Vec<_>>() {
                self.convict_second_profile(first, submission.profile.clone());
            }
            self.refuse(node, seq, "another profile has this number");
            return;
        }
        match self.check_submission(node, &submission) {
            Ok(()) => self.take_in(now, submission),
            Err(reason) if self.may_be_lost(&submission.profile.body) || self.waits(node, seq) => {
                self.put_off(now, (node, seq), reason);
            }
            Err(reason) => self.refuse(node, seq, &reason),
        }
    }

    /// Records that a node signed a second profile with a number, where it did. The first stands.
    fn convict_second_profile(&mut self, first: SignedProfile, second: SignedProfile) {
        let evidence = Evidence::TwoProfiles(Box::new(TwoProfiles { first, second }));
        if evidence.check(&self.preview).is_some() {
            self.record(Record::Evidence(evidence));
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
        self.check_charge(submission)
    }

    /// Checks all of a charge but its detail.
    pub(super) fn check_charge(&mut self, submission: &Submission) -> Result<(), String> {
        let body = &submission.profile.body;
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
    pub(super) fn check_under_grant(
        &mut self,
        profile: &SignedProfile,
        grant: &SignedGrant,
    ) -> Result<(), String> {
        let checked = self.grants.check(&self.preview, grant);
        checked.map_err(|invalid| invalid.to_string())?;
        let is_new = keep_grant(&mut self.preview, grant);
        let checked = check_profile(&self.preview, profile).map_err(|fault| fault.to_string());
        if is_new && checked.is_err() {
            self.preview.grants.remove(&grant.body.id());
        }
        checked
    }

    pub(super) fn take_in(&mut self, now: UnixMillis, submission: Submission) {
        let Submission {
            profile,
            grant,
            detail,
        } = submission;
        let (node, seq) = (profile.body.node, profile.body.seq);
        let received = Received {
            receipt: self.receipt_for(now, &profile),
            profile,
            grant,
        };
        book(&mut self.preview, &unpriced(&received));
        self.grants.note(&self.preview, &received.grant);
        self.persist(disk::received(&received));
        if !detail.is_empty() {
            self.persist(disk::detail(node, seq, &detail));
        }
        self.send_to_node(node, Frame::Receipt(received.receipt.clone()));
        for witness in self.witnesses(received.profile.body.payer) {
            self.send_to_node(witness, Frame::Witness(received.witnessed()));
        }
        self.rounds.take_in(received);
        self.wake(now);
    }

    /// The round that a receipt given now names: never one that has its block, never one before
    /// an earlier receipt's, whatever the clock did.
    pub(super) fn open_round(&self, now: UnixMillis) -> u64 {
        let by_clock = self.state.genesis.round_at(now);
        let after_sealed = self.state.round + 1;
        // The first charge waits a round for the first voter.
        let enrolment = u64::from(self.state.groups.is_empty());
        let promised = self.rounds.newest_round().unwrap_or(0);
        let round = (by_clock.max(after_sealed) + enrolment).max(promised);
        match self.rounds.count_of(round) < MAX_CHARGES {
            true => round,
            false => round + 1,
        }
    }

    /// The payer's parent, and the parents of as many other groups as the chain asks for.
    fn witnesses(&self, payer: GroupId) -> BTreeSet<NodeId> {
        let groups = &self.preview.groups;
        let wanted = usize::from(self.state.genesis.witnesses);
        let drawn = draw(&self.state.tip, payer, wanted, groups);
        let parents = drawn.iter().chain([&payer]).filter_map(|g| groups.get(g));
        parents.map(|account| account.parent).collect()
    }

    pub(super) fn profile_ack(&mut self, node: NodeId, ack: &Signed<ProfileAck>) {
        let group = ack.body.group;
        let is_parent = self
            .preview
            .groups
            .get(&group)
            .is_some_and(|g| g.parent == node);
        let key = parent_key(&self.preview, group);
        let is_signed = key.is_some_and(|key| ack.verify(&key, &self.chain_id).is_ok());
        if is_parent && is_signed {
            self.rounds.acknowledge(ack);
        }
    }

    pub(super) fn group_block(&mut self, now: UnixMillis, node: NodeId, sealed: SealedGroup) {
        let group = sealed.block.body.group;
        let is_parent = self
            .preview
            .groups
            .get(&group)
            .is_some_and(|g| g.parent == node);
        if !is_parent || self.convict_second(&sealed.block) {
            return;
        }
        if self.rounds.seal(sealed) {
            self.tick(now);
        }
    }

    /// Records that a parent sealed a second group block for a round, where it did. Neither holds
    /// then, unless the first is in its block already.
    fn convict_second(&mut self, second: &Signed<GroupBlock>) -> bool {
        let (round, group) = (second.body.round, second.body.group);
        let open = self.rounds.group_block(round, group);
        let open = open.map(|first| &first.block);
        let Some(first) = open.or_else(|| self.sealed_group_block(round, group)) else {
            return false;
        };
        let evidence = Evidence::TwoGroupBlocks(Box::new(TwoGroupBlocks {
            first: first.clone(),
            second: second.clone(),
        }));
        let is_proof = evidence.check(&self.preview).is_some();
        if is_proof {
            if let Some(first) = self.rounds.group_block_mut(round, group) {
                // It stands for both, and is refused when its round is judged.
                first.profiles.clear();
            }
            self.record(Record::Evidence(evidence));
        }
        is_proof
    }

    /// The group block of a round in the newest blocks.
    fn sealed_group_block(&self, round: u64, group: GroupId) -> Option<&Signed<GroupBlock>> {
        let blocks = self.history.blocks();
        let mut of_round = blocks.filter(|block| block.header.body.round == round);
        of_round.find_map(|block| {
            let sealed = &block.body.group_blocks;
            let found = sealed.binary_search_by_key(&group, |s| s.body.group);
            sealed.get(found.ok()?)
        })
    }

    pub(super) fn ballot(&mut self, ballot: Signed<Ballot>) {
        let voter = ballot.body.voter;
        let before = self.rounds.ballots.get(&voter).map(|b| b.body.height);
        let is_news = before.is_none_or(|height| height < ballot.body.height);
        if is_news && check_ballot(&self.state, &ballot).is_ok() {
            self.rounds.ballots.insert(voter, ballot);
        } else {
            self.convict_fork_voter(&ballot);
        }
    }

    /// Records that a voter said yes to a header beside this chain as well as to one of it, where
    /// it did.
    fn convict_fork_voter(&mut self, ballot: &Signed<Ballot>) {
        let voter = ballot.body.voter;
        let waiting = self.rounds.ballots.get(&voter);
        let own = waiting.or_else(|| self.history.newest_ballot(voter));
        let Some(two) = own.and_then(|own| self.history.two_ballots(own, ballot)) else {
            return;
        };
        let evidence = Evidence::TwoBallots(Box::new(two));
        if evidence.check(&self.preview).is_some() {
            self.record(Record::Evidence(evidence));
        }
    }
}
