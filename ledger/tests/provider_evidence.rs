//! What convicts the provider: files that verify offline, and the nodes that keep them.

mod support;

use ledger::apply::apply;
use ledger::block::{Block, Header};
use ledger::evidence::{
    BrokenReceipt, EvidenceFile, Exhibit, ForgedCharge, Gap, NotProven, TwoHeaders,
};
use ledger::frame::{Frame, Witnessed};
use ledger::node::{Input, Stage, stored_evidence};
use ledger::state::State;
use protocol::{KeyPair, Receipt, Signed};
use support::{Network, provider_key, wh};

/// The provider seals the household's charge with ten times its energy.
fn colluding() -> Network {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.tamper = Some(|frame| match frame {
        Frame::Block(block) => Some(Frame::Block(Box::new(tenfold(*block)))),
        other => Some(other),
    });
    net.run_rounds(2);
    net
}

fn tenfold(mut block: Block) -> Block {
    if let Some(line) = block.body.charges.first_mut() {
        line.profile.body.energy_wh *= 10;
        line.late = true;
        block.body.group_blocks.clear();
        block.header.body.group_blocks = 0;
    }
    block.header.body.body_root = block.body.root();
    let chain_id = Network::with_interval(60).genesis.chain_id();
    block.header = Signed::new(block.header.body, &provider_key(), &chain_id);
    block
}

fn files(net: &Network, name: &str) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    let store = &net.gateway(name).process.store;
    stored_evidence(store, |_, file| files.push(file)).expect("whole");
    files
}

#[test]
fn a_provider_that_alters_a_charge_is_convicted_offline() {
    let net = colluding();
    for name in ["household", "fleet"] {
        let files = files(&net, name);
        assert_eq!(files.len(), 1, "{name}");
        assert!(files[0].len() <= ledger::evidence::MAX_BYTES);
        let file = EvidenceFile::from_bytes(&files[0]).expect("readable");
        assert_eq!(file.verify(Some(&provider_key().public())), Ok(()));
        let other = KeyPair::from_seed(&[42; 32]).public();
        let found = provider_key().public();
        assert_eq!(
            file.verify(Some(&other)),
            Err(NotProven::Provider { found })
        );
    }
}

#[test]
fn no_changed_byte_of_an_evidence_file_goes_unnoticed() {
    let file = files(&colluding(), "fleet").remove(0);
    for index in 0..file.len() {
        let mut changed = file.clone();
        changed[index] ^= 1;
        let read = EvidenceFile::from_bytes(&changed);
        let proven = read.and_then(|file| file.verify(Some(&provider_key().public())));
        assert!(proven.is_err(), "byte {index}");
    }
}

#[test]
fn a_genuine_charge_convicts_no_provider() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(1);
    let blocks = net.blocks();
    let (last, before) = blocks.split_last().expect("blocks");
    let mut state = State::new(net.genesis.clone());
    for block in before {
        state = apply(&state, block).expect("valid");
    }
    let header = &before.last().expect("blocks").header;
    let node = net.node("household").id().expect("enrolled");
    assert_eq!(last.body.charges.len(), 1);
    let found = ForgedCharge::find(last, (header, &state), node);
    assert_eq!(found, None);
}

#[test]
fn a_genuine_charge_under_another_nodes_key_convicts_no_provider() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(1);
    let blocks = net.blocks();
    let (last, before) = blocks.split_last().expect("blocks");
    let mut state = State::new(net.genesis.clone());
    for block in before {
        state = apply(&state, block).expect("valid");
    }
    let header = &before.last().expect("blocks").header;
    let fleet = net.node("fleet").id().expect("enrolled");
    let mut renamed = last.clone();
    renamed.body.charges[0].profile.body.node = fleet;
    let mut forged = ForgedCharge::find(&renamed, (header, &state), fleet).expect("not its own");
    forged.header = last.header.clone();
    forged.line = last.body.charges[0].clone();
    forged.sections = last.body.section_roots();
    let file = EvidenceFile {
        genesis: net.genesis.clone(),
        exhibit: Exhibit::ForgedCharge(Box::new(forged)),
    };
    assert_eq!(file.verify(None), Err(NotProven::Node));
}

