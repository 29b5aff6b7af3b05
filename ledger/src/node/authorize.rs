//! Who may charge here: chargers known to this node, their grants, and the paper's Register,
//! CheckAuth and Authorize.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::message::{
    Authorize, AuthorizeAck, CheckAuthAck, Register, RegisterAck, RegisterSupplyPoint, Request,
    Response, Status,
};
use protocol::{
    ChargerId, GroupId, IdTag, Neighbour, NodeId, PublicKey, Salt, Signed, SignedGrant, UnixMillis,
    UnixSeconds,
};

use super::limits::GRANT_BEFORE_S;
use super::{Effect, Event, MeasuredCharge, Node, Pending, disk};
use crate::apply::grant_keys;

/// How old a grant may be before its group is asked again while somebody can be asked: as long may
/// a charger that is blocked by now go on charging at gateways that know it.
const FRESH_S: u64 = 3_600;
/// Questions that may wait for the provider at once; more are refused.
const MAX_WAITING: usize = 1_000;

/// The answer to a presented idTag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may charge, until then.
    Accepted {
        /// When the grant runs out.
        expiry: UnixSeconds,
    },
    /// It may not.
    Refused(Status),
}

/// A charger as this node knows it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct KnownCharger {
    pub(super) charger: ChargerId,
    pub(super) group: GroupId,
    pub(super) group_id: IdTag,
    pub(super) parent: NodeId,
    pub(super) parent_key: PublicKey,
    pub(super) deputy_key: Option<PublicKey>,
    pub(super) salt: Option<Salt>,
    // The newest last. Older ones are kept for charges that began under them.
    pub(super) grants: Vec<SignedGrant>,
    // When it came to its present group, as far as this node was told; 0 for always there.
    pub(super) since: UnixSeconds,
    // Its group's last word was no. Charges that began before are billed all the same.
    pub(super) is_refused: bool,
}

impl KnownCharger {
    /// The grant for a charge that began at `moment`, of the group that it was in then.
    fn grant_at(&self, moment: UnixSeconds) -> Option<&SignedGrant> {
        let is_here = moment >= self.since;
        let mut newest_first = self.grants.iter().rev();
        newest_first.find(|g| (g.body.group == self.group) == is_here && g.body.covers(moment))
    }

    /// The grant under which a charge may begin now.
    fn grant_now(&self, now: UnixSeconds) -> Option<&SignedGrant> {
        self.grant_at(now).filter(|_| !self.is_refused)
    }

    fn remember(&mut self, grant: SignedGrant) {
        self.is_refused = false;
        self.grants.push(grant);
        if self.grants.len() > 3 {
            self.grants.remove(0);
        }
    }
}

/// All chargers this node knows, and who waits for an answer about one.
#[derive(Debug, Default)]
pub(super) struct Known {
    chargers: BTreeMap<IdTag, KnownCharger>,
    // The groups that chargers known here are or were in: a parent whose own chargers have all left
    // still speaks for its group.
    groups: BTreeMap<IdTag, GroupId>,
    waiting: Vec<(u64, IdTag)>,
    // What the operator was told about configured chargers, so that retries do not repeat it.
    told: BTreeMap<IdTag, Status>,
    // Chargers that their group does not know any more: they may have moved.
    doubtful: BTreeSet<IdTag>,
}

impl Known {
    pub(super) fn restore(
        chargers: Vec<(IdTag, KnownCharger)>,
        groups: Vec<(IdTag, GroupId)>,
    ) -> Self {
        Self {
            chargers: chargers.into_iter().collect(),
            groups: groups.into_iter().collect(),
            waiting: Vec::new(),
            told: BTreeMap::new(),
            doubtful: BTreeSet::new(),
        }
    }

    /// The groups known here, by name.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&IdTag, GroupId)> {
        self.groups.iter().map(|(name, group)| (name, *group))
    }
}

