//! Who is let in: tokens, nodes, groups, mobile chargers, outlets.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::message::{
    JoinAck, RegisterSupplyPoint, RegisterSupplyPointAck, Registration, Report, Response,
};
use protocol::{ChargerId, GroupId, Hash, IdTag, NodeId, PublicKey, Salt, UnixMillis};

use super::registry::{Charger, GroupEntry, NodeEntry, OutletEntry};
use super::reports::Guest;
use super::rounds::Received;
use super::{Effect, Event, LinkId, Provider, disk};
use crate::apply::deputy_key;
use crate::block::Record;
use crate::frame::Frame;

/// The longest name of an outlet or meter.
pub(super) const MAX_NAME_BYTES: usize = 128;
/// Outlets of one node.
const MAX_OUTLETS: usize = 10_000;

/// A one-time enrolment token.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Token {
    /// SHA-256 of the token; the token itself is never stored.
    pub hash: Hash,
    /// The groups that whoever presents it may claim.
    pub groups: BTreeSet<IdTag>,
    /// The key that used it.
    pub used_by: Option<PublicKey>,
}

/// Why a node is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// The node is new and brings no token.
    #[error("this node is not enrolled; ask the provider's operator for an enrolment token")]
    NoToken,
    /// The provider gave no such token out.
    #[error("the enrolment token is not one of this provider's; ask its operator for a new one")]
    UnknownToken,
    /// Another key used the token.
    #[error("the enrolment token was used already; ask the provider's operator for a new one")]
    UsedToken,
    /// The key is of small order.
    #[error("the node's key is not usable; delete it and let the gateway make a new one")]
    WeakKey,
    /// The provider has not heard enough of its nodes since it started.
    #[error(
        "the provider was started and has not heard enough of its gateways yet; it lets new ones \
         in after that, this one tries again"
    )]
    Listening,
}

/// What a node is let in as.
#[derive(Clone, Copy, Debug)]
enum Admitted {
    /// The node of this number.
    As(NodeId),
    /// One whose enrolment this provider may have lost: it may tell what it knows.
    Guest(NodeId),
}

impl Provider {
    pub(super) fn create_token(&mut self, now: UnixMillis, hash: Hash, groups: BTreeSet<IdTag>) {
        // A token that was given out stays as it is: one that was used is not to be used again.
        if self.registry.tokens.contains_key(&hash) {
            return;
        }
        // Before that a number may be one that another group was given.
        if self.reports.takes_newcomers(now) {
            for group_id in &groups {
                self.name_group(group_id);
            }
        }
        let token = Token {
            hash,
            groups,
            used_by: None,
        };
        self.persist(disk::token(&token));
        self.registry.tokens.insert(hash, token);
    }

    /// The group of this name; gives it a number where it has none.
    pub(super) fn name_group(&mut self, group_id: &IdTag) -> GroupEntry {
        if let Some(entry) = self.registry.group_entry(group_id) {
            return entry.clone();
        }
        let entry = GroupEntry {
            group_id: group_id.clone(),
            group: self.next_group(),
            parent: None,
        };
        self.put_group(entry.clone());
        entry
    }

    pub(super) fn put_group(&mut self, entry: GroupEntry) {
        self.persist(disk::group(&entry));
        self.registry.put_group(entry);
    }

    pub(super) fn join(
        &mut self,
        now: UnixMillis,
        link: LinkId,
        key: PublicKey,
        token: Option<Hash>,
        report: &Report,
    ) {
        let newest = self.hear(report);
        let admitted = self.admit(now, link, (key, token), report, newest.is_some());
        let result = admitted.map(|admitted| match admitted {
            Admitted::As(node) => {
                self.put_on_link(link, node);
                self.welcome(now, node, self.last_of(node))
            }
            // Its number may be somebody else's, as far as is known here.
            Admitted::Guest(node) => self.welcome(now, node, (0, Hash::ZERO)),
        });
        let node = result.as_ref().ok().map(|ack| ack.node);
        self.effect(Effect::Joined { link, result });
        if let Some(node) = node {
            let height = newest.map_or(0, |header| header.body.height);
            self.listen_to(link, node, report, height);
            if self.links.node(link).is_some() {
                self.resend(node);
            }
        }
    }

    fn admit(
        &mut self,
        now: UnixMillis,
        link: LinkId,
        (key, token): (PublicKey, Option<Hash>),
        report: &Report,
        knows_chain: bool,
    ) -> Result<Admitted, JoinRefusal> {
        key.check().map_err(|_| JoinRefusal::WeakKey)?;
        let is_member = self.registry.node(&key).is_some();
        if is_member || self.reports.go_on() {
            let node = self.enrol(now, key, token, report.node);
            return node.map(Admitted::As);
        }
        // No number is given away that may be somebody else's.
        let is_invited = token.is_some_and(|token| self.registry.tokens.contains_key(&token));
        let node = report.node.filter(|_| knows_chain || is_invited);
        let node = node.ok_or(JoinRefusal::Listening)?;
        match self.reports.host(link, Guest { key, token, node }) {
            true => Ok(Admitted::Guest(node)),
            false => Err(JoinRefusal::Listening),
        }
    }

