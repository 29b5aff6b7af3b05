//! The provider's rules, without I/O: enrolment, sequencing, sealing.
//!
//! Used like [`crate::node`]: give every input to `handle`, then drain `poll`.

mod bills;
mod changes;
mod disk;
mod enrol;
mod grants;
mod group_blocks;
mod intake;
mod links;
mod neighbours;
mod promises;
mod reclaim;
mod registry;
mod relay;
mod reports;
mod restore;
mod rounds;
mod sealing;
mod witnesses;

use std::collections::{BTreeSet, VecDeque};

use protocol::message::{
    GetBlocksAck, GetHeadersAck, GetProofAck, JoinAck, Report, Request, Response,
};
use protocol::{GroupId, Hash, IdTag, KeyPair, NodeId, PublicKey, UnixMillis};

use crate::block::Record;
use crate::evidence::Offence;
use crate::frame::Frame;
use crate::history::History;
use crate::state::State;
use crate::store::{Machine, Step, Write};
use crate::tariff::FlatTariff;
pub use disk::{stored_blocks, stored_genesis, stored_proofs};
pub use enrol::{JoinRefusal, Token};
use grants::CheckedGrants;
use links::Links;
use neighbours::Addresses;
use registry::Registry;
pub use registry::{Charger, OutletEntry};
use relay::Relay;
use reports::Reports;
pub use reports::Standing;
use rounds::Rounds;

/// Number of a link, given by the shell; never used twice.
pub type LinkId = u64;

/// Blocks sent for one GetBlocks; a node that needs more asks again.
const BLOCKS_AT_ONCE: u64 = 64;
/// The same of headers.
const HEADERS_AT_ONCE: u64 = 512;
/// The same of receipt files.
const PROOFS_AT_ONCE: u32 = 16;

/// What happens to the provider.
#[derive(Clone, Debug)]
pub enum Input {
    /// A node proved its key; answered by [`Effect::Joined`].
    Join {
        /// The link.
        link: LinkId,
        /// The node's key.
        key: PublicKey,
        /// SHA-256 of the token it presented.
        token: Option<Hash>,
        /// What it says it knows of the chain.
        report: Report,
    },
    /// A link is gone.
    Left {
        /// The link.
        link: LinkId,
    },
    /// A call from a node; answered by [`Effect::Reply`] with the same number.
    Asked {
        /// The link.
        link: LinkId,
        /// Number of the call.
        call: u64,
        /// The call.
        request: Request,
    },
    /// The answer to an [`Effect::Ask`]; `None` where the call failed.
    Answer {
        /// Number of the call.
        call: u64,
        /// The answer.
        response: Option<Response>,
    },
    /// A binary frame from a node.
    Frame {
        /// The link.
        link: LinkId,
        /// The frame.
        frame: Box<Frame>,
    },
    /// The operator gives a token out.
    CreateToken {
        /// SHA-256 of the token.
        token: Hash,
        /// The groups it may claim.
        groups: BTreeSet<IdTag>,
    },
    /// The operator lets the provider go on although too few nodes have told what they know since it
    /// started. If its store is an older copy, it then signs a second header for a height or a
    /// second receipt for a charge: that convicts it, and its nodes stop for good.
    SealWithoutReports,
    /// Time passed.
    Tick,
}

