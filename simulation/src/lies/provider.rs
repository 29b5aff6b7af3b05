//! A lying provider's hand on its wires, and further lives it leads; and a stranger who can write
//! into the links.

use ledger::frame::{Frame, Submission, Witnessed};
use ledger::provider::{self as rules, LinkId, stored_blocks};
use ledger::receipt_file::ReceiptFile;
use ledger::store::Store;
use ledger::{Block, State, apply};
use protocol::message::Report;
use protocol::{KeyPair, Receipt, Signed};

use super::block::{Before, forge};
use super::{BlockLie, ProviderLie};
use crate::random::Random;
use crate::scenario::{Scenario, provider_key};
use crate::world::{Branch, Event, Who, World};

/// How a provider behaves that seals no invalid block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// Tells two stories to two camps, then one to both.
    Split,
    /// Goes back to an earlier block and tells another story from there.
    Rewrite,
    /// Takes no charge of one node.
    Censor,
    /// Shows one node no blocks.
    Withhold,
    /// Gives receipts and keeps nothing.
    BreakPromise,
    /// Gives receipts for rounds that are over.
    LatePromise,
    /// Proves with votes nobody cast.
    FalseProof,
}

/// All of them, with the names they are counted under.
pub(crate) const CONDUCTS: [(Conduct, &str); 7] = [
    (Conduct::Split, "lie: the provider tells two stories"),
    (Conduct::Rewrite, "lie: the provider rewrites the chain"),
    (
        Conduct::Censor,
        "lie: the provider takes no charge of a node",
    ),
    (Conduct::Withhold, "lie: the provider withholds blocks"),
    (
        Conduct::BreakPromise,
        "lie: the provider breaks its promise",
    ),
    (
        Conduct::LatePromise,
        "lie: the provider promises what is over",
    ),
    (
        Conduct::FalseProof,
        "lie: the provider proves without votes",
    ),
];

/// What a lying provider has in mind.
#[derive(Debug)]
pub(crate) struct ProviderMemory {
    // From when on it lies, ms.
    begins_at: u64,
    // Who is lied to, by gateway.
    camp: Vec<bool>,
    snapshot: Option<Store>,
    is_split: bool,
    // The block it has sealed falsely.
    forged: Option<Block>,
}

impl ProviderMemory {
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut random = Random::new(seed, 2);
        let whole = scenario.provider_lie.is_some_and(|lie| {
            matches!(lie, ProviderLie::Conduct(Conduct::Rewrite, _)) || random.chance(40)
        });
        let mut camp: Vec<bool> = scenario
            .sites
            .iter()
            .map(|_| whole || random.chance(50))
            .collect();
        if camp.iter().all(|is_in| !is_in) {
            camp[0] = true;
        }
        Self {
            begins_at: random.between(scenario.heals_at / 4, scenario.heals_at * 2 / 3),
            camp,
            snapshot: None,
            is_split: false,
            forged: None,
        }
    }
}

impl World {
    /// Plans what a lying provider does by itself.
    pub(crate) fn plan_lies(&mut self) {
        if let Some(ProviderLie::Conduct(Conduct::Split | Conduct::Rewrite, _)) =
            self.scenario.provider_lie
        {
            let begins = self.liar.begins_at;
            self.plan_event(begins / 2, Event::Lie);
            self.plan_event(begins, Event::Lie);
            self.plan_event(self.scenario.heals_at, Event::Lie);
        }
    }

    fn conduct(&self) -> Option<(Conduct, &'static str)> {
        match self.scenario.provider_lie {
            Some(ProviderLie::Conduct(conduct, name)) => Some((conduct, name)),
            _ => None,
        }
    }

