//! What the nodes have told since this process started, and whether it is enough to go on.
//!
//! A provider cannot tell whether its store is an older copy. One that went on from such a copy
//! would sign a second header for a height and a second receipt for a charge, and so convict
//! itself. What it has signed is with its nodes: it promises and seals nothing before it has heard
//! enough of them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::message::{GetBlocks, Report, Request};
use protocol::{Hash, NodeId, PublicKey, Signed, UnixMillis, decode};

use super::promises::Shown;
use super::relay::What;
use super::{Effect, Event, LinkId, Provider};
use crate::block::Header;
use crate::frame::{Frame, Promised, Witnessed};

/// How long it waits for those who are not needed, where more than half have been heard: a gateway
/// tries again at least once a minute.
const GRACE_MS: u64 = 90_000;

/// How long those that are linked have to say which numbers they have, once it goes on.
const CLAIMS_MS: u64 = 5_000;

/// Guests at once.
const MAX_GUESTS: usize = 1_000;

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Reports {
    // This process began the chain: nobody can know more of it.
    is_new: bool,
    // The operator lets it go on all the same.
    is_overridden: bool,
    // Enough voters were heard, or it need not hear any.
    has_heard: bool,
    // Whether nodes were told that it goes on.
    is_open: bool,
    // When the first thing happened to this process.
    since: Option<UnixMillis>,
    // Nodes that have told all they know.
    heard: BTreeSet<NodeId>,
    links: BTreeMap<LinkId, Told>,
    // Reported headers above the newest one here.
    ahead: BTreeMap<u64, Hash>,
    // A height for which this provider has signed two headers.
    contradicted: Option<u64>,
    // The link that is asked for blocks.
    asked: Option<LinkId>,
    pub(super) promises: BTreeMap<(NodeId, u32), Shown>,
    // From when on numbers are given to newcomers.
    newcomers_from: Option<UnixMillis>,
    // Tokens that were made before have given their groups numbers.
    pub(super) are_named: bool,
    // When nodes are asked for charges that were put off.
    pub(super) put_off: BTreeMap<NodeId, UnixMillis>,
    // Charges that the operator was told of.
    pub(super) told_of: BTreeSet<(NodeId, u32)>,
    pub(super) guests: BTreeMap<LinkId, Guest>,
}

/// What was told over one link.
#[derive(Debug)]
struct Told {
    node: NodeId,
    keeps_blocks: bool,
    height: u64,
    shown: BTreeSet<Hash>,
    promises: Option<u32>,
}

impl Told {
    /// Whether the node has told all it knows, and all of it has arrived.
    fn is_complete(&self) -> bool {
        let shown = u32::try_from(self.shown.len()).unwrap_or(u32::MAX);
        self.promises.is_some_and(|promises| shown >= promises)
    }
}

/// How many voters were heard, and of how many. Who was heard is not dormant.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    /// Those that were not dormant in the newest block.
    all: u64,
    /// Those that are not dormant by this provider's clock. In an older copy of the store everybody
    /// seems to have been silent since, so these alone are never enough at once.
    awake: u64,
    heard: u64,
}

/// A node that the registry does not know (any more), and that knows more of the chain.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    pub(super) key: PublicKey,
    pub(super) token: Option<Hash>,
    /// The number it says it has.
    pub(super) node: NodeId,
}

/// Whether a provider goes on, and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It promises and seals.
    pub goes_on: bool,
    /// Voters that count, and those of them that were heard since the start.
    pub voters: u64,
    /// See `voters`.
    pub heard: u64,
    /// The highest header that a node has reported and whose block is not here.
    pub behind: Option<u64>,
    /// A height for which this provider has signed two headers.
    pub contradicted: Option<u64>,
    /// Charges that were promised and are not here yet.
    pub missing: u64,
}

impl Reports {
    /// Of a process that has just read its store; `is_new` where that was empty.
    pub(super) fn new(is_new: bool) -> Self {
        Self {
            is_new,
            has_heard: is_new,
            is_open: is_new,
            ..Self::default()
        }
    }

