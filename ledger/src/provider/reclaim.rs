//! Numbers and names. Numbers stand in the chain, names do not: a registry restored from a backup
//! lacks the names of whoever came later, and learns them when nodes register again.

use protocol::message::{Register, RegisterSupplyPoint, Registration, Request, Status};
use protocol::{
    ChargeProfile, ChargerId, GroupId, Hash, IdTag, NodeId, PublicKey, SupplyPointId, UnixMillis,
};

use super::promises::Shown;
use super::registry::{GroupEntry, OutletEntry};
use super::relay::What;
use super::{Event, LinkId, Provider, disk};

/// After how long a charge that was put off is asked for again.
const PUT_OFF_MS: u64 = 5_000;

/// Charges that the operator is told of once each; of more it is told nothing.
const MAX_TOLD: usize = 10_000;

/// How far above the highest known number a node may claim one that it was given and that is lost.
const MAX_AHEAD: u32 = 1_000;

/// What the chain tells about a charger that the registry does not know.
pub(super) enum Reclaimed {
    /// It is registered again.
    As(Box<Registration>),
    /// Another node has to come first.
    NotYet,
    /// It is not what it says.
    Refused,
    /// Its group's parent is to be asked.
    Ask(NodeId, IdTag),
}

impl Provider {
    /// The next free number of a node, which neither registry nor chain nor promises use.
    pub(super) fn next_node(&self) -> NodeId {
        NodeId(self.last_node() + 1)
    }

    fn last_node(&self) -> u32 {
        let in_chain = self.preview.nodes.last_key_value();
        let in_chain = in_chain.map_or(0, |(node, _)| node.0);
        let promised = self.reports.promises.keys().map(|(node, _)| node.0).max();
        let known = self.registry.last_node().max(in_chain);
        known.max(promised.unwrap_or(0))
    }

    /// The number that a node says it was given, where it is free for that node.
    pub(super) fn claimed_node(&self, claim: NodeId, key: &PublicKey) -> Option<NodeId> {
        let is_free = !self.registry.has_node(claim) && !self.preview.nodes.contains_key(&claim);
        let promises = &self.reports.promises;
        let mut signed = promises.range((claim, 0)..=(claim, u32::MAX));
        let is_own = signed.all(|(_, shown)| {
            let mut profiles = shown.profiles();
            profiles.any(|profile| profile.verify(key, &self.chain_id).is_ok())
        });
        let is_near = claim.0 > 0 && claim.0 <= self.last_node().saturating_add(MAX_AHEAD);
        (is_free && is_own && is_near).then_some(claim)
    }

    fn last_group(&self) -> u32 {
        let in_chain = self.preview.groups.last_key_value();
        let in_chain = in_chain.map_or(0, |(group, _)| group.0);
        let promises = self.reports.promises.values();
        let profiles = promises.flat_map(Shown::profiles);
        let promised = profiles.map(|profile| profile.body.payer.0).max();
        let known = self.registry.last_group().max(in_chain);
        known.max(promised.unwrap_or(0))
    }

    /// The next free number of a group.
    pub(super) fn next_group(&self) -> GroupId {
        GroupId(self.last_group() + 1)
    }

    fn is_free_group(&self, group: GroupId) -> bool {
        let is_known = self.registry.group_id(group).is_some();
        let is_near = group.0 > 0 && group.0 <= self.last_group().saturating_add(MAX_AHEAD);
        !is_known && !self.preview.groups.contains_key(&group) && is_near
    }

    /// Whether a group would be given a number that may be somebody else's.
    pub(super) fn is_early_for(
        &self,
        now: UnixMillis,
        group_id: &IdTag,
        claim: Option<GroupId>,
    ) -> bool {
        let is_claimed = claim.is_some_and(|claim| self.is_free_group(claim));
        let has_number = self.registry.group(group_id).is_some() || is_claimed;
        !has_number && !self.reports.takes_newcomers(now)
    }

    /// The number that the parent of a group was told before this provider lost it, where nobody
    /// else has that, and the one that the group has got since stands in no record.
    pub(super) fn other_number(
        &self,
        entry: &GroupEntry,
        claim: Option<GroupId>,
    ) -> Option<GroupId> {
        let claim = claim.filter(|claim| *claim != entry.group && self.is_free_group(*claim))?;
        let mut outlets = self.preview.supply_points.values();
        let is_owner = outlets.any(|outlet| outlet.owner == entry.group);
        (entry.parent.is_none() && !is_owner).then_some(claim)
    }

