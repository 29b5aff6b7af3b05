//! Who is let in: tokens, nodes, groups, mobile chargers, outlets.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::message::{
    JoinAck, RegisterSupplyPoint, RegisterSupplyPointAck, Registration, Response,
};
use protocol::{
    ChargerId, GroupId, Hash, IdTag, NodeId, PublicKey, Salt, SupplyPointId, UnixMillis,
};

use super::{Effect, Event, LinkId, Provider, disk};
use crate::block::Record;
use crate::frame::Frame;

/// The longest name of an outlet or meter.
const MAX_NAME_BYTES: usize = 128;
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

/// A node that was let in.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct NodeEntry {
    /// Its number.
    pub node: NodeId,
    /// Its key.
    pub key: PublicKey,
    /// The groups it may become the parent of.
    pub may_claim: BTreeSet<IdTag>,
}

/// A group's name and number.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct GroupEntry {
    /// Its name.
    pub group_id: IdTag,
    /// Its number.
    pub group: GroupId,
    /// The home node of its first charger; `None` while it has none.
    pub parent: Option<NodeId>,
}

/// A mobile charger, with what links it to a person.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Charger {
    /// The name people hold.
    pub id_tag: IdTag,
    /// Its pseudonym.
    pub charger: ChargerId,
    /// Its pseudonym's salt.
    pub salt: Salt,
    /// Its group's name.
    pub group_id: IdTag,
    /// Its group's number.
    pub group: GroupId,
    /// Where it registered.
    pub home: NodeId,
}

/// An outlet.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OutletEntry {
    /// Its number.
    pub supply_point: SupplyPointId,
    /// The node that measures there.
    pub node: NodeId,
    /// Its name at that node.
    pub name: String,
    /// The group that is credited.
    pub owner: IdTag,
    /// Model and serial number of its meter.
    pub meter: String,
}

/// Everyone the provider knows by name.
#[derive(Debug, Default)]
pub struct Registry {
    pub(super) tokens: BTreeMap<Hash, Token>,
    pub(super) nodes: BTreeMap<PublicKey, NodeEntry>,
    pub(super) groups: BTreeMap<IdTag, GroupEntry>,
    pub(super) chargers: BTreeMap<IdTag, Charger>,
    pub(super) outlets: BTreeMap<(NodeId, String), OutletEntry>,
    pub(super) last_supply_point: SupplyPointId,
}

impl Registry {
    /// The number of a group, by name.
    #[must_use]
    pub fn group(&self, group_id: &IdTag) -> Option<GroupId> {
        self.groups.get(group_id).map(|entry| entry.group)
    }

    /// The names of all groups.
    pub fn groups(&self) -> impl Iterator<Item = (&IdTag, GroupId)> {
        self.groups.iter().map(|(name, entry)| (name, entry.group))
    }

    /// The mobile charger behind a pseudonym.
    #[must_use]
    pub fn charger(&self, charger: ChargerId) -> Option<&Charger> {
        self.chargers
            .values()
            .find(|entry| entry.charger == charger)
    }

    /// All outlets.
    pub fn outlets(&self) -> impl Iterator<Item = &OutletEntry> {
        self.outlets.values()
    }

    pub(super) fn parent(&self, group_id: &IdTag) -> Option<NodeId> {
        self.groups.get(group_id)?.parent
    }

    /// The nodes that are parents: they keep every block, all others headers.
    pub(super) fn parents(&self) -> BTreeSet<NodeId> {
        let groups = self.groups.values();
        groups.filter_map(|entry| entry.parent).collect()
    }

    fn next_group(&self) -> GroupId {
        let last = self.groups.values().map(|entry| entry.group.0).max();
        GroupId(last.unwrap_or(0) + 1)
    }
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
}

