//! The receipt file: everything that proves one charge, checked offline against one key.

mod closing;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    DecodeError, Genesis, GroupId, Hash, NodeId, PublicKey, Signed, UnixSeconds, Verifier,
    canonical, decode,
};

use crate::block::{Ballot, Block, CHARGES_SECTION, ChargeLine, Header, section_leaves};
use crate::merkle::{self, Way};
use crate::state::{Leaf, State, Totals};
pub use closing::Closing;

/// First bytes of every receipt file; the last of them is the format's version.
pub const MAGIC: &[u8; 8] = b"CHARGER\x01";

/// The longest receipt file read: a path, and ballots of some thousand voters.
pub const MAX_BYTES: usize = 4 << 20;

/// Proof that one charge is in one block, and that the block is final.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReceiptFile {
    /// The chain's parameters.
    pub genesis: Genesis,
    /// The charge.
    pub line: ChargeLine,
    /// Its position among the block's charges.
    pub index: u32,
    /// Its path to the root of the charges section.
    pub path: Vec<Hash>,
    /// The roots of the body's sections.
    pub sections: [Hash; 4],
    /// The block's header.
    pub header: Signed<Header>,
    /// What makes the block final.
    pub finality: FinalityProof,
}

/// What makes a block final: the same for each of its charges.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FinalityProof {
    /// The header before the block, whose state names the voters. No charge is in a chain's first
    /// block.
    pub anchor: Anchor,
    /// The votes, sorted by voter.
    pub votes: Vec<Vote>,
    /// Where these are too few: who was dormant when the dispute period was over.
    pub closing: Option<Closing>,
}

/// A header, and what its state says about voters.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Anchor {
    /// The header.
    pub header: Signed<Header>,
    /// How many voters its state has.
    pub totals: Totals,
    /// The way of `totals` to the state's root.
    pub way: Way,
}

/// A leaf of a state's tree with its path.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StateLeaf {
    /// The leaf.
    pub leaf: Leaf,
    /// Its way to the root.
    pub way: Way,
}

/// One voter's yes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// The voter, from the anchor's state.
    pub group: StateLeaf,
    /// Its parent, from the anchor's state.
    pub parent: StateLeaf,
    /// The ballot.
    pub ballot: Signed<Ballot>,
    /// The header it names, where that is a descendant of the charge's block.
    pub descendant: Option<Descendant>,
}

/// A header whose log holds the charge's header.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Descendant {
    /// The header.
    pub header: Signed<Header>,
    /// The path of the charge's header to its log root.
    pub log_path: Vec<Hash>,
}

/// What a receipt file proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Voters that could vote.
    pub voters: u32,
    /// Voters that did.
    pub votes: u32,
    /// Voters that did not and were dormant when the dispute period was over. Only without them the
    /// votes are more than half; 0 where they are more than half of all.
    pub dormant: u32,
}

impl Proven {
    /// Whether so few could vote that the parties confirm themselves.
    #[must_use]
    pub fn is_self_attested(&self) -> bool {
        self.voters <= 2
    }
}