    /// The same of a supply point; `None` where numbers have run out.
    fn number_for_outlet(&self, claim: Option<SupplyPointId>) -> Option<SupplyPointId> {
        let in_chain = self.preview.supply_points.last_key_value();
        let in_chain = in_chain.map_or(0, |(outlet, _)| outlet.0);
        let promises = self.reports.promises.values();
        let profiles = promises.flat_map(Shown::profiles);
        let promised = profiles.map(|profile| profile.body.supply_point.0).max();
        let known = self.registry.last_supply_point().max(in_chain);
        let last = known.max(promised.unwrap_or(0));
        let is_free = |outlet: &SupplyPointId| {
            let is_known = self.registry.outlet(*outlet).is_some();
            let is_near = outlet.0 > 0 && outlet.0 <= last.saturating_add(MAX_AHEAD);
            !is_known && !self.preview.supply_points.contains_key(outlet) && is_near
        };
        claim
            .filter(is_free)
            .or_else(|| last.checked_add(1).map(SupplyPointId))
    }

    /// Whether the chain knows groups whose names are lost.
    pub(super) fn lacks_names(&self) -> bool {
        let mut groups = self.preview.groups.keys();
        groups.any(|group| self.registry.group_id(*group).is_none())
    }

    /// Whether one of them is `node`'s.
    pub(super) fn lacks_name_of(&self, node: NodeId) -> bool {
        let mut groups = self.preview.votes_of(node);
        groups.any(|group| self.registry.group_id(group).is_none())
    }

    /// Whether a charge rests on an enrolment that this provider may have lost: it is unknown, and
    /// whoever it is registers again.
    pub(super) fn may_be_lost(&self, profile: &ChargeProfile) -> bool {
        let is_enrolled = self.preview.groups.contains_key(&profile.payer)
            && self.preview.chargers.contains_key(&profile.charger)
            && self
                .preview
                .supply_points
                .contains_key(&profile.supply_point);
        !is_enrolled && !self.reports.is_new()
    }

    /// Has the node send a charge again in a while.
    pub(super) fn put_off(&mut self, now: UnixMillis, key: (NodeId, u32), reason: String) {
        let (node, seq) = key;
        let at = now.plus_ms(PUT_OFF_MS);
        self.reports.put_off.entry(node).or_insert(at);
        if self.reports.told_of.len() < MAX_TOLD && self.reports.told_of.insert(key) {
            self.notify(Event::ProfilePutOff { node, seq, reason });
        }
    }

