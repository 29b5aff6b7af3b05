//! A node that is parent of no group keeps headers only, and proves its charges all the same.

mod support;

use ledger::ReceiptFile;
use ledger::block::Block;
use ledger::frame::Frame;
use ledger::node::{self, Stage, stored_receipts};
use ledger::provider::stored_proofs;
use ledger::store::Table;
use protocol::{Hash, KeyPair, Signed};
use support::{Network, provider_key, site, tag, wh};

fn send_to_node(net: &mut Network, name: &str, frame: Frame) {
    let index = net.index(name);
    net.node_gets(index, node::Input::Frame(Box::new(frame)));
    net.settle();
}

fn height(net: &Network) -> u64 {
    let progress = net.node("member").progress();
    progress.expect("it has met the provider").height
}

/// The profiles and receipt files of the member, as often as they are there.
fn proofs(net: &Network) -> usize {
    let mut files = 0;
    let store = &net.gateway("member").process.store;
    stored_receipts(store, |_, _| files += 1).expect("whole");
    files
}

#[test]
fn a_member_keeps_headers_and_no_block_and_its_charges_become_final() {
    let mut net = Network::with_member();
    for energy in [4_000, 5_000] {
        net.charge("member", "FLEET-9", wh(energy));
        net.run_rounds(1);
    }
    net.run_rounds(3);
    net.assert_settled();
    let progress = net.node("member").progress().expect("a chain");
    assert!(progress.is_headers_only);
    let store = &net.gateway("member").process.store;
    let blocks: Vec<Block> = store.all(Table("blocks")).expect("whole");
    assert_eq!(blocks, []);
    assert_eq!(net.billed("FLEET"), [(4_000, 160), (5_000, 200)]);
    assert_eq!(net.receipts("member").len(), 2);
    assert!(
        !net.node("fleet")
            .progress()
            .expect("a chain")
            .is_headers_only
    );
}

#[test]
fn a_member_with_many_charges_in_a_round_has_all_of_them_proven() {
    let mut net = Network::with_member();
    for _ in 0..50 {
        net.charge("member", "FLEET-9", wh(100));
    }
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(proofs(&net), 50);
}

#[test]
fn a_member_charges_for_others_and_others_for_it() {
    let mut net = Network::with_member();
    net.present("member", "HOME-1");
    net.charge("member", "HOME-1", wh(1_000));
    net.present("household", "FLEET-9");
    net.charge("household", "FLEET-9", wh(2_000));
    net.run_rounds(4);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40)]);
    assert_eq!(net.billed("FLEET"), [(2_000, 80)]);
}

#[test]
fn a_member_that_was_away_for_long_fetches_headers_and_proof() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(3_000));
    net.cut_link("member");
    for _ in 0..600 {
        net.charge("household", "HOME-1", wh(10));
        net.run_rounds(1);
    }
    net.run_rounds(3);
    assert_eq!(proofs(&net), 0);
    net.restore_link("member");
    net.run_rounds(2);
    net.assert_settled();
    assert_eq!(proofs(&net), 1);
}

#[test]
fn a_member_knows_its_headers_and_charges_after_a_restart() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(3_000));
    net.crash("member");
    net.restart("member");
    let before = height(&net);
    assert!(before > 0);
    net.restore_link("member");
    net.charge("member", "FLEET-9", wh(500));
    net.run_rounds(4);
    net.crash("member");
    net.restart("member");
    net.restore_link("member");
    net.charge("member", "FLEET-9", wh(700));
    net.run_rounds(4);
    net.assert_settled();
    let billed = net.billed("FLEET");
    assert_eq!(billed, [(3_000, 120), (500, 20), (700, 28)]);
}

