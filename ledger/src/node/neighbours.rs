//! Nodes that answer each other directly: each round they compare their newest headers, so that a
//! provider which shows two of them two chains is caught; they show each other what convicts it;
//! and a member asks its group's parent without the provider in between.
//!
//! Nothing that a neighbour says is believed. A header counts where the provider signed it, evidence
//! where it verifies, a grant where the parent signed it. So a lying neighbour stops nobody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::message::{
    Authorize, GetHeaders, GetNeighbours, GetNeighboursAck, OfferEvidence, OfferEvidenceAck,
    Request, Response, Status,
};
use protocol::{
    Genesis, HexBytes, IdTag, Neighbour, NodeAddress, NodeId, PublicKey, Signed, SignedEnrolment,
    UnixMillis,
};

use super::{Effect, Event, Node, Pending, disk};
use crate::block::Header;
use crate::evidence::{EvidenceFile, MAX_BYTES, NotProven};

/// Neighbours that are remembered, parents and others.
const MAX_KNOWN: usize = 32;
/// Neighbours taken from one answer of the provider's.
const MAX_NAMED: usize = 32;
/// Parents asked for at once.
pub(crate) const MAX_PARENTS: usize = 16;
/// Links of nodes that call us which the rules know of; the shell lets fewer in.
const MAX_UP: usize = 256;
/// Calls in a row without an answer after which another node may take a neighbour's place.
const GONE_AFTER: u32 = 3;
/// Headers given for one question.
const HEADERS_AT_ONCE: u64 = 64;
/// Headers kept at hand for comparison.
const RECENT: usize = 16;
/// So many rounds pass before the provider is asked again who is near.
const ROUNDS_BETWEEN_NAMES: u64 = 16;
/// An enrolment that holds so much longer takes the place of the one at hand.
const RENEWAL_S: u64 = 10 * 24 * 3600;
/// Members' questions that may wait for the provider to tell who a charger is.
const MAX_MEMBERS_WAITING: usize = 64;
/// After so long a call without an answer is lost, ms; the shell gives every answer sooner.
const LOST_MS: u64 = 60_000;
/// The half of a round is waited for this exactly, ms; ticks come about once a second.
const WAKE_WITHIN_MS: u64 = 1_500;

/// What a neighbour did. Its key was proven on the link.
#[derive(Clone, Debug)]
pub enum Said {
    /// A link with it is up.
    Up,
    /// The last link with it is gone.
    Down,
    /// It calls; to be answered by [`ToNeighbour::Reply`] or [`ToNeighbour::Headers`] with the same
    /// number.
    Asked {
        /// Number of the call.
        call: u64,
        /// The call.
        request: Request,
    },
    /// Answer to a [`ToNeighbour::Call`]; `None` where there was none.
    Answered {
        /// The call.
        request: Request,
        /// The answer.
        response: Option<Response>,
    },
    /// A header, for a GetHeaders of ours.
    Header(Box<Signed<Header>>),
}

/// What a node wants of a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToNeighbour {
    /// Call it, over a link that is up or a new one to `address`, and give the answer back in any
    /// case. Whoever answers there must prove this key.
    Call {
        /// Its key.
        to: PublicKey,
        /// Where it listens; absent where only it can open a link.
        address: Option<NodeAddress>,
        /// The call.
        request: Request,
    },
    /// Answer its call.
    Reply {
        /// Number of the call.
        call: u64,
        /// The answer; `None` where nothing can be said, and it should ask the provider.
        response: Option<Response>,
    },
    /// Send it the stored headers from a height on, then answer its GetHeaders.
    Headers {
        /// Number of the call.
        call: u64,
        /// The first height.
        from: u64,
        /// How many at most.
        count: u64,
        /// Height of the newest header here.
        tip: u64,
    },
}