/// What the provider wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer to [`Input::Join`]; the shell closes the link after a refusal.
    Joined {
        /// The link.
        link: LinkId,
        /// The node's number and where the chain is, or why it is not let in.
        result: Result<JoinAck, JoinRefusal>,
    },
    /// Close this link: the same node came back on a newer one.
    Close {
        /// The link.
        link: LinkId,
    },
    /// Answer a node's call.
    Reply {
        /// The link.
        link: LinkId,
        /// Number of the call.
        call: u64,
        /// The answer; `None` where the call is not for a provider or not from this node.
        response: Option<Response>,
    },
    /// Call a node and give the answer back.
    Ask {
        /// The link.
        link: LinkId,
        /// Number of the call.
        call: u64,
        /// The call.
        request: Request,
    },
    /// Send a frame to a node.
    Send {
        /// The link.
        link: LinkId,
        /// The frame.
        frame: Box<Frame>,
    },
    /// Send the blocks from this height on, at most so many, before anything else on the link.
    SendBlocks {
        /// The link.
        link: LinkId,
        /// The first height.
        from: u64,
        /// How many at most.
        count: u64,
    },
    /// Send the headers from this height on, at most so many, before anything else on the link.
    SendHeaders {
        /// The link.
        link: LinkId,
        /// The first height.
        from: u64,
        /// How many at most.
        count: u64,
    },
    /// Send the receipt files of this node's charges with numbers above `after`, at most so many
    /// and as far as their blocks are final, before anything else on the link.
    SendProofs {
        /// The link.
        link: LinkId,
        /// The node.
        node: NodeId,
        /// The number before the first.
        after: u32,
        /// How many at most.
        count: u32,
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
    /// A block was sealed.
    Sealed {
        /// Its height.
        height: u64,
        /// Its round.
        round: u64,
        /// Charges in it.
        charges: u32,
        /// Height of the newest final block.
        final_height: u64,
    },
    /// It has started, and promises and seals nothing before it has heard enough of these voters.
    Listening {
        /// How many they are.
        voters: u64,
    },
    /// It has heard enough, and goes on.
    Resumed {
        /// The voters that count.
        voters: u64,
        /// Those of them that were heard.
        heard: u64,
    },
    /// Its store was an older copy: a node gave this block back.
    Adopted {
        /// Its height.
        height: u64,
    },
    /// A node shows a second header for a height, signed by this provider: it is convicted, and
    /// seals nothing any more.
    TwoHeaders {
        /// The height, or one above it.
        height: u64,
    },
    /// A round is over and not sealed: a charge that was promised for it, by a receipt which this
    /// provider's store has lost, is not here yet.
    MissingCharge {
        /// The node.
        node: NodeId,
        /// The profile's number.
        seq: u32,
        /// The promised round.
        round: u64,
    },
    /// A node joined for the first time.
    Enrolled {
        /// Its number.
        node: NodeId,
    },
    /// A group block was refused; its charges are billed all the same.
    GroupBlockRefused {
        /// The group.
        group: GroupId,
        /// Why.
        reason: String,
    },
    /// A block records evidence.
    Convicted {
        /// The node that is convicted.
        node: NodeId,
        /// Of what.
        offence: Offence,
    },
    /// A charge rests on an enrolment that nobody knows here: it may have been lost with an older
    /// store, and is asked for again until whoever it is has registered once more.
    ProfilePutOff {
        /// The node.
        node: NodeId,
        /// The profile's number.
        seq: u32,
        /// What is unknown.
        reason: String,
    },
    /// A node submitted what breaks the rules.
    ProfileRefused {
        /// The node.
        node: NodeId,
        /// The profile's number.
        seq: u32,
        /// The rule.
        reason: String,
    },
}

/// The service provider.
#[derive(Debug)]
pub struct Provider {
    key: KeyPair,
    chain_id: Hash,
    state: State,
    // The state with everything taken in and not sealed: what the next submission is judged by.
    preview: State,
    tariff: FlatTariff,
    registry: Registry,
    addresses: Addresses,
    relay: Relay,
    grants: CheckedGrants,
    rounds: Rounds,
    // Blocks from the newest final one on, for the bills and proofs when they are final.
    history: History,
    links: Links,
    reports: Reports,
    steps: VecDeque<Step<Effect>>,
}

impl Provider {
    /// The chain as sealed.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Who is registered.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The tariff in force.
    #[must_use]
    pub fn tariff(&self) -> &FlatTariff {
        &self.tariff
    }

    fn persist(&mut self, write: Write) {
        self.steps.push_back(Step::Persist(write));
    }

    fn effect(&mut self, effect: Effect) {
        self.steps.push_back(Step::Effect(effect));
    }

    fn send(&mut self, link: LinkId, frame: Frame) {
        let frame = Box::new(frame);
        self.effect(Effect::Send { link, frame });
    }

    fn send_to_node(&mut self, node: NodeId, frame: Frame) {
        if let Some(link) = self.links.of(node) {
            self.send(link, frame);
        }
    }

    fn notify(&mut self, event: Event) {
        self.effect(Effect::Notify(event));
    }

