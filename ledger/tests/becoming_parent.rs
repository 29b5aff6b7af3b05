//! A node that kept headers and becomes a parent fetches every block: of the chain that it followed.

mod support;

use ledger::State;
use ledger::block::Block;
use ledger::evidence::EvidenceFile;
use ledger::frame::Frame;
use ledger::node::{Event, Input};
use protocol::ChargerId;
use protocol::message::{
    Register, RegisterAck, RegisterInfo, Registration, Request, Response, Status,
};
use support::{Network, tag, wh};

/// Rounds after which every receipt is due.
const LATE: u64 = 9;

/// The provider's answer that makes the member, cut off from now on, a parent.
fn become_parent(net: &mut Network) {
    net.cut_link("member");
    let member = net.gateway("member");
    let registration = Registration {
        charger: member_charger(net),
        group: net.group("FLEET"),
        group_id: tag("FLEET"),
        parent: net.node("member").id().expect("it is enrolled"),
        parent_key: member.key.public(),
        deputy_key: None,
        parent_address: None,
        salt: None,
    };
    let ack = RegisterAck {
        id_tag_info: RegisterInfo {
            interval_s: 60,
            current_time: net.now,
            status: Status::Accepted,
        },
        registration: Some(registration),
    };
    let asked = Request::Register(Register {
        id_tag: tag("FLEET-9"),
        group_id: Some(tag("FLEET")),
        is_home: true,
        group: None,
    });
    let answer = Input::Answer(asked, Some(Response::Register(ack)));
    net.node_gets(net.index("member"), answer);
    assert!(net.node("member").state().is_some(), "it keeps blocks");
}

fn member_charger(net: &Network) -> ChargerId {
    let state = net.provider().state();
    let fleet = net.group("FLEET");
    let mut chargers = state.chargers.iter();
    let found = chargers.find(|(_, account)| account.is_of(fleet));
    *found.expect("the fleet has chargers").0
}

fn give(net: &mut Network, block: Block) {
    let frame = Input::Frame(Box::new(Frame::Block(Box::new(block))));
    net.node_gets(net.index("member"), frame);
}

/// The evidence that stopped the member holds.
fn assert_stopped(net: &Network, is_it: impl Fn(&Event) -> Option<Vec<u8>>) {
    assert!(net.node("member").stopped().is_some());
    let events = &net.gateway("member").events;
    let file = events.iter().find_map(is_it).expect("it has evidence");
    let file = EvidenceFile::from_bytes(&file).expect("canonical");
    file.verify(Some(&net.genesis.provider_key))
        .expect("proven");
}

/// Went wrong: it forgot its headers, and followed whatever chain came.
#[test]
fn the_chain_that_a_new_parent_gets_is_the_one_it_followed() {
    let mut net = Network::with_member();
    become_parent(&mut net);
    // Only its disk knows by now.
    net.crash("member");
    net.restart("member");
    let mut state = State::new(net.genesis.clone());
    for _ in 0..net.provider().state().height {
        assert_eq!(net.node("member").stopped(), None);
        let (block, next) = net.other_block(&state, LATE);
        give(&mut net, block);
        state = next;
    }
    assert_stopped(&net, |event| match event {
        Event::TwoHeaders { evidence, .. } => evidence.clone(),
        _ => None,
    });
}

/// Went wrong: a node with headers only does not look for promises, and the new parent did not
/// begin to.
#[test]
fn a_new_parent_looks_for_what_it_was_promised() {
    let mut net = Network::with_member();
    net.charge("member", "FLEET-9", wh(1_000));
    let blocks = net.blocks();
    let state = net.provider().state().clone();
    become_parent(&mut net);
    for block in blocks {
        give(&mut net, block);
    }
    assert_eq!(net.node("member").stopped(), None);
    let (block, _) = net.other_block(&state, LATE);
    give(&mut net, block);
    assert_stopped(&net, |event| match event {
        Event::BrokenReceipt { evidence, .. } => evidence.clone(),
        _ => None,
    });
}

/// Went wrong: it kept headers only, and its group's vote was silent for ever.
#[test]
fn a_parent_that_lost_its_disk_is_one_again_without_chargers_of_its_own() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(3);
    let household = net.index("household");
    net.crash("household");
    net.lose_state("household");
    net.gateways[household].config.chargers.clear();
    net.restart("household");
    net.restore_link("household");
    net.charge("fleet", "FLEET-1", wh(2_000));
    net.run_rounds(4);
    assert!(net.node("household").state().is_some());
    net.assert_settled();
}
