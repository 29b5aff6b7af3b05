//! Attacks on Merkle trees, at the level of what travels: blocks, receipt files, evidence.
//!
//! They work elsewhere: Bitcoin doubled the last leaf of an odd level, so that a block with a
//! transaction twice had the root of one with it once (CVE-2012-2459), and hashed leaves as it
//! hashes nodes, so that an inner node passed for a transaction.

mod support;

use ledger::apply::{Invalid, apply};
use ledger::block::{Block, CHARGES_SECTION, GroupBlock, group_block_leaf, section_leaves};
use ledger::evidence::{Evidence, EvidenceFile, Exhibit, ForgedCharge, ForgedProfile, NotProven};
use ledger::merkle;
use ledger::receipt_file::{ReceiptError, ReceiptFile};
use ledger::state::State;
use protocol::{Hash, Signed, SignedProfile, canonical};
use support::{Network, provider_key, wh};

/// Five charges of the household in one block: a tree with an odd number of leaves.
const CHARGES: usize = 5;

struct Scene {
    net: Network,
    /// The state before the block.
    state: State,
    before: Block,
    block: Block,
    /// Of the third charge, whose path has a step to the left, one to the right and one over the
    /// odd end.
    receipt: ReceiptFile,
}

fn scene() -> Scene {
    let mut net = Network::new();
    for energy in 1..=CHARGES as u64 {
        net.charge("household", "HOME-1", wh(energy * 100));
    }
    net.run_rounds(3);
    let blocks = net.blocks();
    let at = blocks.iter().position(|b| b.body.charges.len() == CHARGES);
    let at = at.expect("one block holds all charges");
    let mut state = State::new(net.genesis.clone());
    for block in &blocks[..at] {
        state = apply(&state, block).expect("valid");
    }
    let receipt = net.receipts("household").remove(2);
    assert_eq!((receipt.index, receipt.path.len()), (2, 3));
    Scene {
        state,
        before: blocks[at - 1].clone(),
        block: blocks[at].clone(),
        receipt,
        net,
    }
}

/// The provider takes part: counts, root and signature fit what the body has become.
fn reseal(block: &mut Block, chain_id: &Hash) {
    let count = |length: usize| u32::try_from(length).expect("few");
    let header = &mut block.header.body;
    header.records = count(block.body.records.len());
    header.group_blocks = count(block.body.group_blocks.len());
    header.charges = count(block.body.charges.len());
    header.ballots = count(block.body.ballots.len());
    header.body_root = block.body.root();
    block.header = Signed::new(header.clone(), &provider_key(), chain_id);
}

#[track_caller]
fn check_block(change: impl FnOnce(&mut Block), expected: Invalid) {
    let Scene {
        state, mut block, ..
    } = scene();
    let root = block.body.root();
    change(&mut block);
    assert_ne!(block.body.root(), root, "the root does not tell them apart");
    let unsealed = apply(&state, &block);
    assert!(
        matches!(unsealed, Err(Invalid::Mismatch(_))),
        "{unsealed:?}"
    );
    reseal(&mut block, &state.chain_id());
    assert_eq!(apply(&state, &block), Err(expected));
}

#[test]
fn a_block_with_its_last_charge_doubled_has_another_root_and_is_invalid() {
    check_block(
        |block| {
            let mut last = block.body.charges[CHARGES - 1].clone();
            // In time it would not be what the group block seals either.
            last.late = true;
            block.body.charges.push(last);
        },
        Invalid::Order("charges"),
    );
}

#[test]
fn a_block_with_a_doubled_group_block_or_ballot_has_another_root_and_is_invalid() {
    check_block(
        |block| {
            let only = block.body.group_blocks[0].clone();
            block.body.group_blocks.push(only);
        },
        Invalid::Order("group blocks"),
    );
    check_block(
        |block| {
            let last = block.body.ballots.last().expect("ballots").clone();
            block.body.ballots.push(last);
        },
        Invalid::Order("ballots"),
    );
}

