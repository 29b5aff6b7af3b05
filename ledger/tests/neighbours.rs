//! Nodes that answer each other directly: heads compared, evidence shown, Authorize without the
//! provider in between, and what liars among neighbours can do: nothing.

mod support;

use ledger::Node;
use ledger::block::{Block, Body, Header};
use ledger::evidence::{EvidenceFile, Exhibit, TwoHeaders};
use ledger::frame::Frame;
use ledger::node::{Decision, Event, Input, Said, Stage, stored_evidence};
use ledger::seal::seal;
use ledger::store::{Machine, Step};
use protocol::message::{
    Authorize, GetNeighbours, GetNeighboursAck, OfferEvidence, OfferEvidenceAck, Register, Request,
    Response, Status,
};
use protocol::{ChargerId, HexBytes, KeyPair, Neighbour, NodeId, PublicKey, Signed};
use support::{Network, address, provider_key, site, tag, wh};

/// A household, a fleet and a member of the fleet's, all of which listen.
fn network() -> Network {
    let mut net = Network::with_member();
    net.listen(&["household", "fleet", "member"]);
    net.run_rounds(2);
    net
}

/// Another block in the place of the chain's next one, by the provider: what it tells `name`.
fn other_story(net: &Network, name: &str) -> Block {
    let state = net.node(name).state().expect("it keeps blocks");
    let round = net.genesis.round_at(net.now);
    let time = net.now.seconds();
    let other = KeyPair::from_seed(&[99; 32]).public();
    let enrol = ledger::Record::EnrolNode {
        node: NodeId(99),
        key: other,
    };
    let body = Body {
        records: vec![enrol],
        ..Body::default()
    };
    let (block, _) = seal(state, body, round, time, &provider_key()).expect("it can be sealed");
    block
}

fn is_stopped(net: &Network, name: &str) -> bool {
    net.node(name).stopped().is_some()
}

#[track_caller]
fn assert_holds_evidence(net: &Network, name: &str) {
    assert!(is_stopped(net, name), "{name}");
    let mut files = Vec::new();
    let store = &net.gateway(name).process.store;
    stored_evidence(store, |_, file| files.push(file)).expect("whole");
    let file = EvidenceFile::from_bytes(&files[0]).expect("readable");
    let proven = file.verify(Some(&provider_key().public()));
    assert_eq!(proven, Ok(()), "{name}");
}

/// The fleet is told another story than the household, over a link of its own.
fn split(net: &mut Network) {
    net.cut_link("fleet");
    net.charge("household", "HOME-1", wh(1_000));
    let round = net.genesis.round_at(net.now) + 1;
    while net.genesis.round_at(net.now) < round {
        net.run_for(1);
    }
    let block = other_story(net, "fleet");
    let fleet = net.index("fleet");
    let frame = Box::new(Frame::Block(Box::new(block)));
    net.node_gets(fleet, Input::Frame(frame));
    assert!(!is_stopped(net, "fleet"));
}

#[test]
fn a_provider_that_tells_two_camps_two_stories_is_caught_within_a_round() {
    let mut net = network();
    split(&mut net);
    net.run_for(net.genesis.interval_s.into());
    for name in ["fleet", "household", "member"] {
        assert_holds_evidence(&net, name);
    }
    let found = |name: &str| {
        let by_neighbour = |event: &&Event| {
            matches!(
                event,
                Event::TwoHeaders {
                    neighbour: Some(_),
                    ..
                } | Event::EvidenceShown { .. }
            )
        };
        net.gateway(name).events.iter().filter(by_neighbour).count()
    };
    assert_eq!(found("fleet") + found("household") + found("member"), 3);
}

#[test]
fn without_neighbours_nobody_notices_two_stories() {
    let mut net = Network::with_member();
    split(&mut net);
    net.run_rounds(3);
    assert!(!is_stopped(&net, "fleet") && !is_stopped(&net, "household"));
}