impl Node {
    /// Registers what is configured and not registered yet.
    pub(super) fn register_configured(&mut self) {
        for (id_tag, group_id) in self.config.chargers.clone() {
            let known = self.known.chargers.get(&id_tag);
            let is_settled = known.is_some_and(|known| self.is_in(known, group_id.as_ref()));
            let pending = Pending::Register(id_tag.clone());
            if !is_settled || self.unconfirmed.contains(&pending) {
                self.ask_register(id_tag, group_id);
            }
        }
        for outlet in self.config.outlets.clone() {
            let number = self.outlets.get(&outlet.name).copied();
            let pending = Pending::Outlet(outlet.name.clone());
            if number.is_none() || self.unconfirmed.contains(&pending) {
                let request = Request::RegisterSupplyPoint(RegisterSupplyPoint {
                    outlet: outlet.name,
                    owner: outlet.owner,
                    meter: outlet.meter,
                    supply_point: number,
                });
                self.call(pending, request);
            }
        }
    }

    /// Whether a charger at home here is in the group that is configured for it.
    fn is_in(&self, known: &KnownCharger, group_id: Option<&IdTag>) -> bool {
        match group_id {
            Some(group_id) => known.group_id == *group_id,
            None => {
                let id = self.id;
                let own = id.is_some_and(|id| known.group_id.is_ungrouped(id));
                Some(known.parent) == id && own
            }
        }
    }

    /// Registers everything that is configured once more.
    pub(super) fn repeat_registrations(&mut self) {
        let chargers = self.config.chargers.keys().cloned();
        let outlets = self.config.outlets.iter();
        let outlets = outlets.map(|outlet| Pending::Outlet(outlet.name.clone()));
        let all = chargers.map(Pending::Register).chain(outlets);
        self.unconfirmed = all.collect();
        // A restart does not end it.
        if !self.unconfirmed.is_empty() {
            self.persist(disk::are_unconfirmed(true));
        }
    }

    /// The provider has it.
    pub(super) fn confirmed(&mut self, pending: &Pending) {
        if self.unconfirmed.remove(pending) && self.unconfirmed.is_empty() {
            self.persist(disk::are_unconfirmed(false));
        }
    }

    pub(super) fn ask_register(&mut self, id_tag: IdTag, group_id: Option<IdTag>) {
        let pending = Pending::Register(id_tag.clone());
        let known = self.known.chargers.get(&id_tag);
        let register = Register {
            is_home: self.config.chargers.contains_key(&id_tag),
            group: known.map(|known| known.group),
            id_tag,
            group_id,
        };
        self.call(pending, Request::Register(register));
    }

    /// An idTag was presented at a connector of this gateway.
    pub(super) fn presented(&mut self, now: UnixMillis, question: u64, id_tag: IdTag) {
        let decision = self.decide(now, &id_tag);
        let can_ask = self.can_ask(&id_tag) && self.known.waiting.len() < MAX_WAITING;
        if !can_ask || (decision.is_some() && self.is_fresh(now, &id_tag)) {
            let decision = decision.unwrap_or(Decision::Refused(Status::Invalid));
            self.effect(Effect::Decided { question, decision });
        } else {
            // Somebody stands at the outlet: an answer that failed just now is asked for again.
            self.deferred.remove(&Pending::Register(id_tag.clone()));
            self.deferred.remove(&Pending::Authorize(id_tag.clone()));
            self.known.waiting.push((question, id_tag.clone()));
            self.ask_about(&id_tag);
        }
    }

    /// Whether the answer that can be given here is as good as its group's own.
    fn is_fresh(&self, now: UnixMillis, id_tag: &IdTag) -> bool {
        let known = self.known.chargers.get(id_tag);
        known.is_some_and(|known| {
            let grant = known.grant_now(now.seconds());
            let signed = grant.map(|g| g.body.not_before.0.saturating_add(GRANT_BEFORE_S));
            let is_new = signed.is_some_and(|at| now.seconds().0 < at.saturating_add(FRESH_S));
            is_new || self.is_granted_here(known, id_tag)
        })
    }

