//! Each rule of `apply` refuses the block that breaks exactly this rule.

use ledger::apply::{ChargeFault, Invalid, apply};
use ledger::block::{Ballot, Block, Body, ChargeLine, GroupBlock, Record};
use ledger::seal::seal;
use ledger::state::{FORMER_DEPUTY_S, State};
use protocol::{
    ChargeProfile, ChargerId, Deputy, EnergyWh, Genesis, Grant, GrantId, GroupId, Hash, KeyPair,
    MeterExchange, NodeId, PowerW, PublicKey, Signed, SignedGrant, SignedProfile, SupplyPointId,
    TariffId, UnixSeconds,
};

const NOW: u64 = 1_800_000_000;
const FIRST: ChargerId = ChargerId([1; 16]);
const SECOND: ChargerId = ChargerId([2; 16]);

fn key(seed: u8) -> KeyPair {
    KeyPair::from_seed(&[seed; 32])
}

/// Two groups, each with a node, an outlet and a charger, and the block that follows.
struct Scene {
    state: State,
    block: Block,
}

fn scene() -> Scene {
    let empty = State::new(Genesis {
        provider_key: key(9).public(),
        time: UnixSeconds(NOW),
        interval_s: 60,
        witnesses: 8,
        dormancy_s: Genesis::DORMANCY_S,
        dispute_period_s: Genesis::DISPUTE_PERIOD_S,
        currency: "EUR".to_owned(),
        test: true,
    });
    let chain_id = empty.chain_id();
    let tariff = Record::Tariff {
        id: TariffId(1),
        document: "flat".to_owned(),
    };
    let mut records = vec![tariff];
    for (n, charger) in [(1, FIRST), (2, SECOND)] {
        records.extend(enrolment(n, charger));
        let grant = grant(charger, GroupId(n.into()), |_| {});
        records.push(Record::Grant(Signed::new(grant, &key(n), &chain_id)));
    }
    let body = Body {
        records,
        ..Body::default()
    };
    let (_, state) = seal(&empty, body, 1, UnixSeconds(NOW + 60), &key(9)).expect("valid");
    let charges = vec![line(&state, 1, FIRST, false), line(&state, 2, SECOND, true)];
    let group_block = GroupBlock::over(
        GroupId(1),
        2,
        Hash::ZERO,
        [charges[0].profile.clone()].iter(),
    );
    let body = Body {
        records: Vec::new(),
        group_blocks: vec![Signed::new(group_block, &key(1), &chain_id)],
        charges,
        ballots: vec![ballot(&state, 1), ballot(&state, 2)],
    };
    let (block, _) = seal(&state, body, 2, UnixSeconds(NOW + 120), &key(9)).expect("valid");
    Scene { state, block }
}

fn enrolment(n: u8, charger: ChargerId) -> [Record; 4] {
    let (node, group) = (NodeId(n.into()), GroupId(n.into()));
    [
        Record::EnrolNode {
            node,
            key: key(n).public(),
        },
        Record::EnrolGroup {
            group,
            parent: node,
        },
        Record::EnrolSupplyPoint {
            supply_point: SupplyPointId(n.into()),
            node,
            owner: group,
            meter: Hash::ZERO,
        },
        Record::RegisterCharger { charger, group },
    ]
}

fn grant(charger: ChargerId, group: GroupId, change: impl Fn(&mut Grant)) -> Grant {
    let mut grant = Grant {
        charger,
        group,
        not_before: UnixSeconds(NOW),
        expiry: UnixSeconds(NOW + 1_000),
        energy_limit_wh: 5_000,
    };
    change(&mut grant);
    grant
}

fn line(state: &State, n: u8, charger: ChargerId, late: bool) -> ChargeLine {
    let group = GroupId(n.into());
    let profile = ChargeProfile {
        charger,
        payer: group,
        node: NodeId(n.into()),
        seq: 1,
        previous: Hash::ZERO,
        supply_point: SupplyPointId(n.into()),
        start: UnixSeconds(NOW + 10),
        duration_s: 60,
        register_start: EnergyWh(1_000),
        energy_wh: 2_000,
        max_power: PowerW(11_000),
        grant: grant(charger, group, |_| {}).id(),
        detail: Hash::ZERO,
    };
    ChargeLine {
        profile: Signed::new(profile, &key(n), &state.chain_id()),
        late,
        amount: 80,
        credit: 60,
        tariff: TariffId(1),
    }
}