    /// The moments that [`World::plan_lies`] has planned.
    pub(crate) fn lie_now(&mut self) {
        let Some((conduct, name)) = self.conduct() else {
            return;
        };
        let store = &self.branches[0].process.store;
        if self.now < self.liar.begins_at {
            self.liar.snapshot = store.copy();
        } else if self.now < self.scenario.heals_at {
            let story = match conduct {
                Conduct::Rewrite => self.liar.snapshot.take(),
                _ => store.copy(),
            };
            let Some(story) = story else { return };
            self.tally.count(name);
            self.branches.push(Branch::new(story));
            self.liar.is_split = true;
            self.start_now(Who::Provider(1));
            self.move_camp();
        } else if conduct == Conduct::Split {
            self.liar.is_split = false;
            self.move_camp();
            self.plan_event(self.now + 20_000, Event::Agree);
        }
    }

    fn move_camp(&mut self) {
        for index in 0..self.gateways.len() {
            if self.liar.camp[index]
                && let Some(link) = self.gateways[index].link
            {
                self.break_link(link);
            }
        }
    }

    /// Which of the provider's lives a gateway gets to see.
    pub(crate) fn branch_for(&self, index: usize) -> usize {
        usize::from(self.liar.is_split && self.liar.camp[index])
    }

    fn is_lied_to(&self, index: usize) -> bool {
        self.now >= self.liar.begins_at && self.liar.camp[index]
    }

    /// What a lying provider takes in of what arrives.
    pub(crate) fn lied_to_provider(
        &mut self,
        index: usize,
        link: LinkId,
        input: rules::Input,
    ) -> Option<rules::Input> {
        let input = match self.scenario.provider_lie {
            Some(_) => unheard(input)?,
            None => input,
        };
        let Some((conduct, name)) = self.conduct().filter(|_| self.is_lied_to(index)) else {
            return Some(input);
        };
        let rules::Input::Frame { frame, .. } = &input else {
            return Some(input);
        };
        let Frame::Profile(submission) = &**frame else {
            return Some(input);
        };
        match conduct {
            Conduct::Censor => {
                self.tally.count(name);
                None
            }
            Conduct::BreakPromise | Conduct::LatePromise => {
                self.tally.count(name);
                self.promise(link, submission, conduct == Conduct::LatePromise);
                None
            }
            _ => Some(input),
        }
    }

    /// A receipt for a charge that the provider forgets at once.
    fn promise(&mut self, link: LinkId, submission: &Submission, is_late: bool) {
        let Some(provider) = &self.branches[0].process.machine else {
            return;
        };
        let now = self.branches[0].process.clock(self.now);
        let over = provider.state().round;
        let profile = submission.profile.clone();
        let receipt = Receipt {
            profile: profile.hash(),
            node: profile.body.node,
            seq: profile.body.seq,
            round: match is_late {
                true => over,
                false => self.scenario.genesis.round_at(now).max(over + 1),
            },
        };
        let chain_id = self.scenario.genesis.chain_id();
        let receipt = Signed::new(receipt, &provider_key(), &chain_id);
        self.provider_sends(link, Frame::Receipt(receipt.clone()));
        let witnessed = Witnessed {
            profile,
            receipt,
            grant: submission.grant.clone(),
        };
        for link in self.links_of_branch(0) {
            self.provider_sends(link, Frame::Witness(witnessed.clone()));
        }
    }

    /// What the provider sends to a gateway in place of `frame`, and a stranger before it.
    pub(crate) fn lied_by_provider(
        &mut self,
        branch: usize,
        index: usize,
        frame: Frame,
    ) -> Vec<Frame> {
        let mut frames = Vec::new();
        if self.scenario.has_stranger && self.random.chance(30) {
            frames.extend(self.by_stranger(&frame));
        }
        if !self.is_lied_to(index) {
            frames.push(frame);
            return frames;
        }
        match self.scenario.provider_lie {
            Some(ProviderLie::Block(lie, name)) => {
                frames.push(self.forged(branch, lie, name, frame))
            }
            Some(ProviderLie::Conduct(Conduct::Withhold, name))
                if matches!(frame, Frame::Block(_) | Frame::Header(_)) =>
            {
                self.tally.count(name);
            }
            Some(ProviderLie::Conduct(Conduct::FalseProof, name)) => match frame {
                Frame::Proof(bytes) => {
                    self.tally.count(name);
                    frames.push(Frame::Proof(without_votes(&bytes)));
                }
                other => frames.push(other),
            },
            _ => frames.push(frame),
        }
        frames
    }

