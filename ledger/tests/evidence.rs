//! What is recorded in a block as evidence convicts who broke a rule, and nobody else.

mod support;

use ledger::apply::Invalid;
use ledger::block::{Ballot, GroupBlock, Record};
use ledger::evidence::{
    Disorder, Evidence, ForgedProfile, Fork, Offence, Omission, TwoBallots, TwoGroupBlocks,
    TwoProfiles, WrongTotal,
};
use ledger::frame::{Frame, SealedGroup, SealedProfile, Submission};
use ledger::merkle;
use ledger::node::{Event, Stage};
use ledger::provider;
use ledger::seal::seal;
use ledger::state::State;
use protocol::{GroupId, Hash, KeyPair, ProfileAck, Signed, SignedProfile, UnixSeconds, canonical};
use support::{Network, provider_key, wh};

/// The household's group block over its one profile, altered by `alter` and in full.
fn alter(net: &mut Network, alter: fn(&mut SignedProfile)) {
    let key = net.gateway("household").key.clone();
    let profiles = signed(net, "household");
    net.spoil_group_blocks(move |sealed, chain_id| {
        let mut profile = profiles[0].clone();
        alter(&mut profile);
        *sealed = over(&sealed.block.body, profile, &key, chain_id);
    });
}

fn over(said: &GroupBlock, profile: SignedProfile, key: &KeyPair, chain_id: &Hash) -> SealedGroup {
    let block = GroupBlock::over(
        said.group,
        said.round,
        said.previous,
        [&profile].into_iter(),
    );
    SealedGroup {
        block: Signed::new(block, key, chain_id),
        profiles: vec![SealedProfile::Full(Box::new(profile))],
    }
}

/// The profiles that a node signed and that are not final.
fn signed(net: &Network, name: &str) -> Vec<SignedProfile> {
    let charges = net.node(name).charges();
    let profiles = charges.filter_map(|charge| match &charge.stage {
        Stage::Signed { profile, .. } => Some((**profile).clone()),
        _ => None,
    });
    profiles.collect()
}

fn recorded(net: &Network) -> Vec<Evidence> {
    let records = net.blocks().into_iter().flat_map(|b| b.body.records);
    records
        .filter_map(|record| match record {
            Record::Evidence(evidence) => Some(evidence),
            _ => None,
        })
        .collect()
}

#[test]
fn a_parent_that_alters_a_charge_is_convicted_and_the_true_charge_is_billed() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    alter(&mut net, |profile| profile.body.energy_wh = 400);
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(net.billed("HOUSEHOLD"), [(4_000, 160)]);
    let evidence = recorded(&net);
    assert_eq!(evidence.len(), 1);
    assert!(canonical(&evidence[0]).len() <= 8 << 10);
    let group = net.group("HOUSEHOLD");
    let state = net.node("fleet").state().expect("it has the chain");
    let (offence, conviction) = state.convictions.first_key_value().expect("a conviction");
    assert!(matches!(offence, Offence::Parent { group: of, .. } if *of == group));
    assert_eq!(Some(conviction.node), net.node("household").id());
    let told =
        |event: &Event| matches!(event, Event::Convicted { offence: of, .. } if of == offence);
    assert!(net.gateway("fleet").events.iter().any(told));
    let told = |event: &provider::Event| matches!(event, provider::Event::Convicted { offence: of, .. } if of == offence);
    assert!(net.provider_events.iter().any(told));
}

#[test]
fn a_parent_that_seals_its_true_charges_in_full_is_not_convicted() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    alter(&mut net, |_| {});
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(recorded(&net), []);
    assert_eq!(
        net.blocks()
            .iter()
            .map(|b| b.body.group_blocks.len())
            .sum::<usize>(),
        1
    );
}

#[test]
fn a_charge_sealed_in_full_that_the_provider_gave_no_receipt_for_convicts_nobody() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    let key = net.gateway("household").key.clone();
    let chain_id = net.genesis.chain_id();
    net.spoil_group_blocks(move |sealed, _| {
        let [SealedProfile::Full(_) | SealedProfile::Known(_)] = &sealed.profiles[..] else {
            panic!("one profile");
        };
        let mut own = own_profile();
        own.body.payer = sealed.block.body.group;
        let own = Signed::new(own.body, &key, &chain_id);
        *sealed = over(&sealed.block.body, own, &key, &chain_id);
    });
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(recorded(&net), []);
    let refused =
        |event: &provider::Event| matches!(event, provider::Event::GroupBlockRefused { .. });
    assert!(net.provider_events.iter().any(refused));
}