    fn asked(&mut self, now: UnixMillis, link: LinkId, call: u64, request: Request) {
        let Some(node) = self.links.node(link) else {
            self.reply(link, call, None);
            return;
        };
        match request {
            Request::Register(asked) => self.register(now, link, call, node, asked),
            Request::RegisterSupplyPoint(asked) => {
                let response = self.register_supply_point(now, node, &asked);
                self.reply(link, call, response);
            }
            Request::NameDeputy(asked) => {
                let response = self.name_deputy(node, asked);
                self.reply(link, call, response);
            }
            Request::ExchangeMeter(asked) => {
                let response = self.exchange_meter(node, asked);
                self.reply(link, call, response);
            }
            Request::Authorize(asked) => self.relay_authorize(link, call, asked),
            Request::GetBlocks(asked) => {
                self.effect(Effect::SendBlocks {
                    link,
                    from: asked.from,
                    count: BLOCKS_AT_ONCE,
                });
                let tip = self.state.height;
                self.reply(link, call, Some(Response::GetBlocks(GetBlocksAck { tip })));
            }
            Request::GetHeaders(asked) => {
                self.effect(Effect::SendHeaders {
                    link,
                    from: asked.from,
                    count: HEADERS_AT_ONCE,
                });
                let tip = self.state.height;
                let ack = GetHeadersAck { tip };
                self.reply(link, call, Some(Response::GetHeaders(ack)));
            }
            Request::GetProof(asked) => {
                self.effect(Effect::SendProofs {
                    link,
                    node,
                    after: asked.after,
                    count: PROOFS_AT_ONCE,
                });
                self.reply(link, call, Some(Response::GetProof(GetProofAck {})));
            }
            Request::GetNeighbours(asked) => {
                let response = self.near(now, node, asked);
                self.reply(link, call, response);
            }
            Request::CheckAuth(_) | Request::ChargeInfo(_) | Request::OfferEvidence(_) => {
                self.reply(link, call, None)
            }
        }
    }

    fn reply(&mut self, link: LinkId, call: u64, response: Option<Response>) {
        self.effect(Effect::Reply {
            link,
            call,
            response,
        });
    }

    fn frame(&mut self, now: UnixMillis, link: LinkId, frame: Frame) {
        let frame = match frame {
            // Also from a node whose enrolment this provider has lost.
            Frame::Promised(promised) => return self.promised(now, link, promised),
            Frame::Reported { promises } => return self.reported(now, link, promises),
            Frame::Block(block) => return self.given(now, *block),
            other => other,
        };
        let Some(node) = self.links.node(link) else {
            return;
        };
        match frame {
            Frame::Profile(submission) => self.submission(now, node, submission),
            Frame::ProfileAck(ack) => self.profile_ack(node, &ack),
            Frame::GroupBlock(sealed) => self.group_block(now, node, sealed),
            Frame::Ballot(ballot) => self.ballot(ballot),
            Frame::Picked(words) => self.record(Record::Resume(words)),
            // These travel towards nodes only; from one they mean nothing.
            Frame::Receipt(_)
            | Frame::Refused { .. }
            | Frame::Witness(_)
            | Frame::Header(_)
            | Frame::Proof(_)
            | Frame::Resume { .. }
            | Frame::Promised(_)
            | Frame::Reported { .. }
            | Frame::Block(_) => {}
        }
    }
}

impl Machine for Provider {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: UnixMillis, input: Input) {
        self.begin(now);
        match input {
            Input::Join {
                link,
                key,
                token,
                report,
            } => self.join(now, link, key, token, &report),
            Input::Left { link } => self.left(link),
            Input::Asked {
                link,
                call,
                request,
            } => self.asked(now, link, call, request),
            Input::Answer { call, response } => self.answered(now, call, response),
            Input::Frame { link, frame } => self.frame(now, link, *frame),
            Input::CreateToken { token, groups } => self.create_token(now, token, groups),
            Input::SealWithoutReports => self.seal_without_reports(now),
            Input::Tick => self.tick(now),
        }
    }

    fn poll(&mut self) -> Option<Step<Effect>> {
        self.steps.pop_front()
    }
}
