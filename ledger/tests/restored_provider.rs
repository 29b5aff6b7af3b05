//! A provider that goes on from an older copy of its store: it takes from its nodes what it has
//! signed since, contradicts none of it, and bills every charge once.

mod support;

use ledger::Node;
use ledger::frame::{Frame, Promised, Witnessed};
use ledger::node::Stage;
use ledger::provider::{Effect, Event, Input, JoinRefusal};
use ledger::store::{Machine, Step, Store};
use protocol::message::{Register, Report, Request, Response, Status};
use protocol::{
    Hash, HexBytes, KeyPair, NodeId, Receipt, Signed, SignedGrant, SignedProfile, canonical,
};
use support::{Network, site, tag, wh};

/// Three groups; with two, one that is away is half of the voters.
fn three() -> Network {
    let mut net = Network::new();
    net.add_gateway("taxi", site("TAXI", &["TAXI-1"], &["rank"]), &["TAXI"]);
    net.run_rounds(3);
    net
}

fn assert_nobody_is_convicted(net: &Network) {
    for gateway in &net.gateways {
        assert_eq!(net.node(gateway.name).stopped(), None, "{}", gateway.name);
        assert!(net.held(gateway.name).is_empty(), "{}", gateway.name);
    }
    let contradicts = |event: &Event| matches!(event, Event::TwoHeaders { .. });
    assert!(!net.provider_events.iter().any(contradicts));
    assert_eq!(net.provider().state().convictions.len(), 0);
}

fn goes_on(net: &Network) -> bool {
    net.provider().standing(net.now).goes_on
}

/// The round that the newest charge of a gateway was promised for.
fn promised_round(net: &Network, name: &str) -> u64 {
    let mut charges = net.node(name).charges();
    let found = charges.find_map(|charge| match &charge.stage {
        Stage::Signed {
            receipt: Some(receipt),
            ..
        } => Some(receipt.body.round),
        _ => None,
    });
    found.expect("it was promised")
}

/// The round whose block holds the only charge of so many Wh.
fn sealed_round(net: &Network, energy_wh: u32) -> u64 {
    let blocks = net.blocks();
    let holds = |block: &&ledger::Block| {
        let mut lines = block.body.charges.iter();
        lines.any(|line| line.profile.body.energy_wh == energy_wh)
    };
    let found: Vec<_> = blocks.iter().filter(holds).collect();
    assert_eq!(found.len(), 1, "{energy_wh} Wh are sealed once");
    found[0].header.body.round
}

#[test]
fn blocks_that_the_copy_lacks_come_back_from_the_nodes() {
    let mut net = Network::with_member();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(2);
    let backup = net.back_up();
    net.charge("household", "HOME-1", wh(2_000));
    net.run_rounds(2);
    net.charge("fleet", "FLEET-1", wh(4_000));
    net.run_rounds(2);
    let (tip, height) = (net.provider().state().tip, net.provider().state().height);

    net.restore(backup);
    assert!(net.provider().state().height < height);
    net.settle();
    assert_eq!(net.provider().state().tip, tip);
    net.charge("member", "FLEET-9", wh(8_000));
    net.run_rounds(3);

    net.assert_settled();
    assert_nobody_is_convicted(&net);
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40), (2_000, 80)]);
    assert_eq!(net.billed("FLEET"), [(4_000, 160), (8_000, 320)]);
    assert_eq!(net.receipts("household").len(), 2);
}

#[test]
fn a_copy_without_any_block_takes_all_of_them_back() {
    let mut net = Network::empty();
    let empty = net.back_up();
    let household = site("HOUSEHOLD", &["HOME-1"], &["garage"]);
    net.add_gateway("household", household, &["HOUSEHOLD"]);
    let fleet = site("FLEET", &["FLEET-1", "FLEET-2"], &["depot"]);
    net.add_gateway("fleet", fleet, &["FLEET"]);
    net.run_rounds(2);
    net.charge("household", "HOME-1", wh(1_000));
    for _ in 0..70 {
        // More than one answer's worth of blocks.
        net.charge("fleet", "FLEET-1", wh(10));
        net.run_rounds(1);
    }
    net.run_rounds(2);
    let before = net.provider().state().clone();
    assert!(before.height > 64);

    // Not even the tokens are there: the chain knows the keys.
    net.restore(empty);
    net.settle();
    net.run_for(70);
    assert_eq!(net.provider().state().tip, before.tip);
    net.charge("household", "HOME-1", wh(2_000));
    net.charge("fleet", "FLEET-2", wh(4_000));
    net.run_rounds(3);

    net.assert_settled();
    assert_nobody_is_convicted(&net);
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40), (2_000, 80)]);
    let state = net.provider().state();
    assert_eq!((state.nodes.len(), state.groups.len()), (2, 2));
    assert_eq!((state.chargers.len(), state.supply_points.len()), (3, 2));
    assert_eq!(net.credited("HOUSEHOLD"), (3_000, 90));
}

