//! Random histories: whatever happens in whatever order, the provider never meets a block it
//! cannot seal, and in the end each metered charge is billed once.

mod support;

use ledger::frame::{Frame, Submission};
use ledger::node::Stage;
use ledger::{State, apply, provider};
use proptest::prelude::*;
use protocol::{Signed, canonical, decode};
use support::{Network, wh};

#[derive(Clone, Debug)]
enum Action {
    Charge {
        at_fleet: bool,
        second_outlet: bool,
        tag: usize,
        energy: u16,
    },
    Present {
        tag: usize,
    },
    Cut {
        fleet: bool,
    },
    Restore {
        fleet: bool,
    },
    Crash {
        who: u8,
    },
    Wait {
        seconds: u8,
    },
    WaitDays {
        days: u8,
    },
    Price {
        cents: u8,
    },
    Lie {
        field: u8,
        fleet: bool,
    },
}

const TAGS: [&str; 3] = ["HOME-1", "FLEET-1", "FLEET-2"];

fn action() -> impl Strategy<Value = Action> {
    let charge = (any::<bool>(), any::<bool>(), 0..3_usize, any::<u16>());
    let charge = charge.prop_map(|(at_fleet, second_outlet, tag, energy)| Action::Charge {
        at_fleet,
        second_outlet,
        tag,
        energy,
    });
    prop_oneof![
        8 => charge,
        3 => (0..3_usize).prop_map(|tag| Action::Present { tag }),
        2 => any::<bool>().prop_map(|fleet| Action::Cut { fleet }),
        3 => any::<bool>().prop_map(|fleet| Action::Restore { fleet }),
        3 => (0..3_u8).prop_map(|who| Action::Crash { who }),
        8 => (0..90_u8).prop_map(|seconds| Action::Wait { seconds }),
        1 => (1..70_u8).prop_map(|days| Action::WaitDays { days }),
        1 => (1..90_u8).prop_map(|cents| Action::Price { cents }),
        4 => (0..8_u8, any::<bool>()).prop_map(|(field, fleet)| Action::Lie { field, fleet }),
    ]
}

fn name(fleet: bool) -> &'static str {
    if fleet { "fleet" } else { "household" }
}

fn act(net: &mut Network, action: &Action) -> u64 {
    match action {
        Action::Charge {
            at_fleet,
            second_outlet,
            tag,
            energy,
        } => {
            let outlet = match (at_fleet, second_outlet) {
                (true, _) => "depot",
                (false, false) => "garage",
                (false, true) => "yard",
            };
            let energy = u64::from(*energy);
            net.charge_at(name(*at_fleet), outlet, TAGS[*tag], wh(energy));
            return energy;
        }
        Action::Present { tag } => {
            net.present("household", TAGS[*tag]);
        }
        Action::Cut { fleet } => net.cut_link(name(*fleet)),
        Action::Restore { fleet } => net.restore_link(name(*fleet)),
        Action::Crash { who: 0 } => {
            net.crash_provider();
            net.start_provider();
        }
        Action::Crash { who } => {
            net.crash(name(*who == 1));
            net.restart(name(*who == 1));
        }
        Action::Wait { seconds } => net.run_for((*seconds).into()),
        Action::WaitDays { days } => net.skip_days((*days).into()),
        Action::Price { cents } => {
            let price = format!("0.{cents:02}");
            net.tariff = ledger::tariff::FlatTariff::new("EUR", &price, "0.10").expect("a tariff");
            net.crash_provider();
            net.start_provider();
        }
        Action::Lie { field, fleet } => lie(net, *field, name(*fleet)),
    }
    0
}

/// A node submits a well-signed variation of a charge that it has submitted or will submit.
fn lie(net: &mut Network, field: u8, name: &str) {
    let Some(link) = net.gateway(name).link else {
        return;
    };
    let signed = net
        .node(name)
        .charges()
        .find_map(|charge| match &charge.stage {
            Stage::Signed { profile, grant, .. } => Some((
                (**profile).clone(),
                (**grant).clone(),
                charge.measured.detail.clone(),
            )),
            _ => None,
        });
    let Some((profile, mut grant, detail)) = signed else {
        return;
    };
    let mut body = profile.body.clone();
    match field {
        0 => body.seq += 1,
        1 => body.previous.0[0] ^= 1,
        2 => body.register_start.0 = 0,
        3 => body.payer.0 ^= 3,
        4 => body.supply_point.0 ^= 1,
        5 => body.start.0 += 100 * 24 * 3_600,
        6 => grant.body.energy_limit_wh = 1,
        _ => body.detail.0[0] ^= 1,
    }
    let gateway = net.gateway(name);
    let profile = Signed::new(body, &gateway.key, &net.genesis.chain_id());
    let frame = Frame::Profile(Submission {
        profile,
        grant,
        detail,
    });
    let frame = Box::new(frame);
    net.provider_gets(provider::Input::Frame { link, frame });
}

fn billed_and_held(net: &Network) -> u64 {
    let billed = ["HOUSEHOLD", "FLEET"].map(|group| net.bill(group).lines);
    let billed: u64 = billed.iter().flatten().map(|line| line.energy_wh.0).sum();
    let waiting = |name: &str| {
        net.node(name)
            .charges()
            .map(|c| c.measured.energy.0)
            .sum::<u64>()
    };
    billed + waiting("household") + waiting("fleet")
}

/// Each state along the chain has the root that comes out when nothing of it was hashed before, and
/// was not changed by what was applied after it.
fn assert_roots_by_definition(net: &Network) {
    let mut states = vec![State::new(net.genesis.clone())];
    for block in net.blocks() {
        let next = apply(&states[states.len() - 1], &block).expect("a sealed block");
        assert_eq!(next.root(), block.header.body.state_root);
        states.push(next);
    }
    for state in &states {
        let anew: State = decode(&canonical(state)).expect("it was written so");
        assert_eq!(anew.root(), state.root(), "height {}", state.height);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_metered_watt_hour_is_billed_once_or_held_with_a_reason(
        actions in prop::collection::vec(action(), 1..30),
    ) {
        let mut net = Network::new();
        let metered: u64 = actions.iter().map(|action| act(&mut net, action)).sum();
        for name in ["household", "fleet"] {
            // A new link forgets a refusal that a lie has earned.
            net.cut_link(name);
            net.restore_link(name);
        }
        net.run_rounds(4);
        for gateway in &net.gateways {
            for charge in net.node(gateway.name).charges() {
                prop_assert!(matches!(charge.stage, Stage::Held { .. }), "{:?}", charge.stage);
            }
            prop_assert!(net.node(gateway.name).state() == Some(net.provider().state()));
            // Many days may pass: some of them needed a voter to be dormant.
            for file in net.receipts(gateway.name) {
                let verified = file.verify(Some(&net.genesis.provider_key));
                prop_assert!(verified.is_ok(), "{verified:?}");
            }
        }
        prop_assert_eq!(billed_and_held(&net), metered);
        assert_roots_by_definition(&net);
        let state = net.provider().state();
        let in_chain: u64 = state.groups.values().map(|group| group.energy.0).sum();
        let given: u64 = state.supply_points.values().map(|outlet| outlet.energy.0).sum();
        prop_assert_eq!(in_chain, given);
    }
}