#[test]
fn a_node_that_holds_proof_against_its_provider_stays_stopped_over_a_restart() {
    let mut net = colluding();
    net.tamper = None;
    let before = net.node("fleet").state().map(|state| state.height);
    assert!(net.node("fleet").stopped().is_some());
    net.crash("fleet");
    net.restart("fleet");
    net.restore_link("fleet");
    net.run_rounds(3);
    assert!(net.node("fleet").stopped().is_some());
    assert_eq!(net.node("fleet").state().map(|state| state.height), before);
}

/// The provider shows `name` a second header for its newest block's height.
fn show_second_header(net: &mut Network, name: &str) {
    let mut header = net.blocks().pop().expect("a block").header;
    header.body.time.0 += 1;
    resign(&mut header);
    let index = net.index(name);
    net.node_gets(
        index,
        Input::Frame(Box::new(Frame::Header(Box::new(header)))),
    );
    net.settle();
    assert!(net.node(name).stopped().is_some());
}

#[test]
fn a_parent_that_holds_proof_against_its_provider_seals_no_group_block() {
    let mut net = Network::new();
    show_second_header(&mut net, "household");
    net.charge("fleet", "HOME-1", wh(500));
    net.run_rounds(2);
    let blocks = net.blocks();
    let lines: Vec<bool> = blocks
        .iter()
        .flat_map(|block| &block.body.charges)
        .map(|line| line.late)
        .collect();
    assert_eq!(lines, [true]);
}

#[test]
fn a_node_that_holds_proof_against_its_provider_keeps_its_charges() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(3_000));
    show_second_header(&mut net, "member");
    net.charge("member", "FLEET-9", wh(700));
    net.run_rounds(4);
    let kept: Vec<bool> = net
        .node("member")
        .charges()
        .map(|charge| charge.stage == Stage::Measured)
        .collect();
    assert_eq!(kept, [false, true]);
}

/// A charge of the household that is promised for the open round, and in no block yet.
fn promised(net: &mut Network) -> Witnessed {
    net.charge("household", "HOME-1", wh(1_000));
    receipted(net).remove(0)
}

/// What the household's node has receipts for.
fn receipted(net: &Network) -> Vec<Witnessed> {
    let charges = net.node("household").charges();
    let promised = charges.map(|charge| match &charge.stage {
        Stage::Signed {
            profile,
            grant,
            receipt: Some(receipt),
        } => Witnessed {
            profile: (**profile).clone(),
            receipt: (**receipt).clone(),
            grant: (**grant).clone(),
        },
        other => panic!("it has a receipt, not {other:?}"),
    });
    promised.collect()
}

/// The chain's newest block and the header before it.
fn newest(net: &Network) -> (Signed<Header>, Block) {
    let mut blocks = net.blocks();
    let block = blocks.pop().expect("blocks");
    (blocks.pop().expect("blocks").header, block)
}

fn broken(net: &Network, found: Option<BrokenReceipt>) -> EvidenceFile {
    EvidenceFile {
        genesis: net.genesis.clone(),
        exhibit: Exhibit::BrokenReceipt(Box::new(found.expect("it is broken"))),
    }
}

fn resign(header: &mut Signed<Header>) {
    let chain_id = Network::with_interval(60).genesis.chain_id();
    *header = Signed::new(header.body.clone(), &provider_key(), &chain_id);
}

/// Takes the charges at `gone` out of a block, which the provider then signs.
fn without(block: &mut Block, gone: &[usize]) {
    let mut index = 0;
    block.body.charges.retain(|_| {
        index += 1;
        !gone.contains(&(index - 1))
    });
    block.header.body.charges = u32::try_from(block.body.charges.len()).expect("few");
    block.header.body.body_root = block.body.root();
    resign(&mut block.header);
}