#[test]
fn a_node_that_was_left_behind_on_another_branch_is_found_by_asking_from_its_own_height() {
    let mut net = network();
    net.direct.apart.insert("fleet");
    split(&mut net);
    for _ in 0..40 {
        net.charge("household", "HOME-1", wh(10));
        net.run_rounds(1);
    }
    let ahead = net.node("household").progress().expect("a chain").height;
    let behind = net.node("fleet").progress().expect("a chain").height;
    assert!(ahead > behind + 20, "{ahead} and {behind}");
    net.direct.apart.clear();
    net.run_for(net.genesis.interval_s.into());
    for name in ["fleet", "household", "member"] {
        assert_holds_evidence(&net, name);
    }
}

#[test]
fn evidence_reaches_those_that_were_away_when_it_was_found_and_outlives_a_restart() {
    let mut net = network();
    net.direct.apart.insert("member");
    split(&mut net);
    net.run_for(net.genesis.interval_s.into());
    assert!(is_stopped(&net, "fleet") && !is_stopped(&net, "member"));
    net.cut_link("member");
    for name in ["fleet", "household"] {
        net.crash(name);
        net.restart(name);
    }
    net.direct.apart.clear();
    net.run_for(net.genesis.interval_s.into());
    assert_holds_evidence(&net, "member");
}

#[test]
fn evidence_that_nobody_else_can_find_is_shown_after_a_restart_too() {
    let mut net = network();
    net.direct.apart.extend(["household", "member"]);
    let stranger = net.key_of("household");
    let proof = two_headers(&net, &provider_key()).to_bytes();
    assert!(offer(&mut net, "fleet", stranger, proof));
    net.crash("fleet");
    net.restart("fleet");
    net.direct.apart.clear();
    net.run_for(net.genesis.interval_s.into());
    for name in ["fleet", "household", "member"] {
        assert_holds_evidence(&net, name);
    }
}

#[test]
fn a_node_that_stopped_without_a_short_proof_finds_one_among_its_neighbours() {
    let mut net = network();
    net.cut_link("fleet");
    let mut block = other_story(&net, "fleet");
    block.header.body.state_root = protocol::Hash::ZERO;
    let chain_id = net.genesis.chain_id();
    block.header = Signed::new(block.header.body, &provider_key(), &chain_id);
    let fleet = net.index("fleet");
    let frame = Box::new(Frame::Block(Box::new(block)));
    net.node_gets(fleet, Input::Frame(frame));
    assert!(is_stopped(&net, "fleet"));
    net.charge("household", "HOME-1", wh(10));
    net.run_rounds(2);
    for name in ["fleet", "household", "member"] {
        assert_holds_evidence(&net, name);
    }
}

#[test]
fn honest_nodes_stop_nobody_and_evidence_is_given_once() {
    let mut net = network();
    for _ in 0..4 {
        net.charge("household", "HOME-1", wh(10));
        net.run_rounds(1);
    }
    for name in ["household", "fleet", "member"] {
        assert!(!is_stopped(&net, name));
        let counts = net.node(name).neighbour_counts();
        assert!(counts.heads_compared >= 4, "{name}: {counts:?}");
        assert_eq!((counts.foreign_headers, counts.false_evidence), (0, 0));
    }
    net.run_rounds(3);
    net.assert_settled();
    split(&mut net);
    net.run_rounds(4);
    let offers = net.direct.called.iter().filter(|c| **c == "OfferEvidence");
    assert!(offers.count() <= 6, "each pair once at most each way");
}

/// Gives a gateway something from a neighbour and takes what it replies.
fn offer(net: &mut Network, name: &str, from: PublicKey, file: Vec<u8>) -> bool {
    let request = Request::OfferEvidence(OfferEvidence {
        file: HexBytes(file),
    });
    match direct(net, name, from, request) {
        Some(Response::OfferEvidence(OfferEvidenceAck { is_proven })) => is_proven,
        other => panic!("an answer, not {other:?}"),
    }
}

fn direct(net: &mut Network, name: &str, from: PublicKey, request: Request) -> Option<Response> {
    let index = net.index(name);
    let now = net.now;
    let gateway = &mut net.gateways[index];
    let node: &mut Node = gateway.process.machine.as_mut().expect("it runs");
    let call = u64::MAX;
    let said = Said::Asked { call, request };
    node.handle(now, Input::Neighbour { from, said });
    let mut answer = None;
    while let Some(step) = node.poll() {
        match step {
            Step::Effect(ledger::node::Effect::Neighbour(ledger::node::ToNeighbour::Reply {
                call,
                response,
            })) if call == u64::MAX => answer = response,
            Step::Effect(ledger::node::Effect::Notify(event)) => gateway.events.push(event),
            Step::Persist(write) => gateway.process.store.commit(&[write]).expect("memory"),
            Step::Effect(_) => {}
        }
    }
    answer
}

