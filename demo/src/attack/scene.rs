//! A stopped provider's state directory with one enrolled node, as the attackers' tests need it.

use std::collections::BTreeSet;
use std::path::Path;

use ledger::Provider;
use ledger::frame::Submission;
use ledger::provider::{Effect, Input};
use ledger::state::State;
use ledger::store::{NoWatch, Store, drive};
use ledger::tariff::FlatTariff;
use protocol::message::{Register, RegisterSupplyPoint, Report, Request};
use protocol::{
    ChargeProfile, ChargerId, EnergyWh, Genesis, Grant, GrantId, GroupId, Hash, IdTag, KeyPair,
    NodeId, PowerW, Signed, SupplyPointId, UnixMillis, UnixSeconds,
};

use super::now;
use super::stored_chain::StoredChain;

const PROVIDER_SEED: [u8; 32] = [1; 32];

/// The directory, and the key of its only node.
pub(super) struct Scene {
    pub(super) directory: tempfile::TempDir,
    pub(super) node: KeyPair,
}

impl Scene {
    pub(super) fn new() -> Self {
        let scene = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            node: KeyPair::from_seed(&[2; 32]),
        };
        let key = Hash(PROVIDER_SEED).to_string();
        std::fs::write(scene.path().join("provider.key"), key).expect("writable");
        scene.run_provider();
        scene
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn chain(&self) -> StoredChain {
        StoredChain::read(self.path()).expect("a chain")
    }

    /// The real provider: lets the node, its charger and its outlet in, and seals their block.
    fn run_provider(&self) {
        let key = KeyPair::from_seed(&PROVIDER_SEED);
        let store = Store::open(&self.path().join("provider.redb")).expect("opens");
        let began = UnixMillis(now().0 - 600_000);
        let genesis = Genesis {
            provider_key: key.public(),
            time: began.seconds(),
            interval_s: 60,
            witnesses: 8,
            currency: "EUR".to_owned(),
            test: true,
            dormancy_s: Genesis::DORMANCY_S,
            dispute_period_s: Genesis::DISPUTE_PERIOD_S,
        };
        let tariff = FlatTariff::new("EUR", "0.40", "0.30").expect("a tariff");
        let mut provider = Provider::load(key, genesis, tariff, &store).expect("a new chain");
        let mut give = |at, input| {
            let inputs = [input];
            drive(&mut provider, &store, at, inputs, Vec::new(), &NoWatch).expect("commits")
        };
        for input in self.enrolment() {
            give(began, input);
        }
        let effects = give(began.plus_ms(130_000), Input::Tick);
        let is_block = |effect: &Effect| matches!(effect, Effect::SendBlocks { .. });
        assert!(effects.iter().any(is_block), "the enrolments are sealed");
    }

    fn enrolment(&self) -> [Input; 4] {
        let group = IdTag::parse("HOME").expect("printable");
        let token = Hash::of(b"token");
        let asked = |call, request| Input::Asked {
            link: 1,
            call,
            request,
        };
        let charger = Register {
            id_tag: IdTag::parse("CAR").expect("printable"),
            group_id: Some(group.clone()),
            is_home: true,
            group: None,
        };
        let outlet = RegisterSupplyPoint {
            outlet: "garage".to_owned(),
            owner: group.clone(),
            meter: "SDM630 1".to_owned(),
            supply_point: None,
        };
        [
            Input::CreateToken {
                token,
                groups: BTreeSet::from([group]),
            },
            Input::Join {
                link: 1,
                key: self.node.public(),
                token: Some(token),
                report: Report::default(),
            },
            asked(1, Request::Register(charger)),
            asked(2, Request::RegisterSupplyPoint(outlet)),
        ]
    }

    /// The node's first charge, at home.
    pub(super) fn submission(&self, state: &State) -> Submission {
        let (charger, account) = state.chargers.first_key_value().expect("registered");
        let (supply_point, _) = state.supply_points.first_key_value().expect("registered");
        let start = now().seconds();
        let grant = Grant {
            charger: *charger,
            group: account.group,
            not_before: start,
            expiry: UnixSeconds(start.0 + 3_600),
            energy_limit_wh: 0,
        };
        let detail = b"register at each quarter of an hour".to_vec();
        let profile = ChargeProfile {
            charger: *charger,
            payer: account.group,
            supply_point: *supply_point,
            start,
            grant: grant.id(),
            detail: Hash::of(&detail),
            ..profile()
        };
        let chain_id = state.chain_id();
        Submission {
            profile: Signed::new(profile, &self.node, &chain_id),
            grant: Signed::new(grant, &self.node, &chain_id),
            detail,
        }
    }
}

/// The first charge of the first node.
pub(super) fn profile() -> ChargeProfile {
    ChargeProfile {
        charger: ChargerId([1; 16]),
        payer: GroupId(1),
        node: NodeId(1),
        seq: 1,
        previous: Hash::ZERO,
        supply_point: SupplyPointId(1),
        start: UnixSeconds(1_800_000_000),
        duration_s: 60,
        register_start: EnergyWh(100_000),
        energy_wh: 5_000,
        max_power: PowerW(11_000),
        grant: GrantId([2; 16]),
        detail: Hash::ZERO,
    }
}