    fn enrol(
        &mut self,
        now: UnixMillis,
        key: PublicKey,
        token: Option<Hash>,
        claim: Option<NodeId>,
    ) -> Result<NodeId, JoinRefusal> {
        let known = self.registry.node(&key).map(|entry| entry.node);
        match (known, token) {
            (Some(node), None) => Ok(node),
            (Some(node), Some(token)) => {
                // A node that is known keeps its place whatever token its configuration holds.
                let groups = self.use_token(token, key).unwrap_or_default();
                self.allow(key, groups);
                Ok(node)
            }
            (None, None) => Err(JoinRefusal::NoToken),
            (None, Some(token)) => {
                let claimed = claim.and_then(|claim| self.claimed_node(claim, &key));
                if claimed.is_none() && !self.reports.takes_newcomers(now) {
                    return Err(JoinRefusal::Listening);
                }
                let groups = self.use_token(token, key)?;
                Ok(self.enrol_new(key, groups, claimed))
            }
        }
    }

    /// Guests that the chain tells by now, or a token, become what they are.
    pub(super) fn admit_guests(&mut self, now: UnixMillis) {
        for (link, guest) in self.reports.guests.clone() {
            let known = self.registry.node(&guest.key).map(|entry| entry.node);
            if known.is_none() && !self.reports.go_on() {
                continue;
            }
            self.reports.guests.remove(&link);
            let node = self.enrol(now, guest.key, guest.token, Some(guest.node));
            if node == Ok(guest.node) {
                self.put_on_link(link, guest.node);
                self.reports.note_heard(link, guest.node);
            } else {
                // It is told what it is when it comes again.
                self.effect(Effect::Close { link });
            }
        }
    }

    fn use_token(&mut self, hash: Hash, key: PublicKey) -> Result<BTreeSet<IdTag>, JoinRefusal> {
        let token = self.registry.tokens.get_mut(&hash);
        let token = token.ok_or(JoinRefusal::UnknownToken)?;
        if token.used_by.is_some_and(|by| by != key) {
            return Err(JoinRefusal::UsedToken);
        }
        token.used_by = Some(key);
        let (write, groups) = (disk::token(token), token.groups.clone());
        self.persist(write);
        Ok(groups)
    }

    fn allow(&mut self, key: PublicKey, groups: BTreeSet<IdTag>) {
        if let Some(entry) = self.registry.node(&key)
            && !groups.is_subset(&entry.may_claim)
        {
            let mut entry = entry.clone();
            entry.may_claim.extend(groups);
            self.persist(disk::node(&entry));
            self.registry.put_node(entry);
        }
    }

    fn enrol_new(
        &mut self,
        key: PublicKey,
        may_claim: BTreeSet<IdTag>,
        claimed: Option<NodeId>,
    ) -> NodeId {
        let node = claimed.unwrap_or_else(|| self.next_node());
        let entry = NodeEntry {
            node,
            key,
            may_claim,
        };
        self.persist(disk::node(&entry));
        self.registry.put_node(entry);
        self.record(Record::EnrolNode { node, key });
        self.notify(Event::Enrolled { node });
        node
    }

    fn put_on_link(&mut self, link: LinkId, node: NodeId) {
        if let Some(older) = self.links.put(link, node) {
            self.effect(Effect::Close { link: older });
        }
    }

    fn welcome(
        &self,
        now: UnixMillis,
        node: NodeId,
        (last_seq, last_profile): (u32, Hash),
    ) -> JoinAck {
        JoinAck {
            node,
            current_time: now,
            last_seq,
            last_profile,
            tip: self.state.height,
            wants_report: self.reports.wants(node),
        }
    }

    /// Number and hash of the newest profile that is known of a node.
    pub(super) fn last_of(&self, node: NodeId) -> (u32, Hash) {
        let account = self.preview.nodes.get(&node);
        account.map_or((0, Hash::ZERO), |account| {
            (account.last_seq, account.last_profile)
        })
    }

    /// Sends a node that came back what it may have missed.
    pub(super) fn resend(&mut self, node: NodeId) {
        let receipt = |received: &Received| Frame::Receipt(received.receipt.clone());
        let own = self.rounds.of_node(node).map(receipt);
        let groups = self.preview.votes_of(node);
        let paid = groups.flat_map(|group| self.rounds.paid_by(group));
        let witness = |received: &Received| Frame::Witness(received.witnessed());
        let missed: Vec<Frame> = own.chain(paid.map(witness)).collect();
        for frame in missed {
            self.send_to_node(node, frame);
        }
    }

    pub(super) fn left(&mut self, link: LinkId) {
        self.links.remove(link);
        self.reports.left(link);
        self.link_lost(link);
    }