fn ballot(state: &State, voter: u8) -> Signed<Ballot> {
    let ballot = Ballot {
        voter: GroupId(voter.into()),
        height: state.height,
        header: state.tip,
    };
    Signed::new(ballot, &key(voter), &state.chain_id())
}

/// Makes roots and counts match again and signs as the provider.
fn reseal(block: &mut Block, chain_id: &Hash) {
    let body = &block.body;
    let header = &mut block.header.body;
    let count = |length| u32::try_from(length).expect("few");
    header.records = count(body.records.len());
    header.group_blocks = count(body.group_blocks.len());
    header.charges = count(body.charges.len());
    header.ballots = count(body.ballots.len());
    header.body_root = body.root();
    block.header = Signed::new(header.clone(), &key(9), chain_id);
}

#[track_caller]
fn check(change: impl FnOnce(&mut Block), expected: Invalid) {
    let Scene { state, mut block } = scene();
    apply(&state, &block).expect("unchanged it is valid");
    change(&mut block);
    reseal(&mut block, &state.chain_id());
    assert_eq!(apply(&state, &block), Err(expected));
}

/// The same for a change to the header that nothing repairs but the signature.
#[track_caller]
fn check_header(change: impl FnOnce(&mut ledger::Header), expected: Invalid) {
    let Scene { state, mut block } = scene();
    change(&mut block.header.body);
    block.header = Signed::new(block.header.body, &key(9), &state.chain_id());
    assert_eq!(apply(&state, &block), Err(expected));
}

#[track_caller]
fn check_record(record: Record, expected: Invalid) {
    check(|block| block.body.records.push(record), expected);
}

/// Changes the second node's late charge, which its node then signs.
#[track_caller]
fn check_charge(change: impl FnOnce(&mut ChargeProfile), fault: ChargeFault) {
    let Scene { state, block } = scene();
    let mut profile = block.body.charges[1].profile.body.clone();
    change(&mut profile);
    let expected = Invalid::Charge {
        node: profile.node,
        seq: profile.seq,
        fault,
    };
    let signed = Signed::new(profile, &key(2), &state.chain_id());
    check(
        |block| {
            block.body.charges[1].profile = signed;
            let sort_key = |line: &ChargeLine| line.profile.body.sort_key();
            block.body.charges.sort_by_key(sort_key);
        },
        expected,
    );
}

/// Lets the second charge rest on a grant of its own.
#[track_caller]
fn check_grant(change: impl Fn(&mut Grant)) {
    let chain_id = scene().state.chain_id();
    let grant = grant(SECOND, GroupId(2), change);
    let id = grant.id();
    let record = Record::Grant(Signed::new(grant, &key(2), &chain_id));
    let fault = Invalid::Charge {
        node: NodeId(2),
        seq: 1,
        fault: ChargeFault::Grant,
    };
    check(
        |block| {
            block.body.records.push(record);
            let mut profile = block.body.charges[1].profile.body.clone();
            profile.grant = id;
            block.body.charges[1].profile = Signed::new(profile, &key(2), &chain_id);
        },
        fault,
    );
}

#[test]
fn a_header_extends_the_newest_one() {
    check_header(|h| h.version = 2, Invalid::Version(2));
    let height = |found| Invalid::Height { expected: 2, found };
    check_header(|h| h.height = 3, height(3));
    check_header(|h| h.height = 1, height(1));
    check_header(|h| h.previous = Hash::ZERO, Invalid::Previous);
    check_header(|h| h.time = UnixSeconds(NOW), Invalid::Backwards);
    check_header(|h| h.round = 0, Invalid::Backwards);
    check_header(|h| h.round = 1, Invalid::RoundTaken(1));
}

#[test]
fn a_header_states_what_it_covers() {
    let mismatch = Invalid::Mismatch;
    check_header(|h| h.log_root = Hash::ZERO, mismatch("log root"));
    check_header(|h| h.body_root = Hash::ZERO, mismatch("body root"));
    check_header(|h| h.state_root = Hash::ZERO, mismatch("state root"));
    check_header(|h| h.charges += 1, mismatch("count"));
    check_header(|h| h.group_blocks += 1, mismatch("count"));
    check_header(|h| h.records += 1, mismatch("count"));
    check_header(|h| h.ballots += 1, mismatch("count"));
    check(|b| b.body.charges[1].amount += 1, mismatch("state root"));
    check(|b| b.body.charges[1].credit += 1, mismatch("state root"));
}