fn newest(net: &Network) -> Signed<Header> {
    net.blocks().pop().expect("blocks").header
}

fn two_headers(net: &Network, signer: &KeyPair) -> EvidenceFile {
    let first = newest(net);
    let mut second = first.body.clone();
    second.time.0 += 1;
    EvidenceFile {
        genesis: net.genesis.clone(),
        exhibit: Exhibit::TwoHeaders(Box::new(TwoHeaders {
            second: Signed::new(second, signer, &net.genesis.chain_id()),
            first,
        })),
    }
}

#[test]
fn false_evidence_is_counted_and_stops_nobody() {
    let mut net = network();
    let liar = net.key_of("household");
    let proof = two_headers(&net, &provider_key()).to_bytes();
    let mut elsewhere = two_headers(&net, &provider_key());
    elsewhere.genesis.interval_s += 1;
    for header in match &mut elsewhere.exhibit {
        Exhibit::TwoHeaders(two) => [&mut two.first, &mut two.second],
        other => panic!("two headers, not {other:?}"),
    } {
        let chain_id = elsewhere.genesis.chain_id();
        *header = Signed::new(header.body.clone(), &provider_key(), &chain_id);
    }
    assert_eq!(elsewhere.verify(None), Ok(()), "of another chain it holds");
    let stranger = KeyPair::from_seed(&[42; 32]);
    let mut flipped = proof.clone();
    flipped[300] ^= 1;
    let false_ones = [
        b"no file".to_vec(),
        vec![0; 1 << 20],
        two_headers(&net, &stranger).to_bytes(),
        elsewhere.to_bytes(),
        flipped,
        proof[..proof.len() - 1].to_vec(),
    ];
    for (number, file) in (1..).zip(false_ones) {
        assert!(!offer(&mut net, "fleet", liar, file), "{number}");
        assert!(!is_stopped(&net, "fleet"), "{number}");
        let counts = net.node("fleet").neighbour_counts();
        assert_eq!(counts.false_evidence, number);
    }
    let told = net.gateway("fleet").events.iter();
    let told = told.filter(|event| matches!(event, Event::FalseEvidence { .. }));
    assert_eq!(told.count(), 1, "the operator is told once of each node");
    assert!(offer(&mut net, "fleet", liar, proof));
    assert_holds_evidence(&net, "fleet");
}

#[test]
fn a_header_that_the_provider_did_not_sign_is_counted_and_nothing_else() {
    let mut net = network();
    let liar = net.key_of("household");
    let stranger = KeyPair::from_seed(&[42; 32]);
    let mut header = newest(&net).body;
    header.time.0 += 1;
    let chain_id = net.genesis.chain_id();
    let mut ahead = header.clone();
    ahead.height += 5;
    for forged in [header, ahead] {
        let forged = Box::new(Signed::new(forged, &stranger, &chain_id));
        net.neighbour_says("fleet", liar, Said::Header(forged.clone()));
        net.neighbour_says("member", liar, Said::Header(forged));
    }
    for name in ["fleet", "member"] {
        assert!(!is_stopped(&net, name));
        assert_eq!(net.node(name).neighbour_counts().foreign_headers, 2);
    }
    net.run_rounds(2);
    net.assert_settled();
}

#[test]
fn a_neighbour_that_is_ahead_causes_a_catch_up_and_no_more() {
    let mut net = network();
    net.tamper = Some(|frame| match frame {
        Frame::Block(_) | Frame::Header(_) => None,
        other => Some(other),
    });
    net.charge("household", "HOME-1", wh(10));
    net.run_rounds(1);
    let before = net.node("fleet").progress();
    net.tamper = None;
    let neighbour = net.key_of("household");
    let header = Box::new(newest(&net));
    assert!(header.body.height > before.expect("a chain").height);
    net.neighbour_says("fleet", neighbour, Said::Header(header.clone()));
    let after = net.node("fleet").progress().expect("a chain");
    assert_eq!(
        (after.height, after.tip),
        (header.body.height, header.hash())
    );
}

