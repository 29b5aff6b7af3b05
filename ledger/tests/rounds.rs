//! Rounds, blocks and when they are final.

mod support;

use ledger::frame::Frame;
use ledger::provider::Event;
use protocol::message::Finality;
use support::{Network, site, wh};

#[test]
fn rounds_without_events_make_no_block() {
    let mut net = Network::new();
    let before = net.blocks().len();
    net.run_rounds(20);
    assert_eq!(net.blocks().len(), before);
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(20);
    // One with the charge, one with the ballots that make it final, and no more.
    assert_eq!(net.blocks().len(), before + 2);
    let last = net.blocks().pop().expect("blocks").body;
    assert!(last.charges.is_empty() && last.records.is_empty());
    assert_eq!(last.ballots.len(), 2);
    net.assert_settled();
}

#[test]
fn a_parent_that_is_away_costs_nobody_a_charge() {
    let mut net = Network::new();
    net.present("household", "FLEET-1");
    net.cut_link("fleet");
    net.charge("household", "FLEET-1", wh(4_000));
    net.run_rounds(2);
    let lines: Vec<_> = net
        .blocks()
        .into_iter()
        .flat_map(|b| b.body.charges)
        .collect();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].late);
    net.restore_link("fleet");
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("FLEET"), [(4_000, 160)]);
}

#[test]
fn a_wrong_group_block_is_refused_and_costs_nobody_a_charge() {
    let wrong: [fn(&mut ledger::frame::SealedGroup); 5] = [
        |sealed| sealed.block.body.energy.0 += 1,
        |sealed| sealed.block.body.previous = protocol::Hash([7; 32]),
        |sealed| sealed.block.body.root = protocol::Hash([7; 32]),
        |sealed| sealed.profiles.clear(),
        |sealed| sealed.profiles.push(sealed.profiles[0].clone()),
    ];
    for spoil in wrong {
        let mut net = Network::new();
        let key = net.gateway("household").key.clone();
        net.charge("household", "HOME-1", wh(4_000));
        net.spoil_group_blocks(move |sealed, chain_id| {
            spoil(sealed);
            sealed.block = protocol::Signed::new(sealed.block.body.clone(), &key, chain_id);
        });
        net.run_rounds(3);
        let refused = |event: &Event| matches!(event, Event::GroupBlockRefused { .. });
        assert!(net.provider_events.iter().any(refused));
        net.assert_settled();
        assert_eq!(net.billed("HOUSEHOLD"), [(4_000, 160)]);
    }
}

#[test]
fn a_parent_that_acknowledges_and_never_seals_delays_its_round_by_the_grace_only() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    net.drop_group_blocks();
    net.run_rounds(1);
    assert_eq!(net.blocks().last().expect("a block").body.charges.len(), 1);
}

#[test]
fn with_one_voter_its_ballot_makes_a_charge_final() {
    let mut net = Network::empty();
    let household = site("HOUSEHOLD", &["HOME-1"], &["garage"]);
    net.add_gateway("household", household, &["HOUSEHOLD"]);
    net.run_rounds(2);
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(1);
    let pending = net.bill("HOUSEHOLD").lines[0].finality;
    assert_eq!(pending, Finality::Pending, "no ballot is in the chain yet");
    net.run_rounds(2);
    net.assert_settled();
    let proven = net.receipts("household")[0]
        .verify(None)
        .expect("it verifies");
    assert_eq!((proven.voters, proven.votes), (1, 1));
    assert!(proven.is_self_attested());
}

#[test]
fn one_of_two_voters_is_not_more_than_half() {
    let mut net = Network::new();
    net.cut_link("fleet");
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(10);
    assert_eq!(net.bill("HOUSEHOLD").lines[0].finality, Finality::Pending);
    net.restore_link("fleet");
    net.run_rounds(3);
    net.assert_settled();
}

#[test]
fn two_of_three_voters_make_a_charge_final() {
    let mut net = Network::new();
    net.add_gateway("garden", site("GARDEN", &["G-1"], &["shed"]), &["GARDEN"]);
    net.run_rounds(3);
    net.assert_settled();
    net.cut_link("garden");
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(3);
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40)]);
    let proven = net.receipts("household")[0]
        .verify(None)
        .expect("it verifies");
    assert_eq!((proven.voters, proven.votes), (3, 2));
    net.restore_link("garden");
    net.run_rounds(2);
    net.assert_settled();
}

#[test]
fn voters_that_enrol_and_go_away_do_not_keep_earlier_blocks_from_being_final() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_for(1);
    for (name, group) in [("one", "ONE"), ("two", "TWO"), ("three", "THREE")] {
        net.add_gateway(name, site(group, &[group], &[]), &[group]);
        net.settle();
        net.cut_link(name);
    }
    net.run_rounds(4);
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40)]);
}

