//! A chain of valid blocks: the roots on the way, and the state after each.

use ledger::block::Block;
use ledger::merkle;
use ledger::state::{Leaf, State};
use protocol::canonical;

use super::chain::Chain;
use super::json::{Json, bytes, list, object, raw};

pub(super) fn blocks(chain: &Chain) -> Json {
    object([
        (
            "what",
            "Blocks that follow each other from the genesis on, all valid. Beside each: the roots \
             of its sections, the leaves of the state after it in their order, and how far \
             finality has come."
                .into(),
        ),
        ("genesis", bytes(&chain.genesis)),
        ("chain_id", raw(&chain.genesis.chain_id().0)),
        ("state_root_before", raw(&chain.states[0].root().0)),
        (
            "blocks",
            list((1_u64..).zip(&chain.blocks).map(|(height, block)| {
                let index = usize::try_from(height - 1).expect("few");
                of_block(block, chain.stories[index], chain.state_at(height))
            })),
        ),
    ])
}

fn of_block(block: &Block, story: &str, after: &State) -> Json {
    assert_eq!(after.root(), block.header.body.state_root);
    let sections = ["records", "group_blocks", "charges", "ballots"];
    let roots = sections.into_iter().zip(block.body.section_roots());
    let roots = roots.map(|(name, root)| (name.to_owned(), raw(&root.0)));
    let header = &block.header;
    object([
        ("what", story.into()),
        ("height", header.body.height.into()),
        ("block", bytes(block)),
        ("header_hash", raw(&header.hash().0)),
        ("section_roots", Json::Object(roots.collect())),
        ("body_root", raw(&header.body.body_root.0)),
        ("log_root", raw(&header.body.log_root.0)),
        ("state_root", raw(&header.body.state_root.0)),
        (
            "state_leaves",
            list(after.leaves().map(|leaf| of_leaf(&leaf))),
        ),
        ("final_height", after.final_height.into()),
        ("confirmed_height", after.confirmed_height.into()),
    ])
}

fn of_leaf(leaf: &Leaf) -> Json {
    assert_eq!(leaf.hash(), merkle::leaf_hash(&canonical(leaf)));
    bytes(leaf)
}