#[test]
fn a_group_block_over_a_doubled_profile_has_another_root_and_seals_no_block() {
    let net = scene().net;
    let key = net.gateway("household").key.clone();
    let group = net.group("HOUSEHOLD");
    check_block(
        |block| {
            let mut profiles = profiles(block);
            profiles.push(profiles[CHARGES - 1].clone());
            let said = &block.body.group_blocks[0].body;
            let doubled = GroupBlock::over(group, said.round, said.previous, profiles.iter());
            assert_ne!(doubled.root, said.root);
            // What the doubled leaf would have hidden: the count of the true profiles.
            let doubled = GroupBlock {
                count: said.count,
                energy: said.energy,
                ..doubled
            };
            block.body.group_blocks[0] = Signed::new(doubled, &key, &net.genesis.chain_id());
        },
        Invalid::GroupBlock(group),
    );
}

fn profiles(block: &Block) -> Vec<SignedProfile> {
    let lines = block.body.charges.iter();
    lines.map(|line| line.profile.clone()).collect()
}

/// The hash of an inner node whose children have these hashes.
fn node_over(left: &Hash, right: &Hash) -> Hash {
    merkle::root(&[*left, *right])
}

#[test]
fn a_section_cannot_be_passed_off_as_a_leaf_of_the_body_nor_a_leaf_as_a_section() {
    let Scene { state, block, .. } = scene();
    let sections = block.body.section_roots();
    // A body root that takes the sections' roots for nodes instead of leaves.
    let nodes = merkle::root(&sections);
    assert_ne!(merkle::root(&section_leaves(&sections)), nodes);
    let mut changed = block.clone();
    changed.header.body.body_root = nodes;
    changed.header = Signed::new(changed.header.body, &provider_key(), &state.chain_id());
    assert_eq!(apply(&state, &changed), Err(Invalid::Mismatch("body root")));
    // A charges section that takes the charges' bare hashes for leaves.
    let bare = block.body.charges.iter().map(|c| Hash::of(&canonical(c)));
    let bare = merkle::root(&bare.collect::<Vec<_>>());
    assert_ne!(sections[charges_section()], bare);
}

fn charges_section() -> usize {
    usize::try_from(CHARGES_SECTION).expect("there are four sections")
}

#[track_caller]
fn check_receipt(change: impl FnOnce(&mut ReceiptFile, &Block)) {
    let Scene {
        block, mut receipt, ..
    } = scene();
    receipt.verify(None).expect("unchanged it verifies");
    let height = receipt.header.body.height;
    change(&mut receipt, &block);
    let refused = receipt.verify(None);
    assert_eq!(refused, Err(ReceiptError::NotInBlock { height }));
}

#[test]
fn a_receipt_with_a_node_presented_as_its_leaf_fails() {
    // Its charge stands where its parent node does, one level up.
    check_receipt(|receipt, _| {
        receipt.path.remove(0);
        receipt.index /= 2;
    });
    check_receipt(|receipt, _| {
        receipt.path.remove(0);
    });
    // Its charge stands for the whole section.
    check_receipt(|receipt, _| {
        receipt.path.clear();
        receipt.index = 0;
        receipt.sections[charges_section()] = merkle::leaf_hash(&canonical(&receipt.line));
    });
}

#[test]
fn a_receipt_with_its_leaf_presented_as_a_node_fails() {
    // A level more, below its leaf.
    check_receipt(|receipt, _| {
        let leaf = merkle::leaf_hash(&canonical(&receipt.line));
        receipt.path.insert(0, leaf);
        receipt.index *= 2;
    });
    // A node instead of the sibling leaf.
    check_receipt(|receipt, block| {
        let leaves = block.body.charge_leaves();
        receipt.path[0] = node_over(&leaves[2], &leaves[3]);
    });
}

