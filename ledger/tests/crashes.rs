//! One scripted story of charges and rounds, with a fault at every point it could strike: each
//! charge is billed exactly once and all chains are equal in the end.

mod support;

use support::{Fault, Network, Victim, site, tag, wh};

/// Enrolment, a charge at home, one away from home, one while the link is down, one more round.
fn story(net: &mut Network) {
    let household = site("HOUSEHOLD", &["HOME-1"], &["garage", "yard"]);
    net.add_gateway("household", household, &["HOUSEHOLD"]);
    net.add_gateway("fleet", site("FLEET", &["FLEET-1"], &["depot"]), &["FLEET"]);
    net.run_rounds(1);
    // A person presents the tag again until the charger lets them charge.
    while !is_accepted(net) {
        net.run_for(1);
    }
    net.charge_at("household", "garage", "HOME-1", wh(1_000));
    net.charge_at("household", "yard", "FLEET-1", wh(2_000));
    net.run_rounds(1);
    net.cut_link("household");
    net.charge_at("household", "garage", "FLEET-1", wh(4_000));
    net.run_for(5);
    net.restore_link("household");
    net.charge_at("fleet", "depot", "FLEET-1", wh(8_000));
    net.run_rounds(4);
}

fn is_accepted(net: &mut Network) -> bool {
    let index = net.index("household");
    net.gateways[index].decisions.clear();
    let question = ledger::node::Input::Presented {
        question: 1,
        id_tag: tag("FLEET-1"),
    };
    net.node_gets(index, question);
    net.settle();
    let accepted = |(_, decision): &_| matches!(decision, ledger::node::Decision::Accepted { .. });
    net.gateways[index].decisions.iter().any(accepted)
}

fn check_end(net: &Network, fault: Fault) {
    println!("{fault:?}");
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40)]);
    let mut fleet = net.billed("FLEET");
    fleet.sort_unstable();
    assert_eq!(fleet, [(2_000, 80), (4_000, 160), (8_000, 320)]);
    assert_eq!(net.credited("HOUSEHOLD"), (7_000, 210));
    assert_eq!(net.credited("FLEET"), (8_000, 240));
    for gateway in &net.gateways {
        assert!(net.held(gateway.name).is_empty());
    }
    assert_eq!(net.receipts("household").len(), 3);
    assert_eq!(net.receipts("fleet").len(), 1);
}

/// Strikes at occasion 0, 1, 2, … until the story has no such occasion any more.
fn strike_everywhere(fault: impl Fn(usize) -> Fault, at_least: usize) {
    for occasion in 0.. {
        let mut net = Network::empty();
        net.faults.plan(fault(occasion));
        story(&mut net);
        check_end(&net, fault(occasion));
        if !net.faults.has_struck() {
            assert!(
                occasion >= at_least,
                "the story has only {occasion} such moments"
            );
            return;
        }
    }
}

const HOUSEHOLD: Victim = Victim::Node(0);
const FLEET: Victim = Victim::Node(1);

#[test]
fn the_provider_dies_before_every_sync() {
    strike_everywhere(|n| Fault::BeforeSync(Victim::Provider, n), 15);
}

#[test]
fn the_provider_dies_after_every_sync() {
    strike_everywhere(|n| Fault::AfterSync(Victim::Provider, n), 15);
}

#[test]
fn the_provider_dies_before_everything_it_does() {
    strike_everywhere(|n| Fault::BeforeEffect(Victim::Provider, n), 50);
}

#[test]
fn a_node_dies_before_every_sync() {
    strike_everywhere(|n| Fault::BeforeSync(HOUSEHOLD, n), 10);
    strike_everywhere(|n| Fault::BeforeSync(FLEET, n), 8);
}

#[test]
fn a_node_dies_after_every_sync() {
    strike_everywhere(|n| Fault::AfterSync(HOUSEHOLD, n), 10);
    strike_everywhere(|n| Fault::AfterSync(FLEET, n), 8);
}

#[test]
fn a_node_dies_before_everything_it_does() {
    strike_everywhere(|n| Fault::BeforeEffect(HOUSEHOLD, n), 15);
    strike_everywhere(|n| Fault::BeforeEffect(FLEET, n), 12);
}

#[test]
fn a_link_breaks_instead_of_every_message() {
    strike_everywhere(Fault::Cut, 50);
}
