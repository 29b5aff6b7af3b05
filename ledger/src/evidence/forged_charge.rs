//! The provider sealed a charge that its node did not sign.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Genesis, Hash, NodeId, Signed, canonical};

use super::NotProven;
use crate::block::{Block, ChargeLine, Header};
use crate::merkle;
use crate::receipt_file::{Anchor, StateLeaf, is_in_block};
use crate::state::{Leaf, State};

/// A header, one of its charges, and the key of the node that should have signed it: about 2 KiB.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ForgedCharge {
    /// Signed by the provider.
    pub header: Signed<Header>,
    /// In the block, and not signed by its node.
    pub line: ChargeLine,
    /// Its position among the block's charges.
    pub index: u32,
    /// Its path to the root of the charges section.
    pub path: Vec<Hash>,
    /// The roots of the body's sections.
    pub sections: [Hash; 4],
    /// The header before, whose state tells the node's key.
    pub before: Anchor,
    /// The node, from that state.
    pub node: StateLeaf,
}

impl ForgedCharge {
    /// Looks for a charge in `block` that `node` did not sign; `before` is the header before the
    /// block with the state after it.
    #[must_use]
    pub fn find(block: &Block, before: (&Signed<Header>, &State), node: NodeId) -> Option<Self> {
        let (header, state) = before;
        let account = state.nodes.get(&node)?;
        let is_forged = |line: &ChargeLine| {
            let chain_id = state.chain_id();
            line.profile.body.node == node && line.profile.verify(&account.key, &chain_id).is_err()
        };
        let index = block.body.charges.iter().position(is_forged)?;
        Some(Self {
            header: block.header.clone(),
            line: block.body.charges[index].clone(),
            index: u32::try_from(index).ok()?,
            path: merkle::path(&block.body.charge_leaves(), index)?,
            sections: block.body.section_roots(),
            before: Anchor::of(header, state)?,
            node: StateLeaf::of_node(state, node)?,
        })
    }

    pub(super) fn check(&self, genesis: &Genesis) -> Result<(), NotProven> {
        let chain_id = genesis.chain_id();
        for header in [&self.header, &self.before.header] {
            header
                .verify(&genesis.provider_key, &chain_id)
                .map_err(|_| NotProven::Signature)?;
        }
        let header = &self.header.body;
        let line = canonical(&self.line);
        if !is_in_block(header, &line, self.index, &self.path, &self.sections) {
            return Err(NotProven::NotInBlock);
        }
        let Leaf::Node(node, account) = &self.node.leaf else {
            return Err(NotProven::Node);
        };
        let is_its_node = self.before.header.hash() == header.previous
            && self.before.holds_totals()
            && self.before.holds(&self.node)
            && *node == self.line.profile.body.node;
        if !is_its_node {
            return Err(NotProven::Node);
        }
        match self.line.profile.verify(&account.key, &chain_id) {
            Ok(()) => Err(NotProven::Genuine),
            Err(_) => Ok(()),
        }
    }
}