/// What came of a node's neighbours so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighbourCounts {
    /// How many are remembered.
    pub known: usize,
    /// With how many a link is up.
    pub up: usize,
    /// How often one answered with its newest headers.
    pub heads_compared: u64,
    /// Authorize calls of members answered directly, as a parent.
    pub authorize_answered: u64,
    /// Headers that the provider had not signed.
    pub foreign_headers: u64,
    /// Evidence that proved nothing.
    pub false_evidence: u64,
}

#[derive(Debug)]
struct Entry {
    neighbour: Neighbour,
    // Calls without an answer since the last one with.
    failures: u32,
    // By the operator: nobody takes its place.
    is_configured: bool,
}

/// What is asked of a neighbour at the moment: each only once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Heads,
    Evidence,
    Authorize(IdTag),
}

impl Question {
    fn of(request: &Request) -> Option<Self> {
        match request {
            Request::GetHeaders(_) => Some(Self::Heads),
            Request::OfferEvidence(_) => Some(Self::Evidence),
            Request::Authorize(asked) => Some(Self::Authorize(asked.id_tag.clone())),
            _ => None,
        }
    }
}

/// All that a node knows about its neighbours.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    known: BTreeMap<PublicKey, Entry>,
    up: BTreeSet<PublicKey>,
    // Since when.
    asked: BTreeMap<(PublicKey, Question), UnixMillis>,
    enrolment: Option<SignedEnrolment>,
    // The round in which heads were compared last, and that in which the provider was asked.
    compared: Option<u64>,
    named: Option<u64>,
    // Headers shown by the provider, of blocks kept or refused.
    recent: VecDeque<Signed<Header>>,
    // What convicts the provider, and who has it from us or needs it no more.
    evidence: Option<Vec<u8>>,
    told: BTreeSet<PublicKey>,
    // Calls of members that wait for the provider's word on who a charger is.
    members: Vec<(u64, Authorize)>,
    counts: NeighbourCounts,
    // Who was reported to the operator for what it sent.
    reported: BTreeSet<PublicKey>,
}

impl Neighbours {
    pub(super) fn restore(
        configured: &[Neighbour],
        known: Vec<Neighbour>,
        enrolment: Option<SignedEnrolment>,
        evidence: Option<Vec<u8>>,
    ) -> Self {
        let entry = |neighbour: Neighbour, is_configured| {
            let key = neighbour.key;
            let entry = Entry {
                neighbour,
                failures: 0,
                is_configured,
            };
            (key, entry)
        };
        let known = known.into_iter().map(|known| entry(known, false));
        let configured = configured.iter().cloned().map(|known| entry(known, true));
        Self {
            known: known.chain(configured).collect(),
            enrolment,
            evidence,
            ..Self::default()
        }
    }

    /// A header of ours, where it is one of the newest.
    pub(super) fn recent(&self, height: u64) -> Option<&Signed<Header>> {
        self.recent.iter().find(|own| own.body.height == height)
    }

    pub(super) fn remember_header(&mut self, header: &Signed<Header>) {
        self.recent.push_back(header.clone());
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// The voters picked one of two stories: the evidence has had its effect, and headers of the
    /// other are no measure.
    pub(super) fn go_on(&mut self) {
        self.recent.clear();
        self.evidence = None;
        self.told.clear();
    }

    /// Whether somebody's Authorize is being asked directly.
    pub(super) fn is_asking_for(&self, id_tag: &IdTag) -> bool {
        let is_it =
            |question: &Question| matches!(question, Question::Authorize(of) if of == id_tag);
        self.asked.keys().any(|(_, question)| is_it(question))
    }

    /// Everyone that may be reached, in order.
    fn all(&self) -> BTreeSet<PublicKey> {
        self.known.keys().chain(&self.up).copied().collect()
    }

    fn answered(&mut self, from: PublicKey, request: &Request, is_answered: bool) {
        if let Some(question) = Question::of(request) {
            self.asked.remove(&(from, question));
        }
        if let Some(entry) = self.known.get_mut(&from) {
            entry.failures = match is_answered {
                true => 0,
                false => entry.failures.saturating_add(1),
            };
        }
    }

    /// A place for one more; `None` where everyone remembered still answers. So a provider cannot
    /// make a node forget those that would notice its other story, by naming others.
    fn make_room(&mut self) -> Option<Option<PublicKey>> {
        if self.known.len() < MAX_KNOWN {
            return Some(None);
        }
        let is_gone = |entry: &&Entry| entry.failures >= GONE_AFTER && !entry.is_configured;
        let gone = self.known.values().filter(is_gone);
        let gone = gone.max_by_key(|entry| entry.failures)?.neighbour.key;
        self.known.remove(&gone);
        Some(Some(gone))
    }
}

impl Node {
    /// The nodes that this one remembers.
    pub fn neighbours(&self) -> impl Iterator<Item = &Neighbour> {
        self.neighbours.known.values().map(|entry| &entry.neighbour)
    }

