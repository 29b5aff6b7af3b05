//! After the provider told two stories: a node says with which header it goes on, and goes on where
//! more than half of the voters agree.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Hash, Signed};

use super::blocks::Blocks;
use super::headers::Headers;
use super::kept::Kept;
use super::outbox::Stage;
use super::{Event, Node, disk};
use crate::block::Header;
use crate::frame::Frame;
use crate::resume::{NotResumed, Resume, picked};

/// A header that a node's words pick; for its height it never picks another.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Pick {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub header: Hash,
}

/// Why a node cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeRefusal {
    /// It has no proof against its provider.
    #[error("this node goes on already: it has no proof against its provider")]
    NotStopped,
    /// It has picked another header.
    #[error("this node has picked another header for this height, and cannot take that back")]
    OtherPick,
    /// The words pick nothing.
    #[error(transparent)]
    Words(#[from] NotResumed),
}

impl Node {
    /// Whether this node may say that it goes on with the header `hash` at `height`.
    ///
    /// # Errors
    /// `NotStopped` or `OtherPick`.
    pub fn check_pick(&self, pick: &Pick) -> Result<(), ResumeRefusal> {
        if self.stopped.is_none() {
            return Err(ResumeRefusal::NotStopped);
        }
        match &self.pick {
            Some(before) if before.height == pick.height && before != pick => {
                Err(ResumeRefusal::OtherPick)
            }
            _ => Ok(()),
        }
    }

    /// The operator picks a header; the words are [`Node::words`] once that is durable.
    pub(super) fn pick(&mut self, pick: Pick) {
        if self.check_pick(&pick).is_ok() {
            self.persist(disk::pick(&pick));
            self.pick = Some(pick);
        }
    }

    /// The words of the voters that this node votes for about what it has picked.
    #[must_use]
    pub fn words(&self) -> Vec<Signed<Resume>> {
        let (Some(pick), Some(chain), Some(id)) = (&self.pick, self.kept.blocks(), self.id) else {
            return Vec::new();
        };
        let followed_height = chain.state.height.max(pick.height);
        let voters = chain.state.votes_of(id);
        voters
            .map(|voter| {
                let word = Resume {
                    voter,
                    height: pick.height,
                    header: pick.header,
                    followed_height,
                };
                Signed::new(word, &self.key, &chain.state.chain_id())
            })
            .collect()
    }

    /// Whether `words` let this node go on. One that keeps headers only cannot look who votes: it
    /// takes the word of whoever hands them over, and risks no more than its own charges' place.
    ///
    /// # Errors
    /// `NotStopped`, or `Words` with what is wrong.
    pub fn check_resume(&self, words: &[Signed<Resume>]) -> Result<(), ResumeRefusal> {
        if self.stopped.is_none() {
            return Err(ResumeRefusal::NotStopped);
        }
        match self.state() {
            Some(state) => picked(state, words).map(drop)?,
            None if words.is_empty() => return Err(NotResumed::Empty.into()),
            None => {}
        }
        Ok(())
    }

    /// Goes on with what the voters picked: with this node's chain where it holds the header, and
    /// otherwise with the provider's from the first block on. What has no receipt there is
    /// submitted again.
    pub(super) fn go_on_with(&mut self, words: Vec<Signed<Resume>>) {
        if self.check_resume(&words).is_err() {
            return;
        }
        let picked = &words[0].body;
        let (height, header) = (picked.height, picked.header);
        let tip = self.kept.height();
        if !self.kept.holds(height, &header) {
            self.begin_anew();
            self.take_back(height);
        }
        self.stopped = None;
        self.neighbours.go_on();
        self.persist(disk::going_on());
        self.persist(disk::resumed(&words));
        self.resumed = words;
        self.notify(Event::Resumed { height });
        self.forget_promises();
        self.report_resume();
        self.catch_up(tip);
    }

    /// Forgets a chain that is given up, and the vote for it.
    fn begin_anew(&mut self) {
        let Some(genesis) = self.kept.genesis().cloned() else {
            return;
        };
        let (kept, gone) = match &self.kept {
            Kept::Nothing => return,
            Kept::Headers(headers) => (
                Kept::Headers(Box::new(Headers::new(genesis))),
                (1..=headers.height()).map(disk::forget_header).collect(),
            ),
            Kept::Blocks(chain) => {
                let blocks = (1..=chain.state.height).map(disk::forget_block);
                let others = [disk::forget_vote(), disk::forget_followed()];
                let gone: Vec<_> = blocks.chain(others).collect();
                (Kept::Blocks(Box::new(Blocks::new(genesis))), gone)
            }
        };
        self.kept = kept;
        for write in gone {
            self.persist(write);
        }
    }

    /// Promises made in the story that is given up bind nobody in the other: the charges are
    /// submitted again, with the same bytes.
    fn forget_promises(&mut self) {
        self.rounds.forget_promises();
        self.outbox.forget_blocks();
        let numbers: Vec<u64> = self.outbox.charges.keys().copied().collect();
        for number in numbers {
            if let Stage::Signed {
                profile,
                grant,
                receipt: Some(_),
            } = self.outbox.charges[&number].stage.clone()
            {
                let receipt = None;
                let stage = Stage::Signed {
                    profile,
                    grant,
                    receipt,
                };
                self.set_stage(number, stage);
            }
        }
        self.find_charges_in_chain();
    }

    /// Whether the voters have settled which of two stories holds at `height`: that there was another
    /// is known, and stops nobody again.
    pub(super) fn is_settled(&self, height: u64) -> bool {
        let followed = self.resumed.iter().map(|word| word.body.followed_height);
        followed.max().is_some_and(|up_to| height <= up_to)
    }

    /// Whether a header is the one that the voters gave up.
    pub(super) fn is_given_up(&self, header: &Header) -> bool {
        let picked = self.resumed.first().map(|word| &word.body);
        picked
            .is_some_and(|picked| header.height == picked.height && header.hash() != picked.header)
    }

    /// Stops again: the provider goes on with the story that the voters gave up.
    pub(super) fn stop_again(&mut self, header: &Signed<Header>) {
        let Some(genesis) = self.kept.genesis() else {
            return;
        };
        if header
            .verify(&genesis.provider_key, &genesis.chain_id())
            .is_ok()
        {
            let height = header.body.height;
            let reason = format!("block {height} is of the story that the voters gave up");
            self.stop(height, reason.clone(), None);
            self.notify(Event::InvalidBlock {
                height,
                reason,
                evidence: None,
            });
        }
    }

    /// Shows the provider what the voters picked, until the chain says so.
    pub(super) fn report_resume(&mut self) {
        let is_recorded = self.state().is_some_and(|state| {
            let followed = self.resumed.iter().map(|word| word.body.followed_height);
            followed
                .max()
                .is_some_and(|height| state.is_pardoned(height))
        });
        if !self.resumed.is_empty() && !is_recorded {
            self.send(Frame::Picked(self.resumed.clone()));
        }
    }
}