    /// The block or header at the height of the lie, in the false version.
    fn forged(&mut self, branch: usize, lie: BlockLie, name: &'static str, frame: Frame) -> Frame {
        let height = match &frame {
            Frame::Block(block) => block.header.body.height,
            Frame::Header(header) => header.body.height,
            _ => return frame,
        };
        if self.liar.forged.is_none() {
            let mut blocks = Vec::new();
            let store = &self.branches[branch].process.store;
            stored_blocks(store, 1, height, |block| blocks.push(block)).expect("memory is whole");
            self.liar.forged = forge_last(lie, &self.scenario, &blocks);
        }
        let Some(forged) = self.liar.forged.clone() else {
            return frame;
        };
        let is_it = forged.header.body.height == height;
        match frame {
            Frame::Block(_) if is_it => {
                self.tally.count(name);
                Frame::Block(Box::new(forged))
            }
            Frame::Header(_) if is_it => Frame::Header(Box::new(forged.header)),
            other => other,
        }
    }

    /// What somebody without the provider's key writes before a frame of its.
    fn by_stranger(&mut self, frame: &Frame) -> Option<Frame> {
        let chain_id = self.scenario.genesis.chain_id();
        let key = KeyPair::from_seed(&[75; 32]);
        let forged = match frame {
            Frame::Block(block) => {
                let mut block = (**block).clone();
                let mut header = block.header.body;
                header.time.0 += 1;
                block.header = Signed::new(header, &key, &chain_id);
                Frame::Block(Box::new(block))
            }
            Frame::Header(header) => {
                let mut header = header.body.clone();
                header.time.0 += 1;
                Frame::Header(Box::new(Signed::new(header, &key, &chain_id)))
            }
            Frame::Receipt(receipt) => {
                let mut receipt = receipt.body.clone();
                receipt.round = receipt.round.saturating_sub(1);
                Frame::Receipt(Signed::new(receipt, &key, &chain_id))
            }
            Frame::Witness(witnessed) => {
                let mut witnessed = witnessed.clone();
                witnessed.receipt.body.round += 1;
                witnessed.receipt = Signed::new(witnessed.receipt.body, &key, &chain_id);
                Frame::Witness(witnessed)
            }
            _ => return None,
        };
        self.tally.count("lie: a stranger writes into a link");
        Some(forged)
    }
}

/// The last of `blocks` in its false version; `None` where it gives no occasion.
fn forge_last(lie: BlockLie, scenario: &Scenario, blocks: &[Block]) -> Option<Block> {
    let (last, earlier) = blocks.split_last()?;
    let mut state = State::new(scenario.genesis.clone());
    for block in earlier {
        state = apply(&state, block).ok()?;
    }
    let before = Before {
        blocks: earlier,
        state: &state,
    };
    forge(lie, last, &before)
}

/// What is left of an input for a provider that does not want to know what it has signed.
fn unheard(input: rules::Input) -> Option<rules::Input> {
    match input {
        rules::Input::Join {
            link, key, token, ..
        } => Some(rules::Input::Join {
            link,
            key,
            token,
            report: Report::default(),
        }),
        rules::Input::Frame { frame, .. } if matches!(*frame, Frame::Promised(_)) => None,
        other => Some(other),
    }
}

fn without_votes(bytes: &[u8]) -> Vec<u8> {
    match ReceiptFile::from_bytes(bytes) {
        Ok(mut file) => {
            file.finality.votes.clear();
            file.to_bytes()
        }
        Err(_) => bytes.to_vec(),
    }
}
