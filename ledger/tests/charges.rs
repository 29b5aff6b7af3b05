//! Charges on their way from the meter into a final block and onto a bill.

mod support;

use ledger::node::{self, Decision, Event};
use protocol::message::{Finality, Request, Status};
use support::{Network, site, tag, wh};

#[test]
fn one_charge_becomes_final_on_all_nodes_and_the_bill_matches() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(11_000));
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(11_000, 440)]);
    assert_eq!(net.credited("HOUSEHOLD"), (11_000, 330));
    assert!(net.billed("FLEET").is_empty());
    assert_eq!(net.receipts("household").len(), 1);
}

#[test]
fn a_charge_at_another_groups_outlet_is_billed_to_the_payer_and_credited_to_the_owner() {
    let mut net = Network::new();
    let decision = net.present("household", "FLEET-1");
    assert!(
        matches!(decision, Decision::Accepted { .. }),
        "{decision:?}"
    );
    net.charge("household", "FLEET-1", wh(5_000));
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("FLEET"), [(5_000, 200)]);
    assert_eq!(net.credited("HOUSEHOLD"), (5_000, 150));
    assert!(net.billed("HOUSEHOLD").is_empty());
    assert_eq!(net.credited("FLEET"), (0, 0));
}

#[test]
fn charges_of_a_round_are_in_group_blocks_and_none_is_late() {
    for interval_s in [1, 10, 60, 900] {
        let mut net = Network::with_interval(interval_s);
        net.present("household", "FLEET-1");
        net.charge_at("household", "garage", "HOME-1", wh(1_000));
        net.charge_at("household", "yard", "FLEET-1", wh(2_000));
        net.run_rounds(3);
        let lines: Vec<_> = net
            .blocks()
            .into_iter()
            .flat_map(|b| b.body.charges)
            .collect();
        assert_eq!(lines.len(), 2, "rounds of {interval_s} s");
        assert!(
            lines.iter().all(|line| !line.late),
            "rounds of {interval_s} s"
        );
        net.assert_settled();
    }
}

#[test]
fn charges_that_end_while_the_link_is_down_are_billed_when_it_returns() {
    let mut net = Network::new();
    net.present("household", "FLEET-2");
    net.cut_link("household");
    net.charge_at("household", "garage", "HOME-1", wh(1_000));
    net.charge_at("household", "garage", "FLEET-2", wh(2_000));
    net.charge_at("household", "garage", "HOME-1", wh(4_000));
    net.run_rounds(5);
    net.restore_link("household");
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40), (4_000, 160)]);
    assert_eq!(net.billed("FLEET"), [(2_000, 80)]);
}

#[test]
fn an_id_tag_nobody_registered_is_refused_and_a_charge_of_it_is_held() {
    let mut net = Network::new();
    let decision = net.present("household", "STRANGER");
    assert_eq!(decision, Decision::Refused(Status::Invalid));
    net.charge("household", "STRANGER", wh(700));
    net.charge("household", "HOME-1", wh(300));
    net.run_rounds(3);
    assert_eq!(net.held("household").len(), 1);
    assert_eq!(
        net.billed("HOUSEHOLD"),
        [(300, 12)],
        "the held one stops no other"
    );
    assert_eq!(
        net.node("household").charges().count(),
        1,
        "and it is not lost"
    );
}

#[test]
fn a_register_below_the_last_charges_end_is_held() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(10_000));
    let mut fallen = net.measure("household", "garage", "HOME-1", wh(500));
    fallen.register_start = wh(100_000);
    net.end_charge("household", fallen);
    net.run_rounds(3);
    assert_eq!(net.held("household").len(), 1);
    assert_eq!(net.billed("HOUSEHOLD"), [(10_000, 400)]);
}

