//! Peers that repeat themselves, send what is not theirs to send, or lie.

mod support;

use ledger::block::{Ballot, Block};
use ledger::frame::{Frame, Submission};
use ledger::node::{self, Event, Stage};
use ledger::provider;
use ledger::store::Table;
use protocol::message::{Finality, Register, RegisterSupplyPoint, Request, Response, Status};
use protocol::{Grant, GroupId, Hash, ProfileAck, Receipt, Signed, UnixSeconds};
use support::{Network, provider_key, site, tag, wh};

/// A network in which one charge of the household is submitted, receipted and in no block yet,
/// with its submission.
fn submitted() -> (Network, Submission) {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    let charge = net.node("household").charges().next().expect("one charge");
    let Stage::Signed {
        profile,
        grant,
        receipt: Some(_),
    } = &charge.stage
    else {
        panic!("it has a receipt");
    };
    let submission = Submission {
        profile: (**profile).clone(),
        grant: (**grant).clone(),
        detail: charge.measured.detail.clone(),
    };
    (net, submission)
}

fn send_to_provider(net: &mut Network, name: &str, frame: Frame) {
    let link = net.gateway(name).link.expect("it is linked");
    let frame = Box::new(frame);
    net.provider_gets(provider::Input::Frame { link, frame });
    net.settle();
}

fn send_to_node(net: &mut Network, name: &str, frame: Frame) {
    let index = net.index(name);
    net.node_gets(index, node::Input::Frame(Box::new(frame)));
    net.settle();
}

/// The refusals the provider told its operator about.
fn refusals(net: &Network) -> usize {
    let refused = |e: &&provider::Event| matches!(e, provider::Event::ProfileRefused { .. });
    net.provider_events.iter().filter(refused).count()
}

#[test]
fn repeated_frames_change_nothing() {
    let (mut net, submission) = submitted();
    for _ in 0..3 {
        send_to_provider(&mut net, "household", Frame::Profile(submission.clone()));
    }
    net.run_rounds(3);
    send_to_provider(&mut net, "household", Frame::Profile(submission));
    for block in net.blocks() {
        send_to_node(&mut net, "fleet", Frame::Block(Box::new(block.clone())));
        for ballot in block.body.ballots {
            send_to_provider(&mut net, "fleet", Frame::Ballot(ballot));
        }
        for sealed in block.body.group_blocks {
            let sealed = ledger::frame::SealedGroup {
                block: sealed,
                profiles: Vec::new(),
            };
            send_to_provider(&mut net, "household", Frame::GroupBlock(sealed));
        }
    }
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40)]);
    assert_eq!(refusals(&net), 0);
}

#[test]
fn a_frame_from_the_wrong_node_changes_nothing() {
    let (mut net, submission) = submitted();
    let round = net.provider().state().round + 1;
    let chain_id = net.genesis.chain_id();
    let mut stolen = submission.clone();
    stolen.profile.body.seq += 1;
    send_to_provider(&mut net, "fleet", Frame::Profile(stolen));
    let ack = ProfileAck {
        group: net.group("HOUSEHOLD"),
        round,
        profile: submission.profile.hash(),
    };
    let fleet = net.gateway("fleet").key.clone();
    send_to_provider(
        &mut net,
        "fleet",
        Frame::ProfileAck(Signed::new(ack, &fleet, &chain_id)),
    );
    let state = net.provider().state();
    let ballot = Ballot {
        voter: net.group("HOUSEHOLD"),
        height: state.height,
        header: state.tip,
    };
    send_to_provider(
        &mut net,
        "fleet",
        Frame::Ballot(Signed::new(ballot, &fleet, &chain_id)),
    );
    assert_eq!(refusals(&net), 1);
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40)]);
}

#[test]
fn a_frame_of_the_wrong_direction_changes_nothing() {
    let (mut net, submission) = submitted();
    let chain_id = net.genesis.chain_id();
    let receipt = Receipt {
        profile: submission.profile.hash(),
        node: submission.profile.body.node,
        seq: 1,
        round: u64::MAX,
    };
    let receipt = Signed::new(receipt, &provider_key(), &chain_id);
    let witnessed = ledger::frame::Witnessed {
        profile: submission.profile.clone(),
        receipt: receipt.clone(),
        grant: submission.grant.clone(),
    };
    let refused = Frame::Refused {
        seq: 1,
        reason: String::new(),
    };
    let block = Frame::Block(Box::new(net.blocks().remove(0)));
    for frame in [
        Frame::Receipt(receipt),
        Frame::Witness(witnessed),
        refused,
        block,
    ] {
        send_to_provider(&mut net, "fleet", frame);
    }
    let state = net.provider().state();
    let ballot = Ballot {
        voter: net.group("FLEET"),
        height: state.height,
        header: state.tip,
    };
    let ballot = Signed::new(ballot, &net.gateway("fleet").key, &chain_id);
    send_to_node(&mut net, "fleet", Frame::Profile(submission));
    send_to_node(&mut net, "fleet", Frame::Ballot(ballot));
    net.run_rounds(3);
    net.assert_settled();
}