    /// Asks nodes for the charges that were put off.
    pub(super) fn ask_again(&mut self, now: UnixMillis) {
        // Also where the clock was set back since.
        let latest = now.plus_ms(PUT_OFF_MS);
        let put_off = self.reports.put_off.iter();
        let due = put_off.filter(|(_, at)| **at <= now || **at > latest);
        for node in due.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.reports.put_off.remove(&node);
            if let Some(link) = self.links.of(node) {
                self.send_resume(link, node);
            }
        }
    }

    /// Gives the groups that tokens name their numbers.
    pub(super) fn name_groups(&mut self, now: UnixMillis) {
        if self.reports.are_named || !self.reports.takes_newcomers(now) {
            return;
        }
        self.reports.are_named = true;
        for group_id in self.registry.claimable() {
            self.name_group(&group_id);
        }
    }

    /// Names a group of the chain whose name is lost, where its parent says it; `false` where the
    /// name is another group's.
    fn rename(&mut self, group_id: &IdTag, group: GroupId, parent: NodeId) -> bool {
        let known = self.registry.group_entry(group_id).cloned();
        if let Some(known) = known {
            // A token has named it anew; nobody was told that number.
            if known.parent.is_some() {
                return known.group == group;
            }
            self.persist(disk::forget_group(known.group));
        }
        self.put_group(GroupEntry {
            group_id: group_id.clone(),
            group,
            parent: Some(parent),
        });
        true
    }

    /// A charger that the registry does not know: `None` where the chain does not, either.
    pub(super) fn reclaim_charger(&mut self, node: NodeId, asked: &Register) -> Option<Reclaimed> {
        self.reclaim_group(node, asked);
        let salt = self.salt_for(&asked.id_tag);
        let charger = ChargerId::of(&self.chain_id, &salt, &asked.id_tag);
        let group = self.preview.chargers.get(&charger)?.group;
        let parent = self.preview.groups.get(&group)?.parent;
        let is_home = asked.is_home || asked.group_id.is_some();
        let Some(name) = self.registry.group_id(group).cloned() else {
            if parent != node || !is_home {
                return Some(Reclaimed::NotYet);
            }
            let ungrouped = IdTag::ungrouped(node);
            let group_id = asked.group_id.clone().unwrap_or(ungrouped);
            if !self.rename(&group_id, group, parent) {
                return Some(Reclaimed::Refused);
            }
            return Some(self.reclaimed(node, asked, &group_id));
        };
        if asked.group_id.as_ref().is_some_and(|asked| *asked != name) {
            return Some(Reclaimed::Refused);
        }
        Some(match (is_home, parent == node) {
            (false, _) => Reclaimed::NotYet,
            (true, true) => self.reclaimed(node, asked, &name),
            (true, false) => Reclaimed::Ask(parent, name),
        })
    }

    fn reclaimed(&mut self, node: NodeId, asked: &Register, group_id: &IdTag) -> Reclaimed {
        let Some(group) = self.registry.group_entry(group_id).cloned() else {
            return Reclaimed::Refused;
        };
        let registration = self.add_charger(node, asked.id_tag.clone(), &group);
        Reclaimed::As(Box::new(registration))
    }

    /// The parent of a group whose name is lost says it.
    fn reclaim_group(&mut self, node: NodeId, asked: &Register) {
        if let (Some(group_id), Some(group)) = (&asked.group_id, asked.group)
            && self.registry.group_id(group).is_none()
            && self.preview.groups.get(&group).map(|g| g.parent) == Some(node)
        {
            self.rename(&group_id.clone(), group, node);
        }
    }

    /// Answers a Register about a charger that the chain knows and the registry does not; `false`
    /// where the chain does not know it, either.
    pub(super) fn register_again(
        &mut self,
        now: UnixMillis,
        (link, call): (LinkId, u64),
        node: NodeId,
        asked: &Register,
    ) -> bool {
        let (otherwise, registration) = match self.reclaim_charger(node, asked) {
            None => return false,
            Some(Reclaimed::As(registration)) => (Status::Invalid, Some(*registration)),
            Some(Reclaimed::NotYet) => (Status::Pending, None),
            Some(Reclaimed::Refused) => (Status::Invalid, None),
            Some(Reclaimed::Ask(parent, group_id)) => {
                let asked = Register {
                    group_id: Some(group_id.clone()),
                    ..asked.clone()
                };
                let request = Request::CheckAuth(protocol::message::CheckAuth {
                    id_tag: asked.id_tag.clone(),
                    group_id,
                });
                let what = What::Register(node, asked);
                if self.ask(parent, request, link, call, what) {
                    return true;
                }
                (Status::Pending, None)
            }
        };
        self.reply_register(now, link, call, otherwise, registration);
        true
    }

    /// The number of an outlet that the registry does not know: the one it has in the chain, or the
    /// one that its node was told, or a new one. The flag says whether it is in the chain.
    pub(super) fn number_outlet(
        &self,
        node: NodeId,
        asked: &RegisterSupplyPoint,
    ) -> Option<(SupplyPointId, bool)> {
        let meter = Hash::of(asked.meter.as_bytes());
        let is_it = |outlet: &SupplyPointId| {
            let account = self.preview.supply_points.get(outlet);
            let fits = account.is_some_and(|a| a.node == node && a.meter == meter);
            fits && self.registry.outlet(*outlet).is_none()
        };
        // Otherwise there is nothing to find.
        let are_lost = self.preview.supply_points.len() > self.registry.count_of_outlets();
        let mut in_chain = self.preview.supply_points.keys().copied();
        // Its node says which it is, whatever meter it has by now.
        let is_claimed = |outlet: &SupplyPointId| {
            let account = self.preview.supply_points.get(outlet);
            account.is_some_and(|a| a.node == node) && self.registry.outlet(*outlet).is_none()
        };
        let found = asked.supply_point.filter(is_claimed);
        let found = found.or_else(|| in_chain.find(|outlet| are_lost && is_it(outlet)));
        match found {
            Some(outlet) => Some((outlet, true)),
            None => Some((self.number_for_outlet(asked.supply_point)?, false)),
        }
    }

    pub(super) fn put_outlet(&mut self, entry: OutletEntry) {
        self.persist(disk::outlet(&entry));
        self.registry.put_outlet(entry);
    }
}
