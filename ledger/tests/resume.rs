//! The provider told two stories: nodes stop, their voters pick one, and all go on with it.

mod support;

use ledger::block::{Ballot, Block, Header, Record};
use ledger::frame::Frame;
use ledger::node::{Charge, Input, Pick, ResumeRefusal, Stage};
use ledger::provider;
use ledger::resume::{NotResumed, Resume};
use protocol::{KeyPair, Signed};
use support::{Network, site, wh};

const ALL: [&str; 3] = ["household", "fleet", "depot"];

fn give(net: &mut Network, name: &str, input: Input) {
    let index = net.index(name);
    net.node_gets(index, input);
    net.settle();
}

fn give_frame(net: &mut Network, name: &str, frame: Frame) {
    give(net, name, Input::Frame(Box::new(frame)));
}

/// A block in place of the provider's next.
fn other_block(net: &Network) -> Block {
    net.other_block(net.provider().state(), 1).0
}

/// Three voters, and a block in place of the next that only the household is shown: it votes for
/// it. Then everybody sees both headers.
fn forked() -> (Network, Block) {
    let mut net = Network::new();
    net.add_gateway("depot", site("DEPOT", &["TRUCK"], &["ramp"]), &["DEPOT"]);
    net.run_rounds(2);
    let other = other_block(&net);
    give_frame(&mut net, "household", Frame::Block(Box::new(other.clone())));
    net.charge("household", "HOME-1", wh(1_000));
    net.charge("fleet", "FLEET-1", wh(2_000));
    net.run_rounds(1);
    for name in ["fleet", "depot"] {
        let header = Box::new(other.header.clone());
        give_frame(&mut net, name, Frame::Header(header));
    }
    for name in ALL {
        assert!(net.node(name).stopped().is_some(), "{name}");
    }
    (net, other)
}

/// Went wrong: what was final had left the outbox, and its number was used again.
#[test]
fn a_charge_that_was_final_in_the_story_given_up_is_submitted_again_as_it_was() {
    let mut net = Network::new();
    net.add_gateway("depot", site("DEPOT", &["TRUCK"], &["ramp"]), &["DEPOT"]);
    net.charge("household", "HOME-1", wh(500));
    net.run_rounds(3);
    let other = other_block(&net);
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(2);
    assert_eq!(net.node("household").charges().count(), 0);
    let receipts = net.receipts("household");
    let profile = receipts
        .last()
        .expect("both are final")
        .line
        .profile
        .clone();
    for name in ALL {
        let header = Box::new(other.header.clone());
        give_frame(&mut net, name, Frame::Header(header));
        pick(&mut net, name, &other.header.body);
    }
    let words = words(&net, &ALL);
    net.cut_link("household");
    give(&mut net, "household", Input::Resume(words));
    for restarts in [false, true] {
        if restarts {
            net.crash("household");
            net.restart("household");
        }
        let charges: Vec<Charge> = net.node("household").charges().cloned().collect();
        let [charge] = &charges[..] else {
            panic!("one charge, not {charges:?}");
        };
        let Stage::Signed {
            profile: again,
            receipt: None,
            ..
        } = &charge.stage
        else {
            panic!("signed and not promised, not {:?}", charge.stage);
        };
        assert_eq!(**again, profile);
    }
}

/// The header of the provider's chain in place of which there was another.
fn told(net: &Network, other: &Block) -> Signed<Header> {
    let blocks = net.blocks();
    let at = |block: &&Block| block.header.body.height == other.header.body.height;
    blocks.iter().find(at).expect("it is sealed").header.clone()
}

fn pick(net: &mut Network, name: &str, header: &Header) {
    let pick = Pick {
        height: header.height,
        header: header.hash(),
    };
    assert_eq!(net.node(name).check_pick(&pick), Ok(()));
    give(net, name, Input::Pick(pick));
}

/// The words of these nodes' voters, sorted by voter.
fn words(net: &Network, names: &[&str]) -> Vec<Signed<Resume>> {
    let mut words: Vec<_> = names.iter().flat_map(|n| net.node(n).words()).collect();
    words.sort_by_key(|word| word.body.voter);
    words
}

fn resumed() -> (Network, Block) {
    let (mut net, other) = forked();
    let header = told(&net, &other).body;
    for name in ["fleet", "depot"] {
        pick(&mut net, name, &header);
    }
    let words = words(&net, &["fleet", "depot"]);
    for name in ALL {
        assert_eq!(net.node(name).check_resume(&words), Ok(()), "{name}");
        give(&mut net, name, Input::Resume(words.clone()));
    }
    (net, other)
}

#[test]
fn voters_pick_a_story_and_every_charge_is_billed_in_it_once() {
    let (mut net, _) = resumed();
    net.run_rounds(3);
    net.charge("household", "HOME-1", wh(3_000));
    net.run_rounds(3);
    for name in ALL {
        assert_eq!(net.node(name).stopped(), None, "{name}");
    }
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(1_000, 40), (3_000, 120)]);
    assert_eq!(net.billed("FLEET"), [(2_000, 80)]);
}