#[test]
fn a_charge_missing_from_its_rounds_block_convicts_the_provider_wherever_it_should_stand() {
    let mut net = Network::new();
    for _ in 0..2 {
        net.charge("household", "HOME-1", wh(10));
    }
    net.present("household", "FLEET-1");
    net.charge("household", "FLEET-1", wh(10));
    let key = provider_key().public();
    let promises = receipted(&net);
    net.run_rounds(1);
    let (previous, block) = newest(&net);
    assert_eq!(block.body.charges.len(), 3);
    for promised in &promises {
        assert_eq!(BrokenReceipt::find(&previous, &block, promised), None);
        let is_it = |line: &ledger::ChargeLine| line.profile == promised.profile;
        let index = block
            .body
            .charges
            .iter()
            .position(is_it)
            .expect("it is there");
        for gone in [vec![index], vec![0, 1, 2]] {
            let mut short = block.clone();
            without(&mut short, &gone);
            let file = broken(&net, BrokenReceipt::find(&previous, &short, promised));
            assert_eq!(file.verify(Some(&key)), Ok(()));
            assert!(file.to_bytes().len() <= ledger::evidence::MAX_BYTES);
        }
        // Another charge in its place is not it.
        let mut other = block.clone();
        other.body.charges[index].profile.body.energy_wh += 1;
        without(&mut other, &[]);
        let file = broken(&net, BrokenReceipt::find(&previous, &other, promised));
        assert_eq!(file.verify(Some(&key)), Ok(()));
    }
}

#[test]
fn a_gap_is_shown_from_both_sides() {
    let mut net = Network::new();
    for _ in 0..3 {
        net.charge("household", "HOME-1", wh(10));
    }
    let promises = receipted(&net);
    net.run_rounds(1);
    let (previous, block) = newest(&net);
    let check = |index: usize, change: fn(&mut Gap)| {
        let gone = &block.body.charges[index].profile;
        let promised = promises.iter().find(|p| p.profile == *gone);
        let mut short = block.clone();
        without(&mut short, &[index]);
        let found = BrokenReceipt::find(&previous, &short, promised.expect("it has a receipt"));
        let mut file = broken(&net, found);
        assert_eq!(file.verify(None), Ok(()));
        let Exhibit::BrokenReceipt(shown) = &mut file.exhibit else {
            panic!("a broken receipt");
        };
        let absence = shown.absence.as_mut().expect("its round has a block");
        change(&mut absence.gap);
        assert_eq!(file.verify(None), Err(NotProven::Kept));
    };
    for side in [
        |gap: &mut Gap| {
            if let Gap::Between(before, _) = gap {
                *before = None;
            }
        },
        |gap: &mut Gap| {
            if let Gap::Between(_, after) = gap {
                *after = None;
            }
        },
    ] {
        check(1, side);
    }
}

#[test]
fn a_round_without_a_block_breaks_its_promises() {
    let mut net = Network::new();
    let promised = promised(&mut net);
    net.run_rounds(1);
    let (previous, mut block) = newest(&net);
    block.header.body.round += 1;
    resign(&mut block.header);
    let file = broken(&net, BrokenReceipt::find(&previous, &block, &promised));
    assert_eq!(file.verify(None), Ok(()));
}

#[test]
fn what_breaks_no_promise_convicts_no_provider() {
    let mut net = Network::new();
    let promised = promised(&mut net);
    net.run_rounds(1);
    let (previous, block) = newest(&net);
    let mut short = block.clone();
    without(&mut short, &[0]);
    let found = BrokenReceipt::find(&previous, &short, &promised).expect("it is broken");
    let check = |change: fn(&mut BrokenReceipt, &Block), expected: NotProven| {
        let mut broken = found.clone();
        change(&mut broken, &block);
        let file = EvidenceFile {
            genesis: net.genesis.clone(),
            exhibit: Exhibit::BrokenReceipt(Box::new(broken)),
        };
        assert_eq!(file.verify(None), Err(expected));
    };
    // The block that holds it.
    check(
        |broken, block| broken.header = block.header.clone(),
        NotProven::Kept,
    );
    // A round that had its block before: the first one may have held it.
    check(
        |broken, _| {
            broken.previous.body.round = broken.receipt.body.round;
            resign(&mut broken.previous);
            broken.header.body.previous = broken.previous.hash();
            resign(&mut broken.header);
        },
        NotProven::Kept,
    );
    // A header that does not follow, and one that comes before the round.
    check(
        |broken, _| {
            broken.previous.body.time.0 += 1;
            resign(&mut broken.previous);
        },
        NotProven::Kept,
    );
    check(
        |broken, _| {
            broken.header.body.round -= 1;
            resign(&mut broken.header);
        },
        NotProven::Kept,
    );
    check(
        |broken, _| broken.profile.body.energy_wh += 1,
        NotProven::Kept,
    );
    check(|broken, _| broken.absence = None, NotProven::Kept);
    check(
        |broken, _| broken.receipt.body.round += 1,
        NotProven::Signature,
    );
    check(
        |broken, _| broken.header.body.round += 1,
        NotProven::Signature,
    );
}

