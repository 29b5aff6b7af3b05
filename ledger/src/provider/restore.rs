//! A store that is older than the chain: takes the blocks that nodes give back.

use protocol::{ChargerId, GroupId, UnixMillis};

use super::registry::{GroupEntry, NodeEntry};
use super::rounds::has_content;
use super::{Event, Provider, disk};
use crate::apply::{Invalid, Signatures, apply, apply_record, book};
use crate::block::{Block, Record};
use crate::frame::Promised;
use crate::provider::rounds::{keep_grant, unpriced};
use crate::state::State;

impl Provider {
    /// A node gives a block back. Whatever this provider has signed and `apply` accepts is its own.
    pub(super) fn given(&mut self, now: UnixMillis, block: Block) {
        if !self.reports.is_behind() || block.header.body.height != self.state.height + 1 {
            return;
        }
        match apply(&self.state, &block) {
            Ok(next) => self.adopt(now, next, block),
            Err(Invalid::Previous) => {
                let signed = block.header.verify(&self.key.public(), &self.chain_id);
                if signed.is_ok() {
                    self.contradicted(self.state.height);
                }
            }
            // It proves nothing and changes nothing.
            Err(_) => {}
        }
    }

    fn adopt(&mut self, now: UnixMillis, next: State, block: Block) {
        let header = &block.header.body;
        let (height, round) = (header.height, header.round);
        self.persist(disk::block(&block));
        for (index, line) in (0..).zip(&block.body.charges) {
            let profile = &line.profile.body;
            self.persist(disk::place(profile.node, profile.seq, height, index));
        }
        self.rounds.close(round);
        if has_content(&block.body) {
            self.rounds.last_content = height;
        }
        let final_before = self.state.final_height;
        let before = std::mem::replace(&mut self.state, next);
        for record in &block.body.records {
            self.learn(record);
        }
        disk::keep(&mut self.history, block, before);
        // Whoever sealed it has sent the bills.
        self.keep_finality(final_before);
        self.history.forget(self.state.final_height);
        self.sift();
        self.notify(Event::Adopted { height });
        self.caught_up();
        self.admit_guests(now);
        self.settle_reports(now);
    }

    /// Takes over what a record tells of who is enrolled. Names stand in no block: nodes register
    /// again.
    fn learn(&mut self, record: &Record) {
        match record {
            Record::EnrolNode { node, key } => {
                let known = self.registry.node(key);
                if known.is_some_and(|entry| entry.node == *node) {
                    return;
                }
                let entry = NodeEntry {
                    node: *node,
                    key: *key,
                    may_claim: known.map(|e| e.may_claim.clone()).unwrap_or_default(),
                };
                if let Some(other) = known.map(|entry| entry.node) {
                    self.persist(disk::forget_node(other));
                }
                self.persist(disk::node(&entry));
                self.registry.put_node(entry);
            }
            Record::EnrolGroup { group, parent } => {
                let Some(group_id) = self.registry.group_id(*group).cloned() else {
                    return;
                };
                self.put_group(GroupEntry {
                    group_id,
                    group: *group,
                    parent: Some(*parent),
                });
            }
            Record::EnrolSupplyPoint {
                supply_point, node, ..
            } => {
                let known = self.registry.outlet(*supply_point);
                if known.is_some_and(|known| known.node != *node) {
                    self.persist(disk::forget_outlet(*supply_point));
                    self.registry.remove_outlet(*supply_point);
                }
            }
            Record::MoveCharger { charger, group } => self.learn_move(*charger, *group),
            Record::Tariff { .. }
            | Record::RegisterCharger { .. }
            | Record::Grant(_)
            | Record::Evidence(_)
            | Record::Deputy(_)
            | Record::MeterExchange(_)
            | Record::Resume(_) => {}
        }
    }

    /// A charger moved after the backup was made. Where its new group's name is lost, it registers
    /// again.
    fn learn_move(&mut self, charger: ChargerId, group: GroupId) {
        let Some(mut known) = self.registry.charger(charger).cloned() else {
            return;
        };
        match self.registry.group_id(group).cloned() {
            Some(group_id) => {
                (known.group_id, known.group) = (group_id, group);
                self.persist(disk::charger(&known));
                self.registry.put_charger(known);
            }
            None => {
                self.persist(disk::forget_charger(&known));
                self.registry.remove_charger(&known);
            }
        }
    }

    /// Drops what waits and is in the chain by now, and makes the preview again.
    fn sift(&mut self) {
        let mut preview = self.state.clone();
        preview.height += 1;
        for (number, record) in std::mem::take(&mut self.rounds.records) {
            match apply_record(&mut preview, &record, Signatures::Checked) {
                Ok(()) => {
                    self.rounds.records.insert(number, record);
                }
                Err(_) => self.persist(disk::forget_record(number)),
            }
        }
        self.preview = preview;
        for received in self.rounds.take_all() {
            let body = &received.profile.body;
            let key = (body.node, body.seq);
            let is_open = received.receipt.body.round > self.state.round;
            let fits = is_open
                && self
                    .check_under_grant(&received.profile, &received.grant)
                    .is_ok();
            if fits {
                keep_grant(&mut self.preview, &received.grant);
                book(&mut self.preview, &unpriced(&received));
                self.rounds.take_in(received);
                continue;
            }
            self.persist(disk::forget_received(&received));
            let promised = Promised {
                witnessed: received.witnessed(),
                detail: Vec::new(),
            };
            self.note_promise(key, promised);
        }
        self.grants.forget(&self.preview);
    }
}