fn authorize_calls(calls: &[&str]) -> usize {
    calls.iter().filter(|call| **call == "Authorize").count()
}

#[test]
fn a_member_asks_its_parent_directly_where_it_answers() {
    let mut net = network();
    net.direct.called.clear();
    net.direct.relayed.clear();
    let decision = net.present("member", "FLEET-9");
    assert!(
        matches!(decision, Decision::Accepted { .. }),
        "{decision:?}"
    );
    assert_eq!(authorize_calls(&net.direct.called), 1);
    assert_eq!(authorize_calls(&net.direct.relayed), 0);
    assert_eq!(net.node("fleet").neighbour_counts().authorize_answered, 1);
    net.charge("member", "FLEET-9", wh(500));
    net.run_rounds(4);
    net.assert_settled();
    assert_eq!(net.billed("FLEET"), [(500, 20)]);
}

#[test]
fn a_member_asks_its_parent_also_while_the_provider_is_away_from_it() {
    let mut net = network();
    net.cut_link("member");
    let decision = net.present("member", "FLEET-9");
    assert!(
        matches!(decision, Decision::Accepted { .. }),
        "{decision:?}"
    );
}

#[test]
fn a_parent_that_does_not_answer_is_asked_through_the_provider() {
    let mut net = network();
    net.direct.apart.insert("fleet");
    net.direct.relayed.clear();
    let decision = net.present("member", "FLEET-9");
    assert!(
        matches!(decision, Decision::Accepted { .. }),
        "{decision:?}"
    );
    assert_eq!(authorize_calls(&net.direct.relayed), 1);
    // Both away: nobody can say yes.
    net.cut_link("member");
    net.lose_state("member");
    assert_eq!(
        net.present("member", "FLEET-9"),
        Decision::Refused(Status::Invalid)
    );
}

/// Went wrong: a question that had failed just before was put off until the old clock's time.
#[test]
fn a_parent_is_asked_again_soon_after_the_clock_was_set_back() {
    let mut net = network();
    net.direct.apart.insert("fleet");
    net.cut_link("fleet");
    net.charge("member", "FLEET-9", wh(500));
    net.lag_ms("member", 200_000);
    net.direct.apart.clear();
    net.restore_link("fleet");
    net.run_for(10);
    let stages: Vec<Stage> = net
        .node("member")
        .charges()
        .map(|c| c.stage.clone())
        .collect();
    assert!(
        matches!(
            &stages[..],
            [Stage::Signed {
                receipt: Some(_),
                ..
            }]
        ),
        "{stages:?}"
    );
}

#[test]
fn a_parent_known_from_its_first_answer_is_asked_directly_for_a_visitor() {
    let mut net = network();
    let asked = Request::Register(Register {
        id_tag: tag("FLEET-1"),
        group_id: None,
        is_home: false,
        group: None,
    });
    let Some(Response::Register(ack)) = net.ask("household", asked) else {
        panic!("it is registered");
    };
    let named = ack.registration.and_then(|known| known.parent_address);
    assert_eq!(named, Some(address("fleet")));
    net.direct.called.clear();
    net.direct.relayed.clear();
    // Registered by the fleet, presented at the household: the answer to Register names the parent.
    let decision = net.present("household", "FLEET-1");
    assert!(
        matches!(decision, Decision::Accepted { .. }),
        "{decision:?}"
    );
    assert_eq!(authorize_calls(&net.direct.called), 1);
    assert_eq!(authorize_calls(&net.direct.relayed), 0);
}