#[test]
fn a_charge_before_its_groups_grant_is_held_and_stops_no_other() {
    let mut net = Network::new();
    net.present("household", "FLEET-1");
    let mut early = net.measure("household", "garage", "FLEET-1", wh(500));
    early.start.0 -= 3_600;
    net.end_charge("household", early);
    net.charge_at("household", "yard", "FLEET-1", wh(900));
    net.run_rounds(3);
    assert_eq!(net.held("household").len(), 1);
    assert_eq!(net.billed("FLEET"), [(900, 36)]);
}

#[test]
fn a_charger_its_group_does_not_allow_any_more_is_held_and_stops_no_other() {
    let mut net = Network::new();
    // The fleet's gateway forgets the charger: its parent answers Invalid from now on.
    let index = net.index("fleet");
    net.gateways[index].config = site("FLEET", &["FLEET-1"], &["depot"]);
    net.crash("fleet");
    net.restart("fleet");
    net.charge("household", "FLEET-2", wh(500));
    net.charge_at("household", "yard", "HOME-1", wh(600));
    net.run_rounds(3);
    assert_eq!(net.held("household").len(), 1);
    assert_eq!(net.billed("HOUSEHOLD"), [(600, 24)]);
}

#[test]
fn a_parent_that_is_away_is_asked_again_when_it_returns() {
    let mut net = Network::new();
    net.cut_link("fleet");
    let decision = net.present("household", "FLEET-1");
    assert_eq!(decision, Decision::Refused(Status::Pending));
    net.charge("household", "FLEET-1", wh(800));
    net.run_rounds(2);
    assert!(net.held("household").is_empty(), "a parent may return");
    net.restore_link("fleet");
    // The grant reaches back five minutes; the charge began two minutes before it ended.
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("FLEET"), [(800, 32)]);
}

#[test]
fn two_charges_in_one_round_at_two_outlets_of_a_node_are_billed_in_turn() {
    let mut net = Network::new();
    net.charge_at("household", "garage", "HOME-1", wh(1_000));
    net.charge_at("household", "yard", "HOME-1", wh(3_000));
    net.run_rounds(3);
    net.assert_settled();
    let with_charges = net
        .blocks()
        .into_iter()
        .filter(|b| !b.body.charges.is_empty());
    assert_eq!(with_charges.count(), 1);
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40), (3_000, 120)]);
}

#[test]
fn a_charge_reported_twice_is_billed_once_even_after_it_is_final_and_after_a_restart() {
    let mut net = Network::new();
    let charge = net.measure("household", "garage", "HOME-1", wh(1_000));
    net.end_charge("household", charge.clone());
    net.end_charge("household", charge.clone());
    net.run_rounds(3);
    net.end_charge("household", charge.clone());
    net.crash("household");
    net.restart("household");
    net.end_charge("household", charge);
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40)]);
    assert!(net.held("household").is_empty());
}

#[test]
fn a_charge_the_gateway_doubts_is_held_with_its_reason() {
    let mut net = Network::new();
    let mut doubted = net.measure("household", "garage", "HOME-1", wh(1_000));
    doubted.hold = Some("meter serial changed".to_owned());
    net.end_charge("household", doubted);
    net.run_rounds(2);
    assert_eq!(net.held("household"), ["meter serial changed"]);
    assert!(net.billed("HOUSEHOLD").is_empty());
}

fn release(net: &mut Network, name: &str) {
    let number = net.node(name).charges().next().expect("it waits").number;
    let index = net.index(name);
    net.node_gets(index, node::Input::Release { number });
    net.settle();
}

#[test]
fn a_held_charge_is_billed_when_somebody_releases_it_and_once() {
    let mut net = Network::new();
    let mut doubted = net.measure("household", "garage", "HOME-1", wh(1_000));
    doubted.hold = Some("meter serial changed".to_owned());
    net.end_charge("household", doubted);
    net.charge_at("household", "yard", "HOME-1", wh(2_000));
    net.run_rounds(3);
    assert_eq!(net.billed("HOUSEHOLD"), [(2_000, 80)]);
    release(&mut net, "household");
    release(&mut net, "household");
    net.crash("household");
    net.restart("household");
    net.restore_link("household");
    net.run_rounds(4);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(2_000, 80), (1_000, 40)]);
}