#[test]
fn a_header_is_signed_by_the_provider_for_this_chain() {
    for (signer, chain) in [(8, None), (9, Some(Hash::ZERO))] {
        let Scene { state, mut block } = scene();
        let chain = chain.unwrap_or(state.chain_id());
        block.header = Signed::new(block.header.body, &key(signer), &chain);
        let refused = apply(&state, &block);
        assert_eq!(refused, Err(Invalid::Signature("the header")));
    }
}

#[test]
fn sections_are_sorted_and_hold_nothing_twice() {
    check(|b| b.body.charges.swap(0, 1), Invalid::Order("charges"));
    check(|b| b.body.ballots.swap(0, 1), Invalid::Order("ballots"));
    let twice = |b: &mut Block| b.body.charges.insert(1, b.body.charges[0].clone());
    // The group block no longer covers what is in time; without it the order is what is wrong.
    check(twice, Invalid::GroupBlock(GroupId(1)));
    let twice = |b: &mut Block| b.body.charges.push(b.body.charges[1].clone());
    check(twice, Invalid::Order("charges"));
    let twice = |b: &mut Block| b.body.ballots.push(b.body.ballots[1].clone());
    check(twice, Invalid::Order("ballots"));
    let twice = |b: &mut Block| b.body.group_blocks.push(b.body.group_blocks[0].clone());
    check(twice, Invalid::Order("group blocks"));
}

#[test]
fn nothing_is_enrolled_twice_or_out_of_turn() {
    let tariff = |id| Record::Tariff {
        id: TariffId(id),
        document: String::new(),
    };
    check_record(tariff(1), Invalid::Taken("the tariff"));
    check_record(tariff(3), Invalid::Taken("the tariff"));
    let node = |node, key| Record::EnrolNode {
        node: NodeId(node),
        key,
    };
    check_record(node(1, key(5).public()), Invalid::Taken("the node"));
    check_record(node(5, key(1).public()), Invalid::Taken("the node"));
    let [_, group, supply_point, charger] = enrolment(1, FIRST);
    check_record(group, Invalid::Taken("the group"));
    check_record(supply_point, Invalid::Taken("the supply point"));
    check_record(charger, Invalid::Taken("the charger"));
    let known = grant(FIRST, GroupId(1), |_| {});
    let known = Signed::new(known, &key(1), &scene().state.chain_id());
    check_record(Record::Grant(known), Invalid::Taken("the grant"));
}

#[test]
fn nothing_rests_on_what_the_chain_does_not_know() {
    let [_, group, supply_point, charger] = enrolment(7, ChargerId([7; 16]));
    check_record(group, Invalid::Unknown("the parent"));
    check_record(supply_point, Invalid::Unknown("the supply point's node"));
    check_record(charger, Invalid::Unknown("the charger's group"));
    let unknown = Invalid::Unknown("the grant's charger");
    check_record(signed_grant(ChargerId([7; 16]), 1, 1, 0), unknown.clone());
    // A parent grants for its own group's chargers only.
    check_record(signed_grant(SECOND, 1, 1, 0), unknown);
    let forged = Invalid::Signature("a grant");
    check_record(signed_grant(SECOND, 2, 1, 7), forged);
    let weak = Record::EnrolNode {
        node: NodeId(7),
        key: PublicKey([0; 32]),
    };
    check_record(weak, Invalid::Signature("an enrolment"));
}

fn signed_grant(charger: ChargerId, group: u32, signer: u8, limit: u32) -> Record {
    let grant = grant(charger, GroupId(group), |g| g.energy_limit_wh = limit);
    let signed: SignedGrant = Signed::new(grant, &key(signer), &scene().state.chain_id());
    Record::Grant(signed)
}

#[test]
fn a_group_block_is_its_parents_and_matches_its_profiles() {
    let wrong: [fn(&mut GroupBlock); 5] = [
        |g| g.round = 3,
        |g| g.previous = Hash([1; 32]),
        |g| g.root = Hash([1; 32]),
        |g| g.count = 2,
        |g| g.energy.0 += 1,
    ];
    let chain_id = scene().state.chain_id();
    let sealed = |change: &dyn Fn(&mut GroupBlock), signer| {
        let mut body = scene().block.body.group_blocks[0].body.clone();
        change(&mut body);
        Signed::new(body, &key(signer), &chain_id)
    };
    for change in wrong {
        let signed = sealed(&change, 1);
        let refused = Invalid::GroupBlock(GroupId(1));
        check(|b| b.body.group_blocks[0] = signed, refused);
    }
    let forged = sealed(&|_| {}, 2);
    let refused = Invalid::Signature("a group block");
    check(|b| b.body.group_blocks[0] = forged, refused);
    let unknown = sealed(&|g| g.group = GroupId(7), 1);
    let refused = Invalid::Unknown("a group block's group");
    check(|b| b.body.group_blocks[0] = unknown, refused);
}

