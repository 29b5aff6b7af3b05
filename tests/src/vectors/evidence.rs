//! Evidence as blocks record it, and evidence files: what convicts, and what only looks like it.

use ledger::block::{Ballot, Block, GroupBlock, Header};
use ledger::evidence::{
    BrokenReceipt, Disorder, Evidence, EvidenceFile, Exhibit, ForgedCharge, ForgedProfile, Fork,
    Offence, Omission, TwoBallots, TwoGroupBlocks, TwoHeaders, TwoProfiles, WrongTotal,
};
use ledger::frame::Witnessed;
use ledger::merkle;
use ledger::receipt_file::StateLeaf;
use ledger::state::State;
use protocol::{
    GroupId, Hash, KeyPair, NodeId, ProfileAck, Receipt, Signed, SignedProfile, canonical,
};

use super::chain::{self, Chain, HOME};
use super::json::{Json, bytes, list, object, raw};

/// The round of every group block here.
const ROUND: u64 = 9;

pub(super) fn recorded(chain: &Chain) -> Json {
    let state = chain.state_at(6);
    let judged = |(what, evidence): (&str, Evidence)| {
        let (offence, node) = evidence.check(state).expect(what);
        object([
            ("what", what.into()),
            ("evidence", bytes(&evidence)),
            ("hash", raw(&Hash::of(&canonical(&evidence)).0)),
            ("offence", of_offence(offence)),
            ("offence_bytes", bytes(&offence)),
            ("node", node.0.into()),
        ])
    };
    let dismissed = |(what, evidence): (&str, Evidence)| {
        assert_eq!(evidence.check(state), None, "{what}");
        object([("what", what.into()), ("evidence", bytes(&evidence))])
    };
    object([
        (
            "what",
            "Evidence as a block records it, of each kind, judged by the keys below. What convicts \
             is listed with its offence and the node that is convicted; what is under `refused` \
             proves nothing and makes a block that records it invalid."
                .into(),
        ),
        ("chain_id", raw(&chain.genesis.chain_id().0)),
        ("provider_key", raw(&chain.genesis.provider_key.0)),
        ("node_keys", node_keys(state)),
        ("parents", parents(state)),
        (
            "convicts",
            list(convicting(chain).into_iter().map(judged)),
        ),
        ("refused", list(harmless(chain).into_iter().map(dismissed))),
    ])
}

fn node_keys(state: &State) -> Json {
    let nodes = state.nodes.iter();
    let keys = nodes.map(|(node, account)| (node.to_string(), raw(&account.key.0)));
    Json::Object(keys.collect())
}

fn parents(state: &State) -> Json {
    let groups = state.groups.iter();
    let parents = groups.map(|(group, account)| (group.to_string(), account.parent.0.into()));
    Json::Object(parents.collect())
}

fn of_offence(offence: Offence) -> Json {
    match offence {
        Offence::Parent { group, round } => object([
            ("kind", "parent".into()),
            ("group", group.0.into()),
            ("round", round.into()),
        ]),
        Offence::Node { node, seq } => object([
            ("kind", "node".into()),
            ("node", node.0.into()),
            ("seq", seq.into()),
        ]),
        Offence::Voter { group, height } => object([
            ("kind", "voter".into()),
            ("group", group.0.into()),
            ("height", height.into()),
        ]),
        Offence::Provider { height } => {
            object([("kind", "provider".into()), ("height", height.into())])
        }
    }
}

fn sign<T: protocol::Signable>(body: T, key: &KeyPair) -> Signed<T> {
    Signed::new(body, key, &chain::genesis().chain_id())
}

fn over(profiles: &[SignedProfile]) -> GroupBlock {
    GroupBlock::over(HOME.group, ROUND, Hash::ZERO, profiles.iter())
}

fn found(chain: &Chain, block: GroupBlock, profiles: &[SignedProfile]) -> Evidence {
    let block = sign(block, &chain::node(1));
    Evidence::against_group_block(chain.state_at(6), &block, profiles).expect("it lies")
}

