//! What provider and nodes do about voters that enrolled and fell silent.

mod support;

use ledger::block::Ballot;
use ledger::frame::Frame;
use ledger::provider::Input;
use protocol::message::Finality;
use protocol::{Signed, UnixMillis};
use support::{Network, wh};

const DORMANCY_S: u32 = 1_200;
const DISPUTE_S: u32 = 300;

fn network() -> Network {
    Network::with_silent_crowd(DORMANCY_S, DISPUTE_S)
}

/// The first second, in header time, that the last of the crowd is dormant in.
fn dormant_from(net: &Network) -> UnixMillis {
    let groups = &net.provider().state().groups;
    let crowd = ["ONE", "TWO", "THREE"].map(|name| groups[&net.group(name)].last_ballot);
    let last = crowd.into_iter().max().expect("three");
    last.millis().plus_ms(u64::from(DORMANCY_S) * 1_000)
}

fn run_until(net: &mut Network, at: UnixMillis) {
    net.run_for(at.since_ms(net.now) / 1_000);
}

fn label(net: &Network) -> Finality {
    net.bill("HOUSEHOLD").lines[0].finality
}

#[test]
fn a_charge_that_a_crowd_does_not_confirm_is_final_when_the_crowd_is_dormant() {
    let mut net = network();
    net.charge("household", "HOME-1", wh(1_000));
    let ended = net.now;
    net.run_rounds(2);
    let charged = net.blocks().len();
    assert_eq!(label(&net), Finality::Pending);
    run_until(&mut net, ended.plus_ms((u64::from(DISPUTE_S) + 60) * 1_000));
    assert_eq!(label(&net), Finality::Unconfirmed);
    let dormant = dormant_from(&net);
    run_until(&mut net, UnixMillis(dormant.0 - 1_000));
    assert_eq!(label(&net), Finality::Unconfirmed);
    assert_eq!(net.node("household").charges().count(), 1);
    assert_eq!(net.blocks().len(), charged, "ballots did not help so far");
    run_until(&mut net, dormant.plus_ms(60_000));
    assert_eq!(label(&net), Finality::FinalAfterDormancy);
    assert_eq!(net.node("household").charges().count(), 0);
    let file = net.receipts("household").remove(0);
    let proven = file
        .verify(Some(&net.genesis.provider_key))
        .expect("it verifies");
    assert_eq!((proven.voters, proven.votes, proven.dormant), (5, 2, 3));
    net.run_rounds(40);
    assert_eq!(net.blocks().len(), charged + 1, "nothing else is sealed");
}

#[test]
fn a_crowd_that_returns_confirms_what_was_final_without_it() {
    let mut net = network();
    net.charge("household", "HOME-1", wh(1_000));
    let dormant = dormant_from(&net);
    run_until(&mut net, dormant.plus_ms(120_000));
    assert_eq!(label(&net), Finality::FinalAfterDormancy);
    for name in ["one", "two", "three"] {
        net.restore_link(name);
    }
    net.charge("household", "HOME-1", wh(2_000));
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40), (2_000, 80)]);
    let files = net.receipts("household");
    assert!(files[0].finality.closing.is_some());
    assert!(files[1].finality.closing.is_none(), "the votes are enough");
}

#[test]
fn a_crowd_that_returns_counts_again() {
    let mut net = network();
    let dormant = dormant_from(&net);
    run_until(&mut net, dormant.plus_ms(60_000));
    for name in ["one", "two", "three"] {
        net.restore_link(name);
    }
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(3);
    assert_eq!(label(&net), Finality::Final);
    for name in ["one", "two", "three"] {
        net.cut_link(name);
    }
    net.charge("household", "HOME-1", wh(2_000));
    // Its block takes the crowd's last ballots in.
    net.run_rounds(2);
    let again = dormant_from(&net);
    run_until(&mut net, UnixMillis(again.0 - 1_000));
    let second = |net: &Network| net.bill("HOUSEHOLD").lines[1].finality;
    assert_eq!(second(&net), Finality::Unconfirmed);
    run_until(&mut net, again.plus_ms(60_000));
    assert_eq!(second(&net), Finality::FinalAfterDormancy);
}