    /// What came of them so far.
    #[must_use]
    pub fn neighbour_counts(&self) -> NeighbourCounts {
        NeighbourCounts {
            known: self.neighbours.known.len(),
            up: self.neighbours.up.len(),
            ..self.neighbours.counts
        }
    }

    /// Asks the provider who is near.
    pub(super) fn ask_who_is_near(&mut self, now: UnixMillis) {
        let round = self.kept.genesis().map(|genesis| genesis.round_at(now));
        self.neighbours.named = round;
        let request = Request::GetNeighbours(GetNeighbours {
            address: self.config.address.clone(),
            parents: self.parents(),
        });
        self.call(Pending::Neighbours, request);
    }

    /// The provider told who is near.
    pub(super) fn named(&mut self, ack: GetNeighboursAck) {
        self.keep_enrolment(ack.enrolment);
        for neighbour in ack.neighbours.into_iter().take(MAX_NAMED) {
            self.learn(neighbour);
        }
    }

    fn keep_enrolment(&mut self, enrolment: SignedEnrolment) {
        let Some(genesis) = self.kept.genesis() else {
            return;
        };
        let (own, now) = (self.key.public(), self.now.seconds());
        let checked = enrolment.check(&genesis.provider_key, &genesis.chain_id(), &own, now);
        let before = self.neighbours.enrolment.as_ref();
        let is_longer = before.is_none_or(|before| {
            enrolment.body.until.0 >= before.body.until.0.saturating_add(RENEWAL_S)
        });
        if checked.is_ok() && is_longer {
            self.persist(disk::enrolment(&enrolment));
            self.neighbours.enrolment = Some(enrolment);
        }
    }

    /// Remembers a node that the provider named, and compares heads with it at once. One that
    /// answers where it was stays there.
    pub(super) fn learn(&mut self, neighbour: Neighbour) {
        let key = neighbour.key;
        if key == self.key.public() || key.check().is_err() {
            return;
        }
        if let Some(entry) = self.neighbours.known.get_mut(&key) {
            let is_settled = entry.failures == 0 || entry.is_configured;
            if is_settled || entry.neighbour == neighbour {
                return;
            }
        } else {
            match self.neighbours.make_room() {
                None => return,
                Some(None) => {}
                Some(Some(gone)) => self.persist(disk::forget_neighbour(&gone)),
            }
        }
        self.persist(disk::neighbour(&neighbour));
        let entry = Entry {
            neighbour,
            failures: 0,
            is_configured: false,
        };
        self.neighbours.known.insert(key, entry);
        self.visit(key);
    }

    /// Once a round, in its middle, when everyone should have the block of the one before: asks
    /// every neighbour for its newest headers, or shows it what convicts the provider.
    pub(super) fn visit_neighbours(&mut self, now: UnixMillis) {
        let Some(genesis) = self.kept.genesis() else {
            return;
        };
        let (round, middle) = middle_of_round(genesis, now);
        if self.neighbours.compared == Some(round) {
            return;
        }
        if now < middle {
            if middle.since_ms(now) <= WAKE_WITHIN_MS {
                self.effect(Effect::WakeAt(middle));
            }
            return;
        }
        self.neighbours.compared = Some(round);
        let named = self.neighbours.named;
        if named.is_none_or(|named| named.abs_diff(round) >= ROUNDS_BETWEEN_NAMES) {
            self.ask_who_is_near(now);
        }
        for key in self.neighbours.all() {
            self.visit(key);
        }
    }