#[test]
fn a_receipt_with_a_path_of_another_length_fails() {
    for length in 0..3 {
        check_receipt(|receipt, _| receipt.path.truncate(length));
    }
    check_receipt(|receipt, _| {
        let last = receipt.path[2];
        receipt.path.push(last);
    });
    // On to the root of the body, which takes the place of the section's.
    check_receipt(|receipt, _| {
        let leaves = section_leaves(&receipt.sections);
        let on = merkle::path(&leaves, charges_section()).expect("it is one of four");
        receipt.path.extend(on);
        receipt.sections[charges_section()] = receipt.header.body.body_root;
    });
}

#[test]
fn a_receipt_with_an_index_out_of_range_fails() {
    for index in [5, 6, 7, 8, 10, 1 << 31, u32::MAX] {
        check_receipt(|receipt, _| receipt.index = index);
    }
}

#[test]
fn a_receipt_that_claims_another_charge_s_place_fails() {
    for index in [0, 1, 3, 4] {
        check_receipt(|receipt, _| receipt.index = index);
        check_receipt(|receipt, block| receipt.line = block.body.charges[index as usize].clone());
    }
}

#[test]
fn a_receipt_read_in_a_tree_of_another_size_fails() {
    // The number of charges is in the signed header: whoever changes it signs anew.
    for charges in [3, 4, 6, 7, 8, u32::MAX] {
        let mut receipt = scene().receipt;
        receipt.header.body.charges = charges;
        let refused = receipt.verify(None);
        assert_eq!(refused, Err(ReceiptError::Signature("block's header")));
    }
    // The number of voters is in the leaf that is shown with its way.
    for change in [-1, 1, 8] {
        let mut receipt = scene().receipt;
        let voters = &mut receipt.finality.anchor.totals.voters;
        *voters = voters.checked_add_signed(change).expect("it is small");
        assert_eq!(receipt.verify(None), Err(ReceiptError::Votes));
    }
}

#[test]
fn a_vote_with_the_way_of_another_leaf_or_length_fails() {
    let check = |change: fn(&mut ReceiptFile)| {
        let mut receipt = scene().receipt;
        change(&mut receipt);
        assert_eq!(receipt.verify(None), Err(ReceiptError::Votes));
    };
    check(|receipt| receipt.finality.votes[0].group.way.turns ^= 1);
    check(|receipt| receipt.finality.votes[0].group.way.turns = u64::MAX);
    check(|receipt| receipt.finality.votes[0].parent.way.path.truncate(1));
    check(|receipt| {
        let vote = &mut receipt.finality.votes[0];
        vote.parent.way.path.remove(0);
        vote.parent.way.turns >>= 1;
    });
    check(|receipt| {
        let vote = &mut receipt.finality.votes[0];
        let leaf = vote.group.leaf.hash();
        vote.group.way.path.insert(0, leaf);
        vote.group.way.turns <<= 1;
    });
    check(|receipt| receipt.finality.anchor.way.path.clear());
}

/// Evidence against the household's parent, whose group block has the third of five profiles
/// forged.
fn forged_profile(scene: &Scene) -> ForgedProfile {
    let mut profiles = profiles(&scene.block);
    profiles[2].body.energy_wh += 1;
    let said = &scene.block.body.group_blocks[0].body;
    let block = GroupBlock::over(said.group, said.round, said.previous, profiles.iter());
    let key = &scene.net.gateway("household").key;
    let block = Signed::new(block, key, &scene.state.chain_id());
    match Evidence::against_group_block(&scene.state, &block, &profiles) {
        Some(Evidence::ForgedProfile(forged)) => *forged,
        other => panic!("one is forged, not {other:?}"),
    }
}

#[track_caller]
fn check_evidence(change: impl FnOnce(&mut ForgedProfile)) {
    let scene = scene();
    let mut forged = forged_profile(&scene);
    let convicts = |forged: &ForgedProfile| {
        let evidence = Evidence::ForgedProfile(Box::new(forged.clone()));
        evidence.check(&scene.state).is_some()
    };
    assert!(convicts(&forged), "unchanged it convicts");
    change(&mut forged);
    assert!(!convicts(&forged));
}