#[test]
fn a_parent_signs_nothing_for_another_pseudonym_or_for_somebody_elses_charger() {
    let mut net = network();
    let member = net.key_of("member");
    let asked = |id_tag: &str, charger| {
        Request::Authorize(Authorize {
            id_tag: tag(id_tag),
            group_id: tag("FLEET"),
            charger: ChargerId(charger),
        })
    };
    let answer = direct(&mut net, "fleet", member, asked("FLEET-1", [7; 16]));
    assert!(is_refused(answer.as_ref()), "{answer:?}");
    let answer = direct(&mut net, "fleet", member, asked("HOME-1", [7; 16]));
    assert!(is_refused(answer.as_ref()), "{answer:?}");
    // Vouched for, and its pseudonym not known here yet: the provider is asked first.
    let answer = direct(&mut net, "fleet", member, asked("FLEET-9", [7; 16]));
    assert_eq!(answer, None);
    // The call to the provider is lost with the process.
    net.crash("fleet");
    net.restart("fleet");
    net.present("member", "FLEET-9");
    assert_eq!(net.node("fleet").neighbour_counts().authorize_answered, 1);
    let answer = direct(&mut net, "fleet", member, asked("FLEET-9", [7; 16]));
    assert!(is_refused(answer.as_ref()), "{answer:?}");
}

fn is_refused(answer: Option<&Response>) -> bool {
    matches!(answer, Some(Response::Authorize(ack)) if ack.grant.is_none()
        && ack.status == Status::Invalid)
}

#[test]
fn only_what_is_between_nodes_is_answered_to_a_neighbour() {
    let mut net = network();
    let member = net.key_of("member");
    for request in [
        Request::GetBlocks(protocol::message::GetBlocks { from: 1 }),
        Request::GetProof(protocol::message::GetProof { after: 0 }),
        Request::CheckAuth(protocol::message::CheckAuth {
            id_tag: tag("FLEET-9"),
            group_id: tag("FLEET"),
        }),
        Request::ChargeInfo(net.bill("FLEET")),
        Request::GetNeighbours(GetNeighbours::default()),
    ] {
        assert_eq!(direct(&mut net, "fleet", member, request), None);
    }
}

fn near(net: &mut Network, name: &str, parents: Vec<NodeId>) -> Option<GetNeighboursAck> {
    let address = net.gateway(name).config.address.clone();
    let request = Request::GetNeighbours(GetNeighbours { address, parents });
    match net.ask(name, request) {
        Some(Response::GetNeighbours(ack)) => Some(ack),
        None => None,
        other => panic!("neighbours, not {other:?}"),
    }
}

#[test]
fn the_provider_names_parents_and_eight_others_and_keeps_addresses_over_a_restart() {
    let mut net = network();
    for name in ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10"] {
        net.add_gateway(name, site("FLEET", &[], &[]), &[]);
        let index = net.index(name);
        net.gateways[index].config.address = Some(address(name));
        net.crash(name);
        net.restart(name);
    }
    let ids: Vec<NodeId> = ["fleet", "n9"]
        .map(|name| net.node(name).id().expect("enrolled"))
        .to_vec();
    let named = |ack: GetNeighboursAck| -> Vec<NodeId> {
        ack.neighbours
            .iter()
            .map(|neighbour| neighbour.node)
            .collect()
    };
    let ack = near(&mut net, "household", ids.clone()).expect("answered");
    assert_eq!(ack.neighbours[0].key, net.key_of("fleet"));
    assert_eq!(ack.neighbours[0].address, address("fleet"));
    let key = net.key_of("household");
    let now = net.now.seconds();
    let chain_id = net.genesis.chain_id();
    let shown = ack
        .enrolment
        .check(&provider_key().public(), &chain_id, &key, now);
    assert_eq!(shown, Ok(()));
    let before = named(ack);
    assert_eq!(before[..2], ids);
    assert_eq!(before.len(), 2 + 8);
    assert!(!before.contains(&net.node("household").id().expect("enrolled")));
    // Nobody tells its address again.
    for index in 0..net.gateways.len() {
        net.gateways[index].is_cut = net.gateways[index].name != "household";
    }
    net.crash_provider();
    net.start_provider();
    net.settle();
    assert_eq!(
        named(near(&mut net, "household", ids).expect("answered")),
        before
    );
    assert_eq!(near(&mut net, "household", vec![NodeId(1); 17]), None);
}