    /// A node that stopped without a short proof, at an invalid block, goes on asking: the header
    /// that others were shown for that block makes one.
    fn visit(&mut self, key: PublicKey) {
        if self.neighbours.evidence.is_some() {
            self.show_evidence(key);
        } else {
            // From our own newest header on: the lower one of two sees where they differ.
            let from = self.kept.height().max(1);
            self.call_neighbour(key, Request::GetHeaders(GetHeaders { from }));
        }
    }

    /// This node has found what convicts the provider: everybody near should have it.
    pub(super) fn show_evidence_to_all(&mut self, file: &[u8]) {
        self.neighbours
            .evidence
            .get_or_insert_with(|| file.to_vec());
        for key in self.neighbours.all() {
            self.show_evidence(key);
        }
    }

    fn show_evidence(&mut self, key: PublicKey) {
        if let Some(file) = self.neighbours.evidence.clone()
            && !self.neighbours.told.contains(&key)
        {
            let file = HexBytes(file);
            self.call_neighbour(key, Request::OfferEvidence(OfferEvidence { file }));
        }
    }

    /// Calls a neighbour unless the same is asked of it already, or there is no way to reach it.
    fn call_neighbour(&mut self, to: PublicKey, request: Request) -> bool {
        let entry = self.neighbours.known.get(&to);
        let address = entry.map(|entry| entry.neighbour.address.clone());
        let is_reachable = address.is_some() || self.neighbours.up.contains(&to);
        let Some(question) = Question::of(&request).filter(|_| is_reachable) else {
            return false;
        };
        let key = (to, question);
        let since = self.neighbours.asked.get(&key);
        // Where the clock was set back since, nobody knows how long ago it was.
        let is_lost =
            |since: &UnixMillis| *since > self.now || self.now.since_ms(*since) >= LOST_MS;
        if since.is_none_or(is_lost) {
            self.neighbours.asked.insert(key, self.now);
            self.effect(Effect::Neighbour(ToNeighbour::Call {
                to,
                address,
                request,
            }));
        }
        true
    }

    pub(super) fn neighbour_said(&mut self, now: UnixMillis, from: PublicKey, said: Said) {
        match said {
            Said::Up => {
                if self.neighbours.up.len() < MAX_UP && self.neighbours.up.insert(from) {
                    self.visit(from);
                }
            }
            Said::Down => {
                self.neighbours.up.remove(&from);
            }
            Said::Asked { call, request } => self.asked_by_neighbour(now, from, call, request),
            Said::Answered { request, response } => {
                self.neighbour_answered(now, from, request, response);
            }
            Said::Header(header) => self.neighbours_header(from, &header),
        }
    }

    fn neighbour_answered(
        &mut self,
        now: UnixMillis,
        from: PublicKey,
        request: Request,
        response: Option<Response>,
    ) {
        self.neighbours.answered(from, &request, response.is_some());
        match (request, response) {
            // The tip it tells is nobody's word; the headers before it are the provider's.
            (Request::GetHeaders(_), Some(Response::GetHeaders(_))) => {
                self.neighbours.counts.heads_compared += 1;
            }
            // Whatever it thinks of it, it has seen it.
            (Request::OfferEvidence(_), Some(Response::OfferEvidence(_))) => {
                self.neighbours.told.insert(from);
            }
            (Request::Authorize(asked), response) => {
                self.parent_answered(now, asked, response);
            }
            _ => {}
        }
    }

