//! A node's rules, without I/O: what a gateway does with charges, blocks and its provider.
//!
//! Use: give every input to [`Node::handle`](crate::store::Machine::handle), then drain
//! [`Node::poll`](crate::store::Machine::poll). A `Persist` precedes every effect that relies
//! on it.

mod authorize;
mod bills;
mod blocks;
mod deputies;
mod disk;
mod headers;
mod hold;
mod kept;
mod limits;
mod meter_exchange;
mod neighbours;
mod outbox;
mod parent;
mod report;
mod resume;
mod stop;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::message::{ChargeInfo, JoinAck, Request, Response, Status};
use protocol::{
    EnergyWh, Genesis, GroupId, Hash, IdTag, KeyPair, Neighbour, NodeAddress, NodeId, PowerW,
    PublicKey, Signed, SupplyPointId, UnixMillis, UnixSeconds,
};

use crate::evidence::Offence;
use crate::frame::Frame;
use crate::resume::Resume;
use crate::store::{Machine, Step, Write};
pub use authorize::Decision;
use authorize::Known;
pub use disk::{
    forget_receipt, stored_blocks, stored_enrolment, stored_evidence, stored_genesis,
    stored_headers, stored_receipts,
};
use headers::Headers;
use kept::Kept;
pub use kept::Progress;
pub use limits::Limits;
use meter_exchange::Exchange;
pub use meter_exchange::ExchangeRefusal;
pub(crate) use neighbours::MAX_PARENTS;
use neighbours::Neighbours;
pub use neighbours::{NeighbourCounts, Said, ToNeighbour};
pub use outbox::{Charge, Stage};
use parent::Rounds;
pub use resume::{Pick, ResumeRefusal};

/// What the operator configured.
#[derive(Clone, Debug, Default)]
pub struct NodeConfig {
    /// Mobile chargers whose home is here, with their group; without one, they are groups of
    /// their own.
    pub chargers: BTreeMap<IdTag, Option<IdTag>>,
    /// Mobile chargers at home elsewhere that this node, as their group's parent, vouches for.
    pub members: BTreeMap<IdTag, IdTag>,
    /// Bounds for mobile chargers of groups that this node speaks for; none for those not named.
    pub limits: BTreeMap<IdTag, Limits>,
    /// Keys of the nodes that speak for this node's groups beside it, by group.
    pub deputies: BTreeMap<IdTag, PublicKey>,
    /// Outlets measured here.
    pub outlets: Vec<Outlet>,
    /// Where other nodes reach this one, if they do.
    pub address: Option<NodeAddress>,
    /// Nodes to compare with whomever the provider names.
    pub neighbours: Vec<Neighbour>,
}

/// An outlet as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlet {
    /// Its name at this node.
    pub name: String,
    /// The group that is credited.
    pub owner: IdTag,
    /// Model and serial number of its meter.
    pub meter: String,
}