#[test]
fn a_charge_in_time_is_in_a_group_block_and_a_late_one_in_none() {
    let refused = || Invalid::GroupBlock(GroupId(1));
    check(|b| b.body.group_blocks.clear(), refused());
    check(|b| b.body.charges[0].late = true, refused());
    check(
        |b| b.body.charges[1].late = false,
        Invalid::GroupBlock(GroupId(2)),
    );
    // A group block over nothing.
    let empty = GroupBlock::over(
        GroupId(2),
        2,
        Hash::ZERO,
        std::iter::empty::<&SignedProfile>(),
    );
    let empty = Signed::new(empty, &key(2), &scene().state.chain_id());
    check(
        |b| b.body.group_blocks.push(empty),
        Invalid::GroupBlock(GroupId(2)),
    );
}

#[test]
fn a_charge_is_its_nodes_next() {
    check_charge(|p| p.node = NodeId(7), ChargeFault::Node);
    check_charge(|p| p.seq = 2, ChargeFault::Seq);
    check_charge(|p| p.seq = 0, ChargeFault::Seq);
    check_charge(|p| p.previous = Hash([1; 32]), ChargeFault::Previous);
    let forged = |b: &mut Block| {
        let profile = b.body.charges[1].profile.body.clone();
        b.body.charges[1].profile = Signed::new(profile, &key(1), &scene().state.chain_id());
    };
    let fault = Invalid::Charge {
        node: NodeId(2),
        seq: 1,
        fault: ChargeFault::Signature,
    };
    check(forged, fault);
}

#[test]
fn a_charge_is_a_known_chargers_at_the_nodes_own_outlet() {
    check_charge(|p| p.charger = ChargerId([7; 16]), ChargeFault::Charger);
    check_charge(|p| p.payer = GroupId(1), ChargeFault::Grant);
    check_charge(
        |p| p.supply_point = SupplyPointId(1),
        ChargeFault::SupplyPoint,
    );
    check_charge(
        |p| p.supply_point = SupplyPointId(7),
        ChargeFault::SupplyPoint,
    );
    check_charge(
        |p| p.register_start = EnergyWh(u64::MAX),
        ChargeFault::Register,
    );
}

#[test]
fn a_register_never_runs_backwards_across_blocks() {
    let Scene { state, block } = scene();
    let after = apply(&state, &block).expect("valid");
    let mut profile = block.body.charges[1].profile.body.clone();
    profile.seq = 2;
    profile.previous = block.body.charges[1].profile.hash();
    for (register, fits) in [(2_999, false), (3_000, true)] {
        profile.register_start = EnergyWh(register);
        let mut line = block.body.charges[1].clone();
        line.profile = Signed::new(profile.clone(), &key(2), &state.chain_id());
        let body = Body {
            charges: vec![line],
            ..Body::default()
        };
        let sealed = seal(&after, body, 3, UnixSeconds(NOW + 180), &key(9));
        assert_eq!(sealed.is_ok(), fits, "register {register}");
    }
}

#[test]
fn a_charge_is_covered_by_a_grant_of_its_charger() {
    check_charge(|p| p.grant = GrantId([7; 16]), ChargeFault::Grant);
    let others = grant(FIRST, GroupId(1), |_| {}).id();
    check_charge(|p| p.grant = others, ChargeFault::Grant);
    check_charge(|p| p.energy_wh = 5_001, ChargeFault::Grant);
    check_grant(|g| g.not_before = UnixSeconds(NOW + 11));
    check_grant(|g| g.expiry = UnixSeconds(NOW + 10));
    check_grant(|g| g.energy_limit_wh = 1_999);
}

#[test]
fn a_charge_is_billed_under_the_tariff_in_force() {
    for tariff in [0, 2] {
        let fault = Invalid::Charge {
            node: NodeId(2),
            seq: 1,
            fault: ChargeFault::Tariff,
        };
        check(|b| b.body.charges[1].tariff = TariffId(tariff), fault);
    }
}