    /// Makes `node` the parent of a group that has none; `None` where it may not claim it.
    pub(super) fn claim(
        &mut self,
        node: NodeId,
        group_id: &IdTag,
        number: Option<GroupId>,
    ) -> Option<GroupEntry> {
        let may = self.registry.may_claim(node, group_id);
        may.then(|| self.found_group(node, group_id, number))
    }

    /// The group of the chargers of `node` that name no group.
    pub(super) fn ungrouped(&mut self, node: NodeId, number: Option<GroupId>) -> GroupEntry {
        let group_id = IdTag::ungrouped(node);
        match self.registry.group_entry(&group_id) {
            Some(entry) if entry.parent.is_some() => entry.clone(),
            // Named before, by an outlet that is to credit it.
            _ => self.found_group(node, &group_id, number),
        }
    }

    fn found_group(
        &mut self,
        node: NodeId,
        group_id: &IdTag,
        number: Option<GroupId>,
    ) -> GroupEntry {
        let mut entry = self.name_group(group_id);
        if let Some(number) = self.other_number(&entry, number) {
            self.persist(disk::forget_group(entry.group));
            entry.group = number;
        }
        entry.parent = Some(node);
        self.put_group(entry.clone());
        let group = entry.group;
        self.record(Record::EnrolGroup {
            group,
            parent: node,
        });
        entry
    }

    /// Adds a charger to a group.
    pub(super) fn add_charger(
        &mut self,
        home: NodeId,
        id_tag: IdTag,
        group: &GroupEntry,
    ) -> Registration {
        let salt = self.salt_for(&id_tag);
        let charger = Charger {
            charger: ChargerId::of(&self.chain_id, &salt, &id_tag),
            id_tag,
            salt,
            group_id: group.group_id.clone(),
            group: group.group,
            home,
        };
        self.persist(disk::charger(&charger));
        self.record(Record::RegisterCharger {
            charger: charger.charger,
            group: charger.group,
        });
        self.registry.put_charger(charger.clone());
        self.registration(home, &charger)
    }

    /// A salt nobody else can compute. Rules draw no random numbers, so it is derived from the
    /// provider's secret: deterministic, and unpredictable without the key.
    pub(super) fn salt_for(&self, id_tag: &IdTag) -> Salt {
        let signature = self.key.sign(
            protocol::Domain::Salt,
            &self.chain_id,
            id_tag.as_str().as_bytes(),
        );
        Salt(Hash::of(&signature.0).first_16())
    }

    /// A charger as `node` may know it.
    pub(super) fn registration(&self, node: NodeId, charger: &Charger) -> Registration {
        let parent = self.registry.parent(&charger.group_id);
        let parent = parent.unwrap_or(charger.home);
        let account = self.preview.nodes.get(&parent);
        let account = account.expect("whoever is a parent or a home is enrolled");
        Registration {
            charger: charger.charger,
            group: charger.group,
            group_id: charger.group_id.clone(),
            parent,
            parent_key: account.key,
            deputy_key: deputy_key(&self.preview, charger.group),
            parent_address: self.addresses.of(parent).cloned(),
            salt: (charger.home == node).then_some(charger.salt),
        }
    }

    pub(super) fn register_supply_point(
        &mut self,
        now: UnixMillis,
        node: NodeId,
        asked: &RegisterSupplyPoint,
    ) -> Option<Response> {
        let answer = |supply_point| {
            Some(Response::RegisterSupplyPoint(RegisterSupplyPointAck {
                supply_point,
            }))
        };
        if let Some(known) = self.registry.outlet_of(node, &asked.outlet) {
            return answer(known.supply_point);
        }
        let is_too_long = asked.outlet.len().max(asked.meter.len()) > MAX_NAME_BYTES;
        if is_too_long || self.registry.outlets_of(node) >= MAX_OUTLETS {
            return None;
        }
        let is_owner_known = self.registry.group(&asked.owner).is_some();
        let (supply_point, is_in_chain) = self.number_outlet(node, asked)?;
        let is_claimed = asked.supply_point == Some(supply_point) && is_owner_known;
        let is_early = match is_in_chain || is_claimed {
            true => !self.reports.go_on(),
            false => !self.reports.takes_newcomers(now),
        };
        let is_lost = !is_owner_known && !is_in_chain && self.lacks_names();
        if is_early || is_lost {
            return None;
        }
        let entry = OutletEntry {
            supply_point,
            node,
            name: asked.outlet.clone(),
            owner: asked.owner.clone(),
            meter: asked.meter.clone(),
        };
        self.put_outlet(entry);
        if is_in_chain {
            return answer(supply_point);
        }
        let owner = self.name_group(&asked.owner);
        self.record(Record::EnrolSupplyPoint {
            supply_point,
            node,
            owner: owner.group,
            meter: Hash::of(asked.meter.as_bytes()),
        });
        answer(supply_point)
    }
}