#[test]
fn a_promise_for_the_end_of_time_does_not_stop_a_node() {
    let (mut net, submission) = submitted();
    let receipt = Receipt {
        profile: submission.profile.hash(),
        node: submission.profile.body.node,
        seq: 1,
        round: u64::MAX,
    };
    let receipt = Signed::new(receipt, &provider_key(), &net.genesis.chain_id());
    let witnessed = ledger::frame::Witnessed {
        profile: submission.profile,
        receipt,
        grant: submission.grant,
    };
    send_to_node(&mut net, "household", Frame::Witness(witnessed));
    net.run_rounds(3);
    net.assert_settled();
}

#[test]
fn a_receipt_for_another_profile_or_of_another_signer_is_none() {
    let mut net = Network::new();
    net.tamper = Some(|frame| match frame {
        Frame::Receipt(_) => None,
        other => Some(other),
    });
    net.charge("household", "HOME-1", wh(1_000));
    let receipt = Receipt {
        profile: Hash([7; 32]),
        node: net.node("household").id().expect("enrolled"),
        seq: 1,
        round: 9,
    };
    let chain_id = net.genesis.chain_id();
    for key in [provider_key(), net.gateway("fleet").key.clone()] {
        let receipt = Signed::new(receipt.clone(), &key, &chain_id);
        send_to_node(&mut net, "household", Frame::Receipt(receipt));
    }
    let charge = net.node("household").charges().next().expect("it waits");
    assert!(matches!(charge.stage, Stage::Signed { receipt: None, .. }));
}

#[test]
fn an_invalid_block_is_kept_as_proof_and_not_built_on() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    let before = net.node("fleet").state().cloned();
    net.tamper = Some(|frame| match frame {
        Frame::Block(block) => Some(Frame::Block(Box::new(dearer(*block)))),
        other => Some(other),
    });
    net.run_rounds(2);
    let invalid = |event: &Event| matches!(event, Event::InvalidBlock { .. });
    for name in ["household", "fleet"] {
        let gateway = net.gateway(name);
        assert_eq!(gateway.events.iter().filter(|e| invalid(e)).count(), 1);
        let kept: Vec<Block> = gateway.process.store.all(Table("proofs")).expect("whole");
        assert_eq!(kept.len(), 1);
    }
    assert_eq!(net.node("fleet").state().cloned(), before);
    // Nobody voted for anything after it.
    assert_eq!(net.bill("HOUSEHOLD").lines[0].finality, Finality::Pending);
    net.tamper = None;
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(2);
    assert_eq!(
        net.node("fleet").state().cloned(),
        before,
        "it builds on nothing"
    );
}

/// The block with a higher amount, signed by the provider.
fn dearer(mut block: Block) -> Block {
    if let Some(line) = block.body.charges.first_mut() {
        line.amount += 1;
    }
    block.header.body.body_root = block.body.root();
    let chain_id = support::Network::with_interval(60).genesis.chain_id();
    block.header = Signed::new(block.header.body, &provider_key(), &chain_id);
    block
}

#[test]
fn a_block_that_the_provider_did_not_sign_stops_nothing() {
    let mut net = Network::new();
    let mut forged = net.blocks().pop().expect("blocks");
    forged.header.body.height += 1;
    let key = net.gateway("household").key.clone();
    forged.header = Signed::new(forged.header.body, &key, &net.genesis.chain_id());
    send_to_node(&mut net, "fleet", Frame::Block(Box::new(forged)));
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(3);
    net.assert_settled();
}

