//! The promises, checked at every step.
//!
//! [`Checks`] looks at each honest gateway after each of its syncs and at each restart; [`unmet`]
//! says what is still due once everything has healed; [`at_the_end`] adds everything up.

mod books;
mod branches;
mod chain;
mod ending;
mod outbox;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ledger::Node;
use ledger::evidence::EvidenceFile;
use ledger::node::Event;
use ledger::store::Store;
use protocol::{Hash, NodeId, PublicKey};

use crate::faults::Fault;
use crate::lies::GatewayLie;
use crate::scenario::{Scenario, provider_key, site_key};
use books::Books;
use branches::Branches;
pub(crate) use branches::look_at_branches;
pub(crate) use ending::{at_the_end, unmet, waits_for_the_gone};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// How.
    pub what: String,
}

/// What an honest gateway has shown so far.
#[derive(Debug, Default)]
struct Watched {
    is_full: bool,
    height: u64,
    tip: Option<Hash>,
    // Number and hash of each profile it signed, and the charge's name.
    signed: BTreeMap<(NodeId, u32), (Hash, [u8; 16])>,
    // Hashes of those that it signed before its disk was lost.
    signed_before: BTreeSet<Hash>,
    was_replaced: bool,
    // Charges it has taken in and not let go.
    outbox: Vec<[u8; 16]>,
    // Charges it let go, with proof that they are final.
    released: Vec<[u8; 16]>,
    // It was shown an invalid block of the provider's.
    must_be_stopped: bool,
    final_height: u64,
    // It was handed words of voters: it may give its chain up, once.
    may_begin_anew: bool,
    // It was handed them: that there was another story is known to it.
    has_resumed: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) violation: Option<Violation>,
    provider_lies: bool,
    // It contradicts what it signed in a life that its disk has forgotten.
    is_excused: bool,
    voters_lie: bool,
    // Nobody lies and no frame is lost within a link: no profile may be refused.
    refuses_nothing: bool,
    provider_key: PublicKey,
    chain_id: Hash,
    // Keys of the honest gateways.
    honest: BTreeMap<PublicKey, usize>,
    books: BTreeMap<Hash, Rc<Books>>,
    // The first block seen final at each height, and the first seen confirmed by more than half of
    // all voters.
    finals: BTreeMap<u64, Hash>,
    confirmed: BTreeMap<u64, Hash>,
    watched: Vec<Watched>,
    // Voters have picked one of two stories: what was final in the other is not any more.
    has_resumed: bool,
    // The provider told two stories before there was a voter.
    has_two_beginnings: bool,
    pub(crate) branches: Branches,
}