/// Why a receipt file proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Not a receipt file of this version.
    #[error("this is not a receipt file of version 1")]
    Magic,
    /// A receipt file cut short, extended or changed in its structure.
    #[error("the receipt file is damaged")]
    Damaged(#[from] DecodeError),
    /// Another provider's chain.
    #[error("the receipt is of provider {found}, not of the one asked for")]
    Provider {
        /// The receipt's.
        found: PublicKey,
    },
    /// A header that the provider did not sign.
    #[error("the provider did not sign the {0}")]
    Signature(&'static str),
    /// The charge is not in the block.
    #[error("the charge is not in block {height}: it was changed, or it comes from another block")]
    NotInBlock {
        /// The block.
        height: u64,
    },
    /// The voters or their votes do not belong to this block.
    #[error("the votes do not belong to this block")]
    Votes,
    /// Too few votes.
    #[error("only {votes} of {voters} voters confirmed the block")]
    NotFinal {
        /// Voters that did.
        votes: u32,
        /// Voters that could and were not dormant.
        voters: u32,
    },
    /// Final without the dormant before the dispute period was over.
    #[error("the block's dispute period was not over at {closed}, when it is said to be final")]
    Disputable {
        /// When it is said to be final.
        closed: UnixSeconds,
    },
}

impl ReceiptFile {
    /// The file's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [MAGIC.as_slice(), &canonical(self)].concat()
    }

    /// Reads a file. It may still prove nothing: see [`ReceiptFile::verify`].
    ///
    /// # Errors
    /// `Magic` or `Damaged`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let content = bytes.strip_prefix(MAGIC).ok_or(ReceiptError::Magic)?;
        Ok(decode(content)?)
    }

    /// Checks everything offline. `provider` is the key that whoever asks trusts; without it the
    /// file is checked against the key it names itself.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(&self, provider: Option<&PublicKey>) -> Result<Proven, ReceiptError> {
        let found = self.genesis.provider_key;
        if provider.is_some_and(|key| *key != found) {
            return Err(ReceiptError::Provider { found });
        }
        let signer = Signer::of(&self.genesis)?;
        signer.check(&self.header, OWN_HEADER)?;
        self.check_charge()?;
        let voters = self.check_anchor(&signer)?;
        let votes = self.count_votes(&signer)?;
        let dormant = match &self.finality.closing {
            None => 0,
            Some(closing) => closing.verify(self, &signer)?,
        };
        let counted = voters.checked_sub(dormant).ok_or(ReceiptError::Votes)?;
        if u64::from(votes) * 2 <= u64::from(counted) {
            let voters = counted;
            return Err(ReceiptError::NotFinal { votes, voters });
        }
        Ok(Proven {
            voters,
            votes,
            dormant,
        })
    }

    fn check_charge(&self) -> Result<(), ReceiptError> {
        let header = &self.header.body;
        let line = canonical(&self.line);
        if is_in_block(header, &line, self.index, &self.path, &self.sections) {
            Ok(())
        } else {
            Err(ReceiptError::NotInBlock {
                height: header.height,
            })
        }
    }

    /// The number of voters at the anchor.
    fn check_anchor(&self, signer: &Signer) -> Result<u32, ReceiptError> {
        let anchor = &self.finality.anchor;
        signer.check(&anchor.header, "header that names the voters")?;
        if anchor.header.hash() == self.header.body.previous && anchor.holds_totals() {
            Ok(anchor.totals.voters)
        } else {
            Err(ReceiptError::Votes)
        }
    }

    fn count_votes(&self, signer: &Signer) -> Result<u32, ReceiptError> {
        let mut last: Option<GroupId> = None;
        let mut named = Vec::new();
        for vote in &self.finality.votes {
            let voter = vote.ballot.body.voter;
            if last.is_some_and(|before| before >= voter) {
                return Err(ReceiptError::Votes);
            }
            last = Some(voter);
            self.check_vote(signer, vote, &mut named)?;
        }
        u32::try_from(self.finality.votes.len()).map_err(|_| ReceiptError::Votes)
    }

    /// `named_before` are the headers that votes before this one named, and that were checked then: most
    /// voters name the same one.
    fn check_vote<'a>(
        &'a self,
        signer: &Signer,
        vote: &'a Vote,
        named_before: &mut Vec<&'a Descendant>,
    ) -> Result<(), ReceiptError> {
        let anchor = &self.finality.anchor;
        let (Leaf::Group(group, account), Leaf::Node(node, parent)) =
            (&vote.group.leaf, &vote.parent.leaf)
        else {
            return Err(ReceiptError::Votes);
        };
        let named = match &vote.descendant {
            None => &self.header.body,
            Some(descendant) => {
                if !named_before.contains(&descendant) {
                    self.check_descendant(signer, descendant)?;
                    named_before.push(descendant);
                }
                &descendant.header.body
            }
        };
        let ballot = &vote.ballot.body;
        let belongs = anchor.holds(&vote.group)
            && anchor.holds(&vote.parent)
            && ballot.voter == *group
            && account.parent == *node
            && ballot.height == named.height
            && ballot.header == named.hash();
        if !belongs {
            return Err(ReceiptError::Votes);
        }
        vote.ballot
            .verify(&parent.key, &signer.chain_id)
            .map_err(|_| ReceiptError::Votes)
    }

    fn check_descendant(
        &self,
        signer: &Signer,
        descendant: &Descendant,
    ) -> Result<(), ReceiptError> {
        signer.check(&descendant.header, "header that was voted for")?;
        match in_log(&descendant.header.body, &self.header, &descendant.log_path) {
            true => Ok(()),
            false => Err(ReceiptError::Votes),
        }
    }
}

/// How a failure names the header of the charge's block.
const OWN_HEADER: &str = "block's header";

/// The provider's key, read once for all headers of a file, and the chain they are signed for.
struct Signer {
    key: Verifier,
    chain_id: Hash,
}

impl Signer {
    fn of(genesis: &Genesis) -> Result<Self, ReceiptError> {
        // Under a key that is unusable nothing is signed, the first header neither.
        let key = genesis.provider_key.verifier();
        Ok(Self {
            key: key.map_err(|_| ReceiptError::Signature(OWN_HEADER))?,
            chain_id: genesis.chain_id(),
        })
    }

    fn check(&self, header: &Signed<Header>, what: &'static str) -> Result<(), ReceiptError> {
        header
            .verify_with(&self.key, &self.chain_id)
            .map_err(|_| ReceiptError::Signature(what))
    }
}

impl StateLeaf {
    /// Shows a group of `state`.
    #[must_use]
    pub fn of_group(state: &State, group: GroupId) -> Option<Self> {
        Self::of(state, Leaf::Group(group, state.groups.get(&group)?.clone()))
    }

    /// Shows a node of `state`.
    #[must_use]
    pub fn of_node(state: &State, node: NodeId) -> Option<Self> {
        Self::of(state, Leaf::Node(node, state.nodes.get(&node)?.clone()))
    }

    fn of(state: &State, leaf: Leaf) -> Option<Self> {
        let way = state.way(&leaf)?;
        Some(Self { leaf, way })
    }
}