#[test]
fn a_member_knows_after_a_restart_what_has_left_its_outbox() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(3_000));
    net.run_rounds(4);
    net.assert_settled();
    net.cut_link("member");
    net.crash("member");
    net.restart("member");
    // Nothing here is older than what the provider has: this one is billed.
    net.charge("member", "FLEET-9", wh(500));
    let mut overlapping = net.measure("member", "street", "FLEET-9", wh(100));
    overlapping.register_start = wh(0);
    net.end_charge("member", overlapping);
    net.restore_link("member");
    net.run_rounds(4);
    assert_eq!(net.billed("FLEET"), [(3_000, 120), (500, 20)]);
    let held = net.held("member");
    assert!(
        matches!(&held[..], [reason] if reason.contains("register")),
        "{held:?}"
    );
}

#[test]
fn a_member_holds_what_overlaps_a_charge_that_has_left_its_outbox() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(3_000));
    net.run_rounds(4);
    net.crash("member");
    net.restart("member");
    let mut overlapping = net.measure("member", "street", "FLEET-9", wh(100));
    overlapping.register_start = wh(0);
    net.end_charge("member", overlapping);
    net.restore_link("member");
    net.run_rounds(4);
    assert_eq!(net.held("member").len(), 1);
    assert_eq!(net.billed("FLEET"), [(3_000, 120)]);
}

#[test]
fn a_member_that_lost_its_state_goes_on_with_the_next_number() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(3_000));
    net.run_rounds(4);
    net.lose_state("member");
    net.restore_link("member");
    net.run_rounds(1);
    net.charge("member", "FLEET-9", wh(500));
    net.run_rounds(4);
    net.assert_settled();
    assert_eq!(net.billed("FLEET"), [(3_000, 120), (500, 20)]);
}

/// Went wrong: a member that was restarted while its charge waited, and then got the proof, took
/// itself for restored from a backup at the next link, and held what was measured since.
#[test]
fn a_member_restarted_before_its_proof_came_is_not_taken_for_restored() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(3_000));
    net.crash("member");
    net.restart("member");
    net.run_rounds(4);
    net.cut_link("member");
    net.charge("member", "FLEET-9", wh(500));
    net.restore_link("member");
    net.run_rounds(4);
    assert_eq!(net.held("member"), [""; 0]);
    net.assert_settled();
    assert_eq!(net.billed("FLEET"), [(3_000, 120), (500, 20)]);
}

#[test]
fn a_member_that_becomes_a_parent_fetches_and_verifies_every_block() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(3_000));
    net.run_rounds(1);
    let member = net.index("member");
    let garden = Some(tag("GARDEN"));
    net.gateways[member]
        .config
        .chargers
        .insert(tag("G-1"), garden);
    let key = net.gateway("member").key.public();
    net.crash("member");
    let token = Hash::of(b"garden");
    net.provider_gets(ledger::provider::Input::CreateToken {
        token,
        groups: [tag("GARDEN")].into(),
    });
    net.join(key, Some(token)).expect("it may");
    net.restart("member");
    net.restore_link("member");
    net.run_rounds(4);
    net.assert_settled();
    assert!(net.node("member").state().is_some());
    net.charge("member", "G-1", wh(900));
    net.run_rounds(4);
    net.crash("member");
    net.restart("member");
    net.restore_link("member");
    net.run_rounds(1);
    net.assert_settled();
    assert!(net.node("member").state().is_some(), "it stays a full node");
    assert_eq!(net.billed("GARDEN"), [(900, 36)]);
    assert_eq!(net.billed("FLEET"), [(3_000, 120)]);
}