/// A finished charge as the gateway measured it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MeasuredCharge {
    /// Names the charge; the same charge reported twice is taken once.
    pub id: [u8; 16],
    /// Who charged.
    pub id_tag: IdTag,
    /// Name of the outlet.
    pub outlet: String,
    /// Start.
    pub start: UnixSeconds,
    /// End; not before `start`.
    pub end: UnixSeconds,
    /// The meter's total register at the start.
    pub register_start: EnergyWh,
    /// Energy taken.
    pub energy: EnergyWh,
    /// The highest power measured.
    pub max_power: PowerW,
    /// What the profile's detail hash will cover.
    pub detail: Vec<u8>,
    /// Why the charge must not be billed before somebody looked at it.
    pub hold: Option<String>,
}

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// The provider proved its key and let this node in. A link to another chain than the node's
    /// is ignored; the shell compares with [`stored_genesis`] first and tells the operator.
    LinkUp {
        /// The chain's parameters.
        genesis: Genesis,
        /// What the provider said.
        ack: JoinAck,
    },
    /// The link is gone.
    LinkDown,
    /// A binary frame from the provider.
    Frame(Box<Frame>),
    /// The answer to an [`Effect::Call`]; `None` where the call failed.
    Answer(Request, Option<Response>),
    /// A call from the provider, to be answered by an [`Effect::Reply`] with the same number.
    Asked {
        /// Number of the call.
        call: u64,
        /// The call.
        request: Request,
    },
    /// An idTag was presented; to be answered by an [`Effect::Decided`] with the same number.
    Presented {
        /// Number of the question.
        question: u64,
        /// Who asks.
        id_tag: IdTag,
    },
    /// A charge ended.
    Ended(MeasuredCharge),
    /// Somebody looked at a held charge and lets it be billed.
    Release {
        /// The charge's number in the outbox.
        number: u64,
    },
    /// Somebody exchanged an outlet's meter; ignored where
    /// [`check_exchange`](Node::check_exchange) refuses it.
    ExchangeMeter {
        /// Name of the outlet.
        outlet: String,
        /// Model and serial number of the new meter.
        meter: String,
        /// The old meter's total register when it was taken out.
        last_register: EnergyWh,
        /// The new meter's when it was put in.
        first_register: EnergyWh,
    },
    /// The operator of a stopped node picks a header to go on with; ignored where
    /// [`check_pick`](Node::check_pick) refuses it.
    Pick(Pick),
    /// Voters have picked a header to go on with; ignored where
    /// [`check_resume`](Node::check_resume) refuses it.
    Resume(Vec<Signed<Resume>>),
    /// Another node did something, over a link with it.
    Neighbour {
        /// Its key, which it proved.
        from: PublicKey,
        /// What it did.
        said: Said,
    },
    /// Time passed.
    Tick,
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this frame to the provider, if the link is up; lost otherwise.
    Send(Box<Frame>),
    /// Call the provider and give the answer back.
    Call(Request),
    /// Answer the provider's call.
    Reply {
        /// Number of the call.
        call: u64,
        /// The answer; `None` where the call is not for a node.
        response: Option<Response>,
    },
    /// Answer to [`Input::Presented`].
    Decided {
        /// Number of the question.
        question: u64,
        /// The answer.
        decision: Decision,
    },
    /// Something for another node.
    Neighbour(ToNeighbour),
    /// Send the provider this node's blocks from this height on, at most so many, before any reply.
    SendBlocks {
        /// The first height.
        from: u64,
        /// How many at most.
        count: u64,
    },
    /// Give [`Input::Tick`] at this moment, beside the one every few seconds.
    WakeAt(UnixMillis),
    /// Tell the operator.
    Notify(Event),
}