#[test]
fn a_node_that_sees_a_promise_broken_keeps_proof_and_stays_stopped() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    let chain_id = net.genesis.chain_id();
    let Witnessed {
        mut profile, grant, ..
    } = promised(&mut Network::new());
    profile.body.seq = 7;
    let receipt = Receipt {
        profile: profile.hash(),
        node: profile.body.node,
        seq: 7,
        round: net.genesis.round_at(net.now),
    };
    let promised = Witnessed {
        profile,
        receipt: Signed::new(receipt, &provider_key(), &chain_id),
        grant,
    };
    let fleet = net.index("fleet");
    let frame = Box::new(Frame::Witness(promised));
    net.node_gets(fleet, ledger::node::Input::Frame(frame));
    net.run_rounds(1);
    let file = EvidenceFile::from_bytes(&files(&net, "fleet")[0]).expect("readable");
    assert_eq!(file.verify(Some(&provider_key().public())), Ok(()));
    net.crash("fleet");
    net.restart("fleet");
    assert!(net.node("fleet").stopped().is_some());
}

/// The newest header with another time.
fn second(net: &Network) -> Signed<Header> {
    let (_, block) = newest(net);
    let mut header = block.header;
    header.body.time.0 += 1;
    resign(&mut header);
    header
}

#[test]
fn two_headers_for_a_height_convict_the_provider() {
    let net = Network::with_member();
    let (_, block) = newest(&net);
    let file = |first: &Signed<Header>, second: &Signed<Header>| EvidenceFile {
        genesis: net.genesis.clone(),
        exhibit: Exhibit::TwoHeaders(Box::new(TwoHeaders {
            first: first.clone(),
            second: second.clone(),
        })),
    };
    let (first, second) = (block.header, second(&net));
    assert_eq!(file(&first, &second).verify(None), Ok(()));
    assert_eq!(file(&first, &first).verify(None), Err(NotProven::OneHeader));
    let mut later = second.clone();
    later.body.height += 1;
    resign(&mut later);
    assert_eq!(file(&first, &later).verify(None), Err(NotProven::OneHeader));
    let mut forged = second;
    forged.body.time.0 += 1;
    assert_eq!(
        file(&first, &forged).verify(None),
        Err(NotProven::Signature)
    );
}

#[test]
fn full_nodes_and_headers_only_nodes_stop_at_a_second_header() {
    let mut net = Network::with_member();
    let header = second(&net);
    let (_, mut block) = newest(&net);
    block.header = header.clone();
    let fleet = net.index("fleet");
    let frame = Box::new(Frame::Block(Box::new(block)));
    net.node_gets(fleet, ledger::node::Input::Frame(frame));
    let member = net.index("member");
    let frame = Box::new(Frame::Header(Box::new(header)));
    net.node_gets(member, ledger::node::Input::Frame(frame));
    for name in ["fleet", "member"] {
        assert!(net.node(name).stopped().is_some(), "{name}");
        let file = EvidenceFile::from_bytes(&files(&net, name)[0]).expect("readable");
        assert_eq!(
            file.verify(Some(&provider_key().public())),
            Ok(()),
            "{name}"
        );
    }
    assert!(net.node("household").stopped().is_none());
}