#[test]
fn a_witnessed_charge_that_is_not_in_its_rounds_block_stops_the_votes() {
    let mut net = Network::new();
    let (other, submission) = submitted();
    let round = net.genesis.round_at(net.now);
    let receipt = Receipt {
        profile: submission.profile.hash(),
        node: submission.profile.body.node,
        seq: 1,
        round,
    };
    let witnessed = ledger::frame::Witnessed {
        profile: submission.profile,
        receipt: Signed::new(receipt, &provider_key(), &other.genesis.chain_id()),
        grant: submission.grant,
    };
    send_to_node(&mut net, "fleet", Frame::Witness(witnessed));
    net.charge_at("household", "yard", "HOME-1", wh(7_000));
    net.run_rounds(3);
    let broken = |event: &Event| matches!(event, Event::BrokenReceipt { .. });
    assert!(net.gateway("fleet").events.iter().any(broken));
    assert_eq!(net.bill("HOUSEHOLD").lines[0].finality, Finality::Pending);
}

/// Went wrong: a receipt that named a round whose block was there already was kept as a promise,
/// which nobody looked after: the charge was never billed, and the provider went unconvicted.
#[test]
fn a_receipt_for_a_round_that_is_over_is_a_broken_promise() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(1);
    net.tamper = Some(|frame| match frame {
        Frame::Receipt(_) => None,
        other => Some(other),
    });
    net.charge("household", "HOME-1", wh(2_000));
    let stages = net.node("household").charges().map(|c| c.stage.clone());
    let waiting = stages.filter_map(|stage| match stage {
        Stage::Signed {
            profile,
            receipt: None,
            ..
        } => Some(profile),
        _ => None,
    });
    let profile = waiting.last().expect("the second charge");
    let over = Receipt {
        profile: profile.hash(),
        node: profile.body.node,
        seq: profile.body.seq,
        round: net.provider().state().round,
    };
    let receipt = Signed::new(over, &provider_key(), &net.genesis.chain_id());
    send_to_node(&mut net, "household", Frame::Receipt(receipt));
    assert!(net.node("household").stopped().is_some());
    let proof = |event: &Event| match event {
        Event::BrokenReceipt { evidence, .. } => evidence.clone(),
        _ => None,
    };
    let events = &net.gateway("household").events;
    let proof = events.iter().find_map(proof).expect("an evidence file");
    let file = ledger::EvidenceFile::from_bytes(&proof).expect("readable");
    assert_eq!(file.verify(Some(&provider_key().public())), Ok(()));
}

#[test]
fn a_parents_worthless_grant_does_not_stop_the_outbox_of_another_node() {
    let worthless: [fn(&mut Grant); 3] = [
        |grant| grant.energy_limit_wh = 1,
        |grant| grant.group = GroupId(1),
        |grant| grant.expiry = UnixSeconds(0),
    ];
    for spoil in worthless {
        let mut net = Network::new();
        net.spoil_grants("fleet", spoil);
        net.present("household", "FLEET-1");
        net.charge_at("household", "garage", "FLEET-1", wh(500));
        net.charge_at("household", "yard", "HOME-1", wh(1_000));
        net.run_rounds(3);
        assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40)]);
        assert_eq!(net.held("household").len(), 1);
    }
}

#[test]
fn an_outlets_owner_cannot_squat_the_group_of_a_nodes_own_chargers() {
    let mut net = Network::new();
    let squat = Request::RegisterSupplyPoint(RegisterSupplyPoint {
        outlet: "trap".to_owned(),
        owner: tag("UNGROUPED/3"),
        meter: "none".to_owned(),
        supply_point: None,
    });
    net.ask("fleet", squat).expect("an outlet");
    let mut alone = site("ALONE", &[], &["drive"]);
    alone.chargers.insert(tag("ALONE-1"), None);
    net.add_gateway("alone", alone, &[]);
    net.run_rounds(3);
    net.charge("alone", "ALONE-1", wh(1_000));
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("UNGROUPED/3"), [(1_000, 40)]);
}

#[test]
fn a_group_takes_no_charger_that_its_parent_does_not_know_as_its_own() {
    let mut net = Network::new();
    let mut alone = site("ALONE", &[], &["drive"]);
    // The fleet's gateway has a charger without a group, not registered yet.
    alone.chargers.insert(tag("LONER"), None);
    let index = net.index("fleet");
    net.gateways[index]
        .config
        .chargers
        .insert(tag("LONER"), None);
    net.cut_link("fleet");
    net.add_gateway("alone", alone, &[]);
    net.settle();
    let asked = Request::CheckAuth(protocol::message::CheckAuth {
        id_tag: tag("LONER"),
        group_id: tag("FLEET"),
    });
    net.crash("fleet");
    net.restart("fleet");
    let answer = net.ask_node("fleet", asked);
    let Some(Response::CheckAuth(ack)) = answer else {
        panic!("no answer");
    };
    assert_eq!(ack.status, Status::Invalid);
}