impl Anchor {
    pub(crate) fn holds(&self, leaf: &StateLeaf) -> bool {
        leaf.leaf.is_in(&self.header.body.state_root, &leaf.way)
    }

    pub(crate) fn holds_totals(&self) -> bool {
        let leaf = Leaf::Totals(self.totals.clone());
        leaf.is_in(&self.header.body.state_root, &self.way)
    }

    /// Shows the totals of the state after `header`.
    pub(crate) fn of(header: &Signed<Header>, state: &State) -> Option<Self> {
        let totals = state.totals();
        Some(Self {
            header: header.clone(),
            way: state.way(&Leaf::Totals(totals.clone()))?,
            totals,
        })
    }
}

/// Whether `path` and `sections` lead from the canonical bytes of a charge line at `index` to
/// `header`.
pub(crate) fn is_in_block(
    header: &Header,
    line: &[u8],
    index: u32,
    path: &[Hash],
    sections: &[Hash; 4],
) -> bool {
    let section = usize::try_from(CHARGES_SECTION).expect("there are four sections");
    let in_section = merkle::includes(
        &sections[section],
        header.charges.into(),
        index.into(),
        &merkle::leaf_hash(line),
        path,
    );
    in_section && merkle::root(&section_leaves(sections)) == header.body_root
}

/// Whether `older` is in the log of `newer`.
fn in_log(newer: &Header, older: &Signed<Header>, path: &[Hash]) -> bool {
    let Some(index) = older.body.height.checked_sub(1) else {
        return false;
    };
    let leaf = merkle::leaf_hash(&older.hash().0);
    let size = newer.height.saturating_sub(1);
    merkle::includes(&newer.log_root, size, index, &leaf, path)
}

/// What the proof of a block's finality is made from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The block's header.
    pub header: &'a Header,
    /// The header before it, with the state after that one.
    pub anchor: (&'a Signed<Header>, &'a State),
    /// The newest header, with the state after it.
    pub newest: (&'a Signed<Header>, &'a State),
    /// Ballots from the chain for the block or descendants, sorted by voter, one a voter.
    pub ballots: &'a [Signed<Ballot>],
    /// The headers that those ballots name.
    pub named: &'a [Signed<Header>],
    /// Leaf hashes of the log, at least up to the newest header.
    pub log: &'a [Hash],
}

impl FinalityProof {
    /// Proves it; `None` where the sources lack a header or a voter that a ballot names, or where
    /// the block is not final by them.
    #[must_use]
    pub fn prove(sources: &Sources<'_>) -> Option<Self> {
        let (before, state) = sources.anchor;
        let votes = issue_votes(sources, state)?;
        let closing = match votes.len() * 2 > state.groups.len() {
            true => None,
            false => Some(closing::issue(sources, votes.len())?),
        };
        Some(Self {
            anchor: Anchor::of(before, state)?,
            votes,
            closing,
        })
    }
}

/// Makes the receipt file of the charge at `index` of `block`; `None` where there is none.
#[must_use]
pub fn issue(
    genesis: &Genesis,
    block: &Block,
    index: usize,
    finality: FinalityProof,
) -> Option<ReceiptFile> {
    let Block { header, body } = block;
    Some(ReceiptFile {
        genesis: genesis.clone(),
        line: body.charges.get(index)?.clone(),
        index: u32::try_from(index).ok()?,
        path: merkle::path(&body.charge_leaves(), index)?,
        sections: body.section_roots(),
        header: header.clone(),
        finality,
    })
}

fn issue_votes(sources: &Sources<'_>, state: &State) -> Option<Vec<Vote>> {
    let mut votes = Vec::new();
    for ballot in sources.ballots {
        let voter = ballot.body.voter;
        // Voters that came after the anchor do not count for this block.
        let Some(account) = state.groups.get(&voter) else {
            continue;
        };
        votes.push(Vote {
            group: StateLeaf::of_group(state, voter)?,
            parent: StateLeaf::of_node(state, account.parent)?,
            ballot: ballot.clone(),
            descendant: issue_descendant(sources, &ballot.body)?,
        });
    }
    Some(votes)
}

/// The header that a ballot names and its path, unless it is the charge's own; the outer `None`
/// where the sources lack it.
fn issue_descendant(sources: &Sources<'_>, ballot: &Ballot) -> Option<Option<Descendant>> {
    let own = sources.header;
    if ballot.height == own.height {
        return Some(None);
    }
    let mut named = sources.named.iter();
    let header = named.find(|header| header.body.height == ballot.height)?;
    Some(Some(Descendant {
        header: header.clone(),
        log_path: log_path(sources.log, &header.body, own)?,
    }))
}

/// The path of `older` to the log root of `newer`.
fn log_path(log: &[Hash], newer: &Header, older: &Header) -> Option<Vec<Hash>> {
    let size = usize::try_from(newer.height.checked_sub(1)?).ok()?;
    let index = usize::try_from(older.height.checked_sub(1)?).ok()?;
    merkle::path(log.get(..size)?, index)
}