/// What an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A charge is in a final block; its receipt file proves it.
    Final {
        /// The profile's number.
        seq: u32,
        /// The receipt file.
        receipt: Vec<u8>,
    },
    /// A charge waits for somebody to look at it.
    Held {
        /// Name of the outlet.
        outlet: String,
        /// Why.
        reason: String,
    },
    /// A held charge was released.
    Released {
        /// Name of the outlet.
        outlet: String,
    },
    /// A meter exchange is recorded.
    MeterExchanged {
        /// Name of the outlet.
        outlet: String,
    },
    /// The provider refuses a charge; it stays in the outbox.
    Refused {
        /// The profile's number.
        seq: u32,
        /// Why.
        reason: String,
    },
    /// The provider sealed what breaks the rules; it is kept as proof and not built on.
    InvalidBlock {
        /// Its height.
        height: u64,
        /// The rule.
        reason: String,
        /// An [`EvidenceFile`](crate::EvidenceFile), where few bytes prove it.
        evidence: Option<Vec<u8>>,
    },
    /// A block records evidence.
    Convicted {
        /// The node that is convicted.
        node: NodeId,
        /// Of what.
        offence: Offence,
    },
    /// The provider broke a promise: a witnessed charge is not in its round's block.
    BrokenReceipt {
        /// The block's height.
        height: u64,
        /// Hash of the charge's profile.
        profile: Hash,
        /// An [`EvidenceFile`](crate::EvidenceFile), where few bytes prove it.
        evidence: Option<Vec<u8>>,
    },
    /// The provider signed two headers for one height.
    TwoHeaders {
        /// The height.
        height: u64,
        /// An [`EvidenceFile`](crate::EvidenceFile).
        evidence: Option<Vec<u8>>,
        /// Who showed the second one, where it was another node.
        neighbour: Option<PublicKey>,
    },
    /// Another node showed what convicts the provider.
    EvidenceShown {
        /// Height of the block that it is about.
        height: u64,
        /// The node's key.
        from: PublicKey,
        /// An [`EvidenceFile`](crate::EvidenceFile).
        evidence: Vec<u8>,
    },
    /// Another node showed evidence that proves nothing. Told once of each node.
    FalseEvidence {
        /// The node's key.
        from: PublicKey,
        /// What is wrong with it.
        reason: String,
    },
    /// Another node showed a header that the provider did not sign. Told once of each node.
    ForeignHeader {
        /// The node's key.
        from: PublicKey,
    },
    /// The voters picked a header, and this node goes on.
    Resumed {
        /// The header's height.
        height: u64,
    },
    /// The provider knows newer charges of this node than the node itself.
    Restored {
        /// The newest number the provider knows.
        provider: u32,
        /// The newest number known here.
        here: u32,
    },
    /// A bill of a group whose parent this node is.
    Billed(Box<ChargeInfo>),
    /// A bill names a block that is not in this node's chain.
    FalseBill,
    /// A configured charger or outlet was not let in.
    NotRegistered {
        /// The answer.
        status: Status,
    },
}

/// A node of the billing chain.
#[derive(Debug)]
pub struct Node {
    key: KeyPair,
    config: NodeConfig,
    kept: Kept,
    // Why nothing is built on the chain any more, where the provider broke a rule.
    stopped: Option<String>,
    // The header that this node's voters go on with, where the provider told two stories.
    pick: Option<Pick>,
    // The voters' words that let this node go on.
    resumed: Vec<Signed<Resume>>,
    id: Option<NodeId>,
    is_linked: bool,
    known: Known,
    outlets: BTreeMap<String, SupplyPointId>,
    // The newest meter exchange of each outlet that had one.
    exchanges: BTreeMap<String, Exchange>,
    // Numbers of the deputies that the provider has, and the chain may not have yet.
    told_deputies: BTreeMap<GroupId, u32>,
    outbox: outbox::Outbox,
    rounds: Rounds,
    neighbours: Neighbours,
    // Bills that came before their blocks.
    early_bills: VecDeque<ChargeInfo>,
    asked: BTreeSet<Pending>,
    // Configured chargers and outlets that a restored provider may have lost.
    unconfirmed: BTreeSet<Pending>,
    // Calls that failed, and when they may be made again.
    deferred: BTreeMap<Pending, UnixMillis>,
    // Number and hash of this node's newest profile, as the provider told when the link came up.
    provider_last: (u32, Hash),
    // The same of the newest one that this node signed, where neither outbox nor blocks tell it.
    signed_last: (u32, Hash),
    // The same under enrolment numbers that it had before.
    numbers: BTreeMap<NodeId, (u32, Hash)>,
    now: UnixMillis,
    steps: VecDeque<Step<Effect>>,
}

/// How long after a failed call it is made again.
const RETRY_MS: u64 = 5_000;

/// Calls under way, so that none is made twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pending {
    Register(IdTag),
    Authorize(IdTag),
    Outlet(String),
    Deputy(GroupId),
    Exchange(String),
    Chain,
    Proof,
    Neighbours,
}

impl Node {
    /// The node's enrolment number, once the provider gave one.
    #[must_use]
    pub fn id(&self) -> Option<NodeId> {
        self.id
    }