#[test]
fn a_ballot_is_its_voters_for_an_open_header_and_news() {
    let state = scene().state;
    let signed = |change: &dyn Fn(&mut Ballot), signer| {
        let mut body = ballot(&state, 2).body;
        change(&mut body);
        Signed::new(body, &key(signer), &state.chain_id())
    };
    let wrong: [&dyn Fn(&mut Ballot); 4] = [
        &|b| b.header = Hash::ZERO,
        &|b| b.height = 0,
        &|b| b.height = 2,
        &|b| b.height = u64::MAX,
    ];
    for change in wrong {
        let forged = signed(change, 2);
        check(|b| b.body.ballots[1] = forged, Invalid::Ballot(GroupId(2)));
    }
    let stranger = signed(&|b| b.voter = GroupId(7), 2);
    check(
        |b| b.body.ballots[1] = stranger,
        Invalid::Ballot(GroupId(7)),
    );
    let forged = signed(&|_| {}, 1);
    check(
        |b| b.body.ballots[1] = forged,
        Invalid::Signature("a ballot"),
    );
    let after = apply(&state, &scene().block).expect("valid");
    let again = Body {
        ballots: vec![ballot(&state, 1)],
        ..Body::default()
    };
    let refused = seal(&after, again, 3, UnixSeconds(NOW + 180), &key(9)).map(|_| ());
    assert_eq!(refused, Err(Invalid::Ballot(GroupId(1))));
}

#[test]
fn a_charge_before_the_first_voter_is_refused() {
    let Scene { state, block } = scene();
    let empty = State::new(state.genesis);
    let body = Body {
        charges: block.body.charges,
        ..Body::default()
    };
    let refused = seal(&empty, body, 1, UnixSeconds(NOW + 60), &key(9)).map(|_| ());
    assert_eq!(refused, Err(Invalid::NoVoters));
}

fn apply_records(state: &State, records: Vec<Record>) -> Result<State, Invalid> {
    let body = Body {
        records,
        ..Body::default()
    };
    let round = state.round + 1;
    let time = UnixSeconds(state.time.0 + 60);
    let (_, after) = seal(state, body, round, time, &key(9))?;
    Ok(after)
}

fn move_to(group: u32) -> Record {
    Record::MoveCharger {
        charger: FIRST,
        group: GroupId(group),
    }
}

#[test]
fn a_charger_moves_to_another_group_that_there_is() {
    let state = scene().state;
    let taken = Invalid::Taken("the charger's group");
    assert_eq!(apply_records(&state, vec![move_to(1)]), Err(taken));
    let unknown = Invalid::Unknown("the charger's group");
    assert_eq!(apply_records(&state, vec![move_to(7)]), Err(unknown));
    let stranger = Record::MoveCharger {
        charger: ChargerId([7; 16]),
        group: GroupId(2),
    };
    let unknown = Invalid::Unknown("the charger");
    assert_eq!(apply_records(&state, vec![stranger]), Err(unknown));
}

#[test]
fn a_charger_that_moved_may_be_granted_to_by_its_last_groups_and_no_older_one() {
    let mut state = scene().state;
    let first = |limit| signed_grant(FIRST, 1, 1, limit);
    for number in 3..=10 {
        let [node, group, ..] = enrolment(number, FIRST);
        let moves = vec![node, group, move_to(number.into())];
        state = apply_records(&state, moves).expect("valid");
    }
    state = apply_records(&state, vec![first(7), signed_grant(FIRST, 9, 9, 8)]).expect("valid");
    state = apply_records(&state, vec![move_to(2)]).expect("valid");
    let unknown = Err(Invalid::Unknown("the grant's charger"));
    assert_eq!(apply_records(&state, vec![first(9)]), unknown);
}

#[test]
fn what_a_charger_took_under_a_grant_of_the_group_before_is_that_groups_to_pay() {
    let Scene { state, block } = scene();
    let mut body = block.body.clone();
    body.records = vec![move_to(2)];
    let sealed = seal(&state, body, 2, UnixSeconds(NOW + 120), &key(9));
    let (_, after) = sealed.expect("valid");
    assert_eq!(after.groups[&GroupId(1)].energy, EnergyWh(2_000));
    assert_eq!(after.chargers[&FIRST].group, GroupId(2));
}

fn deputy(number: u32, node: Option<u32>, signer: u8) -> Record {
    let deputy = Deputy {
        group: GroupId(1),
        number,
        node: node.map(NodeId),
    };
    let chain_id = scene().state.chain_id();
    Record::Deputy(Signed::new(deputy, &key(signer), &chain_id))
}