fn forged_profile(chain: &Chain) -> ForgedProfile {
    let mut profiles = chain.profiles();
    profiles[1].body.energy_wh += 1;
    match found(chain, over(&profiles), &profiles) {
        Evidence::ForgedProfile(evidence) => *evidence,
        other => panic!("a forged profile, not {other:?}"),
    }
}

fn disorder(chain: &Chain) -> Disorder {
    let mut profiles = chain.profiles();
    profiles[2] = profiles[1].clone();
    match found(chain, over(&profiles), &profiles) {
        Evidence::Disorder(evidence) => *evidence,
        other => panic!("disorder, not {other:?}"),
    }
}

fn wrong_total(chain: &Chain) -> WrongTotal {
    let profiles = chain.profiles();
    let mut block = over(&profiles);
    block.energy.0 -= 1;
    match found(chain, block, &profiles) {
        Evidence::WrongTotal(evidence) => *evidence,
        other => panic!("a wrong total, not {other:?}"),
    }
}

/// A group block whose sums go wrong on the way, and end right.
fn wrong_on_the_way(chain: &Chain) -> WrongTotal {
    let profiles = chain.profiles();
    let mut block = over(&profiles);
    let mut sums = Vec::new();
    let mut sum = 0;
    for profile in &profiles {
        sums.push(protocol::EnergyWh(sum));
        sum += u64::from(profile.body.energy_wh);
    }
    sums[1].0 += 5;
    let leaves = profiles.iter().zip(&sums);
    let leaves = leaves.map(|(profile, before)| ledger::block::group_block_leaf(profile, *before));
    let leaves: Vec<Hash> = leaves.collect();
    block.root = merkle::root(&leaves);
    let mut sealed = (0_u32..).zip(&profiles).map(|(index, profile)| {
        let place = usize::try_from(index).expect("few");
        ledger::evidence::Sealed {
            profile: profile.clone(),
            before: sums[place],
            index,
            path: merkle::path(&leaves, place).expect("it is there"),
        }
    });
    WrongTotal {
        group_block: sign(block, &chain::node(1)),
        sealed: sealed.next().expect("three"),
        next: sealed.next(),
    }
}

/// The profile at `index` is left out.
fn omission(chain: &Chain, index: usize) -> Omission {
    let mut profiles = chain.profiles();
    let omitted = profiles.remove(index);
    let ack = ProfileAck {
        group: HOME.group,
        round: ROUND,
        profile: omitted.hash(),
    };
    let (block, ack) = (over(&profiles), sign(ack, &chain::node(1)));
    let block = sign(block, &chain::node(1));
    let state = chain.state_at(6);
    match Evidence::of_omission(state, &block, &profiles, &ack, &omitted) {
        Some(Evidence::Omission(evidence)) => *evidence,
        other => panic!("an omission, not {other:?}"),
    }
}

fn two_group_blocks(chain: &Chain) -> TwoGroupBlocks {
    let profiles = chain.profiles();
    TwoGroupBlocks {
        first: sign(over(&profiles), &chain::node(1)),
        second: sign(over(&profiles[1..]), &chain::node(1)),
    }
}

fn two_profiles(chain: &Chain) -> TwoProfiles {
    let first = chain.profiles().remove(0);
    let mut other = first.body.clone();
    other.energy_wh += 1;
    TwoProfiles {
        first,
        second: sign(other, &chain::node(1)),
    }
}

/// Two ballots for one height.
fn two_ballots(chain: &Chain) -> TwoBallots {
    let other = Ballot {
        header: Hash::of(b"another header"),
        ..chain.ballot(2, 4).body
    };
    TwoBallots {
        lower: chain.ballot(2, 4),
        higher: sign(other, &chain::node(2)),
        fork: None,
    }
}

/// A ballot for a header beside the chain, and a later one for the chain.
fn fork(chain: &Chain) -> TwoBallots {
    let beside = Ballot {
        header: Hash::of(b"another header"),
        ..chain.ballot(2, 3).body
    };
    let log = chain.log();
    TwoBallots {
        lower: sign(beside, &chain::node(2)),
        higher: chain.ballot(2, 5),
        fork: Some(Fork {
            header: chain.header(5).clone(),
            leaf: log[2],
            path: merkle::path(&log[..4], 2).expect("it is there"),
        }),
    }
}