#[test]
fn a_charge_that_no_profile_can_hold_stays_held() {
    let mut net = Network::new();
    let mut endless = net.measure("household", "garage", "HOME-1", wh(1_000));
    endless.energy = wh(u64::from(u32::MAX) + 1);
    net.end_charge("household", endless);
    release(&mut net, "household");
    let charge = net.node("household").charges().next().expect("it waits");
    assert!(matches!(charge.stage, node::Stage::Held { .. }));
}

#[test]
fn a_released_charge_below_its_outlets_register_is_held_again() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(5_000));
    net.run_rounds(3);
    let mut earlier = net.measure("household", "garage", "HOME-1", wh(1_000));
    earlier.register_start = wh(0);
    net.end_charge("household", earlier);
    assert_eq!(net.held("household").len(), 1);
    release(&mut net, "household");
    assert_eq!(net.held("household").len(), 2);
    net.run_rounds(3);
    assert_eq!(net.billed("HOUSEHOLD"), [(5_000, 200)]);
}

#[test]
fn a_node_older_than_the_provider_holds_what_it_has_not_signed() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(3);
    net.lose_state("household");
    let mut forgotten = net.measure("household", "garage", "HOME-1", wh(1_000));
    forgotten.register_start = wh(100_000);
    net.gateways[0].is_cut = true;
    net.end_charge("household", forgotten);
    net.restore_link("household");
    net.run_rounds(1);
    let restored = |event: &Event| {
        matches!(
            event,
            Event::Restored {
                provider: 1,
                here: 0
            }
        )
    };
    assert!(net.gateway("household").events.iter().any(restored));
    assert_eq!(net.held("household").len(), 1);
    // What is measured from now on is billed under new numbers.
    net.charge("household", "HOME-1", wh(2_000));
    net.run_rounds(3);
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40), (2_000, 80)]);
}

#[test]
fn a_link_to_another_chain_changes_nothing() {
    let mut net = Network::new();
    let before = net.node("household").id();
    let mut genesis = net.genesis.clone();
    genesis.time.0 += 1;
    let ack = protocol::message::JoinAck {
        node: protocol::NodeId(9),
        current_time: net.now,
        last_seq: 40,
        last_profile: protocol::Hash::ZERO,
        tip: 40,
        wants_report: false,
    };
    net.cut_link("household");
    net.node_gets(0, node::Input::LinkUp { genesis, ack });
    assert_eq!(net.node("household").id(), before);
    net.restore_link("household");
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(3);
    net.assert_settled();
}

#[test]
fn a_node_signs_no_number_that_the_provider_has_and_its_chain_does_not_yet() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    // Received, in no block, and forgotten by the node.
    net.lose_state("household");
    net.restore_link("household");
    net.charge("household", "HOME-1", wh(2_000));
    let refused = |event: &ledger::provider::Event| {
        matches!(event, ledger::provider::Event::ProfileRefused { .. })
    };
    net.run_rounds(4);
    assert!(!net.provider_events.iter().any(refused));
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40), (2_000, 80)]);
}

#[test]
fn a_member_at_another_gateway_is_checked_with_its_groups_parent() {
    let mut net = Network::new();
    let fleet = net.index("fleet");
    let members = &mut net.gateways[fleet].config.members;
    members.insert(tag("FLEET-9"), tag("FLEET"));
    net.crash("fleet");
    net.restart("fleet");
    let lot = site("FLEET", &["FLEET-9", "STRANGER"], &["lot"]);
    net.add_gateway("lot", lot, &[]);
    net.run_rounds(2);
    let refused = Event::NotRegistered {
        status: Status::Invalid,
    };
    let events = &net.gateway("lot").events;
    assert_eq!(events.iter().filter(|event| **event == refused).count(), 1);
    let decision = net.present("lot", "FLEET-9");
    assert!(
        matches!(decision, Decision::Accepted { .. }),
        "{decision:?}"
    );
    net.charge("lot", "FLEET-9", wh(3_000));
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("FLEET"), [(3_000, 120)]);
    assert_eq!(net.provider().state().groups.len(), 2);
}