    /// Compares a neighbour's header with the one here. One that is ahead is no more than a reason
    /// to ask the provider.
    fn neighbours_header(&mut self, from: PublicKey, header: &Signed<Header>) {
        let Some(genesis) = self.kept.genesis() else {
            return;
        };
        if self.neighbours.evidence.is_some() {
            return;
        }
        let height = header.body.height;
        if self.kept.holds(height, &header.hash()) {
            // Nearly always: the same as here, whoever signed it.
            return;
        }
        let signed = header.verify(&genesis.provider_key, &genesis.chain_id());
        if signed.is_err() {
            self.neighbours.counts.foreign_headers += 1;
            if self.neighbours.reported.insert(from) {
                self.notify(Event::ForeignHeader { from });
            }
        } else if height > self.kept.height() && self.neighbours.recent(height).is_none() {
            self.catch_up(height);
        } else {
            self.compare(header, Some(from));
        }
    }

    fn asked_by_neighbour(
        &mut self,
        now: UnixMillis,
        from: PublicKey,
        call: u64,
        request: Request,
    ) {
        let response = match request {
            Request::GetHeaders(asked) => {
                self.effect(Effect::Neighbour(ToNeighbour::Headers {
                    call,
                    from: asked.from,
                    count: HEADERS_AT_ONCE,
                    tip: self.kept.height(),
                }));
                self.show_evidence(from);
                return;
            }
            Request::OfferEvidence(offered) => {
                let is_proven = self.evidence_offered(from, &offered.file.0);
                Some(Response::OfferEvidence(OfferEvidenceAck { is_proven }))
            }
            Request::Authorize(asked) => return self.asked_by_member(now, call, asked),
            _ => None,
        };
        self.reply_neighbour(call, response);
    }

    fn reply_neighbour(&mut self, call: u64, response: Option<Response>) {
        self.effect(Effect::Neighbour(ToNeighbour::Reply { call, response }));
    }

    /// A neighbour shows an evidence file. It is checked as anybody would check it offline; what
    /// holds stops this node as if it had found it itself.
    fn evidence_offered(&mut self, from: PublicKey, file: &[u8]) -> bool {
        let Some(genesis) = self.kept.genesis() else {
            return false;
        };
        match read_evidence(genesis, file) {
            Ok(proven) => {
                // Whoever shows it has it.
                self.neighbours.told.insert(from);
                let is_settled = self.is_settled(proven.exhibit.height());
                if self.neighbours.evidence.is_none() && !is_settled {
                    self.convinced(from, proven);
                }
                true
            }
            Err(reason) => {
                self.neighbours.counts.false_evidence += 1;
                if self.neighbours.reported.insert(from) {
                    let reason = reason.to_string();
                    self.notify(Event::FalseEvidence { from, reason });
                }
                false
            }
        }
    }

    fn convinced(&mut self, from: PublicKey, file: EvidenceFile) {
        let height = file.exhibit.height();
        let reason = format!("a neighbour's evidence about block {height} convicts the provider");
        if let Some(evidence) = self.stop(height, reason, Some(file.exhibit)) {
            self.notify(Event::EvidenceShown {
                height,
                from,
                evidence,
            });
        }
    }

    /// Asks a charger's parent directly; `false` where the provider is the way. A parent that did
    /// not answer last time is left to the provider as long as there is one: somebody stands at the
    /// outlet and waits.
    pub(super) fn ask_parent(&mut self, parent: PublicKey, asked: &Authorize) -> bool {
        let pending = Pending::Authorize(asked.id_tag.clone());
        if self.is_deferred(&pending) || self.asked.contains(&pending) {
            return true;
        }
        self.reaches(parent) && self.call_neighbour(parent, Request::Authorize(asked.clone()))
    }

    /// Whether it makes sense to ask this node directly.
    pub(super) fn reaches(&self, key: PublicKey) -> bool {
        let entry = self.neighbours.known.get(&key);
        let answers = entry.is_some_and(|entry| entry.failures == 0 || !self.is_linked);
        answers || self.neighbours.up.contains(&key)
    }