#[test]
fn a_token_enrols_one_key_and_a_groups_name_cannot_be_squatted() {
    let mut net = Network::new();
    let key = protocol::KeyPair::from_seed(&[77; 32]).public();
    for (token, refusal) in [
        (None, provider::JoinRefusal::NoToken),
        (Some(Hash([1; 32])), provider::JoinRefusal::UnknownToken),
        (Some(Hash::of(b"fleet")), provider::JoinRefusal::UsedToken),
    ] {
        assert_eq!(net.join(key, token), Err(refusal));
    }
    let weak = protocol::PublicKey([0; 32]);
    assert_eq!(net.join(weak, None), Err(provider::JoinRefusal::WeakKey));
    let claim = Request::Register(Register {
        id_tag: tag("THIEF"),
        group_id: Some(tag("TOWNHALL")),
        is_home: true,
        group: None,
    });
    let Some(Response::Register(ack)) = net.ask("household", claim) else {
        panic!("no answer");
    };
    assert_eq!(ack.id_tag_info.status, Status::Invalid);
}

#[test]
fn a_provider_with_a_hole_in_its_chain_does_not_start() {
    let (mut net, _) = submitted();
    net.run_rounds(3);
    let hole = ledger::store::Write::delete(Table("blocks"), 2_u64.to_be_bytes());
    net.provider.store.commit(&[hole]).expect("memory");
    let (genesis, tariff) = (net.genesis.clone(), net.tariff.clone());
    let refused = ledger::Provider::load(provider_key(), genesis, tariff, &net.provider.store);
    let height = match refused {
        Err(ledger::store::StoreError::BrokenChain { height }) => height,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(height, 2);
}

#[test]
fn a_node_that_lost_a_block_does_not_vote_for_another_one_in_its_place() {
    let (mut net, _) = submitted();
    net.run_rounds(1);
    let stored_vote = |net: &Network| -> Option<(u64, Hash)> {
        let store = &net.gateway("fleet").process.store;
        store.get(Table("node"), b"vote").expect("whole")
    };
    let voted = stored_vote(&net).expect("it voted");
    assert_eq!(voted.0, 2);
    net.crash("fleet");
    let hole = ledger::store::Write::delete(Table("blocks"), 2_u64.to_be_bytes());
    let store = &net.gateway("fleet").process.store;
    store.commit(&[hole]).expect("memory");
    net.tamper = Some(|frame| match frame {
        Frame::Block(block) if block.header.body.height == 2 => Some(later(*block)),
        other => Some(other),
    });
    net.restart("fleet");
    net.run_for(5);
    let tip = net.node("fleet").state().expect("a chain").tip;
    assert_ne!(tip, voted.1, "the other block is valid, too");
    assert_eq!(stored_vote(&net), Some(voted));
}

/// A second valid block for the same height.
fn later(mut block: Block) -> Frame {
    let chain_id = Network::with_interval(60).genesis.chain_id();
    block.header.body.time.0 += 1;
    block.header = Signed::new(block.header.body, &provider_key(), &chain_id);
    Frame::Block(Box::new(block))
}

#[test]
fn a_node_keeps_no_grant_that_the_groups_parent_did_not_sign() {
    let mut net = Network::new();
    net.present("household", "FLEET-1");
    let Some(Response::Register(ack)) = net.ask("household", register("FLEET-1")) else {
        panic!("no answer");
    };
    let known = ack.registration.expect("it is registered");
    let grant = Grant {
        charger: known.charger,
        group: known.group,
        not_before: UnixSeconds(0),
        expiry: UnixSeconds(u64::MAX),
        energy_limit_wh: 0,
    };
    let forged = Signed::new(
        grant,
        &net.gateway("household").key,
        &net.genesis.chain_id(),
    );
    let asked = Request::Authorize(protocol::message::Authorize {
        id_tag: tag("FLEET-1"),
        group_id: tag("FLEET"),
        charger: known.charger,
    });
    let ack = protocol::message::AuthorizeAck {
        status: Status::Accepted,
        grant: Some(forged),
    };
    let index = net.index("household");
    net.node_gets(
        index,
        node::Input::Answer(asked, Some(Response::Authorize(ack))),
    );
    net.charge("household", "FLEET-1", wh(500));
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("FLEET"), [(500, 20)]);
}

fn register(id_tag: &str) -> Request {
    Request::Register(Register {
        id_tag: tag(id_tag),
        group_id: None,
        is_home: false,
        group: None,
    })
}