#[test]
fn the_providers_clock_may_go_backwards_over_a_restart() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(10);
    // Its receipt names a round that the clock will not have reached again when the next comes.
    net.charge("household", "HOME-1", wh(2_000));
    net.crash_provider();
    net.set_clock_back(200);
    net.start_provider();
    net.charge("household", "HOME-1", wh(3_000));
    net.run_rounds(8);
    net.assert_settled();
    assert_eq!(
        net.billed("HOUSEHOLD"),
        [(1_000, 40), (2_000, 80), (3_000, 120)]
    );
    let headers: Vec<_> = net.blocks().into_iter().map(|b| b.header.body).collect();
    assert!(
        headers
            .windows(2)
            .all(|h| h[0].time <= h[1].time && h[0].round < h[1].round)
    );
}

#[test]
fn a_charge_under_a_grant_that_ran_out_long_ago_is_sealed_after_an_idle_time() {
    let mut net = Network::new();
    net.present("household", "FLEET-1");
    let old = net.measure("household", "garage", "FLEET-1", wh(1_000));
    net.cut_link("household");
    net.end_charge("household", old);
    // Grants hold 30 days and stay in the state for 30 more.
    net.skip_days(100);
    net.restore_link("household");
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("FLEET"), [(1_000, 40)]);
}

#[test]
fn a_dearer_tariff_between_receipt_and_seal_does_not_stop_the_provider() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000_000_000));
    net.crash_provider();
    net.tariff = ledger::tariff::FlatTariff::new("EUR", "40.00", "30.00").expect("a tariff");
    net.start_provider();
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(
        net.billed("HOUSEHOLD"),
        [(4_000_000_000, u64::from(u32::MAX))]
    );
}

#[test]
fn a_node_that_was_away_for_many_blocks_catches_up_and_votes() {
    let mut net = Network::new();
    net.cut_link("fleet");
    for _ in 0..150 {
        net.charge("household", "HOME-1", wh(100));
        net.run_rounds(1);
    }
    net.restore_link("fleet");
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD").len(), 150);
}

#[test]
fn lost_blocks_are_asked_for_until_they_come() {
    let mut net = Network::new();
    net.tamper = Some(|frame| match frame {
        Frame::Block(_) => None,
        other => Some(other),
    });
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(2);
    assert!(net.node("household").state().expect("a chain").height < net.provider().state().height);
    for name in ["household", "fleet"] {
        net.cut_link(name);
        net.restore_link(name);
    }
    // Both know now that they are behind; the blocks they asked for got lost, too.
    net.tamper = None;
    net.run_rounds(3);
    net.assert_settled();
}

#[test]
fn a_voter_whose_clock_is_behind_votes_when_it_is_right_again() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.lag_ms("fleet", 4_000_000);
    net.run_rounds(3);
    assert_eq!(net.bill("HOUSEHOLD").lines[0].finality, Finality::Pending);
    net.lag_ms("fleet", 0);
    net.run_rounds(2);
    net.assert_settled();
}

#[test]
fn a_round_that_has_its_block_is_never_promised_again() {
    let mut net = Network::new();
    net.run_rounds(10);
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(1);
    net.crash_provider();
    net.set_clock_back(200);
    net.start_provider();
    net.charge("household", "HOME-1", wh(2_000));
    net.run_rounds(8);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40), (2_000, 80)]);
}

#[test]
fn a_parent_that_returns_before_the_rounds_end_seals_what_it_missed() {
    let mut net = Network::new();
    net.present("household", "FLEET-1");
    net.cut_link("fleet");
    net.charge("household", "FLEET-1", wh(4_000));
    net.restore_link("fleet");
    net.run_rounds(3);
    let lines = net.blocks().into_iter().flat_map(|b| b.body.charges);
    assert!(lines.map(|line| line.late).eq([false]));
    net.assert_settled();
}

#[test]
fn a_provider_that_was_away_for_the_first_rounds_enrols_before_it_bills() {
    let mut net = Network::empty();
    let household = support::site("HOUSEHOLD", &["HOME-1"], &["garage"]);
    net.add_gateway("household", household, &["HOUSEHOLD"]);
    net.settle();
    net.charge("household", "HOME-1", wh(1_000));
    net.crash_provider();
    net.run_rounds(5);
    net.start_provider();
    net.run_rounds(3);
    net.assert_settled();
    let charges: Vec<usize> = net.blocks().iter().map(|b| b.body.charges.len()).collect();
    assert_eq!(charges[..2], [0, 1]);
}