    fn parent_answered(&mut self, now: UnixMillis, asked: Authorize, response: Option<Response>) {
        let pending = Pending::Authorize(asked.id_tag.clone());
        match response {
            Some(Response::Authorize(ack)) => {
                self.called(pending, ack.grant.is_some());
                self.authorized(now, &asked.id_tag, Some(ack));
                self.submit(now);
            }
            _ if self.is_linked => self.call(pending, Request::Authorize(asked)),
            _ => {
                self.called(pending, false);
                self.authorized(now, &asked.id_tag, None);
            }
        }
    }

    /// A member asks this node as its group's parent. The pseudonym it brings is compared with the
    /// provider's, which a relayed question has been; where that is not known here it is asked for.
    fn asked_by_member(&mut self, now: UnixMillis, call: u64, asked: Authorize) {
        let is_member = self.membership(&asked.id_tag, &asked.group_id) == Status::Accepted;
        if is_member && !self.knows(&asked.id_tag) {
            if !self.is_linked || self.neighbours.members.len() >= MAX_MEMBERS_WAITING {
                return self.reply_neighbour(call, None);
            }
            let id_tag = asked.id_tag.clone();
            self.neighbours.members.push((call, asked));
            let group_id = self.config.chargers.get(&id_tag).cloned().flatten();
            self.ask_register(id_tag.clone(), group_id);
            if !self.asked.contains(&Pending::Register(id_tag.clone())) {
                // The provider refused just now.
                self.answer_members(now, &id_tag);
            }
            return;
        }
        self.answer_member(now, call, &asked);
    }

    fn answer_member(&mut self, now: UnixMillis, call: u64, asked: &Authorize) {
        self.neighbours.counts.authorize_answered += 1;
        let ack = self.authorize_member(now, asked);
        self.reply_neighbour(call, Some(Response::Authorize(ack)));
    }

    /// The provider told who a charger is, or did not.
    pub(super) fn answer_members(&mut self, now: UnixMillis, id_tag: &IdTag) {
        let waiting = std::mem::take(&mut self.neighbours.members);
        let (due, rest) = waiting
            .into_iter()
            .partition(|(_, asked)| asked.id_tag == *id_tag);
        self.neighbours.members = rest;
        let due: Vec<(u64, Authorize)> = due;
        for (call, asked) in due {
            match self.knows(id_tag) {
                true => self.answer_member(now, call, &asked),
                false => self.reply_neighbour(call, None),
            }
        }
    }

    /// Nobody tells who a charger is any more.
    pub(super) fn refuse_members(&mut self) {
        for (call, _) in std::mem::take(&mut self.neighbours.members) {
            self.reply_neighbour(call, None);
        }
    }

    /// Parents of groups whose chargers this node knows, those of its own chargers first.
    fn parents(&self) -> Vec<NodeId> {
        let own = self.config.chargers.keys();
        let all = own.filter_map(|id_tag| self.parent_of(id_tag));
        let mut parents = Vec::new();
        for parent in all.chain(self.parents_known()) {
            if Some(parent) != self.id && !parents.contains(&parent) && parents.len() < MAX_PARENTS
            {
                parents.push(parent);
            }
        }
        parents
    }
}

fn middle_of_round(genesis: &Genesis, now: UnixMillis) -> (u64, UnixMillis) {
    let round = genesis.round_at(now);
    let middle = genesis
        .round_start(round)
        .plus_ms(genesis.interval_ms() / 2);
    (round, middle)
}

/// Reads evidence against the provider of this chain.
fn read_evidence(genesis: &Genesis, bytes: &[u8]) -> Result<EvidenceFile, NotProven> {
    if bytes.len() > MAX_BYTES {
        return Err(NotProven::Length);
    }
    let file = EvidenceFile::from_bytes(bytes)?;
    file.verify(Some(&genesis.provider_key))?;
    match file.genesis == *genesis {
        true => Ok(file),
        false => Err(NotProven::Chain),
    }
}
