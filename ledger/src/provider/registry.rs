//! Everyone the provider knows by name, and found by what the chain calls them.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{ChargerId, GroupId, Hash, IdTag, NodeId, PublicKey, Salt, SupplyPointId};

use super::enrol::Token;

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
    nodes: BTreeMap<PublicKey, NodeEntry>,
    groups: BTreeMap<IdTag, GroupEntry>,
    chargers: BTreeMap<IdTag, Charger>,
    outlets: BTreeMap<(NodeId, String), OutletEntry>,
    // Invariant: each entry above by its number or pseudonym.
    keys: BTreeMap<NodeId, PublicKey>,
    names: BTreeMap<GroupId, IdTag>,
    pseudonyms: BTreeMap<ChargerId, IdTag>,
    supply_points: BTreeMap<SupplyPointId, (NodeId, String)>,
}

impl Registry {
    /// The number of a group, by name.
    #[must_use]
    pub fn group(&self, group_id: &IdTag) -> Option<GroupId> {
        self.groups.get(group_id).map(|entry| entry.group)
    }

    /// The name of a group, by number.
    #[must_use]
    pub fn group_id(&self, group: GroupId) -> Option<&IdTag> {
        self.names.get(&group)
    }

    /// The names of all groups.
    pub fn groups(&self) -> impl Iterator<Item = (&IdTag, GroupId)> {
        self.groups.iter().map(|(name, entry)| (name, entry.group))
    }

    /// The mobile charger behind a pseudonym.
    #[must_use]
    pub fn charger(&self, charger: ChargerId) -> Option<&Charger> {
        self.chargers.get(self.pseudonyms.get(&charger)?)
    }

    /// All outlets.
    pub fn outlets(&self) -> impl Iterator<Item = &OutletEntry> {
        self.outlets.values()
    }

    /// The outlet of this number.
    #[must_use]
    pub fn outlet(&self, supply_point: SupplyPointId) -> Option<&OutletEntry> {
        self.outlets.get(self.supply_points.get(&supply_point)?)
    }

    pub(super) fn charger_of(&self, id_tag: &IdTag) -> Option<&Charger> {
        self.chargers.get(id_tag)
    }

    pub(super) fn group_entry(&self, group_id: &IdTag) -> Option<&GroupEntry> {
        self.groups.get(group_id)
    }

    pub(super) fn outlet_of(&self, node: NodeId, name: &str) -> Option<&OutletEntry> {
        self.outlets.get(&(node, name.to_owned()))
    }

    pub(super) fn outlets_of(&self, node: NodeId) -> usize {
        let from = (node, String::new());
        let all = self.outlets.range(from..);
        all.take_while(|((of, _), _)| *of == node).count()
    }

    pub(super) fn node(&self, key: &PublicKey) -> Option<&NodeEntry> {
        self.nodes.get(key)
    }

    pub(super) fn key(&self, node: NodeId) -> Option<PublicKey> {
        self.keys.get(&node).copied()
    }

    /// Whether `node` may become the parent of a group.
    pub(super) fn may_claim(&self, node: NodeId, group_id: &IdTag) -> bool {
        let entry = self.keys.get(&node).and_then(|key| self.nodes.get(key));
        entry.is_some_and(|entry| entry.may_claim.contains(group_id))
    }

    pub(super) fn parent(&self, group_id: &IdTag) -> Option<NodeId> {
        self.groups.get(group_id)?.parent
    }

    /// The nodes that are parents: they keep every block, all others headers.
    pub(super) fn parents(&self) -> BTreeSet<NodeId> {
        let groups = self.groups.values();
        groups.filter_map(|entry| entry.parent).collect()
    }

    pub(super) fn last_node(&self) -> u32 {
        self.keys.last_key_value().map_or(0, |(last, _)| last.0)
    }

    pub(super) fn has_node(&self, node: NodeId) -> bool {
        self.keys.contains_key(&node)
    }

    /// The numbers of all nodes.
    pub(super) fn nodes(&self) -> Vec<NodeId> {
        self.keys.keys().copied().collect()
    }

    pub(super) fn last_group(&self) -> u32 {
        self.names.last_key_value().map_or(0, |(last, _)| last.0)
    }

    pub(super) fn last_supply_point(&self) -> u32 {
        let last = self.supply_points.last_key_value();
        last.map_or(0, |(last, _)| last.0)
    }

    /// The groups that tokens name and that have no number.
    pub(super) fn claimable(&self) -> BTreeSet<IdTag> {
        let named = self.tokens.values().flat_map(|token| &token.groups);
        let unknown = named.filter(|group_id| !self.groups.contains_key(group_id));
        unknown.cloned().collect()
    }

    pub(super) fn put_node(&mut self, entry: NodeEntry) {
        if let Some(before) = self.keys.insert(entry.node, entry.key) {
            self.nodes.remove(&before);
        }
        if let Some(before) = self.nodes.insert(entry.key, entry.clone())
            && before.node != entry.node
        {
            self.keys.remove(&before.node);
        }
    }

    pub(super) fn put_group(&mut self, entry: GroupEntry) {
        self.names.insert(entry.group, entry.group_id.clone());
        if let Some(before) = self.groups.insert(entry.group_id.clone(), entry.clone())
            && before.group != entry.group
        {
            self.names.remove(&before.group);
        }
    }

    pub(super) fn remove_outlet(&mut self, supply_point: SupplyPointId) {
        if let Some(name) = self.supply_points.remove(&supply_point) {
            self.outlets.remove(&name);
        }
    }

    pub(super) fn count_of_outlets(&self) -> usize {
        self.supply_points.len()
    }

    pub(super) fn remove_charger(&mut self, entry: &Charger) {
        self.pseudonyms.remove(&entry.charger);
        self.chargers.remove(&entry.id_tag);
    }

    pub(super) fn put_charger(&mut self, entry: Charger) {
        self.pseudonyms.insert(entry.charger, entry.id_tag.clone());
        self.chargers.insert(entry.id_tag.clone(), entry);
    }

    pub(super) fn put_outlet(&mut self, entry: OutletEntry) {
        let name = (entry.node, entry.name.clone());
        self.supply_points.insert(entry.supply_point, name.clone());
        self.outlets.insert(name, entry);
    }
}
