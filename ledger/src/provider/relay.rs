//! The paper's Register, CheckAuth and Authorize between nodes that cannot reach each other.

use std::collections::BTreeMap;

use protocol::message::{
    Authorize, AuthorizeAck, CheckAuth, Register, RegisterAck, RegisterInfo, Registration, Request,
    Response, Status,
};
use protocol::{ChargerId, IdTag, NodeId, SignedGrant, UnixMillis};

use super::{Effect, LinkId, Provider};
use crate::apply::check_grant;

/// Calls relayed to parents at once; more are answered `Pending`.
const MAX_RELAYED: usize = 10_000;

/// A call of a node that waits for a parent's word.
#[derive(Debug)]
struct Waiting {
    link: LinkId,
    call: u64,
    // The parent's link.
    asked: LinkId,
    what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Register(NodeId, Register),
    Authorize(ChargerId),
    /// Blocks from this height on.
    Blocks(u64),
    Nothing,
}

/// Calls under way.
#[derive(Debug, Default)]
pub(super) struct Relay {
    next_call: u64,
    waiting: BTreeMap<u64, Waiting>,
}

impl Provider {
    pub(super) fn register(
        &mut self,
        now: UnixMillis,
        link: LinkId,
        call: u64,
        node: NodeId,
        asked: Register,
    ) {
        if let Some(known) = self.registry.charger_of(&asked.id_tag).cloned() {
            let is_at_home = asked.is_home && known.home == node;
            let fits = match &asked.group_id {
                Some(group_id) => *group_id == known.group_id,
                None => !is_at_home || known.group_id.is_ungrouped(node),
            };
            if fits || !is_at_home {
                // Only its home takes a charger to another group.
                let registration = fits.then(|| self.registration(node, &known));
                self.reply_register(now, link, call, Status::Invalid, registration);
                return;
            }
        }
        if !self.reports.go_on() {
            self.reply_register(now, link, call, Status::Pending, None);
            return;
        }
        let is_known = self.registry.charger_of(&asked.id_tag).is_some();
        if !is_known && self.register_again(now, (link, call), node, &asked) {
            return;
        }
        let Some(group_id) = asked.group_id.clone() else {
            self.register_ungrouped(now, link, call, node, asked);
            return;
        };
        match self.registry.parent(&group_id) {
            Some(parent) if parent == node => {
                let group = self.registry.group_entry(&group_id).cloned();
                let registration = group.map(|group| self.put_into(node, asked.id_tag, &group));
                self.reply_register(now, link, call, Status::Accepted, registration);
            }
            Some(_) => {
                let asked_group = group_id.clone();
                let request = Request::CheckAuth(CheckAuth {
                    id_tag: asked.id_tag.clone(),
                    group_id,
                });
                let what = What::Register(node, asked);
                if !self.ask_for_group(&asked_group, request, link, call, what) {
                    self.reply_register(now, link, call, Status::Pending, None);
                }
            }
            // It says its name with a charger that the chain knows, or its number.
            None if self.lacks_name_of(node) || self.is_early_for(now, &group_id, asked.group) => {
                self.reply_register(now, link, call, Status::Pending, None);
            }
            None => {
                let group = self.claim(node, &group_id, asked.group);
                let registration = group.map(|group| self.put_into(node, asked.id_tag, &group));
                self.reply_unknown(now, link, call, registration);
            }
        }
    }

    /// A tag nobody registered, from a node that names no group: only a node that says it is the
    /// charger's home would ask so for one of its own, and it pays.
    fn register_ungrouped(
        &mut self,
        now: UnixMillis,
        link: LinkId,
        call: u64,
        node: NodeId,
        asked: Register,
    ) {
        let ungrouped = IdTag::ungrouped(node);
        if asked.is_home && self.is_early_for(now, &ungrouped, asked.group) {
            self.reply_register(now, link, call, Status::Pending, None);
            return;
        }
        let registration = asked.is_home.then(|| {
            let group = self.ungrouped(node, asked.group);
            self.put_into(node, asked.id_tag, &group)
        });
        self.reply_unknown(now, link, call, registration);
    }

    /// Answers a Register about what nobody knows: as long as the names of groups are lost, it may
    /// be one of theirs.
    fn reply_unknown(
        &mut self,
        now: UnixMillis,
        link: LinkId,
        call: u64,
        registration: Option<Registration>,
    ) {
        let otherwise = match registration.is_none() && self.lacks_names() {
            true => Status::Pending,
            false => Status::Invalid,
        };
        self.reply_register(now, link, call, otherwise, registration);
    }

    /// Answers a Register: accepted where there is a registration, `otherwise` where there is none.
    pub(super) fn reply_register(
        &mut self,
        now: UnixMillis,
        link: LinkId,
        call: u64,
        otherwise: Status,
        registration: Option<Registration>,
    ) {
        let status = match registration {
            Some(_) => Status::Accepted,
            None => otherwise,
        };
        let id_tag_info = RegisterInfo {
            interval_s: self.state.genesis.interval_s,
            current_time: now,
            status,
        };
        let ack = RegisterAck {
            id_tag_info,
            registration,
        };
        self.reply(link, call, Some(Response::Register(ack)));
    }