#[test]
fn a_node_that_listens_no_more_is_not_named_any_more() {
    let mut net = network();
    let fleet = net.node("fleet").id().expect("enrolled");
    let index = net.index("fleet");
    net.gateways[index].config.address = None;
    net.crash("fleet");
    net.restart("fleet");
    let ack = near(&mut net, "household", vec![fleet]).expect("answered");
    assert!(
        ack.neighbours
            .iter()
            .all(|neighbour| neighbour.node != fleet)
    );
}

/// The provider names these to a gateway.
fn name(net: &mut Network, to: &str, neighbours: Vec<Neighbour>) {
    let ack = near(net, to, Vec::new()).expect("answered");
    let ack = GetNeighboursAck { neighbours, ..ack };
    let asked = Request::GetNeighbours(GetNeighbours::default());
    let answer = Input::Answer(asked, Some(Response::GetNeighbours(ack)));
    let index = net.index(to);
    net.node_gets(index, answer);
}

fn known(net: &Network, name: &str) -> Vec<Neighbour> {
    net.node(name).neighbours().cloned().collect()
}

#[test]
fn a_neighbour_that_answers_is_not_forgotten_however_many_others_are_named() {
    let mut net = network();
    let crowd = |from: u8| -> Vec<Neighbour> {
        let sybil = |number: u8| Neighbour {
            node: NodeId(1_000 + u32::from(number)),
            key: KeyPair::from_seed(&[number; 32]).public(),
            address: address(&format!("sybil-{number}")),
        };
        (from..from + 40).map(sybil).collect()
    };
    name(&mut net, "household", crowd(50));
    let full = known(&net, "household");
    assert_eq!(full.len(), 32);
    name(&mut net, "household", crowd(100));
    assert_eq!(
        known(&net, "household"),
        full,
        "nobody has failed to answer"
    );
    // The crowd answers nothing, and makes room.
    net.run_rounds(4);
    name(&mut net, "household", crowd(150));
    let others = known(&net, "household");
    assert_eq!(others.len(), 32);
    assert_ne!(others, full);
    let friends = |net: &Network| -> Vec<Neighbour> {
        let keys = [net.key_of("fleet"), net.key_of("member")];
        let all = known(net, "household").into_iter();
        all.filter(|known| keys.contains(&known.key)).collect()
    };
    assert_eq!(friends(&net).len(), 2);
    net.crash("household");
    net.cut_link("household");
    net.restart("household");
    assert_eq!(friends(&net).len(), 2, "over a restart, too");
}

#[test]
fn a_neighbour_that_answers_stays_where_it_was_whatever_the_provider_says() {
    let mut net = network();
    let moved = Neighbour {
        node: NodeId(2),
        key: net.key_of("fleet"),
        address: address("elsewhere"),
    };
    let place = |net: &Network| {
        let mut all = known(net, "household").into_iter();
        let found = all.find(|known| known.key == net.key_of("fleet"));
        found.expect("it is remembered").address
    };
    name(&mut net, "household", vec![moved.clone()]);
    assert_eq!(place(&net), address("fleet"));
    net.direct.apart.insert("fleet");
    net.run_rounds(1);
    name(&mut net, "household", vec![moved]);
    assert_eq!(place(&net), address("elsewhere"));
}

#[test]
fn a_configured_neighbour_is_compared_with_whomever_the_provider_names() {
    let mut net = network();
    let friend = Neighbour {
        node: NodeId(0),
        key: net.key_of("fleet"),
        address: address("fleet"),
    };
    net.add_gateway("lonely", site("FLEET", &[], &[]), &[]);
    net.lose_state("lonely");
    let index = net.index("lonely");
    net.gateways[index].config.neighbours = vec![friend.clone()];
    net.crash("lonely");
    net.restart("lonely");
    assert_eq!(known(&net, "lonely"), [friend]);
}

#[test]
fn whoever_waits_for_a_parent_that_is_asked_directly_is_not_refused_when_the_link_is_lost() {
    let mut net = network();
    let member = net.index("member");
    let id_tag = tag("FLEET-9");
    let question = 5;
    net.node_gets(member, Input::Presented { question, id_tag });
    net.cut_link("member");
    net.settle();
    let decisions = &net.gateway("member").decisions;
    assert!(
        matches!(decisions.as_slice(), [(5, Decision::Accepted { .. })]),
        "{decisions:?}"
    );
}
