//! Evidence convicts who broke a rule, and nobody else.

mod support;

use ledger::apply::{Invalid, apply};
use ledger::block::{Block, GroupBlock, Record};
use ledger::evidence::{Evidence, EvidenceFile, ForgedProfile, NotProven, Offence};
use ledger::frame::{Frame, SealedGroup, SealedProfile};
use ledger::node::{Event, stored_evidence};
use ledger::provider;
use ledger::seal::seal;
use ledger::state::State;
use protocol::{EnergyWh, GroupId, Hash, KeyPair, Signed, SignedProfile, UnixSeconds, canonical};
use support::{Network, provider_key, wh};

/// The household's group block over its one profile, altered by `alter` and in full.
fn alter(net: &mut Network, alter: fn(&mut SignedProfile)) {
    let key = net.gateway("household").key.clone();
    let charges = net.node("household").charges();
    let stages = charges.map(|charge| charge.stage.clone());
    let profiles: Vec<SignedProfile> = stages
        .filter_map(|stage| match stage {
            ledger::node::Stage::Signed { profile, .. } => Some(*profile),
            _ => None,
        })
        .collect();
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
    assert!(matches!(offence, Offence::ForgedProfile { group: of, .. } if *of == group));
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
        ledger::node::Stage::Signed { profile, .. } => *profile,
        other => panic!("it is signed, not {other:?}"),
    }
}

/// A state, a convicting piece of evidence, and the household's key.
fn evidence() -> (State, ForgedProfile, KeyPair) {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(4_000));
    let key = net.gateway("household").key.clone();
    let state = net.provider().state().clone();
    let mut profile = own_profile();
    profile.body.energy_wh += 1;
    let said = GroupBlock {
        group: net.group("HOUSEHOLD"),
        round: 9,
        previous: Hash::ZERO,
        root: Hash::ZERO,
        count: 0,
        energy: EnergyWh(0),
    };
    let sealed = over(&said, profile.clone(), &key, &state.chain_id());
    let found = ForgedProfile::find(&state, &sealed.block, &[profile]);
    (state, found.expect("it is forged"), key)
}

#[track_caller]
fn check(change: impl FnOnce(&mut ForgedProfile, &State, &KeyPair), is_proof: bool) {
    let (state, mut forged, key) = evidence();
    change(&mut forged, &state, &key);
    let record = Record::Evidence(Evidence::ForgedProfile(Box::new(forged)));
    let body = ledger::Body {
        records: vec![record],
        ..ledger::Body::default()
    };
    let time = UnixSeconds(state.time.0 + 60);
    let sealed = seal(&state, body, state.round + 1, time, &provider_key());
    match is_proof {
        true => assert!(sealed.is_ok(), "{sealed:?}"),
        false => assert_eq!(sealed.map(|_| ()), Err(Invalid::Evidence)),
    }
}

#[test]
fn false_evidence_makes_a_block_invalid() {
    check(|_, _, _| {}, true);
    check(|forged, _, _| forged.group_block.body.round += 1, false);
    check(
        |forged, _, _| forged.group_block.body.group = GroupId(77),
        false,
    );
    check(|forged, _, _| forged.index = 1, false);
    check(|forged, _, _| forged.path.push(Hash::ZERO), false);
    check(|forged, _, _| forged.profile.body.seq += 1, false);
    // Signed by somebody who is not the group's parent.
    check(
        |forged, state, _| {
            let body = forged.group_block.body.clone();
            let other = KeyPair::from_seed(&[99; 32]);
            forged.group_block = Signed::new(body, &other, &state.chain_id());
        },
        false,
    );
    // A profile that its node did sign.
    check(
        |forged, state, key| {
            forged.profile = own_profile();
            let sealed = over(
                &forged.group_block.body,
                forged.profile.clone(),
                key,
                &state.chain_id(),
            );
            forged.group_block = sealed.block;
        },
        false,
    );
}

#[test]
fn an_offence_is_recorded_once() {
    let (state, forged, _) = evidence();
    let record = Record::Evidence(Evidence::ForgedProfile(Box::new(forged)));
    let body = ledger::Body {
        records: vec![record.clone(), record],
        ..ledger::Body::default()
    };
    let time = UnixSeconds(state.time.0 + 60);
    let sealed = seal(&state, body, state.round + 1, time, &provider_key());
    assert_eq!(sealed.map(|_| ()), Err(Invalid::Taken("the conviction")));
}

/// The provider seals the household's charge with ten times its energy.
fn colluding() -> Network {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.tamper = Some(|frame| match frame {
        Frame::Block(block) => Some(Frame::Block(Box::new(tenfold(*block)))),
        other => Some(other),
    });
    net.run_rounds(2);
    net
}

fn tenfold(mut block: Block) -> Block {
    if let Some(line) = block.body.charges.first_mut() {
        line.profile.body.energy_wh *= 10;
        line.late = true;
        block.body.group_blocks.clear();
        block.header.body.group_blocks = 0;
    }
    block.header.body.body_root = block.body.root();
    let chain_id = Network::with_interval(60).genesis.chain_id();
    block.header = Signed::new(block.header.body, &provider_key(), &chain_id);
    block
}

fn files(net: &Network, name: &str) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    let store = &net.gateway(name).process.store;
    stored_evidence(store, |_, file| files.push(file)).expect("whole");
    files
}

#[test]
fn a_provider_that_alters_a_charge_is_convicted_offline() {
    let net = colluding();
    for name in ["household", "fleet"] {
        let files = files(&net, name);
        assert_eq!(files.len(), 1, "{name}");
        assert!(files[0].len() <= ledger::evidence::MAX_BYTES);
        let file = EvidenceFile::from_bytes(&files[0]).expect("readable");
        assert_eq!(file.verify(Some(&provider_key().public())), Ok(()));
        let other = KeyPair::from_seed(&[42; 32]).public();
        let found = provider_key().public();
        assert_eq!(
            file.verify(Some(&other)),
            Err(NotProven::Provider { found })
        );
    }
}

#[test]
fn no_changed_byte_of_an_evidence_file_goes_unnoticed() {
    let file = files(&colluding(), "fleet").remove(0);
    for index in 0..file.len() {
        let mut changed = file.clone();
        changed[index] ^= 1;
        let read = EvidenceFile::from_bytes(&changed);
        let proven = read.and_then(|file| file.verify(Some(&provider_key().public())));
        assert!(proven.is_err(), "byte {index}");
    }
}

#[test]
fn a_genuine_charge_convicts_no_provider() {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(1);
    let blocks = net.blocks();
    let (last, before) = blocks.split_last().expect("blocks");
    let mut state = State::new(net.genesis.clone());
    for block in before {
        state = apply(&state, block).expect("valid");
    }
    let header = &before.last().expect("blocks").header;
    let node = net.node("household").id().expect("enrolled");
    assert_eq!(last.body.charges.len(), 1);
    let found = ledger::evidence::ForgedCharge::find(last, (header, &state), node);
    assert_eq!(found, None);
}

#[test]
fn a_node_that_holds_proof_against_its_provider_stays_stopped_over_a_restart() {
    let mut net = colluding();
    net.tamper = None;
    let before = net.node("fleet").state().map(|state| state.height);
    assert!(net.node("fleet").stopped().is_some());
    net.crash("fleet");
    net.restart("fleet");
    net.restore_link("fleet");
    net.run_rounds(3);
    assert!(net.node("fleet").stopped().is_some());
    assert_eq!(net.node("fleet").state().map(|state| state.height), before);
}