/// A profile of the household's node, which has number 1 in every network here.
fn own_profile() -> SignedProfile {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(7));
    let charge = net.node("household").charges().next().expect("one charge");
    match charge.stage.clone() {
        Stage::Signed { profile, .. } => *profile,
        other => panic!("it is signed, not {other:?}"),
    }
}

/// A state after two rounds, the household's key, and the profiles of three of its charges that
/// are in no block.
struct Scene {
    state: State,
    key: KeyPair,
    group: GroupId,
    profiles: Vec<SignedProfile>,
}

fn scene() -> Scene {
    let mut net = Network::new();
    for energy in [4_000, 5_000, 6_000] {
        net.charge("household", "HOME-1", wh(energy));
    }
    let charges = net.node("household").charges();
    let profiles = charges.map(|charge| match &charge.stage {
        Stage::Signed { profile, .. } => (**profile).clone(),
        other => panic!("it is signed, not {other:?}"),
    });
    Scene {
        profiles: profiles.collect(),
        state: net.provider().state().clone(),
        key: net.gateway("household").key.clone(),
        group: net.group("HOUSEHOLD"),
    }
}

impl Scene {
    fn over(&self, profiles: &[SignedProfile]) -> GroupBlock {
        GroupBlock::over(self.group, 9, Hash::ZERO, profiles.iter())
    }

    fn sign(&self, group_block: GroupBlock) -> Signed<GroupBlock> {
        Signed::new(group_block, &self.key, &self.state.chain_id())
    }

    fn ack(&self, profile: &SignedProfile) -> Signed<ProfileAck> {
        let ack = ProfileAck {
            group: self.group,
            round: 9,
            profile: profile.hash(),
        };
        Signed::new(ack, &self.key, &self.state.chain_id())
    }

    fn forged(&self) -> ForgedProfile {
        let mut profiles = self.profiles.clone();
        profiles[1].body.energy_wh += 1;
        let block = self.sign(self.over(&profiles));
        match Evidence::against_group_block(&self.state, &block, &profiles) {
            Some(Evidence::ForgedProfile(forged)) => *forged,
            other => panic!("a forged profile, not {other:?}"),
        }
    }

    fn disorder(&self) -> Disorder {
        let mut profiles = self.profiles.clone();
        profiles[2] = profiles[1].clone();
        let block = self.sign(self.over(&profiles));
        match Evidence::against_group_block(&self.state, &block, &profiles) {
            Some(Evidence::Disorder(disorder)) => *disorder,
            other => panic!("disorder, not {other:?}"),
        }
    }

    fn wrong_total(&self) -> WrongTotal {
        let mut block = self.over(&self.profiles);
        block.energy.0 -= 1;
        let block = self.sign(block);
        match Evidence::against_group_block(&self.state, &block, &self.profiles) {
            Some(Evidence::WrongTotal(total)) => *total,
            other => panic!("a wrong total, not {other:?}"),
        }
    }

    /// The one at `index` is left out.
    fn omission(&self, index: usize) -> Omission {
        let mut profiles = self.profiles.clone();
        let omitted = profiles.remove(index);
        let block = self.sign(self.over(&profiles));
        let ack = self.ack(&omitted);
        match Evidence::of_omission(&self.state, &block, &profiles, &ack, &omitted) {
            Some(Evidence::Omission(omission)) => *omission,
            other => panic!("an omission, not {other:?}"),
        }
    }

    fn two_group_blocks(&self) -> TwoGroupBlocks {
        TwoGroupBlocks {
            first: self.sign(self.over(&self.profiles)),
            second: self.sign(self.over(&self.profiles[1..])),
        }
    }

    fn two_profiles(&self) -> TwoProfiles {
        let first = self.profiles[0].clone();
        let mut other = first.body.clone();
        other.energy_wh += 1;
        let second = Signed::new(other, &self.key, &self.state.chain_id());
        TwoProfiles { first, second }
    }