#[test]
fn a_charge_keeps_the_round_it_was_promised_for() {
    for name in ["household", "member"] {
        let mut net = Network::with_member();
        net.present("member", "FLEET-9");
        let id_tag = if name == "member" {
            "FLEET-9"
        } else {
            "HOME-1"
        };
        let backup = net.back_up();
        net.charge(name, id_tag, wh(1_000));
        let promised = promised_round(&net, name);

        net.restore(backup);
        net.run_rounds(3);
        assert_eq!(sealed_round(&net, 1_000), promised);
        net.assert_settled();
        assert_nobody_is_convicted(&net);
    }
}

#[test]
fn a_promise_that_only_witnesses_have_seen_is_kept() {
    let mut net = three();
    let backup = net.back_up();
    // The receipt never reaches the node that measured.
    net.tamper = Some(|frame| match frame {
        Frame::Receipt(_) => None,
        other => Some(other),
    });
    net.charge("household", "HOME-1", wh(1_000));
    let promised = net.genesis.round_at(net.now);
    net.tamper = None;

    net.restore(backup);
    net.settle();
    assert_eq!(promised_round(&net, "household"), promised);
    net.run_rounds(3);
    assert_eq!(sealed_round(&net, 1_000), promised);
    net.assert_settled();
    assert_nobody_is_convicted(&net);
}

#[test]
fn witnesses_bring_back_the_charge_of_a_node_that_stays_away() {
    let mut net = three();
    let backup = net.back_up();
    net.charge("household", "HOME-1", wh(1_000));
    let promised = promised_round(&net, "household");

    net.cut_link("household");
    net.restore(backup);
    net.run_rounds(3);
    assert!(goes_on(&net));
    assert_eq!(sealed_round(&net, 1_000), promised);

    net.restore_link("household");
    net.run_rounds(3);
    net.assert_settled();
    assert_nobody_is_convicted(&net);
}

#[test]
fn no_round_is_sealed_that_lacks_a_charge_which_was_promised() {
    let mut net = three();
    let backup = net.back_up();
    // Nobody but its node sees the first promise; all see the second.
    net.tamper = Some(|frame| match frame {
        Frame::Witness(_) => None,
        other => Some(other),
    });
    net.charge("household", "HOME-1", wh(1_000));
    net.tamper = None;
    net.charge("household", "HOME-1", wh(2_000));
    let promised = promised_round(&net, "household");

    // Two of three voters are here, and know of a charge that cannot come before the first one.
    net.cut_link("household");
    net.restore(backup);
    net.run_rounds(1);
    net.charge("fleet", "FLEET-1", wh(4_000));
    net.run_rounds(3);
    assert!(goes_on(&net));
    assert!(net.provider().state().round < promised);
    let missing = |event: &&Event| matches!(event, Event::MissingCharge { seq: 2, round, .. } if *round == promised);
    assert_eq!(net.provider_events.iter().filter(missing).count(), 1);
    assert_eq!(net.provider().standing(net.now).missing, 1);

    net.restore_link("household");
    net.run_rounds(3);
    assert_eq!(sealed_round(&net, 1_000), promised);
    assert_eq!(sealed_round(&net, 2_000), promised);
    net.assert_settled();
    assert_nobody_is_convicted(&net);
}

#[test]
fn a_witness_that_spoils_a_promise_does_not_keep_it_from_being_kept() {
    let mut net = three();
    let backup = net.back_up();
    net.charge("household", "HOME-1", wh(1_000));
    let promised = promised_round(&net, "household");
    net.crash_provider();
    for name in ["household", "taxi"] {
        net.cut_link(name);
    }
    net.spoil_promises();
    net.restore(backup);
    net.run_for(1);
    net.spoil_nothing();
    assert_eq!(net.provider().standing(net.now).missing, 1);
    net.restore_link("taxi");
    net.run_rounds(3);
    assert_eq!(sealed_round(&net, 1_000), promised);
    net.restore_link("household");
    net.run_rounds(2);
    net.assert_settled();
}