fn convicting(chain: &Chain) -> Vec<(&'static str, Evidence)> {
    let omitted = |index| Evidence::Omission(Box::new(omission(chain, index)));
    let none_sealed = Omission {
        group_block: sign(over(&[]), &chain::node(1)),
        before: None,
        after: None,
        ..omission(chain, 0)
    };
    vec![
        (
            "The group block of a parent holds a profile that its node did not sign",
            Evidence::ForgedProfile(Box::new(forged_profile(chain))),
        ),
        (
            "It holds a profile twice",
            Evidence::Disorder(Box::new(disorder(chain))),
        ),
        (
            "It states a Wh less than its last profile's sum",
            Evidence::WrongTotal(Box::new(wrong_total(chain))),
        ),
        (
            "Its second profile's sum does not follow from the first's",
            Evidence::WrongTotal(Box::new(wrong_on_the_way(chain))),
        ),
        (
            "It lacks a profile that would be the first, and that its parent acknowledged",
            omitted(0),
        ),
        ("It lacks one between two others", omitted(1)),
        ("It lacks one that would be the last", omitted(2)),
        (
            "It seals nothing",
            Evidence::Omission(Box::new(none_sealed)),
        ),
        (
            "Two group blocks for one round",
            Evidence::TwoGroupBlocks(Box::new(two_group_blocks(chain))),
        ),
        (
            "Two profiles with one number",
            Evidence::TwoProfiles(Box::new(two_profiles(chain))),
        ),
        (
            "Two ballots for one height",
            Evidence::TwoBallots(Box::new(two_ballots(chain))),
        ),
        (
            "A ballot for a header that the log of a later one, which the voter confirmed, too, \
             does not hold",
            Evidence::TwoBallots(Box::new(fork(chain))),
        ),
    ]
}

fn harmless(chain: &Chain) -> Vec<(&'static str, Evidence)> {
    let mut honest = forged_profile(chain);
    let profiles = chain.profiles();
    honest.group_block = sign(over(&profiles), &chain::node(1));
    honest.forged.profile = profiles[1].clone();
    let mut not_under = forged_profile(chain);
    not_under.forged.before.0 += 1;
    let mut unsigned = forged_profile(chain);
    unsigned.group_block = sign(unsigned.group_block.body, &chain::node(2));
    let mut unknown = forged_profile(chain);
    unknown.group_block.body.group = GroupId(77);
    let mut backwards = disorder(chain);
    backwards.neighbours.reverse();
    let mut right = wrong_total(chain);
    right.group_block = sign(over(&profiles), &chain::node(1));
    let mut not_acknowledged = omission(chain, 1);
    not_acknowledged.ack.signature.0[0] ^= 1;
    let mut other_round = omission(chain, 1);
    other_round.ack.body.round += 1;
    other_round.ack = sign(other_round.ack.body, &chain::node(1));
    let mut gap = omission(chain, 1);
    gap.after = None;
    let mut same = two_group_blocks(chain);
    same.second = same.first.clone();
    let mut other_number = two_profiles(chain);
    other_number.second.body.seq += 1;
    other_number.second = sign(other_number.second.body, &chain::node(1));
    let mut by_another = two_profiles(chain);
    by_another.second = sign(by_another.second.body, &chain::node(2));
    let mut extends = fork(chain);
    extends.lower = chain.ballot(2, 3);
    let mut without = fork(chain);
    without.fork = None;
    let two = |evidence| Evidence::TwoProfiles(Box::new(evidence));
    let forged = |evidence| Evidence::ForgedProfile(Box::new(evidence));
    let omitted = |evidence| Evidence::Omission(Box::new(evidence));
    let ballots = |evidence| Evidence::TwoBallots(Box::new(evidence));
    vec![
        ("The profile is signed by its node", forged(honest)),
        (
            "The profile is not under the group block so",
            forged(not_under),
        ),
        (
            "The group block is not signed by its parent",
            forged(unsigned),
        ),
        ("No such group", forged(unknown)),
        (
            "The neighbours in the wrong places",
            Evidence::Disorder(Box::new(backwards)),
        ),
        ("The total is right", Evidence::WrongTotal(Box::new(right))),
        (
            "The acknowledgement is not the parent's",
            omitted(not_acknowledged),
        ),
        (
            "The acknowledgement is of another round",
            omitted(other_round),
        ),
        ("What is shown is not the last profile", omitted(gap)),
        (
            "Twice the same group block",
            Evidence::TwoGroupBlocks(Box::new(same)),
        ),
        ("Two profiles with two numbers", two(other_number)),
        ("One of them signed by another node", two(by_another)),
        ("The later header extends the other", ballots(extends)),
        (
            "Two heights, and no header that shows the fork",
            ballots(without),
        ),
    ]
}