    pub(super) fn relay_authorize(&mut self, link: LinkId, call: u64, asked: Authorize) {
        let known = self.registry.charger_of(&asked.id_tag);
        let is_known =
            known.is_some_and(|k| k.charger == asked.charger && k.group_id == asked.group_id);
        let status = match self.registry.parent(&asked.group_id).filter(|_| is_known) {
            None if !self.reports.go_on() || self.lacks_names() => Status::Pending,
            None => Status::Invalid,
            Some(_) => {
                let what = What::Authorize(asked.charger);
                let group_id = asked.group_id.clone();
                let request = Request::Authorize(asked);
                if self.ask_for_group(&group_id, request, link, call, what) {
                    return;
                }
                Status::Pending
            }
        };
        self.reply_authorize(link, call, status);
    }

    fn reply_authorize(&mut self, link: LinkId, call: u64, status: Status) {
        let ack = AuthorizeAck {
            status,
            grant: None,
        };
        self.reply(link, call, Some(Response::Authorize(ack)));
    }

    /// Sends the parent of a group what became final; its answer is of no consequence.
    pub(super) fn tell(&mut self, node: NodeId, request: Request) {
        self.ask(node, request, 0, 0, What::Nothing);
    }

    /// Calls the parent of a group, or its deputy where the parent is away; `false` where both are.
    fn ask_for_group(
        &mut self,
        group_id: &IdTag,
        request: Request,
        link: LinkId,
        call: u64,
        what: What,
    ) -> bool {
        let group = self.registry.group_entry(group_id);
        let account = group.and_then(|entry| self.preview.groups.get(&entry.group));
        let speaks = account.map(|account| [Some(account.parent), account.deputy]);
        let mut speaks = speaks.into_iter().flatten().flatten();
        let there = speaks.find(|node| self.links.of(*node).is_some());
        there.is_some_and(|node| self.ask(node, request, link, call, what))
    }

    /// Calls `parent`; `false` where it is away.
    pub(super) fn ask(
        &mut self,
        parent: NodeId,
        request: Request,
        link: LinkId,
        call: u64,
        what: What,
    ) -> bool {
        let Some(asked) = self.links.of(parent) else {
            return false;
        };
        self.call(asked, request, (link, call), what)
    }

    /// Calls whoever is on the link `asked`; `false` where too many calls are under way.
    pub(super) fn call(
        &mut self,
        asked: LinkId,
        request: Request,
        (link, call): (LinkId, u64),
        what: What,
    ) -> bool {
        if self.relay.waiting.len() >= MAX_RELAYED {
            return false;
        }
        let number = self.relay.next_call;
        self.relay.next_call += 1;
        let waiting = Waiting {
            link,
            call,
            asked,
            what,
        };
        self.relay.waiting.insert(number, waiting);
        self.effect(Effect::Ask {
            link: asked,
            call: number,
            request,
        });
        true
    }

    /// A parent answered, or did not.
    pub(super) fn answered(&mut self, now: UnixMillis, call: u64, response: Option<Response>) {
        let Some(waiting) = self.relay.waiting.remove(&call) else {
            return;
        };
        let Waiting {
            link, call, what, ..
        } = waiting;
        match (what, response) {
            (What::Register(node, asked), Some(Response::CheckAuth(ack))) => {
                self.checked(now, link, call, node, asked, ack.status);
            }
            (What::Register(..), _) => self.reply_register(now, link, call, Status::Pending, None),
            (What::Authorize(charger), Some(Response::Authorize(ack))) => {
                self.authorized(link, call, charger, ack);
            }
            (What::Authorize(_), _) => self.reply_authorize(link, call, Status::Pending),
            (What::Blocks(from), _) => self.blocks_came(now, from),
            (What::Nothing, _) => {}
        }
    }

    /// Passes a parent's word on. A grant that no block could hold would stop the outbox of the
    /// node that relies on it, so it goes no further.
    fn authorized(&mut self, link: LinkId, call: u64, charger: ChargerId, ack: AuthorizeAck) {
        let is_valid = |grant: &SignedGrant| {
            grant.body.charger == charger && check_grant(&self.preview, grant).is_ok()
        };
        match (ack.status, &ack.grant) {
            (Status::Accepted, Some(grant)) if is_valid(grant) => {
                self.reply(link, call, Some(Response::Authorize(ack)));
            }
            // The chain may know more of its charger and its parent.
            (Status::Accepted, _) if !self.reports.go_on() => {
                self.reply_authorize(link, call, Status::Pending);
            }
            (Status::Accepted, _) => self.reply_authorize(link, call, Status::Invalid),
            (refused, _) => self.reply_authorize(link, call, refused),
        }
    }

    fn checked(
        &mut self,
        now: UnixMillis,
        link: LinkId,
        call: u64,
        node: NodeId,
        asked: Register,
        status: Status,
    ) {
        // Another node may have registered the charger while the parent was asked.
        let is_free =
            self.registry.charger_of(&asked.id_tag).is_none() || self.may_move(node, &asked.id_tag);
        let group = asked
            .group_id
            .as_ref()
            .and_then(|g| self.registry.group_entry(g));
        let group = group
            .cloned()
            .filter(|_| is_free && status == Status::Accepted);
        let registration = group.map(|group| self.put_into(node, asked.id_tag, &group));
        let otherwise = match status {
            Status::Accepted => Status::Invalid,
            refused => refused,
        };
        self.reply_register(now, link, call, otherwise, registration);
    }

    /// The calls to a lost link come back unanswered.
    pub(super) fn link_lost(&mut self, link: LinkId) {
        self.relay.waiting.retain(|_, waiting| waiting.link != link);
        let lost: Vec<u64> = self
            .relay
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.asked == link)
            .map(|(call, _)| *call)
            .collect();
        for call in lost {
            // The clock of this answer is not read by anyone: Pending carries no decision.
            self.answered(UnixMillis(0), call, None);
        }
    }
}