impl Checks {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let chain_id = scenario.genesis.chain_id();
        let books = Rc::new(Books::new(&scenario.genesis));
        let sites = scenario.sites.iter().enumerate();
        let honest = sites.filter(|(_, site)| site.is_honest());
        let is_voter_lie =
            |lie: &GatewayLie| matches!(lie, GatewayLie::Crowd(_) | GatewayLie::Ballot(..));
        Self {
            violation: None,
            provider_lies: scenario.provider_lie.is_some(),
            is_excused: false,
            voters_lie: scenario
                .sites
                .iter()
                .any(|site| site.lie.as_ref().is_some_and(is_voter_lie)),
            refuses_nothing: scenario.is_honest()
                && !scenario
                    .faults
                    .iter()
                    .any(|planned| matches!(planned.fault, Fault::Hostile(..))),
            provider_key: provider_key().public(),
            chain_id,
            honest: honest
                .map(|(index, _)| (site_key(index).public(), index))
                .collect(),
            books: BTreeMap::from([(chain_id, books)]),
            finals: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            watched: scenario.sites.iter().map(|_| Watched::default()).collect(),
            has_resumed: false,
            has_two_beginnings: false,
            branches: Branches::default(),
        }
    }

    /// From now on the provider counts as one that lies; see `world::known`.
    pub(crate) fn excuse_provider(&mut self) {
        self.is_excused = true;
        self.provider_lies = true;
        self.refuses_nothing = false;
    }

    pub(crate) fn is_excused(&self) -> bool {
        self.is_excused
    }

    pub(crate) fn violated(&mut self, invariant: &'static str, what: &str) {
        let what = what.to_owned();
        self.violation.get_or_insert(Violation { invariant, what });
    }

    /// An honest gateway has synced a batch.
    pub(crate) fn gateway_ran(&mut self, index: usize, node: &Node, store: &Store) {
        self.check_chain(index, node, store);
        self.check_outbox(index, node, store);
        self.check_promises(index, node);
        self.check_standing(index, node);
    }

    /// An honest gateway was started, for the first time or again.
    pub(crate) fn gateway_starts(&mut self, index: usize, node: &Node, store: &Store) {
        self.gateway_ran(index, node, store);
    }

    /// Nobody is stopped by an honest provider; whoever saw an invalid block is stopped for good.
    fn check_standing(&mut self, index: usize, node: &Node) {
        let is_stopped = node.stopped().is_some();
        if is_stopped && !self.provider_lies {
            let words = format!("gateway {index} is stopped: {:?}", node.stopped());
            self.violated("an honest provider stops nobody", &words);
        }
        if !is_stopped && self.watched[index].must_be_stopped {
            let words = format!("gateway {index} goes on after it was shown an invalid block");
            self.violated("nothing is built on an invalid block", &words);
        }
    }

    /// An honest gateway tells its operator something.
    pub(crate) fn gateway_tells(&mut self, index: usize, event: &Event) {
        match event {
            Event::InvalidBlock { evidence, .. } => {
                self.watched[index].must_be_stopped = true;
                self.accused(index, "an invalid block");
                self.check_evidence(evidence.as_deref());
            }
            Event::BrokenReceipt { evidence, .. } => {
                self.watched[index].must_be_stopped = true;
                self.accused(index, "a broken receipt");
                self.check_evidence(evidence.as_deref());
            }
            Event::TwoHeaders { evidence, .. } => {
                self.watched[index].must_be_stopped = true;
                self.accused(index, "two headers for a height");
                self.check_evidence(evidence.as_deref());
            }
            Event::EvidenceShown { evidence, .. } => {
                self.watched[index].must_be_stopped = true;
                self.accused(index, "what a neighbour showed");
                self.check_evidence(Some(evidence));
            }
            Event::FalseEvidence { from, .. } | Event::ForeignHeader { from }
                if self.honest.contains_key(from) =>
            {
                let words = format!("gateway {index} refuses what an honest neighbour showed");
                self.violated("no honest party is convicted", &words);
            }
            Event::FalseBill => self.accused(index, "a false bill"),
            Event::Restored { provider, here }
                if !self.provider_lies && !self.watched[index].was_replaced =>
            {
                let words = format!(
                    "gateway {index} knows its charges up to {here}, the provider up to {provider}"
                );
                self.violated("nothing acknowledged is lost", &words);
            }
            Event::Held { outlet, reason }
                if self.refuses_nothing
                    && !self.watched[index].was_replaced
                    && reason.starts_with("the meter's register is below") =>
            {
                let words = format!("a charge of gateway {index} at {outlet}: {reason}");
                self.violated("a charge by a new meter waits for its exchange", &words);
            }
            Event::Refused { seq, reason } if self.refuses_nothing => {
                let words = format!("charge {seq} of gateway {index}: {reason}");
                self.violated("no honest charge is refused", &words);
            }
            _ => {}
        }
    }

    /// A gateway goes on with an older disk, or an empty one.
    pub(crate) fn gateway_replaced(&mut self, index: usize) {
        let before = std::mem::take(&mut self.watched[index]);
        let signed = before.signed.values().map(|(hash, _)| *hash);
        let mut signed_before = before.signed_before;
        signed_before.extend(signed);
        self.watched[index] = Watched {
            signed_before,
            was_replaced: true,
            ..Watched::default()
        };
    }

    /// A gateway is handed what voters picked.
    pub(crate) fn gateway_resumes(&mut self, index: usize) {
        self.has_resumed = true;
        self.watched[index].may_begin_anew = true;
        self.watched[index].has_resumed = true;
        self.watched[index].must_be_stopped = false;
    }

    /// Whether a gateway was handed what voters picked.
    pub(super) fn has_resumed(&self, index: usize) -> bool {
        self.watched[index].has_resumed
    }

    fn accused(&mut self, index: usize, of: &str) {
        if !self.provider_lies {
            let words = format!("gateway {index} accuses an honest provider of {of}");
            self.violated("no honest party is convicted", &words);
        }
    }

    fn check_evidence(&mut self, file: Option<&[u8]>) {
        let Some(bytes) = file else {
            return;
        };
        let key = self.provider_key;
        let read = EvidenceFile::from_bytes(bytes);
        let proven = read.and_then(|file| file.verify(Some(&key)));
        if let Err(reason) = proven {
            let words = format!("a node's evidence against the provider fails: {reason}");
            self.violated("evidence proves something", &words);
        }
    }
}