#[test]
fn evidence_with_a_node_presented_as_a_leaf_or_a_leaf_as_a_node_convicts_nobody() {
    check_evidence(|forged| {
        forged.forged.path.remove(0);
        forged.forged.index /= 2;
    });
    check_evidence(|forged| {
        let sealed = &mut forged.forged;
        let leaf = group_block_leaf(&sealed.profile, sealed.before);
        sealed.path.insert(0, leaf);
        sealed.index *= 2;
    });
}

#[test]
fn evidence_with_a_path_of_another_length_or_an_index_out_of_range_convicts_nobody() {
    for length in 0..3 {
        check_evidence(|forged| forged.forged.path.truncate(length));
    }
    check_evidence(|forged| forged.forged.path.push(Hash::ZERO));
    for index in [0, 1, 3, 4, 5, 6, 10, u32::MAX] {
        check_evidence(|forged| forged.forged.index = index);
    }
}

#[test]
fn evidence_read_in_a_tree_of_another_size_convicts_nobody() {
    for count in [0, 3, 4, 6, 8] {
        check_evidence(|forged| forged.group_block.body.count = count);
    }
}

/// Evidence against the provider, whose block has the third of five charges forged.
fn evidence_file(scene: &Scene) -> EvidenceFile {
    let mut forged = scene.block.clone();
    let line = &mut forged.body.charges[2];
    line.profile.body.energy_wh += 1;
    let node = line.profile.body.node;
    reseal(&mut forged, &scene.state.chain_id());
    let found = ForgedCharge::find(&forged, (&scene.before.header, &scene.state), node);
    EvidenceFile {
        genesis: scene.net.genesis.clone(),
        exhibit: Exhibit::ForgedCharge(Box::new(found.expect("one is forged"))),
    }
}

#[track_caller]
fn check_file(change: impl FnOnce(&mut ForgedCharge), expected: NotProven) {
    let mut file = evidence_file(&scene());
    assert_eq!(file.verify(None), Ok(()));
    let Exhibit::ForgedCharge(forged) = &mut file.exhibit else {
        panic!("a forged charge");
    };
    change(forged);
    assert_eq!(file.verify(None), Err(expected));
}

#[test]
fn an_evidence_file_with_a_node_presented_as_a_leaf_or_a_leaf_as_a_node_proves_nothing() {
    check_file(
        |forged| {
            forged.path.remove(0);
            forged.index /= 2;
        },
        NotProven::NotInBlock,
    );
    check_file(
        |forged| {
            let leaf = merkle::leaf_hash(&canonical(&forged.line));
            forged.path.insert(0, leaf);
            forged.index *= 2;
        },
        NotProven::NotInBlock,
    );
    check_file(
        |forged| {
            forged.node.way.path.remove(0);
            forged.node.way.turns >>= 1;
        },
        NotProven::Node,
    );
}

#[test]
fn an_evidence_file_with_a_path_of_another_length_or_an_index_out_of_range_proves_nothing() {
    for length in 0..3 {
        check_file(|forged| forged.path.truncate(length), NotProven::NotInBlock);
    }
    check_file(|forged| forged.path.push(Hash::ZERO), NotProven::NotInBlock);
    for index in [0, 1, 3, 4, 5, 6, 10, u32::MAX] {
        check_file(|forged| forged.index = index, NotProven::NotInBlock);
    }
    check_file(|forged| forged.node.way.turns = u64::MAX, NotProven::Node);
}

#[test]
fn an_evidence_file_read_in_a_tree_of_another_size_proves_nothing() {
    check_file(
        |forged| forged.header.body.charges += 1,
        NotProven::Signature,
    );
    check_file(|forged| forged.before.totals.voters += 1, NotProven::Node);
}