#[test]
fn ballots_that_confirm_nothing_new_keep_a_crowd_awake_once_and_not_for_ever() {
    let mut net = network();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(2);
    let dormant = dormant_from(&net);
    let link = net.gateway("household").link.expect("it is linked");
    let newest_final = net.provider().state().final_height;
    for (name, group) in [("one", "ONE"), ("two", "TWO"), ("three", "THREE")] {
        let ballot = Ballot {
            voter: net.group(group),
            height: newest_final,
            header: net
                .provider()
                .state()
                .open_header(newest_final)
                .expect("open"),
        };
        let signed = Signed::new(ballot, &net.gateway(name).key, &net.genesis.chain_id());
        let frame = Box::new(Frame::Ballot(signed));
        net.provider_gets(Input::Frame { link, frame });
    }
    let before = net.blocks().len();
    run_until(&mut net, dormant.plus_ms(60_000));
    assert_eq!(net.blocks().len(), before + 1, "it takes their ballots in");
    assert_eq!(label(&net), Finality::Unconfirmed);
    let again = dormant_from(&net);
    run_until(&mut net, UnixMillis(again.0 - 1_000));
    assert_eq!(label(&net), Finality::Unconfirmed);
    run_until(&mut net, again.plus_ms(60_000));
    assert_eq!(label(&net), Finality::FinalAfterDormancy);
    assert_eq!(net.node("household").charges().count(), 0);
}

#[test]
fn where_only_time_was_missing_an_empty_block_carries_it() {
    let mut net = network();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(1);
    // Nobody sees the next block, which takes the ballots for this one in.
    net.tamper = Some(|frame| match frame {
        Frame::Block(_) => None,
        other => Some(other),
    });
    net.charge("household", "HOME-1", wh(2_000));
    net.run_rounds(1);
    for name in ["household", "fleet"] {
        net.cut_link(name);
    }
    net.tamper = None;
    let before = net.blocks().len();
    assert_eq!(net.blocks()[before - 1].body.ballots.len(), 2);
    let dormant = dormant_from(&net);
    run_until(&mut net, UnixMillis(dormant.0 - 1_000));
    assert_eq!(net.blocks().len(), before);
    run_until(&mut net, dormant.plus_ms(60_000));
    let blocks = net.blocks();
    assert_eq!(blocks.len(), before + 1);
    assert!(blocks[before].body.is_empty());
    let labels: Vec<_> = net
        .bill("HOUSEHOLD")
        .lines
        .iter()
        .map(|l| l.finality)
        .collect();
    assert_eq!(
        labels,
        [Finality::FinalAfterDormancy, Finality::Unconfirmed]
    );

    for name in ["household", "fleet"] {
        net.restore_link(name);
    }
    net.run_rounds(2);
    assert_eq!(net.node("household").charges().count(), 0);
    for file in net.receipts("household") {
        let proven = file.verify(None).expect("it verifies");
        assert_eq!((proven.votes, proven.dormant), (2, 3));
    }
}

#[test]
fn a_provider_that_was_away_carries_the_time_when_it_is_back() {
    let mut net = network();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(2);
    net.crash_provider();
    let dormant = dormant_from_stopped(&net);
    run_until(&mut net, dormant.plus_ms(600_000));
    net.start_provider();
    net.run_rounds(2);
    assert_eq!(label(&net), Finality::FinalAfterDormancy);
    assert_eq!(net.node("household").charges().count(), 0);
}

/// The chain's time plus dormancy: later than any voter's.
fn dormant_from_stopped(net: &Network) -> UnixMillis {
    let state = net.node("household").state().expect("a chain");
    state.time.millis().plus_ms(u64::from(DORMANCY_S) * 1_000)
}