#[test]
fn enrolments_that_no_block_holds_yet_get_their_numbers_again() {
    let mut net = three();
    let backup = net.back_up();
    // Both join in this round, and the second charges at once.
    net.add_gateway("late", site("TAXI", &["TAXI-7"], &["curb"]), &["LATE"]);
    net.settle();
    let mut hotel = site("HOTEL", &["HOTEL-1"], &["front", "back"]);
    // Of no group, and so of one of its own.
    hotel.chargers.insert(tag("PORTER"), None);
    net.add_gateway("hotel", hotel, &["HOTEL"]);
    net.settle();
    let before: Vec<_> = net.provider().registry().outlets().cloned().collect();
    let numbers_of = |net: &Network| {
        let node = net.node("hotel").id();
        (node, net.group("HOTEL"), net.group("UNGROUPED/5"))
    };
    let given = numbers_of(&net);
    net.charge_at("hotel", "back", "HOTEL-1", wh(1_000));
    let promised = promised_round(&net, "hotel");

    // The tokens were made after the backup, too: the operator makes them again.
    net.restore(backup);
    for (token, groups) in [("late", "LATE"), ("hotel", "HOTEL")] {
        let groups = [tag(groups)].into();
        let token = Hash::of(token.as_bytes());
        net.provider_gets(Input::CreateToken { token, groups });
    }
    // The one that joined first comes last.
    net.cut_link("late");
    net.run_for(5);
    net.restore_link("late");
    net.run_rounds(3);
    assert_eq!(numbers_of(&net), given);
    let after: Vec<_> = net.provider().registry().outlets().cloned().collect();
    let numbers = |outlets: &[ledger::provider::OutletEntry]| {
        let mut all: Vec<_> = outlets
            .iter()
            .map(|o| (o.name.clone(), o.node, o.supply_point))
            .collect();
        all.sort();
        all
    };
    assert_eq!(numbers(&before), numbers(&after));
    assert_eq!(sealed_round(&net, 1_000), promised);
    net.assert_settled();
    assert_nobody_is_convicted(&net);
}

#[test]
fn nothing_is_promised_or_sealed_before_more_than_half_of_the_voters_were_heard() {
    let mut net = three();
    for name in ["household", "fleet"] {
        net.cut_link(name);
    }
    let height = net.provider().state().height;
    net.crash_provider();
    net.start_provider();
    net.settle();
    net.charge("taxi", "TAXI-1", wh(1_000));
    net.run_rounds(5);
    assert!(!goes_on(&net));
    assert_eq!(net.provider().state().height, height);
    let mut charges = net.node("taxi").charges();
    let waits = |stage: &Stage| matches!(stage, Stage::Signed { receipt: None, .. });
    assert!(charges.all(|charge| waits(&charge.stage)));
    drop(charges);

    net.restore_link("fleet");
    net.settle();
    assert!(goes_on(&net));
    promised_round(&net, "taxi");
    net.restore_link("household");
    net.run_rounds(3);
    net.assert_settled();
    assert_nobody_is_convicted(&net);
    assert_eq!(net.billed("TAXI"), [(1_000, 40)]);
}

#[test]
fn voters_of_blocks_that_come_back_count() {
    let mut net = Network::new();
    let backup = net.back_up();
    let cars: Vec<String> = (0..3).map(|n| format!("NEW-{n}")).collect();
    let names = ["one", "two", "three"];
    for (name, group) in names.into_iter().zip(&cars) {
        net.add_gateway(name, site(group, &[group], &[]), &[group]);
    }
    net.run_rounds(3);
    for name in names {
        net.cut_link(name);
    }
    // Two of the two voters that the copy knows; of five in truth.
    net.restore(backup);
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(4);
    assert!(!goes_on(&net));
    net.restore_link("two");
    net.run_rounds(1);
    assert!(goes_on(&net));
    assert_nobody_is_convicted(&net);
}

#[test]
fn the_operator_can_have_it_go_on_unheard() {
    let mut net = three();
    for name in ["household", "fleet"] {
        net.cut_link(name);
    }
    net.crash_provider();
    net.start_provider();
    net.charge("taxi", "TAXI-1", wh(1_000));
    net.run_rounds(3);
    assert!(!goes_on(&net));
    net.provider_gets(Input::SealWithoutReports);
    assert!(goes_on(&net));
    net.run_rounds(2);
    let promised = promised_round(&net, "taxi");
    assert_eq!(sealed_round(&net, 1_000), promised);
    for name in ["household", "fleet"] {
        net.restore_link(name);
    }
    net.run_rounds(3);
    net.assert_settled();
    assert_nobody_is_convicted(&net);
}

