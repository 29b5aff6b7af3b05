//! Who may charge here: chargers known to this node, their grants, and the paper's Register,
//! CheckAuth and Authorize.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::message::{
    Authorize, AuthorizeAck, CheckAuthAck, Register, RegisterAck, RegisterSupplyPoint, Request,
    Response, Status,
};
use protocol::{
    ChargerId, Grant, GroupId, IdTag, NodeId, PublicKey, Salt, Signed, SignedGrant, UnixMillis,
    UnixSeconds,
};

use super::{Effect, Event, MeasuredCharge, Node, Pending, disk};
use crate::apply::parent_key;

/// How long a grant holds.
const GRANT_S: u64 = 30 * 24 * 3600;
/// How far before its signing a grant begins, for gateways whose clock is behind.
const GRANT_BEFORE_S: u64 = 300;
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
    pub(super) salt: Option<Salt>,
    // The newest last. Older ones are kept for charges that began under them.
    pub(super) grants: Vec<SignedGrant>,
}

impl KnownCharger {
    fn grant_at(&self, moment: UnixSeconds) -> Option<&SignedGrant> {
        self.grants.iter().rev().find(|g| g.body.covers(moment))
    }

    fn remember(&mut self, grant: SignedGrant) {
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
    waiting: Vec<(u64, IdTag)>,
    // What the operator was told about configured chargers, so that retries do not repeat it.
    told: BTreeMap<IdTag, Status>,
}

impl Known {
    pub(super) fn restore(entries: Vec<(IdTag, KnownCharger)>) -> Self {
        Self {
            chargers: entries.into_iter().collect(),
            waiting: Vec::new(),
            told: BTreeMap::new(),
        }
    }
}

impl Node {
    /// Registers what is configured and not registered yet.
    pub(super) fn register_configured(&mut self) {
        for (id_tag, group_id) in self.config.chargers.clone() {
            let is_known = self.known.chargers.contains_key(&id_tag);
            let pending = Pending::Register(id_tag.clone());
            if !is_known || self.unconfirmed.contains(&pending) {
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

    fn ask_register(&mut self, id_tag: IdTag, group_id: Option<IdTag>) {
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
        if let Some(decision) = self.decide(now, &id_tag) {
            self.effect(Effect::Decided { question, decision });
        } else if !self.is_linked || self.known.waiting.len() >= MAX_WAITING {
            let decision = Decision::Refused(Status::Invalid);
            self.effect(Effect::Decided { question, decision });
        } else {
            // Somebody stands at the outlet: an answer that failed just now is asked for again.
            self.deferred.remove(&Pending::Register(id_tag.clone()));
            self.deferred.remove(&Pending::Authorize(id_tag.clone()));
            self.known.waiting.push((question, id_tag.clone()));
            self.ask_about(&id_tag);
        }
    }

    /// The answer that can be given without asking anybody.
    fn decide(&mut self, now: UnixMillis, id_tag: &IdTag) -> Option<Decision> {
        let known = self.known.chargers.get(id_tag)?;
        if let Some(grant) = known.grant_at(now.seconds()) {
            let expiry = grant.body.expiry;
            return Some(Decision::Accepted { expiry });
        }
        if Some(known.parent) == self.id && self.config.chargers.contains_key(id_tag) {
            let grant = self.sign_grant(now.seconds(), known.charger, known.group)?;
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
                let request = Request::Authorize(Authorize {
                    id_tag: id_tag.clone(),
                    group_id: known.group_id.clone(),
                    charger: known.charger,
                });
                self.call(Pending::Authorize(id_tag.clone()), request);
            }
        }
    }

    /// The provider answered a Register.
    pub(super) fn registered(&mut self, now: UnixMillis, id_tag: &IdTag, ack: Option<RegisterAck>) {
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
        let known = KnownCharger {
            grants: before.map_or_else(Vec::new, |known| known.grants.clone()),
            charger: registration.charger,
            group: registration.group,
            group_id: registration.group_id,
            parent: registration.parent,
            parent_key: registration.parent_key,
            salt: registration.salt,
        };
        let is_parent = Some(known.parent) == self.id;
        self.confirmed(&Pending::Register(id_tag.clone()));
        self.persist(disk::charger(id_tag, &known));
        self.known.chargers.insert(id_tag.clone(), known);
        self.known.told.remove(id_tag);
        if is_parent {
            self.become_full();
        }
        self.answer_or_ask(now, id_tag);
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
                if known.is_some_and(|known| self.is_grant_for(known, &grant)) {
                    self.keep_grant(id_tag, grant);
                }
                self.answer_or_refuse(now, id_tag, Status::Invalid);
                self.hold_uncovered(id_tag);
            }
            Some(AuthorizeAck {
                status: Status::Pending,
                ..
            }) => self.refuse(id_tag, Status::Pending),
            Some(AuthorizeAck { status, .. }) => {
                self.hold_uncovered(id_tag);
                self.refuse(id_tag, status);
            }
            None => self.refuse(id_tag, Status::Invalid),
        }
    }