    /// Whether a number may be given to who does not say which one it was given before. Those that
    /// do come first: a newcomer would get the one of somebody that this provider has lost.
    pub(super) fn takes_newcomers(&self, now: UnixMillis) -> bool {
        let is_time = self.newcomers_from.is_some_and(|from| now >= from);
        self.go_on() && (self.is_new || self.is_overridden || is_time)
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether anything may be promised or sealed.
    pub(super) fn go_on(&self) -> bool {
        let is_up_to_date = self.ahead.is_empty() || self.is_overridden;
        self.has_heard && is_up_to_date && self.contradicted.is_none()
    }

    /// Whether a known header's block is not here.
    pub(super) fn is_behind(&self) -> bool {
        !self.ahead.is_empty()
    }

    pub(super) fn is_overridden(&self) -> bool {
        self.is_overridden
    }

    /// Whether `node` is to tell what it knows.
    pub(super) fn wants(&self, node: NodeId) -> bool {
        !self.is_new && !self.heard.contains(&node)
    }

    /// Takes a guest in; `false` where there are too many.
    pub(super) fn host(&mut self, link: LinkId, guest: Guest) -> bool {
        let has_room = self.guests.len() < MAX_GUESTS;
        if has_room {
            self.guests.insert(link, guest);
        }
        has_room
    }

    /// What was told over a link counts for `node`.
    pub(super) fn note_heard(&mut self, link: LinkId, node: NodeId) {
        if self.links.get(&link).is_some_and(Told::is_complete) {
            self.heard.insert(node);
        }
    }

    pub(super) fn left(&mut self, link: LinkId) {
        self.links.remove(&link);
        self.guests.remove(&link);
    }
}

impl Provider {
    /// Whether this provider goes on at `now`, and what it waits for.
    #[must_use]
    pub fn standing(&self, now: UnixMillis) -> Standing {
        let Counted { awake, heard, .. } = self.count_heard(now);
        Standing {
            goes_on: self.reports.go_on(),
            voters: awake,
            heard,
            behind: self.reports.ahead.last_key_value().map(|(at, _)| *at),
            contradicted: self.reports.contradicted,
            missing: self.missing().count() as u64,
        }
    }

    /// Notes when this process began to listen. A clock that was set back since begins anew.
    pub(super) fn begin(&mut self, now: UnixMillis) {
        if let Some(since) = self.reports.since {
            if now < since {
                let grace_over = now.plus_ms(self.grace_ms());
                self.reports.since = Some(now);
                let newcomers_from = self.reports.newcomers_from;
                self.reports.newcomers_from = newcomers_from.map(|at| at.min(grace_over));
            }
            return;
        }
        self.reports.since = Some(now);
        if !self.reports.is_new {
            let voters = self.count_heard(now).awake;
            self.notify(Event::Listening { voters });
            self.effect(Effect::WakeAt(now.plus_ms(self.grace_ms())));
        }
    }

    /// The operator lets it go on unheard.
    pub(super) fn seal_without_reports(&mut self, now: UnixMillis) {
        self.reports.is_overridden = true;
        self.reports.has_heard = true;
        self.tick(now);
    }

    /// A node says with its Join what it knows.
    pub(super) fn hear(&mut self, report: &Report) -> Option<Signed<Header>> {
        let bytes = &report.newest.as_ref()?.0;
        let header: Signed<Header> = decode(bytes).ok()?;
        header.verify(&self.key.public(), &self.chain_id).ok()?;
        let (height, hash) = (header.body.height, header.hash());
        if height > self.state.height {
            let known = *self.reports.ahead.entry(height).or_insert(hash);
            if known != hash {
                self.contradicted(height);
            }
        } else if !self.history.holds(height, &hash) {
            self.contradicted(height);
        }
        Some(header)
    }

    /// This provider has signed two headers for a height.
    pub(super) fn contradicted(&mut self, height: u64) {
        if self.reports.contradicted.is_none() {
            self.reports.contradicted = Some(height);
            self.notify(Event::TwoHeaders { height });
        }
    }

    /// From now on something may be told over this link.
    pub(super) fn listen_to(&mut self, link: LinkId, node: NodeId, report: &Report, height: u64) {
        let told = Told {
            node,
            keeps_blocks: report.keeps_blocks,
            height,
            shown: BTreeSet::new(),
            promises: None,
        };
        self.reports.links.insert(link, told);
        self.fetch();
    }

    /// A node shows a promise of this provider's.
    pub(super) fn promised(&mut self, now: UnixMillis, link: LinkId, promised: Promised) {
        let Some(told) = self.reports.links.get_mut(&link) else {
            return;
        };
        let Witnessed {
            profile, receipt, ..
        } = &promised.witnessed;
        let promise = &receipt.body;
        let key = (profile.body.node, profile.body.seq);
        let is_ours = (promise.node, promise.seq) == key
            && promise.profile == profile.hash()
            && receipt.verify(&self.key.public(), &self.chain_id).is_ok();
        if !is_ours {
            return;
        }
        // One node has one word on it.
        if told.shown.insert(promise.profile) {
            self.note_promise(key, promised);
        }
        self.check_complete(now, link);
    }

    /// A node says that it has shown all it was promised.
    pub(super) fn reported(&mut self, now: UnixMillis, link: LinkId, promises: u32) {
        if let Some(told) = self.reports.links.get_mut(&link) {
            told.promises = Some(promises);
            self.check_complete(now, link);
        }
    }