#[test]
fn a_restart_with_everybody_there_costs_no_time() {
    let mut net = three();
    net.charge("household", "HOME-1", wh(1_000));
    let promised = promised_round(&net, "household");
    let now = net.now;
    net.crash_provider();
    net.start_provider();
    net.settle();
    assert!(goes_on(&net));
    net.charge("fleet", "FLEET-1", wh(2_000));
    assert_eq!(promised_round(&net, "fleet"), promised);
    assert_eq!(net.now, now);
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(sealed_round(&net, 1_000), promised);
}

#[test]
fn a_restart_with_more_than_half_there_gives_the_others_time_to_come_back() {
    let mut net = three();
    net.cut_link("household");
    net.crash_provider();
    net.start_provider();
    net.settle();
    assert!(!goes_on(&net));
    net.run_for(59);
    assert!(!goes_on(&net));
    net.run_for(2);
    assert!(goes_on(&net));
}

#[test]
fn a_new_provider_waits_for_nobody() {
    let net = Network::empty();
    assert!(goes_on(&net));
}

#[test]
fn a_provider_that_has_sealed_another_block_seals_nothing_more() {
    let mut net = three();
    let backup = net.back_up();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(2);
    // From here on it does what only an override lets it do.
    for name in ["household", "fleet", "taxi"] {
        net.cut_link(name);
    }
    net.restore(backup);
    net.provider_gets(Input::SealWithoutReports);
    net.add_gateway("hotel", site("HOTEL", &["HOTEL-1"], &["front"]), &["HOTEL"]);
    net.run_rounds(3);
    let height = net.provider().state().height;
    net.restore_link("fleet");
    net.run_rounds(3);
    assert!(!goes_on(&net));
    assert_eq!(net.provider().state().height, height);
    let standing = net.provider().standing(net.now);
    assert!(standing.contradicted.is_some());
    let told = |event: &&Event| matches!(event, Event::TwoHeaders { .. });
    assert_eq!(net.provider_events.iter().filter(told).count(), 1);
    // An override does not undo it.
    net.provider_gets(Input::SealWithoutReports);
    assert!(!goes_on(&net));
}

#[test]
fn two_headers_for_one_height_are_noticed_where_the_copy_has_neither() {
    let mut net = three();
    let backup = net.back_up();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(1);
    let mut header = net.blocks().last().expect("sealed").header.body.clone();
    header.time.0 += 1;
    let other = Signed::new(header, &support::provider_key(), &net.genesis.chain_id());

    net.crash_provider();
    for name in ["household", "fleet", "taxi"] {
        net.cut_link(name);
    }
    net.restore(backup);
    let report = Report {
        node: Some(NodeId(9)),
        keeps_blocks: false,
        newest: Some(HexBytes(canonical(&other))),
    };
    join(&mut net, report);
    net.restore_link("fleet");
    net.run_rounds(1);
    assert!(net.provider().standing(net.now).contradicted.is_some());
    net.restore_link("household");
    net.restore_link("taxi");
    net.run_rounds(3);
    assert!(!goes_on(&net));
}

/// A stranger joins with this report.
fn join(net: &mut Network, report: Report) {
    net.provider_gets(Input::Join {
        link: 1_000,
        key: KeyPair::from_seed(&[99; 32]).public(),
        token: None,
        report,
    });
}

#[test]
fn a_guest_is_told_nothing_of_the_node_whose_number_it_says_it_has() {
    let mut net = three();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(3);
    let header = net.blocks().last().expect("sealed").header.clone();
    let number = net.node("household").id().expect("enrolled");
    net.crash_provider();
    net.start_provider();
    let machine = net.provider.machine.as_mut().expect("it runs");
    let join = Input::Join {
        link: 1_000,
        key: KeyPair::from_seed(&[99; 32]).public(),
        token: None,
        report: Report {
            node: Some(number),
            keeps_blocks: true,
            newest: Some(HexBytes(canonical(&header))),
        },
    };
    machine.handle(net.now, join);
    let steps: Vec<_> = std::iter::from_fn(|| machine.poll()).collect();
    let joined = steps.iter().find_map(|step| match step {
        Step::Effect(Effect::Joined { result, .. }) => result.as_ref().ok(),
        _ => None,
    });
    assert_eq!(joined.expect("it may tell").last_seq, 0);
    net.run_rounds(1);
    assert!(goes_on(&net));
    net.assert_settled();
}