impl Provider {
    pub(super) fn create_token(&mut self, hash: Hash, groups: BTreeSet<IdTag>) {
        // A token that was given out stays as it is: one that was used is not to be used again.
        if self.registry.tokens.contains_key(&hash) {
            return;
        }
        for group_id in &groups {
            self.name_group(group_id);
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
    fn name_group(&mut self, group_id: &IdTag) -> GroupEntry {
        if let Some(entry) = self.registry.groups.get(group_id) {
            return entry.clone();
        }
        let entry = GroupEntry {
            group_id: group_id.clone(),
            group: self.registry.next_group(),
            parent: None,
        };
        self.put_group(entry.clone());
        entry
    }

    fn put_group(&mut self, entry: GroupEntry) {
        self.persist(disk::group(&entry));
        self.registry.groups.insert(entry.group_id.clone(), entry);
    }

    pub(super) fn join(
        &mut self,
        now: UnixMillis,
        link: LinkId,
        key: PublicKey,
        token: Option<Hash>,
    ) {
        let result = self.enrol(key, token);
        let result = result.map(|node| self.welcome(now, link, node));
        let node = result.as_ref().ok().map(|ack| ack.node);
        self.effect(Effect::Joined { link, result });
        if let Some(node) = node {
            self.resend(node);
        }
    }

    fn enrol(&mut self, key: PublicKey, token: Option<Hash>) -> Result<NodeId, JoinRefusal> {
        key.check().map_err(|_| JoinRefusal::WeakKey)?;
        let known = self.registry.nodes.get(&key).map(|entry| entry.node);
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
                let groups = self.use_token(token, key)?;
                Ok(self.enrol_new(key, groups))
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
        if let Some(entry) = self.registry.nodes.get_mut(&key)
            && !groups.is_subset(&entry.may_claim)
        {
            entry.may_claim.extend(groups);
            let write = disk::node(entry);
            self.persist(write);
        }
    }

    fn enrol_new(&mut self, key: PublicKey, may_claim: BTreeSet<IdTag>) -> NodeId {
        let last = self.registry.nodes.values().map(|entry| entry.node.0).max();
        let node = NodeId(last.unwrap_or(0) + 1);
        let entry = NodeEntry {
            node,
            key,
            may_claim,
        };
        self.persist(disk::node(&entry));
        self.registry.nodes.insert(key, entry);
        self.record(Record::EnrolNode { node, key });
        self.notify(Event::Enrolled { node });
        node
    }

    fn welcome(&mut self, now: UnixMillis, link: LinkId, node: NodeId) -> JoinAck {
        if let Some(older) = self.link_of(node) {
            self.links.remove(&older);
            self.effect(Effect::Close { link: older });
        }
        self.links.insert(link, node);
        let account = self.preview.nodes.get(&node);
        JoinAck {
            node,
            current_time: now,
            last_seq: account.map_or(0, |account| account.last_seq),
            last_profile: account.map_or(Hash::ZERO, |account| account.last_profile),
            tip: self.state.height,
        }
    }

    /// Sends a node that came back what it may have missed.
    fn resend(&mut self, node: NodeId) {
        for received in self.rounds.received() {
            let body = &received.profile.body;
            let is_own = body.node == node;
            let group = self.preview.groups.get(&body.payer);
            let is_parent = group.is_some_and(|account| account.parent == node);
            if is_own {
                self.send_to_node(node, Frame::Receipt(received.receipt.clone()));
            }
            if is_parent {
                self.send_to_node(node, Frame::Witness(received.witnessed()));
            }
        }
    }

    pub(super) fn left(&mut self, link: LinkId) {
        self.links.remove(&link);
        self.link_lost(link);
    }

    /// Makes `node` the parent of a group that has none; `None` where it may not claim it.
    pub(super) fn claim(&mut self, node: NodeId, group_id: &IdTag) -> Option<GroupEntry> {
        let mut nodes = self.registry.nodes.values();
        let may = nodes.any(|entry| entry.node == node && entry.may_claim.contains(group_id));
        may.then(|| self.found_group(node, group_id))
    }

    /// The group of the chargers of `node` that name no group.
    pub(super) fn ungrouped(&mut self, node: NodeId) -> Option<GroupEntry> {
        let group_id = IdTag::parse(&format!("UNGROUPED/{node}")).ok()?;
        match self.registry.groups.get(&group_id) {
            Some(entry) if entry.parent.is_some() => Some(entry.clone()),
            // Named before, by an outlet that is to credit it.
            _ => Some(self.found_group(node, &group_id)),
        }
    }

    fn found_group(&mut self, node: NodeId, group_id: &IdTag) -> GroupEntry {
        let mut entry = self.name_group(group_id);
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
        let id_tag = charger.id_tag.clone();
        self.registry.chargers.insert(id_tag, charger.clone());
        self.registration(home, &charger)
    }

    /// A salt nobody else can compute. Rules draw no random numbers, so it is derived from the
    /// provider's secret: deterministic, and unpredictable without the key.
    fn salt_for(&self, id_tag: &IdTag) -> Salt {
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
            salt: (charger.home == node).then_some(charger.salt),
        }
    }

    pub(super) fn register_supply_point(
        &mut self,
        node: NodeId,
        asked: &RegisterSupplyPoint,
    ) -> Option<Response> {
        let answer = |supply_point| {
            Some(Response::RegisterSupplyPoint(RegisterSupplyPointAck {
                supply_point,
            }))
        };
        let key = (node, asked.outlet.clone());
        if let Some(known) = self.registry.outlets.get(&key) {
            return answer(known.supply_point);
        }
        let of_node = self.registry.outlets.keys().filter(|(n, _)| *n == node);
        let is_too_long = asked.outlet.len().max(asked.meter.len()) > MAX_NAME_BYTES;
        if is_too_long || of_node.count() >= MAX_OUTLETS {
            return None;
        }
        let owner = self.name_group(&asked.owner);
        let supply_point = SupplyPointId(self.registry.last_supply_point.0.checked_add(1)?);
        let entry = OutletEntry {
            supply_point,
            node,
            name: asked.outlet.clone(),
            owner: asked.owner.clone(),
            meter: asked.meter.clone(),
        };
        self.persist(disk::outlet(&entry));
        self.registry.last_supply_point = supply_point;
        self.registry.outlets.insert(key, entry);
        self.record(Record::EnrolSupplyPoint {
            supply_point,
            node,
            owner: owner.group,
            meter: Hash::of(asked.meter.as_bytes()),
        });
        answer(supply_point)
    }
}
