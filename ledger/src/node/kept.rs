//! What a node keeps of the chain, and how it asks for what is missing.
//!
//! A node begins with headers. The first group whose parent it becomes makes it a full node, for
//! good: it fetches every block and verifies each.

use protocol::message::{GetBlocks, GetHeaders, Request};
use protocol::{Genesis, Hash, Signed, UnixMillis};

use super::blocks::Blocks;
use super::headers::Headers;
use super::{Node, Pending, disk};
use crate::block::Header;
use crate::state::State;

/// A node's copy of the chain.
#[derive(Debug)]
pub(super) enum Kept {
    /// No provider was met yet.
    Nothing,
    /// Headers only.
    Headers(Box<Headers>),
    /// Every block.
    Blocks(Box<Blocks>),
}

/// How much of the chain a node keeps, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The chain's name.
    pub chain_id: Hash,
    /// Whether the node keeps headers only.
    pub is_headers_only: bool,
    /// Height of the newest block; 0 for none.
    pub height: u64,
    /// Hash of the newest header; the chain id before the first.
    pub tip: Hash,
    /// The state's root after the newest block.
    pub state_root: Hash,
    /// Height of the newest final block that this node knows of.
    pub final_height: u64,
}

impl Kept {
    pub(super) fn genesis(&self) -> Option<&Genesis> {
        match self {
            Self::Nothing => None,
            Self::Headers(headers) => Some(&headers.genesis),
            Self::Blocks(blocks) => Some(&blocks.state.genesis),
        }
    }

    pub(super) fn blocks(&self) -> Option<&Blocks> {
        match self {
            Self::Blocks(blocks) => Some(blocks),
            Self::Nothing | Self::Headers(_) => None,
        }
    }

    pub(super) fn blocks_mut(&mut self) -> Option<&mut Blocks> {
        match self {
            Self::Blocks(blocks) => Some(blocks),
            Self::Nothing | Self::Headers(_) => None,
        }
    }

    pub(super) fn headers(&self) -> Option<&Headers> {
        match self {
            Self::Headers(headers) => Some(headers),
            Self::Nothing | Self::Blocks(_) => None,
        }
    }

    pub(super) fn headers_mut(&mut self) -> Option<&mut Headers> {
        match self {
            Self::Headers(headers) => Some(headers),
            Self::Nothing | Self::Blocks(_) => None,
        }
    }

    /// Height of the newest block or header; 0 for none.
    pub(super) fn height(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Headers(headers) => headers.height(),
            Self::Blocks(blocks) => blocks.state.height,
        }
    }

    /// The newest header; `None` before the first.
    pub(super) fn newest(&self) -> Option<&Signed<Header>> {
        match self {
            Self::Nothing => None,
            Self::Headers(headers) => headers.newest(),
            Self::Blocks(blocks) => blocks.header(blocks.state.height),
        }
    }

    /// Whether the header `hash` is at `height`.
    pub(super) fn holds(&self, height: u64, hash: &Hash) -> bool {
        match self {
            Self::Nothing => false,
            Self::Headers(headers) => headers.holds(height, hash),
            Self::Blocks(blocks) => blocks.holds(height, hash),
        }
    }

    fn progress(&self) -> Option<Progress> {
        match self {
            Self::Nothing => None,
            Self::Headers(headers) => Some(headers.progress()),
            Self::Blocks(blocks) => Some(Progress {
                chain_id: blocks.state.chain_id(),
                is_headers_only: false,
                height: blocks.state.height,
                tip: blocks.state.tip,
                state_root: blocks.state.root(),
                final_height: blocks.state.final_height,
            }),
        }
    }
}

impl Node {
    /// The state as this node verified it; `None` where it keeps headers only.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        self.kept.blocks().map(|blocks| &blocks.state)
    }

    /// How far this node's copy of the chain has come; `None` before the first link.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.kept.progress()
    }

    /// Whether the header `hash` is at `height` of this node's chain.
    #[must_use]
    pub fn holds(&self, height: u64, hash: &Hash) -> bool {
        self.kept.holds(height, hash)
    }

    pub(super) fn chain_id(&self) -> Option<Hash> {
        self.kept.genesis().map(Genesis::chain_id)
    }

    /// The provider said that its newest block is at `tip`; asks for what is missing.
    pub(super) fn catch_up(&mut self, tip: u64) {
        match &mut self.kept {
            Kept::Nothing => {}
            Kept::Headers(headers) => headers.learn_tip(tip),
            Kept::Blocks(blocks) => blocks.learn_tip(tip),
        }
        self.ask_for_chain();
    }

    /// Asks for blocks or headers up to the provider's newest, unless they are all here.
    pub(super) fn ask_for_chain(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        match &self.kept {
            Kept::Blocks(blocks) if blocks.state.height < blocks.tip => {
                let from = blocks.state.height + 1;
                self.call(Pending::Chain, Request::GetBlocks(GetBlocks { from }));
            }
            Kept::Headers(headers) if headers.is_behind() => {
                let from = headers.height() + 1;
                self.call(Pending::Chain, Request::GetHeaders(GetHeaders { from }));
            }
            _ => {}
        }
    }

    /// An answer to GetBlocks or GetHeaders from height `from` on.
    pub(super) fn chain_came(&mut self, now: UnixMillis, from: u64, tip: Option<u64>) {
        // An answer that brought nothing is as good as none: asking again at once would never end.
        self.called(Pending::Chain, self.kept.height() >= from);
        if let Some(tip) = tip {
            self.catch_up(tip);
        }
        self.vote(now);
    }

    /// This node is a group's parent: from now on it keeps every block.
    pub(super) fn become_full(&mut self) {
        let Kept::Headers(headers) = &self.kept else {
            return;
        };
        let (genesis, tip) = (headers.genesis.clone(), headers.tip());
        let followed = headers.newest().cloned();
        for height in 1..=headers.height() {
            self.persist(disk::forget_header(height));
        }
        self.persist(disk::keeps_blocks());
        if let Some(header) = &followed {
            self.persist(disk::followed(header));
        }
        let mut blocks = Blocks::new(genesis);
        blocks.follow(followed);
        self.kept = Kept::Blocks(Box::new(blocks));
        self.watch_own_receipts();
        // A GetHeaders under way is answered to nobody.
        self.asked.remove(&Pending::Chain);
        self.deferred.remove(&Pending::Chain);
        self.catch_up(tip);
    }
}