    /// The key that names this node.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.key.public()
    }

    /// Charges that are not final yet, in the order they were measured.
    pub fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.outbox.charges()
    }

    fn persist(&mut self, write: Write) {
        self.steps.push_back(Step::Persist(write));
    }

    fn effect(&mut self, effect: Effect) {
        self.steps.push_back(Step::Effect(effect));
    }

    fn send(&mut self, frame: Frame) {
        if self.is_linked {
            self.effect(Effect::Send(Box::new(frame)));
        }
    }

    fn notify(&mut self, event: Event) {
        self.effect(Effect::Notify(event));
    }

    /// Calls the provider unless the same call is under way, failed just now, or the link is down.
    fn call(&mut self, pending: Pending, request: Request) {
        if self.is_linked && !self.is_deferred(&pending) && self.asked.insert(pending) {
            self.effect(Effect::Call(request));
        }
    }

    /// Whether a call failed just now. A clock that was set back since must not hold it up.
    fn is_deferred(&self, pending: &Pending) -> bool {
        let latest = self.now.plus_ms(RETRY_MS);
        let at = self.deferred.get(pending);
        at.is_some_and(|at| *at > self.now && *at <= latest)
    }

    /// A call came back; after a failure it waits before it is made again.
    fn called(&mut self, pending: Pending, is_answered: bool) {
        self.asked.remove(&pending);
        if is_answered {
            self.deferred.remove(&pending);
        } else {
            self.deferred.insert(pending, self.now.plus_ms(RETRY_MS));
        }
    }

    fn link_up(&mut self, now: UnixMillis, genesis: Genesis, ack: &JoinAck) {
        match self.kept.genesis() {
            Some(known) if *known != genesis => return,
            Some(_) => {}
            None => {
                self.persist(disk::genesis(&genesis));
                self.kept = Kept::Headers(Box::new(Headers::new(genesis)));
            }
        }
        if let Some(genesis) = self.kept.genesis() {
            // By the provider's clock as well: this node's may be behind.
            let theirs = genesis.round_at(ack.current_time);
            self.rounds.begin_after(theirs.max(genesis.round_at(now)));
        }
        // A new link ends the old one, whether or not that was told.
        self.link_down();
        self.is_linked = true;
        self.deferred.clear();
        self.take_number(ack.node);
        self.report_to(ack);
        self.take_up(now, (ack.last_seq, ack.last_profile), ack.tip);
    }

    /// Sends and asks for everything that the provider may miss, which has this node's profiles up
    /// to `last` and blocks up to `tip`.
    fn take_up(&mut self, now: UnixMillis, last: (u32, Hash), tip: u64) {
        self.provider_last = last;
        self.compare_last_seq(last.0);
        self.register_configured();
        self.name_deputies();
        self.report_exchanges();
        self.ask_who_is_near(now);
        self.catch_up(tip);
        self.ask_for_proofs();
        self.report_resume();
        self.repeat_ballots();
        self.repeat_group_blocks();
        self.outbox.forget_sending();
        self.submit(now);
    }

    fn link_down(&mut self) {
        self.is_linked = false;
        self.asked.clear();
        self.answer_waiting(self.now);
        self.refuse_members();
    }

    fn frame(&mut self, now: UnixMillis, frame: Frame) {
        match frame {
            Frame::Receipt(receipt) => self.receipt(receipt),
            Frame::Refused { seq, reason } => self.refused(seq, reason),
            Frame::Witness(witnessed) => self.witness(now, witnessed),
            Frame::Block(block) => self.block(now, *block),
            Frame::Header(header) => self.header(now, *header),
            Frame::Proof(file) => self.proof(file),
            Frame::Resume {
                last_seq,
                last_profile,
                tip,
            } => self.resume(now, (last_seq, last_profile), tip),
            // These travel towards the provider only; from it they mean nothing.
            Frame::Profile(_)
            | Frame::ProfileAck(_)
            | Frame::GroupBlock(_)
            | Frame::Ballot(_)
            | Frame::Picked(_)
            | Frame::Promised(_)
            | Frame::Reported { .. } => {}
        }
    }

    fn answer(&mut self, now: UnixMillis, request: Request, response: Option<Response>) {
        match (request, response) {
            (Request::Register(asked), response) => {
                let ack = match response {
                    Some(Response::Register(ack)) => Some(ack),
                    _ => None,
                };
                let is_answered = ack.as_ref().is_some_and(|ack| ack.registration.is_some());
                self.called(Pending::Register(asked.id_tag.clone()), is_answered);
                self.registered(now, &asked.id_tag, ack);
            }
            (Request::Authorize(asked), response) => {
                let ack = match response {
                    Some(Response::Authorize(ack)) => Some(ack),
                    _ => None,
                };
                let is_answered = ack.as_ref().is_some_and(|ack| ack.grant.is_some());
                self.called(Pending::Authorize(asked.id_tag.clone()), is_answered);
                self.authorized(now, &asked.id_tag, ack);
            }
            (Request::RegisterSupplyPoint(asked), response) => {
                let ack = match response {
                    Some(Response::RegisterSupplyPoint(ack)) => Some(ack),
                    _ => None,
                };
                let pending = Pending::Outlet(asked.outlet.clone());
                self.called(pending.clone(), ack.is_some());
                if let Some(ack) = ack {
                    self.confirmed(&pending);
                    self.persist(disk::outlet(&asked.outlet, ack.supply_point));
                    self.outlets.insert(asked.outlet, ack.supply_point);
                }
            }
            (Request::NameDeputy(asked), response) => {
                let number = match response {
                    Some(Response::NameDeputy(ack)) => Some(ack.number),
                    _ => None,
                };
                self.deputy_named(&asked.deputy.body, number);
            }
            (Request::ExchangeMeter(asked), response) => {
                let number = match response {
                    Some(Response::ExchangeMeter(ack)) => Some(ack.number),
                    _ => None,
                };
                self.exchange_reported(&asked, number);
            }
            (Request::GetBlocks(asked), response) => {
                let tip = match response {
                    Some(Response::GetBlocks(ack)) => Some(ack.tip),
                    _ => None,
                };
                self.chain_came(now, asked.from, tip);
            }
            (Request::GetHeaders(asked), response) => {
                let tip = match response {
                    Some(Response::GetHeaders(ack)) => Some(ack.tip),
                    _ => None,
                };
                self.chain_came(now, asked.from, tip);
            }
            (Request::GetProof(asked), response) => {
                self.called(Pending::Proof, response.is_some());
                self.proofs_came(asked.after);
            }
            (Request::GetNeighbours(_), response) => {
                self.called(Pending::Neighbours, response.is_some());
                if let Some(Response::GetNeighbours(ack)) = response {
                    self.named(ack);
                }
            }
            (Request::CheckAuth(_) | Request::ChargeInfo(_) | Request::OfferEvidence(_), _) => {}
        }
        self.submit(now);
    }
}

impl Machine for Node {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: UnixMillis, input: Input) {
        self.now = now;
        match input {
            Input::LinkUp { genesis, ack } => self.link_up(now, genesis, &ack),
            Input::LinkDown => self.link_down(),
            Input::Frame(frame) => self.frame(now, *frame),
            Input::Answer(request, response) => self.answer(now, request, response),
            Input::Asked { call, request } => self.asked_by_provider(now, call, &request),
            Input::Presented { question, id_tag } => self.presented(now, question, id_tag),
            Input::Ended(charge) => self.ended(now, charge),
            Input::Release { number } => self.release(now, number),
            Input::ExchangeMeter {
                outlet,
                meter,
                last_register,
                first_register,
            } => self.exchange(outlet, meter, (last_register, first_register)),
            Input::Pick(pick) => self.pick(pick),
            Input::Resume(words) => self.go_on_with(words),
            Input::Neighbour { from, said } => self.neighbour_said(now, from, said),
            Input::Tick => self.tick(now),
        }
    }

    fn poll(&mut self) -> Option<Step<Effect>> {
        self.steps.pop_front()
    }
}