    /// What `apply` makes of a block that records this.
    fn judge(&self, evidence: Vec<Evidence>) -> Result<(), Invalid> {
        let body = ledger::Body {
            records: evidence.into_iter().map(Record::Evidence).collect(),
            ..ledger::Body::default()
        };
        let (state, round) = (&self.state, self.state.round + 1);
        let time = UnixSeconds(state.time.0 + 60);
        seal(state, body, round, time, &provider_key()).map(|_| ())
    }

    #[track_caller]
    fn proves(&self, evidence: Evidence) {
        assert!(canonical(&evidence).len() <= 8 << 10);
        assert_eq!(self.judge(vec![evidence]), Ok(()));
    }

    #[track_caller]
    fn proves_nothing(&self, evidence: Evidence) {
        assert_eq!(self.judge(vec![evidence]), Err(Invalid::Evidence));
    }
}

fn by_another(scene: &Scene, block: &Signed<GroupBlock>) -> Signed<GroupBlock> {
    let other = KeyPair::from_seed(&[99; 32]);
    Signed::new(block.body.clone(), &other, &scene.state.chain_id())
}

#[test]
fn a_forged_profile_convicts_and_nothing_like_it_does() {
    let scene = scene();
    let check = |change: fn(&Scene, &mut ForgedProfile)| {
        let mut forged = scene.forged();
        change(&scene, &mut forged);
        scene.proves_nothing(Evidence::ForgedProfile(Box::new(forged)));
    };
    scene.proves(Evidence::ForgedProfile(Box::new(scene.forged())));
    check(|_, forged| forged.group_block.body.round += 1);
    check(|_, forged| forged.group_block.body.group = GroupId(77));
    check(|_, forged| forged.forged.index = 0);
    check(|_, forged| forged.forged.before.0 += 1);
    check(|_, forged| forged.forged.path.push(Hash::ZERO));
    check(|_, forged| forged.forged.profile.body.seq += 1);
    check(|scene, forged| forged.group_block = by_another(scene, &forged.group_block));
    // The profile as its node signed it, in a group block of the parent's.
    check(|scene, forged| {
        forged.forged.profile = scene.profiles[1].clone();
        forged.group_block = scene.sign(scene.over(&scene.profiles));
    });
}

#[test]
fn disorder_convicts_and_order_does_not() {
    let scene = scene();
    scene.proves(Evidence::Disorder(Box::new(scene.disorder())));
    let mut swapped = scene.disorder();
    swapped.neighbours.swap(0, 1);
    scene.proves_nothing(Evidence::Disorder(Box::new(swapped)));
    let mut same = scene.disorder();
    same.neighbours[1] = same.neighbours[0].clone();
    scene.proves_nothing(Evidence::Disorder(Box::new(same)));
    let mut other = scene.disorder();
    other.group_block = by_another(&scene, &other.group_block);
    scene.proves_nothing(Evidence::Disorder(Box::new(other)));
}

#[test]
fn a_wrong_total_convicts_and_a_right_one_does_not() {
    let scene = scene();
    scene.proves(Evidence::WrongTotal(Box::new(scene.wrong_total())));
    let mut right = scene.wrong_total();
    right.group_block = scene.sign(scene.over(&scene.profiles));
    scene.proves_nothing(Evidence::WrongTotal(Box::new(right.clone())));
    // Sums on the way that the parent did not sign.
    right.sealed.before.0 += 1;
    scene.proves_nothing(Evidence::WrongTotal(Box::new(right)));
    let mut other = scene.wrong_total();
    other.group_block = by_another(&scene, &other.group_block);
    scene.proves_nothing(Evidence::WrongTotal(Box::new(other)));
}

#[test]
fn an_omitted_profile_convicts_wherever_it_should_stand() {
    let scene = scene();
    for index in 0..3 {
        scene.proves(Evidence::Omission(Box::new(scene.omission(index))));
    }
    let empty = Omission {
        group_block: scene.sign(scene.over(&[])),
        before: None,
        after: None,
        ..scene.omission(0)
    };
    scene.proves(Evidence::Omission(Box::new(empty)));
}