#[test]
fn a_header_that_another_key_signed_counts_for_nothing() {
    let mut net = three();
    let height = net.provider().state().height;
    let mut header = net.blocks().last().expect("sealed").header.body.clone();
    header.height += 7;
    let forged = Signed::new(
        header,
        &KeyPair::from_seed(&[99; 32]),
        &net.genesis.chain_id(),
    );
    net.crash_provider();
    net.start_provider();
    join(
        &mut net,
        Report {
            node: Some(NodeId(9)),
            keeps_blocks: true,
            newest: Some(HexBytes(canonical(&forged))),
        },
    );
    net.run_rounds(1);
    assert!(goes_on(&net));
    assert_eq!(net.provider().standing(net.now).behind, None);
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(3);
    assert!(net.provider().state().height > height);
    net.assert_settled();
}

#[test]
fn a_promise_that_another_key_signed_counts_for_nothing() {
    let mut net = three();
    net.crash_provider();
    net.start_provider();
    net.settle();
    net.drop_profiles();
    net.charge("household", "HOME-1", wh(1_000));
    let (profile, grant) = signed(net.node("household"));
    let forged = Receipt {
        profile: profile.hash(),
        node: profile.body.node,
        seq: profile.body.seq,
        round: net.genesis.round_at(net.now) + 5,
    };
    let stranger = KeyPair::from_seed(&[99; 32]);
    let witnessed = Witnessed {
        receipt: Signed::new(forged.clone(), &stranger, &net.genesis.chain_id()),
        profile,
        grant,
    };
    let link = net.gateway("fleet").link.expect("it is linked");
    let detail = Vec::new();
    let frame = Box::new(Frame::Promised(Promised { witnessed, detail }));
    net.provider_gets(Input::Frame { link, frame });
    assert_eq!(net.provider().standing(net.now).missing, 0);
    net.spoil_nothing();
    net.cut_link("household");
    net.restore_link("household");
    net.run_rounds(8);
    assert!(sealed_round(&net, 1_000) < forged.round);
    net.assert_settled();
}

fn signed(node: &Node) -> (SignedProfile, SignedGrant) {
    let mut charges = node.charges();
    let found = charges.find_map(|charge| match &charge.stage {
        Stage::Signed { profile, grant, .. } => Some(((**profile).clone(), (**grant).clone())),
        _ => None,
    });
    found.expect("it is signed")
}

#[test]
fn a_new_gateway_is_let_in_once_enough_were_heard() {
    let mut net = three();
    for name in ["household", "fleet", "taxi"] {
        net.cut_link(name);
    }
    net.crash_provider();
    net.start_provider();
    net.add_gateway("hotel", site("HOTEL", &["HOTEL-1"], &["front"]), &["HOTEL"]);
    net.run_for(5);
    assert_eq!(net.node("hotel").id(), None);
    assert_eq!(net.gateway("hotel").refusals[0], JoinRefusal::Listening);
    for name in ["household", "fleet", "taxi"] {
        net.restore_link(name);
    }
    net.run_rounds(3);
    assert_eq!(net.node("hotel").id(), Some(NodeId(4)));
    net.assert_settled();
}

#[test]
fn a_visitor_is_put_off_until_its_home_has_registered_it_again() {
    let mut net = three();
    let backup = net.back_up();
    let hotel = site("HOTEL", &["HOTEL-1"], &["front"]);
    net.add_gateway("hotel", hotel, &["HOTEL"]);
    net.run_rounds(3);
    net.cut_link("hotel");
    net.restore(backup);
    net.run_rounds(2);
    assert!(goes_on(&net));
    let visitor = Request::Register(Register {
        id_tag: tag("HOTEL-1"),
        group_id: None,
        is_home: false,
        group: None,
    });
    let status = |answer| match answer {
        Some(Response::Register(ack)) => {
            let ack: protocol::message::RegisterAck = ack;
            ack.id_tag_info.status
        }
        other => panic!("no answer: {other:?}"),
    };
    let answer = net.ask("fleet", visitor.clone());
    assert_eq!(status(answer), Status::Pending);
    net.restore_link("hotel");
    net.run_for(20);
    let answer = net.ask("fleet", visitor);
    assert_eq!(status(answer), Status::Accepted);
    assert_nobody_is_convicted(&net);
}

