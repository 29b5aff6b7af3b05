//! From what waits to a block: when a round is sealed, and what its block holds.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{GrantId, Hash, Signed, SignedGrant, UnixMillis};

use super::rounds::{Received, has_content};
use super::{Effect, Event, Provider, disk};
use crate::apply::{Invalid, is_ballot_open};
use crate::block::{Ballot, Block, Body, ChargeLine, Record};
use crate::evidence::Evidence;
use crate::finality::{self, Said};
use crate::seal::seal_checked;
use crate::state::GroupAccount;
use crate::store::Step;
use crate::tariff::Price;

impl Provider {
    /// Seals every round that is over.
    pub(super) fn tick(&mut self, now: UnixMillis) {
        self.settle_reports(now);
        self.ask_again(now);
        self.name_groups(now);
        while self.reports.go_on()
            && let Some(round) = self.due(now)
            && self.keeps_promises(round)
            && self.seal_round(now, round)
        {}
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
                let waits = !self.rounds.records.is_empty() || self.finality_advances(now);
                (over > self.state.round && waits).then_some(over)
            }
        }
    }

    /// Whether nothing more is awaited for `round`: every parent that acknowledged has sealed, or
    /// the grace is over.
    fn is_complete(&self, now: UnixMillis, round: u64) -> bool {
        now >= self.grace_end(round) || !self.rounds.awaits_group_block(round)
    }

    fn grace_end(&self, round: u64) -> UnixMillis {
        let genesis = &self.state.genesis;
        let grace = genesis.group_block_grace_ms();
        genesis.round_start(round + 1).plus_ms(grace)
    }

    /// Whether a block of ballots alone, or an empty one where only time had to pass, would bring
    /// charges or records nearer to being final.
    ///
    /// A ballot that would only wake its dormant voter does not stop such a block: the chain then
    /// holds it and the voter's silence begins anew. Kept waiting, it would wake it for ever.
    fn finality_advances(&self, now: UnixMillis) -> bool {
        let waiting = |group| {
            let ballot = &self.rounds.ballots.get(&group)?.body;
            let is_open = self.state.open_header(ballot.height) == Some(ballot.header);
            is_open.then_some(ballot.height)
        };
        let said = |group, account: &GroupAccount| Said {
            height: account.voted_height.max(waiting(group).unwrap_or(0)),
            at: account.last_ballot,
        };
        let at = now.seconds().max(self.state.time);
        let is_open = self.state.final_height < self.rounds.last_content;
        is_open && finality::reach(&self.state, at, said).last > self.state.final_height
    }

    pub(super) fn wake(&mut self, now: UnixMillis) {
        let waits = !self.rounds.records.is_empty()
            || self.rounds.has_received()
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
        let sealed = seal_checked(&self.state, body, (round, now.seconds()), &self.key);
        let (block, next) = match sealed {
            Ok(sealed) => sealed,
            Err(Invalid::Empty) => return false,
            Err(invalid) => unreachable!("every entry was checked when it was taken in: {invalid}"),
        };
        self.persist(disk::block(&block));
        self.forget_sealed(&block, round);
        let convictions = next.convictions_at(next.height);
        for (offence, conviction) in convictions {
            let node = conviction.node;
            self.notify(Event::Convicted { node, offence });
        }
        let final_before = self.state.final_height;
        let before = std::mem::replace(&mut self.state, next);
        self.rebuild_preview();
        self.announce(&block);
        disk::keep(&mut self.history, block, before);
        self.settle_final(final_before);
        true
    }

    fn body_of(&mut self, round: u64) -> Body {
        let judged = self.judge_group_blocks(round);
        let mut charges: Vec<ChargeLine> = self
            .rounds
            .of_round(round)
            .map(|received| self.priced(received, &judged.in_time))
            .collect();
        charges.sort_by_key(|line| line.profile.body.sort_key());
        let is_open = |ballot: &&Signed<Ballot>| is_ballot_open(&self.state, ballot);
        Body {
            records: self.records_of(round, judged.evidence),
            group_blocks: judged.valid,
            charges,
            ballots: self
                .rounds
                .ballots
                .values()
                .filter(is_open)
                .cloned()
                .collect(),
        }
    }

    /// The records that wait, the grants that this round's charges rest on and the state does not
    /// hold (any more), and evidence.
    fn records_of(&self, round: u64, evidence: Vec<Evidence>) -> Vec<Record> {
        let grants: BTreeMap<GrantId, &SignedGrant> = self
            .rounds
            .of_round(round)
            .map(|received| (received.grant.body.id(), &received.grant))
            .filter(|(id, _)| !self.state.grants.contains_key(id))
            .collect();
        let waiting = self.rounds.records.values().cloned();
        waiting
            .chain(grants.into_values().cloned().map(Record::Grant))
            .chain(evidence.into_iter().map(Record::Evidence))
            .collect()
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
            late: !in_time.contains(&received.receipt.body.profile),
            amount: price.amount,
            credit: price.credit,
            tariff: self.preview.tariff(),
        }
    }

    fn forget_sealed(&mut self, block: &Block, round: u64) {
        for number in std::mem::take(&mut self.rounds.records).into_keys() {
            self.persist(disk::forget_record(number));
        }
        let height = block.header.body.height;
        for (index, line) in (0..).zip(&block.body.charges) {
            let profile = &line.profile.body;
            self.persist(disk::place(profile.node, profile.seq, height, index));
            let key = (line.profile.body.node, line.profile.body.seq);
            if let Some(received) = self.rounds.remove(key) {
                self.persist(disk::forget_received(&received));
            }
        }
        for ballot in &block.body.ballots {
            let voter = ballot.body.voter;
            if self.rounds.ballots.get(&voter) == Some(ballot) {
                self.rounds.ballots.remove(&voter);
            }
        }
        self.rounds.close(round);
        if has_content(&block.body) {
            self.rounds.last_content = block.header.body.height;
        }
    }

    /// Sends a new block to everyone: whole to parents, its header to all others.
    fn announce(&mut self, block: &Block) {
        let header = &block.header.body;
        self.notify(Event::Sealed {
            height: header.height,
            round: header.round,
            charges: header.charges,
            final_height: self.state.final_height,
        });
        let mut parents = self.registry.parents();
        parents.extend(self.state.groups.values().map(|account| account.parent));
        // By height: a copy for each of thousands of links would fill the memory.
        let (from, count) = (header.height, 1);
        let send = |(link, node)| match parents.contains(&node) {
            true => Effect::SendBlocks { link, from, count },
            false => Effect::SendHeaders { link, from, count },
        };
        self.steps
            .extend(self.links.iter().map(send).map(Step::Effect));
    }

    /// Keeps what proves the blocks that became final, and sends their bills.
    fn settle_final(&mut self, before: u64) {
        self.keep_finality(before);
        for height in before + 1..=self.state.final_height {
            if let Some(block) = self.history.block(height).cloned() {
                self.send_bills(&block);
            }
        }
        self.history.forget(self.state.final_height);
    }

    /// Keeps what proves the blocks that became final.
    pub(super) fn keep_finality(&mut self, before: u64) {
        for height in before + 1..=self.state.final_height {
            if let Some(finality) = self.history.finality(height, &self.state) {
                self.persist(disk::finality(height, &finality));
            }
        }
    }
}