#[test]
fn what_is_there_or_was_never_acknowledged_is_not_omitted() {
    let scene = scene();
    let check = |index: usize, change: fn(&Scene, &mut Omission)| {
        let mut omission = scene.omission(index);
        change(&scene, &mut omission);
        scene.proves_nothing(Evidence::Omission(Box::new(omission)));
    };
    check(1, |_, omission| omission.after = None);
    check(1, |_, omission| omission.before = None);
    check(0, |_, omission| omission.after = None);
    check(1, |scene, omission| {
        omission.profile = scene.profiles[0].clone()
    });
    check(1, |scene, omission| {
        omission.ack = scene.ack(&scene.profiles[0])
    });
    check(1, |_, omission| omission.ack.body.round += 1);
    check(1, |scene, omission| {
        let other = KeyPair::from_seed(&[99; 32]);
        let ack = omission.ack.body.clone();
        omission.ack = Signed::new(ack, &other, &scene.state.chain_id());
    });
    // Neighbours that are none: the profile stands between them.
    let block = scene.sign(scene.over(&scene.profiles));
    let profiles = &scene.profiles;
    for profile in profiles {
        let ack = scene.ack(profile);
        let found = Evidence::of_omission(&scene.state, &block, profiles, &ack, profile);
        assert_eq!(found, None);
    }
    let far = Evidence::of_omission(
        &scene.state,
        &block,
        &[profiles[0].clone(), profiles[2].clone()],
        &scene.ack(&profiles[1]),
        &profiles[1],
    );
    assert_eq!(far, None);
}

#[test]
fn two_group_blocks_convict_and_one_shown_twice_does_not() {
    let scene = scene();
    scene.proves(Evidence::TwoGroupBlocks(Box::new(scene.two_group_blocks())));
    let check = |change: fn(&Scene, &mut TwoGroupBlocks)| {
        let mut two = scene.two_group_blocks();
        change(&scene, &mut two);
        scene.proves_nothing(Evidence::TwoGroupBlocks(Box::new(two)));
    };
    check(|_, two| two.second = two.first.clone());
    check(|scene, two| two.second = by_another(scene, &two.second));
    check(|scene, two| two.first = by_another(scene, &two.first));
    check(|scene, two| {
        two.second.body.round += 1;
        two.second = scene.sign(two.second.body.clone());
    });
}

#[test]
fn two_profiles_with_one_number_convict_and_others_do_not() {
    let scene = scene();
    scene.proves(Evidence::TwoProfiles(Box::new(scene.two_profiles())));
    let check = |change: fn(&Scene, &mut TwoProfiles)| {
        let mut two = scene.two_profiles();
        change(&scene, &mut two);
        scene.proves_nothing(Evidence::TwoProfiles(Box::new(two)));
    };
    check(|_, two| two.second = two.first.clone());
    check(|scene, two| two.second = scene.profiles[1].clone());
    check(|_, two| two.second.body.energy_wh += 1);
    check(|_, two| two.first.body.energy_wh += 2);
}

#[test]
fn an_offence_is_recorded_once_in_however_many_ways_it_is_proven() {
    let scene = scene();
    let forged = Evidence::ForgedProfile(Box::new(scene.forged()));
    let total = Evidence::WrongTotal(Box::new(scene.wrong_total()));
    let taken = Err(Invalid::Taken("the conviction"));
    assert_eq!(scene.judge(vec![forged.clone(), forged.clone()]), taken);
    assert_eq!(scene.judge(vec![forged, total]), taken);
}

/// Spoils every group block of the household like this, and seals it again.
fn spoil(net: &mut Network, spoil: fn(&mut GroupBlock)) {
    let key = net.gateway("household").key.clone();
    net.spoil_group_blocks(move |sealed, chain_id| {
        spoil(&mut sealed.block.body);
        sealed.block = Signed::new(sealed.block.body.clone(), &key, chain_id);
    });
}

#[test]
fn a_parent_that_states_a_wrong_total_is_convicted_and_costs_nobody_a_charge() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    spoil(&mut net, |block| block.energy.0 += 1);
    net.run_rounds(3);
    net.assert_settled();
    assert!(matches!(&recorded(&net)[..], [Evidence::WrongTotal(_)]));
    assert_eq!(net.billed("HOUSEHOLD"), [(4_000, 160)]);
}

#[test]
fn a_parent_that_omits_what_it_acknowledged_is_convicted_and_costs_nobody_a_charge() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    net.charge("household", "HOME-1", wh(5_000));
    let key = net.gateway("household").key.clone();
    let profiles = signed(&net, "household");
    net.spoil_group_blocks(move |sealed, chain_id| {
        let (said, kept) = (&sealed.block.body, &profiles[1]);
        let block = GroupBlock::over(said.group, said.round, said.previous, [kept].into_iter());
        sealed.block = Signed::new(block, &key, chain_id);
        sealed.profiles = vec![SealedProfile::Known(kept.hash())];
    });
    net.run_rounds(3);
    net.assert_settled();
    assert!(matches!(&recorded(&net)[..], [Evidence::Omission(_)]));
    assert_eq!(net.billed("HOUSEHOLD"), [(4_000, 160), (5_000, 200)]);
}