    /// Whether this node grants by itself: it is home and parent.
    fn is_granted_here(&self, known: &KnownCharger, id_tag: &IdTag) -> bool {
        Some(known.parent) == self.id && self.config.chargers.contains_key(id_tag)
    }

    /// Whether anybody can be asked about an idTag.
    fn can_ask(&self, id_tag: &IdTag) -> bool {
        let known = self.known.chargers.get(id_tag);
        self.is_linked || known.is_some_and(|known| self.reaches(known.parent_key))
    }

    pub(super) fn knows(&self, id_tag: &IdTag) -> bool {
        self.known.chargers.contains_key(id_tag)
    }

    pub(super) fn parent_of(&self, id_tag: &IdTag) -> Option<NodeId> {
        Some(self.known.chargers.get(id_tag)?.parent)
    }

    pub(super) fn parents_known(&self) -> impl Iterator<Item = NodeId> {
        self.known.chargers.values().map(|known| known.parent)
    }

    /// The answer that can be given without asking anybody.
    fn decide(&mut self, now: UnixMillis, id_tag: &IdTag) -> Option<Decision> {
        let known = self.known.chargers.get(id_tag)?;
        let is_granted_here = self.is_granted_here(known, id_tag);
        if is_granted_here {
            let standing = self.standing(id_tag, now.seconds());
            if standing != Status::Accepted {
                return Some(Decision::Refused(standing));
            }
        }
        if let Some(grant) = known.grant_now(now.seconds()) {
            let expiry = grant.body.expiry;
            return Some(Decision::Accepted { expiry });
        }
        if is_granted_here {
            let (charger, group) = (known.charger, known.group);
            let grant = self.sign_grant(now.seconds(), id_tag, charger, group)?;
            let expiry = grant.body.expiry;
            self.keep_grant(id_tag, grant);
            return Some(Decision::Accepted { expiry });
        }
        None
    }

    fn ask_about(&mut self, id_tag: &IdTag) {
        match self.known.chargers.get(id_tag) {
            None => {
                let group_id = self.config.chargers.get(id_tag).cloned().flatten();
                self.ask_register(id_tag.clone(), group_id);
            }
            Some(known) => {
                let parent = known.parent_key;
                let asked = Authorize {
                    id_tag: id_tag.clone(),
                    group_id: known.group_id.clone(),
                    charger: known.charger,
                };
                if !self.ask_parent(parent, &asked) {
                    let request = Request::Authorize(asked);
                    self.call(Pending::Authorize(id_tag.clone()), request);
                }
            }
        }
    }

    /// The provider answered a Register.
    pub(super) fn registered(&mut self, now: UnixMillis, id_tag: &IdTag, ack: Option<RegisterAck>) {
        self.take_registration(now, id_tag, ack);
        self.answer_members(now, id_tag);
    }