#[test]
fn a_header_that_does_not_follow_is_not_kept() {
    let mut net = Network::with_member();
    let before = height(&net);
    net.charge("household", "HOME-1", wh(10));
    net.tamper = Some(|frame| match frame {
        Frame::Header(_) => None,
        other => Some(other),
    });
    net.run_rounds(1);
    net.tamper = None;
    let next = net.blocks().pop().expect("blocks").header;
    assert_eq!(next.body.height, before + 1);
    let chain_id = net.genesis.chain_id();
    let forged = |change: fn(&mut ledger::Header), key: &KeyPair| {
        let mut body = next.body.clone();
        change(&mut body);
        Frame::Header(Box::new(Signed::new(body, key, &chain_id)))
    };
    let provider = provider_key();
    let wrong = [
        forged(|header| header.previous = Hash::ZERO, &provider),
        forged(|header| header.log_root = Hash::ZERO, &provider),
        forged(|header| header.round = 0, &provider),
        forged(|header| header.version = 7, &provider),
        forged(|_| {}, &KeyPair::from_seed(&[77; 32])),
    ];
    for frame in wrong {
        send_to_node(&mut net, "member", frame);
        assert_eq!(height(&net), before);
    }
    send_to_node(&mut net, "member", Frame::Header(Box::new(next)));
    assert_eq!(height(&net), before + 1);
}

/// Went wrong: the receipt was lost with its link, the block was sealed before the next one, and so
/// the member, which keeps no blocks, was never told and asked for nothing.
#[test]
fn a_charge_whose_receipt_was_lost_is_proven_all_the_same() {
    let mut net = Network::with_member();
    net.tamper = Some(|frame| match frame {
        Frame::Receipt(_) => None,
        other => Some(other),
    });
    net.charge("member", "FLEET-9", wh(3_000));
    net.cut_link("member");
    net.tamper = None;
    net.run_rounds(3);
    net.restore_link("member");
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(proofs(&net), 1);
}

#[test]
fn a_false_proof_lets_no_charge_go() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(3_000));
    net.tamper = Some(|frame| match frame {
        Frame::Proof(file) => {
            let mut read = ReceiptFile::from_bytes(&file).expect("it is whole");
            read.line.amount += 1;
            Some(Frame::Proof(read.to_bytes()))
        }
        other => Some(other),
    });
    net.run_rounds(4);
    assert_eq!(proofs(&net), 0);
    let charge = net.node("member").charges().next().expect("it waits");
    assert!(matches!(
        charge.stage,
        Stage::Signed {
            receipt: Some(_),
            ..
        }
    ));
    net.tamper = None;
    net.charge("household", "HOME-1", wh(10));
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(proofs(&net), 1);
}

#[test]
fn a_proof_under_a_header_that_the_member_does_not_have_lets_no_charge_go() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(3_000));
    net.tamper = Some(|frame| match frame {
        Frame::Header(_) | Frame::Proof(_) => None,
        other => Some(other),
    });
    net.run_rounds(4);
    let node = net.node("member").id().expect("enrolled");
    let mut files = Vec::new();
    stored_proofs(&net.provider.store, node, 0, 1, |file| files.push(file)).expect("whole");
    let file = files.pop().expect("it is final");
    assert!(file.verify(Some(&provider_key().public())).is_ok());
    send_to_node(&mut net, "member", Frame::Proof(file.to_bytes()));
    assert_eq!(proofs(&net), 0);
    net.tamper = None;
    net.cut_link("member");
    net.restore_link("member");
    net.run_rounds(2);
    net.assert_settled();
    assert_eq!(proofs(&net), 1);
}

#[test]
fn another_nodes_proof_changes_nothing() {
    let mut net = Network::with_member();
    net.charge("household", "HOME-1", wh(10));
    net.charge("member", "FLEET-9", wh(20));
    net.run_rounds(1);
    net.cut_link("member");
    net.run_rounds(3);
    let file = net.receipts("household").remove(0).to_bytes();
    send_to_node(&mut net, "member", Frame::Proof(file));
    assert_eq!(net.node("member").charges().count(), 1);
    net.restore_link("member");
    net.run_rounds(1);
    net.assert_settled();
}

#[test]
fn a_node_with_groups_of_its_own_is_a_full_node() {
    let mut net = Network::new();
    net.add_gateway("garden", site("GARDEN", &["G-1"], &["shed"]), &["GARDEN"]);
    net.run_rounds(3);
    net.assert_settled();
    assert!(net.node("garden").state().is_some());
}