/// The group block that the household's node sends for the open round, before its end.
fn early_group_block(net: &Network, profiles: &[SignedProfile]) -> Frame {
    let group = net.group("HOUSEHOLD");
    let round = net.genesis.round_at(net.now);
    let previous = net.provider().state().groups[&group].last_group_block;
    let block = GroupBlock::over(group, round, previous, profiles.iter());
    let key = &net.gateway("household").key;
    Frame::GroupBlock(SealedGroup {
        block: Signed::new(block, key, &net.genesis.chain_id()),
        profiles: profiles
            .iter()
            .map(|p| SealedProfile::Known(p.hash()))
            .collect(),
    })
}

fn send_to_provider(net: &mut Network, name: &str, frame: Frame) {
    let link = net.gateway(name).link.expect("it is linked");
    let frame = Box::new(frame);
    net.provider_gets(provider::Input::Frame { link, frame });
    net.settle();
}

#[test]
fn a_parent_that_seals_twice_is_convicted_and_neither_holds() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    net.charge("household", "HOME-1", wh(5_000));
    let profiles = signed(&net, "household");
    net.drop_group_blocks();
    let (all, one) = (
        early_group_block(&net, &profiles),
        early_group_block(&net, &profiles[..1]),
    );
    send_to_provider(&mut net, "household", all.clone());
    // Sent again it is the same one.
    send_to_provider(&mut net, "household", all);
    assert!(recorded(&net).is_empty());
    send_to_provider(&mut net, "household", one);
    net.run_rounds(3);
    net.assert_settled();
    assert!(matches!(&recorded(&net)[..], [Evidence::TwoGroupBlocks(_)]));
    assert_eq!(
        net.blocks()
            .iter()
            .map(|b| b.body.group_blocks.len())
            .sum::<usize>(),
        0
    );
    assert_eq!(net.billed("HOUSEHOLD"), [(4_000, 160), (5_000, 200)]);
}

#[test]
fn a_second_group_block_convicts_after_its_round_too() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    let profiles = signed(&net, "household");
    let mut second = early_group_block(&net, &profiles);
    net.run_rounds(1);
    if let Frame::GroupBlock(sealed) = &mut second {
        sealed.block.body.previous = Hash([7; 32]);
        let key = &net.gateway("household").key;
        sealed.block = Signed::new(sealed.block.body.clone(), key, &net.genesis.chain_id());
    }
    send_to_provider(&mut net, "household", second);
    net.run_rounds(3);
    net.assert_settled();
    assert!(matches!(&recorded(&net)[..], [Evidence::TwoGroupBlocks(_)]));
    assert_eq!(net.billed("HOUSEHOLD"), [(4_000, 160)]);
}

#[test]
fn a_node_that_signs_one_number_twice_is_convicted_and_the_first_stands() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    let charge = net.node("household").charges().next().expect("one charge");
    let Stage::Signed { profile, grant, .. } = &charge.stage else {
        panic!("it is signed");
    };
    let mut other = profile.body.clone();
    other.energy_wh = 1;
    let key = &net.gateway("household").key;
    let second = Submission {
        profile: Signed::new(other, key, &net.genesis.chain_id()),
        grant: (**grant).clone(),
        detail: charge.measured.detail.clone(),
    };
    send_to_provider(&mut net, "household", Frame::Profile(second));
    net.run_rounds(3);
    net.assert_settled();
    assert!(matches!(&recorded(&net)[..], [Evidence::TwoProfiles(_)]));
    assert_eq!(net.billed("HOUSEHOLD"), [(4_000, 160)]);
}