#[test]
fn the_pick_is_recorded_once_and_survives_restarts() {
    let (mut net, _) = resumed();
    for name in ALL {
        net.crash(name);
        net.restart(name);
    }
    net.run_rounds(4);
    net.assert_settled();
    let is_resume = |record: &&Record| matches!(record, Record::Resume(_));
    let blocks = net.blocks();
    let records = blocks.iter().flat_map(|block| &block.body.records);
    assert_eq!(records.filter(is_resume).count(), 1);
}

#[test]
fn who_voted_for_the_other_story_is_not_convicted() {
    let (mut net, other) = resumed();
    net.run_rounds(3);
    net.charge("household", "HOME-1", wh(10));
    net.run_rounds(3);
    let ballot = Ballot {
        voter: net.group("HOUSEHOLD"),
        height: other.header.body.height,
        header: other.header.hash(),
    };
    let index = net.index("household");
    let key = net.gateways[index].key.clone();
    let ballot = Signed::new(ballot, &key, &net.genesis.chain_id());
    let link = net.gateways[index].link.expect("it is linked");
    let frame = Box::new(Frame::Ballot(ballot));
    net.provider_gets(provider::Input::Frame { link, frame });
    net.settle();
    net.run_rounds(3);
    let convicted: Vec<u32> = net
        .provider()
        .state()
        .convictions
        .values()
        .map(|c| c.node.0)
        .collect();
    // The provider, by the voters' word.
    assert_eq!(convicted, [0]);
}

#[test]
fn too_few_or_foreign_words_let_nobody_go_on() {
    let (mut net, other) = forked();
    let header = told(&net, &other).body;
    for name in ["fleet", "depot"] {
        pick(&mut net, name, &header);
    }
    let refused = |net: &Network, words: &[Signed<Resume>]| {
        let refusal = net.node("household").check_resume(words);
        refusal.expect_err("they pick nothing")
    };
    let one = words(&net, &["fleet"]);
    let few = NotResumed::TooFew { are: 1, of: 3 };
    assert_eq!(refused(&net, &one), ResumeRefusal::Words(few));
    assert_eq!(refused(&net, &[]), ResumeRefusal::Words(NotResumed::Empty));
    let both = words(&net, &["fleet", "depot"]);
    let reversed: Vec<_> = both.iter().rev().cloned().collect();
    assert_eq!(
        refused(&net, &reversed),
        ResumeRefusal::Words(NotResumed::Mixed)
    );
    let mut mixed = both.clone();
    mixed[1].body.header = other.header.hash();
    assert_eq!(
        refused(&net, &mixed),
        ResumeRefusal::Words(NotResumed::Mixed)
    );
    let stranger = KeyPair::from_seed(&[77; 32]);
    let chain_id = net.genesis.chain_id();
    let mut forged = both.clone();
    forged[1] = Signed::new(forged[1].body.clone(), &stranger, &chain_id);
    assert_eq!(
        refused(&net, &forged),
        ResumeRefusal::Words(NotResumed::Voter)
    );
    give(&mut net, "household", Input::Resume(forged));
    assert!(net.node("household").stopped().is_some());
}

#[test]
fn a_node_picks_one_header_for_a_height_and_only_while_it_is_stopped() {
    let (mut net, other) = forked();
    let header = told(&net, &other).body;
    pick(&mut net, "fleet", &header);
    let second = Pick {
        height: header.height,
        header: other.header.hash(),
    };
    let refused = Err(ResumeRefusal::OtherPick);
    assert_eq!(net.node("fleet").check_pick(&second), refused);
    give(&mut net, "fleet", Input::Pick(second.clone()));
    let word = &words(&net, &["fleet"])[0].body;
    assert_eq!(word.header, header.hash());
    let running = Network::new();
    let refused = Err(ResumeRefusal::NotStopped);
    assert_eq!(running.node("fleet").check_pick(&second), refused);
}

#[test]
fn a_provider_that_goes_on_with_the_other_story_is_not_followed() {
    let (mut net, other) = forked();
    for name in ALL {
        pick(&mut net, name, &other.header.body);
    }
    let words = words(&net, &ALL);
    for name in ALL {
        give(&mut net, name, Input::Resume(words.clone()));
    }
    net.run_rounds(2);
    for name in ["fleet", "depot"] {
        let reason = net.node(name).stopped().expect("it stopped again");
        assert!(reason.contains("gave up"), "{reason}");
    }
}

#[test]
fn words_for_a_header_that_is_not_in_the_chain_are_not_recorded() {
    let (mut net, other) = forked();
    for name in ALL {
        pick(&mut net, name, &other.header.body);
    }
    let words = words(&net, &ALL);
    let before = net.provider().state().height;
    let index = net.index("fleet");
    let link = net.gateways[index].link.expect("it is linked");
    let frame = Box::new(Frame::Picked(words));
    net.provider_gets(provider::Input::Frame { link, frame });
    net.settle();
    net.run_rounds(2);
    let new = net
        .blocks()
        .into_iter()
        .skip(usize::try_from(before).expect("few"));
    assert!(new.into_iter().all(|block| block.body.records.is_empty()));
}