#[test]
fn a_deputy_is_named_by_its_parent_and_each_word_holds_once() {
    let state = scene().state;
    let refused = [
        (deputy(1, Some(2), 2), Invalid::Signature("a deputy")),
        (deputy(1, Some(7), 1), Invalid::Unknown("the deputy")),
        (deputy(2, Some(2), 1), Invalid::Taken("the deputy")),
    ];
    for (record, reason) in refused {
        assert_eq!(apply_records(&state, vec![record]), Err(reason));
    }
    let named = apply_records(&state, vec![deputy(1, Some(2), 1)]).expect("valid");
    let taken = Err(Invalid::Taken("the deputy"));
    assert_eq!(apply_records(&named, vec![deputy(1, Some(2), 1)]), taken);
}

#[test]
fn a_deputy_grants_for_its_group() {
    let state = scene().state;
    let by_deputy = |limit| signed_grant(FIRST, 1, 2, limit);
    let forged = Err(Invalid::Signature("a grant"));
    assert_eq!(apply_records(&state, vec![by_deputy(7)]), forged);
    let named = vec![
        deputy(1, Some(2), 1),
        by_deputy(7),
        signed_grant(FIRST, 1, 1, 8),
    ];
    apply_records(&state, named).expect("valid");
}

#[test]
fn what_a_deputy_granted_in_its_time_holds_when_there_is_another_or_none() {
    let state = apply_records(&scene().state, vec![deputy(1, Some(2), 1)]).expect("valid");
    let state = apply_records(&state, vec![deputy(2, None, 1)]).expect("valid");
    let last = state.time.0 + FORMER_DEPUTY_S;
    let until = |expiry| {
        let grant = grant(FIRST, GroupId(1), |g| g.expiry = UnixSeconds(expiry));
        Record::Grant(Signed::new(grant, &key(2), &state.chain_id()))
    };
    apply_records(&state, vec![until(last)]).expect("valid");
    let forged = Err(Invalid::Signature("a grant"));
    assert_eq!(apply_records(&state, vec![until(last + 1)]), forged);
}

#[test]
fn a_group_remembers_its_newest_deputies() {
    let mut state = scene().state;
    let deputies = [2, 1].into_iter().cycle().map(Some);
    for (number, node) in (1..=4).zip(deputies) {
        state = apply_records(&state, vec![deputy(number, node, 1)]).expect("valid");
    }
    let group = &state.groups[&GroupId(1)];
    let former: Vec<_> = group.former_deputies.iter().map(|f| f.node).collect();
    assert_eq!((group.deputy, former), (Some(NodeId(1)), vec![NodeId(2)]));
}

fn exchange(number: u32, last: u64, first: u64, signer: u8) -> Record {
    let exchange = MeterExchange {
        supply_point: SupplyPointId(2),
        number,
        last_register: EnergyWh(last),
        meter: Hash([9; 32]),
        first_register: EnergyWh(first),
    };
    let chain_id = scene().state.chain_id();
    Record::MeterExchange(Signed::new(exchange, &key(signer), &chain_id))
}

#[test]
fn a_meter_is_exchanged_by_its_node_once_and_not_below_its_last_charge() {
    let Scene { state, block } = scene();
    let state = apply(&state, &block).expect("valid");
    let below = Invalid::MeterExchange(SupplyPointId(2));
    let refused = [
        (exchange(1, 2_999, 5, 2), below),
        (
            exchange(1, 3_000, 5, 1),
            Invalid::Signature("a meter exchange"),
        ),
        (
            exchange(2, 3_000, 5, 2),
            Invalid::Taken("the meter exchange"),
        ),
        (
            exchange(0, 3_000, 5, 2),
            Invalid::Taken("the meter exchange"),
        ),
    ];
    for (record, reason) in refused {
        assert_eq!(apply_records(&state, vec![record]), Err(reason));
    }
    let after = apply_records(&state, vec![exchange(1, 3_000, 5, 2)]).expect("valid");
    let outlet = &after.supply_points[&SupplyPointId(2)];
    assert_eq!(
        (outlet.register, outlet.meter),
        (EnergyWh(5), Hash([9; 32]))
    );
    let again = Err(Invalid::Taken("the meter exchange"));
    assert_eq!(apply_records(&after, vec![exchange(1, 3_000, 5, 2)]), again);
}