    fn check_complete(&mut self, now: UnixMillis, link: LinkId) {
        let told = self.reports.links.get(&link);
        let Some(node) = told.filter(|told| told.is_complete()).map(|told| told.node) else {
            return;
        };
        if !self.reports.guests.contains_key(&link) {
            self.reports.heard.insert(node);
        }
        self.settle_reports(now);
    }

    /// Goes on where enough was heard.
    pub(super) fn settle_reports(&mut self, now: UnixMillis) {
        self.fetch();
        if !self.reports.is_behind() && !self.reports.has_heard {
            self.reports.has_heard = self.is_enough(now);
        }
        if !self.reports.go_on() {
            self.reports.is_open = false;
            return;
        }
        if !std::mem::replace(&mut self.reports.is_open, true) {
            self.resume(now);
        }
        self.redeem(now);
    }

    /// Whether all that can be expected were heard, or more than half of the voters and the others
    /// had the time to come back. As long as there are no voters, all nodes are waited for so long.
    fn is_enough(&self, now: UnixMillis) -> bool {
        if self.state.groups.is_empty() {
            let nodes = self.registry.nodes();
            let are_all_heard = nodes.iter().all(|node| self.reports.heard.contains(node));
            return (are_all_heard && !nodes.is_empty()) || self.is_grace_over(now);
        }
        let Counted { all, awake, heard } = self.count_heard(now);
        heard > 0 && (heard == all || (heard * 2 > awake && self.is_grace_over(now)))
    }

    fn is_grace_over(&self, now: UnixMillis) -> bool {
        let since = self.reports.since;
        since.is_some_and(|since| now >= since.plus_ms(self.grace_ms()))
    }

    fn grace_ms(&self) -> u64 {
        GRACE_MS.min(self.state.genesis.interval_ms())
    }

    fn count_heard(&self, now: UnixMillis) -> Counted {
        let genesis = &self.state.genesis;
        let mut counted = Counted::default();
        for group in self.state.groups.values() {
            let is_heard = self.reports.heard.contains(&group.parent);
            let is_dormant = |at| !is_heard && genesis.is_dormant(group.last_ballot, at);
            counted.all += u64::from(!is_dormant(self.state.time));
            counted.awake += u64::from(!is_dormant(now.seconds()));
            counted.heard += u64::from(is_heard);
        }
        counted
    }

    /// Tells every node that is here to send once more what was left unanswered.
    fn resume(&mut self, now: UnixMillis) {
        let Counted { awake, heard, .. } = self.count_heard(now);
        self.notify(Event::Resumed {
            voters: awake,
            heard,
        });
        self.announce_tariff();
        let grace = self.grace_ms();
        let claims = now.plus_ms(CLAIMS_MS.min(grace));
        let since = self.reports.since.unwrap_or(now).plus_ms(grace);
        self.reports.newcomers_from.get_or_insert(claims.max(since));
        self.admit_guests(now);
        self.redeem(now);
        for (link, node) in self.links.iter().collect::<Vec<_>>() {
            self.send_resume(link, node);
        }
    }

    pub(super) fn send_resume(&mut self, link: LinkId, node: NodeId) {
        let (last_seq, last_profile) = self.last_of(node);
        let resume = Frame::Resume {
            last_seq,
            last_profile,
            tip: self.state.height,
        };
        self.send(link, resume);
        self.resend(node);
    }

    /// Asks a node for the blocks that are not here.
    pub(super) fn fetch(&mut self) {
        if self.reports.asked.is_some() || !self.reports.is_behind() {
            return;
        }
        let from = self.state.height + 1;
        let links = self.reports.links.iter();
        let holders = links.filter(|(_, told)| told.keeps_blocks && told.height >= from);
        let Some(link) = holders.max_by_key(|(_, t)| t.height).map(|(l, _)| *l) else {
            return;
        };
        let request = Request::GetBlocks(GetBlocks { from });
        if self.call(link, request, (0, 0), What::Blocks(from)) {
            self.reports.asked = Some(link);
        }
    }

    /// The answer to [`Self::fetch`] is here; one that brought nothing was asked for in vain.
    pub(super) fn blocks_came(&mut self, now: UnixMillis, from: u64) {
        let asked = self.reports.asked.take();
        if self.state.height < from
            && let Some(told) = asked.and_then(|link| self.reports.links.get_mut(&link))
        {
            told.keeps_blocks = false;
        }
        self.settle_reports(now);
    }

    /// Forgets the reported headers whose blocks are here by now.
    pub(super) fn caught_up(&mut self) {
        while let Some((height, hash)) = self.reports.ahead.first_key_value()
            && *height <= self.state.height
        {
            let (height, hash) = (*height, *hash);
            self.reports.ahead.remove(&height);
            if !self.history.holds(height, &hash) {
                self.contradicted(height);
            }
        }
    }
}