    /// Whether `grant` is for this charger and group and signed by the group's parent, as far as
    /// the chain tells who that is.
    pub(super) fn is_grant_for(&self, known: &KnownCharger, grant: &SignedGrant) -> bool {
        let is_named = grant.body.charger == known.charger && grant.body.group == known.group;
        let Some(chain_id) = self.chain_id() else {
            return false;
        };
        let key = match self.state() {
            Some(state) => parent_key(state, known.group),
            // Without the state the provider's word has to do. A false one costs this node's
            // charge its place in the chain: every full node looks for itself.
            None => Some(known.parent_key),
        };
        is_named && key.is_none_or(|key| grant.verify(&key, &chain_id).is_ok())
    }

    /// A charge that began before its group granted anything is for the operator to judge.
    fn hold_uncovered(&mut self, id_tag: &IdTag) {
        let grants = self
            .known
            .chargers
            .get(id_tag)
            .map(|known| known.grants.clone());
        let grants = grants.unwrap_or_default();
        let covered = |start| grants.iter().any(|grant| grant.body.covers(start));
        self.hold_charges(
            id_tag,
            "its group granted nothing when it began",
            |charge| !covered(charge.start),
        );
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

    /// Nobody can be asked any more: who waits is refused.
    pub(super) fn refuse_waiting(&mut self) {
        for (question, _) in std::mem::take(&mut self.known.waiting) {
            let decision = Decision::Refused(Status::Invalid);
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
            if Some(known.parent) == self.id && self.config.chargers.contains_key(&charge.id_tag) {
                let moment = charge.start.min(now.seconds());
                let grant = self.sign_grant(moment, known.charger, known.group)?;
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
        charger: ChargerId,
        group: GroupId,
    ) -> Option<SignedGrant> {
        let grant = Grant {
            charger,
            group,
            not_before: UnixSeconds(moment.0.saturating_sub(GRANT_BEFORE_S)),
            expiry: UnixSeconds(moment.0.saturating_add(GRANT_S)),
            energy_limit_wh: 0,
        };
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
                status: self.membership(&asked.id_tag, &asked.group_id),
            })),
            Request::Authorize(asked) => {
                Some(Response::Authorize(self.authorize_member(now, asked)))
            }
            Request::ChargeInfo(info) => Some(self.billed(info.clone())),
            Request::GetBlocks(asked) => self.give_blocks(asked),
            Request::Register(_)
            | Request::RegisterSupplyPoint(_)
            | Request::GetHeaders(_)
            | Request::GetProof(_) => None,
        };
        self.effect(Effect::Reply { call, response });
    }

    fn membership(&self, id_tag: &IdTag, group_id: &IdTag) -> Status {
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

    fn authorize_member(&self, now: UnixMillis, asked: &Authorize) -> AuthorizeAck {
        let refused = |status| AuthorizeAck {
            status,
            grant: None,
        };
        let status = self.membership(&asked.id_tag, &asked.group_id);
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
        let grant = group.and_then(|group| self.sign_grant(now.seconds(), asked.charger, group));
        match grant {
            Some(grant) => AuthorizeAck {
                status,
                grant: Some(grant),
            },
            None => refused(Status::Pending),
        }
    }

    fn group_number(&self, group_id: &IdTag) -> Option<GroupId> {
        let mut known = self.known.chargers.values();
        known
            .find(|known| known.group_id == *group_id)
            .map(|known| known.group)
    }
}