    fn take_registration(&mut self, now: UnixMillis, id_tag: &IdTag, ack: Option<RegisterAck>) {
        let Some(ack) = ack else {
            self.refuse(id_tag, Status::Invalid);
            return;
        };
        let Some(registration) = ack.registration else {
            let status = ack.id_tag_info.status;
            if self.config.chargers.contains_key(id_tag) {
                if self.known.told.insert(id_tag.clone(), status) != Some(status) {
                    self.notify(Event::NotRegistered { status });
                }
            } else if status != Status::Pending {
                self.hold_charges(id_tag, "the idTag is not registered with any group", |_| {
                    true
                });
            }
            self.refuse(id_tag, status);
            return;
        };
        let before = self.known.chargers.get(id_tag);
        let before = before.filter(|known| known.charger == registration.charger);
        let has_moved = before.is_some_and(|known| known.group != registration.group);
        let speaks = (registration.parent_key, registration.deputy_key);
        let is_news =
            has_moved || before.is_none_or(|known| (known.parent_key, known.deputy_key) != speaks);
        let known = KnownCharger {
            grants: before.map_or_else(Vec::new, |known| known.grants.clone()),
            is_refused: before.is_some_and(|known| known.is_refused) && !has_moved,
            since: match before {
                Some(_) if has_moved => now.seconds(),
                Some(known) => known.since,
                None => UnixSeconds(0),
            },
            charger: registration.charger,
            group: registration.group,
            group_id: registration.group_id,
            parent: registration.parent,
            parent_key: registration.parent_key,
            deputy_key: registration.deputy_key,
            salt: registration.salt,
        };
        let is_parent = Some(known.parent) == self.id;
        if let Some(address) = registration.parent_address {
            self.learn(Neighbour {
                node: known.parent,
                key: known.parent_key,
                address,
            });
        }
        self.confirmed(&Pending::Register(id_tag.clone()));
        self.persist(disk::charger(id_tag, &known));
        self.persist(disk::group(&known.group_id, known.group));
        self.known
            .groups
            .insert(known.group_id.clone(), known.group);
        self.known.chargers.insert(id_tag.clone(), known);
        self.known.told.remove(id_tag);
        if is_parent {
            self.become_full();
        }
        if self.known.doubtful.remove(id_tag) && !is_news {
            self.hold_uncovered(id_tag);
            self.answer_or_refuse(now, id_tag, Status::Invalid);
        } else {
            self.answer_or_ask(now, id_tag);
        }
    }

    /// The parent answered an Authorize.
    pub(super) fn authorized(
        &mut self,
        now: UnixMillis,
        id_tag: &IdTag,
        ack: Option<AuthorizeAck>,
    ) {
        match ack {
            Some(AuthorizeAck {
                grant: Some(grant), ..
            }) => {
                let known = self.known.chargers.get(id_tag);
                let is_ours = known.is_some_and(|known| {
                    grant.body.group == known.group && self.is_grant_for(known, &grant)
                });
                if is_ours {
                    self.keep_grant(id_tag, grant);
                    self.known.doubtful.remove(id_tag);
                } else {
                    // Perhaps of a deputy that was named since this node registered the charger.
                    self.ask_who_speaks(id_tag);
                }
                self.answer_or_refuse(now, id_tag, Status::Invalid);
                self.hold_uncovered(id_tag);
            }
            // Nobody who could answer is there: what was granted before still holds.
            Some(AuthorizeAck {
                status: Status::Pending,
                ..
            }) => self.answer_or_refuse(now, id_tag, Status::Pending),
            None => self.answer_or_refuse(now, id_tag, Status::Invalid),
            Some(AuthorizeAck { status, .. }) => {
                self.note_refusal(id_tag);
                if status == Status::Invalid && self.known.doubtful.insert(id_tag.clone()) {
                    let group_id = self.config.chargers.get(id_tag).cloned().flatten();
                    self.deferred.remove(&Pending::Register(id_tag.clone()));
                    self.ask_register(id_tag.clone(), group_id);
                } else {
                    self.hold_uncovered(id_tag);
                    self.refuse(id_tag, status);
                }
            }
        }
    }

    fn note_refusal(&mut self, id_tag: &IdTag) {
        if let Some(known) = self.known.chargers.get_mut(id_tag)
            && !known.is_refused
        {
            known.is_refused = true;
            let write = disk::charger(id_tag, known);
            self.persist(write);
        }
    }