#[test]
fn a_parent_restored_from_a_backup_convicts_itself_of_nothing() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    net.charge("household", "HOME-1", wh(5_000));
    let profiles = signed(&net, "household");
    // The provider waits for the fleet's group block until the grace is over, so that the
    // household's parent has time for a second one.
    net.present("household", "FLEET-1");
    net.charge("household", "FLEET-1", wh(1_000));
    net.drop_group_blocks_of("FLEET");
    // It had sealed one of them; its disk is from before that.
    let sealed = early_group_block(&net, &profiles[..1]);
    send_to_provider(&mut net, "household", sealed);
    net.crash("household");
    net.restart("household");
    net.restore_link("household");
    net.run_rounds(4);
    net.assert_settled();
    // What it omitted it had acknowledged before, and that is true.
    let again = recorded(&net);
    let is_second = |evidence: &Evidence| matches!(evidence, Evidence::TwoGroupBlocks(_));
    assert!(!again.iter().any(is_second), "{again:?}");
    assert_eq!(net.billed("HOUSEHOLD"), [(4_000, 160), (5_000, 200)]);
}

/// The household's ballot for a header.
fn ballot(net: &Network, height: u64, header: Hash) -> Signed<Ballot> {
    let ballot = Ballot {
        voter: net.group("HOUSEHOLD"),
        height,
        header,
    };
    let key = &net.gateway("household").key;
    Signed::new(ballot, key, &net.genesis.chain_id())
}

#[test]
fn a_voter_that_votes_for_two_stories_is_convicted() {
    // At the height of its newest ballot, and below it.
    for below in [0, 1] {
        let mut net = Network::new();
        for _ in 0..3 {
            net.charge("household", "HOME-1", wh(100));
            net.run_rounds(1);
        }
        let voted = net.provider().state().groups[&net.group("HOUSEHOLD")].voted_height;
        let other = ballot(&net, voted - below, Hash([9; 32]));
        send_to_provider(&mut net, "household", Frame::Ballot(other));
        net.run_rounds(3);
        net.assert_settled();
        let found = recorded(&net);
        let [Evidence::TwoBallots(two)] = &found[..] else {
            panic!("two ballots, not {found:?}");
        };
        assert_eq!(two.lower.body.height, voted - below);
        assert!(canonical(&found[0]).len() <= 8 << 10);
    }
}

#[test]
fn ballots_of_one_story_convict_nobody() {
    let mut net = Network::new();
    for _ in 0..3 {
        net.charge("household", "HOME-1", wh(100));
        net.run_rounds(1);
    }
    for block in net.blocks() {
        let again = ballot(&net, block.header.body.height, block.header.hash());
        send_to_provider(&mut net, "household", Frame::Ballot(again));
    }
    // A header that nobody here knows may well be the next one.
    let height = net.provider().state().height + 1;
    let unknown = ballot(&net, height, Hash([9; 32]));
    send_to_provider(&mut net, "household", Frame::Ballot(unknown));
    net.run_rounds(3);
    net.assert_settled();
    assert_eq!(recorded(&net), []);
}

#[test]
fn two_ballots_convict_only_where_their_headers_part() {
    let mut net = Network::new();
    for _ in 0..3 {
        net.charge("household", "HOME-1", wh(100));
        net.run_rounds(1);
    }
    let blocks = net.blocks();
    let (older, newer) = (&blocks[0].header, &blocks[2].header);
    let leaves: Vec<Hash> = blocks[..2]
        .iter()
        .map(|block| merkle::leaf_hash(&block.header.hash().0))
        .collect();
    let state = net.provider().state().clone();
    let fork = Fork {
        header: newer.clone(),
        leaf: leaves[0],
        path: merkle::path(&leaves, 0).expect("it is there"),
    };
    let two = |lower: Hash, fork: Option<Fork>| {
        Evidence::TwoBallots(Box::new(TwoBallots {
            lower: ballot(&net, older.body.height, lower),
            higher: ballot(&net, newer.body.height, newer.hash()),
            fork,
        }))
    };
    assert!(
        two(Hash([9; 32]), Some(fork.clone()))
            .check(&state)
            .is_some()
    );
    // The story that the header tells.
    assert_eq!(two(older.hash(), Some(fork.clone())).check(&state), None);
    assert_eq!(two(Hash([9; 32]), None).check(&state), None);
    let mut other_leaf = fork.clone();
    other_leaf.leaf = Hash([8; 32]);
    assert_eq!(two(older.hash(), Some(other_leaf)).check(&state), None);
    let mut other_header = fork;
    other_header.header = older.clone();
    assert_eq!(two(Hash([9; 32]), Some(other_header)).check(&state), None);
}