pub(super) fn files(chain: &Chain) -> Json {
    let file = |exhibit| EvidenceFile {
        genesis: chain.genesis.clone(),
        exhibit,
    };
    let key = chain.genesis.provider_key;
    let convicts = convicting_exhibits(chain)
        .into_iter()
        .map(|(what, exhibit)| {
            let file = file(exhibit);
            assert_eq!(file.verify(Some(&key)), Ok(()), "{what}");
            object([("what", what.into()), ("file", raw(&file.to_bytes()))])
        });
    let refused = harmless_exhibits(chain).into_iter().map(|(what, exhibit)| {
        let file = file(exhibit);
        let reason = file.verify(Some(&key)).expect_err(what).to_string();
        object([
            ("what", what.into()),
            ("file", raw(&file.to_bytes())),
            ("reason", reason.into()),
        ])
    });
    object([
        (
            "what",
            "Evidence files, which convict the provider offline. Those under `refused` prove \
             nothing; the reason is in the words of this project's program."
                .into(),
        ),
        ("provider_key", raw(&key.0)),
        ("convicts", list(convicts.collect::<Vec<_>>())),
        ("refused", list(refused.collect::<Vec<_>>())),
    ])
}

fn reseal(header: &mut Signed<Header>) {
    *header = sign(header.body.clone(), &chain::provider());
}

/// Block 2 with ten times the energy of one of its charges, signed by the provider.
fn forged_charge(chain: &Chain) -> ForgedCharge {
    let mut block = chain.block(2).clone();
    block.body.charges[1].profile.body.energy_wh *= 10;
    block.header.body.body_root = block.body.root();
    reseal(&mut block.header);
    let before = (chain.header(1), chain.state_at(1));
    ForgedCharge::find(&block, before, NodeId(1)).expect("it is forged")
}

/// The promise that block 2 holds its charge at `index`.
fn promise(chain: &Chain, index: usize, round: u64) -> Witnessed {
    let profile = chain.block(2).body.charges[index].profile.clone();
    let receipt = Receipt {
        profile: profile.hash(),
        node: profile.body.node,
        seq: profile.body.seq,
        round,
    };
    Witnessed {
        profile,
        receipt: sign(receipt, &chain::provider()),
        grant: HOME.grant(),
    }
}

/// Block 2 as the provider would have sealed it with its charges changed so.
fn with_charges(chain: &Chain, change: impl FnOnce(&mut Block)) -> Block {
    let mut block = chain.block(2).clone();
    change(&mut block);
    block.header.body.charges = u32::try_from(block.body.charges.len()).expect("few");
    block.header.body.body_root = block.body.root();
    reseal(&mut block.header);
    block
}

fn without(chain: &Chain, index: usize) -> BrokenReceipt {
    let block = with_charges(chain, |block| {
        block.body.charges.remove(index);
    });
    BrokenReceipt::find(chain.header(1), &block, &promise(chain, index, 2)).expect("it is broken")
}