#[test]
fn so_is_a_visitor_of_a_group_that_is_known() {
    let mut net = Network::new();
    let fleet = net.index("fleet");
    let members = &mut net.gateways[fleet].config.members;
    members.insert(tag("FLEET-9"), tag("FLEET"));
    net.crash("fleet");
    net.restart("fleet");
    let backup = net.back_up();
    net.add_gateway("member", site("FLEET", &["FLEET-9"], &["street"]), &[]);
    net.run_rounds(3);
    net.cut_link("member");
    net.restore(backup);
    net.run_rounds(1);
    let ask = |net: &mut Network| {
        let visitor = Request::Register(Register {
            id_tag: tag("FLEET-9"),
            group_id: None,
            is_home: false,
            group: None,
        });
        match net.ask("household", visitor) {
            Some(Response::Register(ack)) => ack.id_tag_info.status,
            other => panic!("no answer: {other:?}"),
        }
    };
    assert_eq!(ask(&mut net), Status::Pending);
    net.restore_link("member");
    net.run_for(20);
    assert_eq!(ask(&mut net), Status::Accepted);
    net.charge("member", "FLEET-9", wh(1_000));
    net.run_rounds(3);
    net.assert_settled();
    assert_nobody_is_convicted(&net);
}

#[test]
fn a_charge_waits_for_the_enrolment_that_it_rests_on() {
    let mut net = three();
    let backup = net.back_up();
    net.add_gateway("hotel", site("HOTEL", &["HOTEL-1"], &["front"]), &["HOTEL"]);
    net.settle();
    net.present("household", "HOTEL-1");
    // It is signed, and reaches the provider once that has lost who charged.
    net.drop_profiles();
    net.charge("household", "HOTEL-1", wh(1_000));
    net.spoil_nothing();
    net.cut_link("hotel");
    net.restore(backup);
    let groups = [tag("HOTEL")].into();
    let token = Hash::of(b"hotel");
    net.provider_gets(Input::CreateToken { token, groups });
    net.run_rounds(2);
    let put_off = |event: &&Event| matches!(event, Event::ProfilePutOff { seq: 1, .. });
    assert_eq!(net.provider_events.iter().filter(put_off).count(), 1);
    let refused = |event: &Event| matches!(event, Event::ProfileRefused { .. });
    assert!(!net.provider_events.iter().any(refused));

    net.restore_link("hotel");
    net.run_rounds(4);
    net.assert_settled();
    assert_nobody_is_convicted(&net);
    assert_eq!(net.billed("HOTEL"), [(1_000, 40)]);
}

#[test]
fn a_newcomer_gets_no_number_that_somebody_else_may_have() {
    let mut net = three();
    let backup = net.back_up();
    net.add_gateway("hotel", site("HOTEL", &["HOTEL-1"], &["front"]), &["HOTEL"]);
    net.settle();
    let (node, given) = (
        net.node("hotel").id(),
        net.provider().registry().outlets().count(),
    );
    // In no block yet; and it comes back later than somebody new comes.
    net.cut_link("hotel");
    net.restore(backup);
    let groups = [tag("HOTEL")].into();
    let token = Hash::of(b"hotel");
    net.provider_gets(Input::CreateToken { token, groups });
    net.add_gateway("late", site("LATE", &["LATE-1"], &["curb"]), &["LATE"]);
    net.run_for(20);
    assert!(goes_on(&net));
    assert_eq!(net.node("late").id(), None);
    net.restore_link("hotel");
    net.run_rounds(3);
    assert_eq!(net.node("hotel").id(), node);
    assert_eq!(net.node("late").id(), Some(NodeId(5)));
    assert_eq!(net.provider().registry().outlets().count(), given + 1);
    net.charge("hotel", "HOTEL-1", wh(1_000));
    net.charge("late", "LATE-1", wh(2_000));
    net.run_rounds(3);
    net.assert_settled();
    assert_nobody_is_convicted(&net);
}

#[test]
fn a_copy_that_is_restored_twice_does_no_harm() {
    let mut net = Network::with_member();
    let first = net.back_up();
    let again: Store = net.back_up();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(2);
    net.restore(first);
    net.run_for(3);
    net.charge("household", "HOME-1", wh(2_000));
    net.run_rounds(2);
    net.charge("household", "HOME-1", wh(4_000));
    net.restore(again);
    net.run_rounds(4);
    net.assert_settled();
    assert_nobody_is_convicted(&net);
    let expected = [(1_000, 40), (2_000, 80), (4_000, 160)];
    assert_eq!(net.billed("HOUSEHOLD"), expected);
}