    /// Whether `grant` is for this charger and signed by whoever speaks for its group, as far as
    /// the chain tells who that is. One that is kept was looked at when it came.
    pub(super) fn is_grant_for(&self, known: &KnownCharger, grant: &SignedGrant) -> bool {
        let group = grant.body.group;
        let Some(chain_id) = self.chain_id() else {
            return false;
        };
        let account = self
            .state()
            .and_then(|state| state.chargers.get(&known.charger));
        if account.is_some_and(|account| !account.is_of(group)) {
            return false;
        }
        let told = [Some(known.parent_key), known.deputy_key];
        let keys: Vec<PublicKey> = match self.state() {
            Some(state) if state.groups.contains_key(&group) => {
                grant_keys(state, &grant.body).collect()
            }
            // A group younger than the state has the parent that the provider named.
            Some(_) => told.into_iter().flatten().collect(),
            // Perhaps of a deputy, or of a group, that was before.
            None if known.grants.contains(grant) => return true,
            None if group != known.group => return false,
            // Without the state the provider's word has to do. A false one costs this node's
            // charge its place in the chain: every full node looks for itself.
            None => told.into_iter().flatten().collect(),
        };
        let is_signed = |key: &PublicKey| grant.verify(key, &chain_id).is_ok();
        grant.body.charger == known.charger && keys.iter().any(is_signed)
    }

    /// A charge that began before its group granted anything is for the operator to judge.
    fn hold_uncovered(&mut self, id_tag: &IdTag) {
        let known = self.known.chargers.get(id_tag).cloned();
        let covered = |start| known.as_ref().is_some_and(|k| k.grant_at(start).is_some());
        self.hold_charges(
            id_tag,
            "its group granted nothing when it began",
            |charge| !covered(charge.start),
        );
    }

    /// Asks who speaks for a charger's group by now; keeps no blocks to look it up in.
    fn ask_who_speaks(&mut self, id_tag: &IdTag) {
        if self.state().is_none() && self.known.doubtful.insert(id_tag.clone()) {
            let group_id = self.config.chargers.get(id_tag).cloned().flatten();
            self.ask_register(id_tag.clone(), group_id);
        }
    }

    fn answer_or_ask(&mut self, now: UnixMillis, id_tag: &IdTag) {
        let is_wanted = self.known.waiting.iter().any(|(_, tag)| tag == id_tag);
        if !is_wanted {
            return;
        }
        match self.decide(now, id_tag) {
            Some(decision) => self.settle(id_tag, decision),
            None => self.ask_about(id_tag),
        }
    }

    fn answer_or_refuse(&mut self, now: UnixMillis, id_tag: &IdTag, status: Status) {
        let decision = self
            .decide(now, id_tag)
            .unwrap_or(Decision::Refused(status));
        self.settle(id_tag, decision);
    }

    fn refuse(&mut self, id_tag: &IdTag, status: Status) {
        // "Accepted" without what it takes to charge is no permission.
        let status = match status {
            Status::Accepted => Status::Invalid,
            refused => refused,
        };
        self.settle(id_tag, Decision::Refused(status));
    }

    fn settle(&mut self, id_tag: &IdTag, decision: Decision) {
        let waiting = std::mem::take(&mut self.known.waiting);
        let (settled, rest) = waiting.into_iter().partition(|(_, tag)| tag == id_tag);
        self.known.waiting = rest;
        let settled: Vec<(u64, IdTag)> = settled;
        for (question, _) in settled {
            self.effect(Effect::Decided { question, decision });
        }
    }

    /// Nobody can be asked any more: who waits is answered from what is known here.
    pub(super) fn answer_waiting(&mut self, now: UnixMillis) {
        for (question, id_tag) in std::mem::take(&mut self.known.waiting) {
            if self.neighbours.is_asking_for(&id_tag) {
                self.known.waiting.push((question, id_tag));
                continue;
            }
            let decision = self.decide(now, &id_tag);
            let decision = decision.unwrap_or(Decision::Refused(Status::Invalid));
            self.effect(Effect::Decided { question, decision });
        }
    }

    /// The charger of a finished charge and the grant it began under; asks where one is missing.
    pub(super) fn grant_for_charge(
        &mut self,
        now: UnixMillis,
        charge: &MeasuredCharge,
    ) -> Option<(KnownCharger, SignedGrant)> {
        let known = self.known.chargers.get(&charge.id_tag).cloned();
        if let Some(known) = known {
            if let Some(grant) = known.grant_at(charge.start) {
                return Some((known.clone(), grant.clone()));
            }
            // Our own charger, allowed while the provider did not know it: its parent is here.
            if self.is_granted_here(&known, &charge.id_tag) {
                let moment = charge.start.min(now.seconds());
                let (charger, group) = (known.charger, known.group);
                let grant = self.sign_grant(moment, &charge.id_tag, charger, group)?;
                self.keep_grant(&charge.id_tag, grant.clone());
                return Some((known, grant));
            }
        }
        self.ask_about(&charge.id_tag);
        None
    }