#[test]
fn a_parent_is_told_what_became_final_and_finds_it_in_its_own_chain() {
    let mut net = Network::new();
    net.present("household", "FLEET-1");
    net.charge("household", "FLEET-1", wh(5_000));
    net.run_rounds(3);
    let bills = |name: &str| -> Vec<(u64, u64)> {
        let events = net.gateway(name).events.iter();
        let infos = events.filter_map(|event| match event {
            Event::Billed(info) => Some(info),
            _ => None,
        });
        infos
            .map(|info| {
                let owed = info.lines.iter().map(|line| line.energy_wh.0).sum();
                (
                    owed,
                    info.credits.iter().map(|credit| credit.credit.0).sum(),
                )
            })
            .collect()
    };
    assert_eq!(bills("fleet"), [(5_000, 0)]);
    assert_eq!(bills("household"), [(0, 150)]);
}

/// Went wrong: a bill that reached a node which was still fetching blocks was called false.
#[test]
fn a_bill_that_overtakes_its_block_is_judged_when_the_block_is_there() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.cut_link("household");
    net.run_rounds(1);
    let bill = net.bill("HOUSEHOLD");
    net.ask_node("household", Request::ChargeInfo(bill.clone()));
    let told = |net: &Network, event: &Event| net.gateway("household").events.contains(event);
    let billed = Event::Billed(Box::new(bill));
    assert!(!told(&net, &Event::FalseBill) && !told(&net, &billed));
    net.restore_link("household");
    assert!(told(&net, &billed));
    assert!(!told(&net, &Event::FalseBill));
}

#[test]
fn a_bill_for_what_is_not_in_the_chain_is_told_apart() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(3);
    let mut bill = net.bill("HOUSEHOLD");
    net.ask_node("household", Request::ChargeInfo(bill.clone()));
    let false_bills = |net: &Network| {
        let events = net.gateway("household").events.iter();
        events.filter(|event| **event == Event::FalseBill).count()
    };
    assert_eq!(false_bills(&net), 0);
    bill.lines[0].height += 1;
    net.ask_node("household", Request::ChargeInfo(bill.clone()));
    assert_eq!(false_bills(&net), 1);
    bill.lines[0].height -= 1;
    bill.credits[0].height += 1;
    net.ask_node("household", Request::ChargeInfo(bill));
    assert_eq!(false_bills(&net), 2);
}

#[test]
fn each_charge_at_an_outlet_is_a_credit_under_the_header_that_proves_it() {
    let mut net = Network::new();
    net.present("household", "FLEET-1");
    for (outlet, id_tag) in [("garage", "FLEET-1"), ("yard", "HOME-1")] {
        net.charge_at("household", outlet, id_tag, wh(1_000));
        net.run_rounds(3);
        net.charge_at("household", outlet, id_tag, wh(2_000));
        net.run_rounds(3);
    }
    net.assert_settled();
    let blocks = net.blocks();
    let credits = net.bill("HOUSEHOLD").credits;
    let given: Vec<_> = credits
        .iter()
        .map(|line| (line.outlet.as_str(), line.energy_wh.0, line.credit.0))
        .collect();
    let expected = [
        ("garage", 1_000, 30),
        ("garage", 2_000, 60),
        ("yard", 1_000, 30),
        ("yard", 2_000, 60),
    ];
    assert_eq!(given, expected);
    for line in credits {
        let block = &blocks[usize::try_from(line.height).expect("few blocks") - 1];
        assert_eq!(line.header, block.header.hash());
        let profile = &block.body.charges[0].profile.body;
        assert_eq!((line.start, line.end), (profile.start, profile.end()));
        assert_eq!(line.finality, Finality::Final);
    }
    assert_eq!(net.bill("FLEET").credits, []);
}