fn convicting_exhibits(chain: &Chain) -> Vec<(&'static str, Exhibit)> {
    let broken = |evidence| Exhibit::BrokenReceipt(Box::new(evidence));
    let other = with_charges(chain, |block| {
        block.body.charges[1].profile.body.energy_wh += 1;
    });
    let empty = with_charges(chain, |block| block.body.charges.clear());
    let find = |block: &Block, index, round| {
        let promise = promise(chain, index, round);
        BrokenReceipt::find(chain.header(1), block, &promise).expect("it is broken")
    };
    let mut later = chain.block(2).clone();
    later.header.body.round = 3;
    reseal(&mut later.header);
    vec![
        (
            "The provider sealed a charge with ten times the energy that its node signed",
            Exhibit::ForgedCharge(Box::new(forged_charge(chain))),
        ),
        (
            "A charge that it gave a receipt for is not in its round's block: it would be the first",
            broken(without(chain, 0)),
        ),
        (
            "The same of one between two others",
            broken(without(chain, 1)),
        ),
        ("The same of the last one", broken(without(chain, 3))),
        (
            "Another charge stands in its place",
            broken(find(&other, 1, 2)),
        ),
        ("The block holds no charge", broken(find(&empty, 1, 2))),
        (
            "The chain goes on after the promised round without a block for it",
            broken(find(&later, 1, 2)),
        ),
        (
            "Two headers for one height",
            Exhibit::TwoHeaders(Box::new(two_headers(chain))),
        ),
    ]
}

fn two_headers(chain: &Chain) -> TwoHeaders {
    let first = chain.header(5).clone();
    let mut second = first.clone();
    second.body.time.0 += 1;
    reseal(&mut second);
    TwoHeaders { first, second }
}

/// A file that a node may show to another one.
pub(super) fn two_headers_file(chain: &Chain) -> Vec<u8> {
    let file = EvidenceFile {
        genesis: chain.genesis.clone(),
        exhibit: Exhibit::TwoHeaders(Box::new(two_headers(chain))),
    };
    file.to_bytes()
}

fn harmless_exhibits(chain: &Chain) -> Vec<(&'static str, Exhibit)> {
    let charge = |evidence| Exhibit::ForgedCharge(Box::new(evidence));
    let broken = |evidence| Exhibit::BrokenReceipt(Box::new(evidence));
    let headers = |evidence| Exhibit::TwoHeaders(Box::new(evidence));
    let block = chain.block(2);
    let line = block.body.charges[1].clone();
    let mut genuine = forged_charge(chain);
    genuine.header = block.header.clone();
    genuine.sections = block.body.section_roots();
    genuine.line = line;
    genuine.path = merkle::path(&block.body.charge_leaves(), 1).expect("it is there");
    let mut other_node = forged_charge(chain);
    other_node.node = StateLeaf::of_node(chain.state_at(1), NodeId(2)).expect("it is there");
    let mut elsewhere = forged_charge(chain);
    elsewhere.index = 0;
    let mut altered = forged_charge(chain);
    altered.header.signature.0[0] ^= 1;
    let mut kept = without(chain, 1);
    kept.header = block.header.clone();
    let mut early = without(chain, 1);
    early.receipt = promise(chain, 1, 3).receipt;
    let mut gap = without(chain, 1);
    gap.previous = chain.header(3).clone();
    let mut one = two_headers(chain);
    one.second = one.first.clone();
    let mut heights = two_headers(chain);
    heights.second = chain.header(4).clone();
    let mut unsigned = two_headers(chain);
    unsigned.second.body.time.0 += 1;
    vec![
        ("The node signed the charge", charge(genuine)),
        ("Another node's key", charge(other_node)),
        ("Another position", charge(elsewhere)),
        (
            "A header that the provider did not sign so",
            charge(altered),
        ),
        ("The block that holds the charge", broken(kept)),
        ("The promise is for a later round", broken(early)),
        ("The headers do not follow each other", broken(gap)),
        ("One and the same header", headers(one)),
        ("Two heights", headers(heights)),
        ("A header that the provider did not sign", headers(unsigned)),
    ]
}