    fn sign_grant(
        &self,
        moment: UnixSeconds,
        id_tag: &IdTag,
        charger: ChargerId,
        group: GroupId,
    ) -> Option<SignedGrant> {
        let grant = self.grant(moment, id_tag, charger, group);
        Some(Signed::new(grant, &self.key, &self.chain_id()?))
    }

    fn keep_grant(&mut self, id_tag: &IdTag, grant: SignedGrant) {
        if let Some(known) = self.known.chargers.get_mut(id_tag) {
            known.remember(grant);
            let write = disk::charger(id_tag, known);
            self.persist(write);
        }
    }

    /// The provider relays a question to this node as a parent.
    pub(super) fn asked_by_provider(&mut self, now: UnixMillis, call: u64, request: &Request) {
        let response = match request {
            Request::CheckAuth(asked) => Some(Response::CheckAuth(CheckAuthAck {
                status: self.may_charge(now, &asked.id_tag, &asked.group_id),
            })),
            Request::Authorize(asked) => {
                Some(Response::Authorize(self.authorize_member(now, asked)))
            }
            Request::ChargeInfo(info) => Some(self.billed(info.clone())),
            Request::GetBlocks(asked) => self.give_blocks(asked),
            Request::Register(_)
            | Request::RegisterSupplyPoint(_)
            | Request::NameDeputy(_)
            | Request::ExchangeMeter(_)
            | Request::GetHeaders(_)
            | Request::GetProof(_)
            | Request::GetNeighbours(_)
            | Request::OfferEvidence(_) => None,
        };
        self.effect(Effect::Reply { call, response });
    }

    fn may_charge(&self, now: UnixMillis, id_tag: &IdTag, group_id: &IdTag) -> Status {
        match self.membership(id_tag, group_id) {
            Status::Accepted => self.standing(id_tag, now.seconds()),
            refused => refused,
        }
    }

    pub(super) fn membership(&self, id_tag: &IdTag, group_id: &IdTag) -> Status {
        match self.config.chargers.get(id_tag) {
            Some(Some(group)) if group == group_id => Status::Accepted,
            // A charger without a group is a group of its own, and this node its parent.
            Some(None) => match self.known.chargers.get(id_tag) {
                Some(known) if known.group_id == *group_id => Status::Accepted,
                _ => Status::Invalid,
            },
            _ if self.config.members.get(id_tag) == Some(group_id) => Status::Accepted,
            _ => Status::Invalid,
        }
    }

    pub(super) fn authorize_member(&self, now: UnixMillis, asked: &Authorize) -> AuthorizeAck {
        let refused = |status| AuthorizeAck {
            status,
            grant: None,
        };
        let status = self.may_charge(now, &asked.id_tag, &asked.group_id);
        if status != Status::Accepted {
            return refused(status);
        }
        let known = self.known.chargers.get(&asked.id_tag);
        if known.is_some_and(|known| known.charger != asked.charger) {
            return refused(Status::Invalid);
        }
        let group = known
            .map(|known| known.group)
            .or_else(|| self.group_number(&asked.group_id));
        let moment = now.seconds();
        let sign = |group| self.sign_grant(moment, &asked.id_tag, asked.charger, group);
        let grant = group.and_then(sign);
        match grant {
            Some(grant) => AuthorizeAck {
                status,
                grant: Some(grant),
            },
            None => refused(Status::Pending),
        }
    }

    fn group_number(&self, group_id: &IdTag) -> Option<GroupId> {
        self.known.groups.get(group_id).copied()
    }
}
