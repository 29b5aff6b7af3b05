//! Group blocks with what they are over, for whoever checks one by itself.

use ledger::block::{GroupBlock, group_block_leaf};
use ledger::merkle;
use protocol::{EnergyWh, Hash, KeyPair, Signed, SignedProfile};

use super::Vector;
use super::chain::{self, Chain, HOME};
use super::json::{Json, bytes, list, object, raw};

/// A group block, and the keys by which it is judged.
struct Case {
    name: &'static str,
    what: &'static str,
    sealed: Signed<GroupBlock>,
    profiles: Vec<SignedProfile>,
    /// Why it does not hold.
    reason: Option<&'static str>,
}

pub(super) fn all(chain: &Chain) -> Vec<Vector> {
    cases(chain)
        .into_iter()
        .map(|case| case.vector(chain))
        .collect()
}

fn cases(chain: &Chain) -> Vec<Case> {
    let profiles = chain.profiles();
    let sealed = chain.block(2).body.group_blocks[0].clone();
    let case = |name, what, sealed: &Signed<GroupBlock>, profiles: &[SignedProfile], reason| Case {
        name,
        what,
        sealed: sealed.clone(),
        profiles: profiles.to_vec(),
        reason: Some(reason),
    };
    let changed = |change: fn(&mut GroupBlock)| {
        let mut body = sealed.body.clone();
        change(&mut body);
        sign(body, &chain::node(1))
    };
    let mut flipped = sealed.clone();
    flipped.signature.0[63] ^= 1;
    let mut forged = profiles.clone();
    forged[1].body.energy_wh += 1;
    let swapped = [
        profiles[1].clone(),
        profiles[0].clone(),
        profiles[2].clone(),
    ];
    let by_another = sign(sealed.body.clone(), &chain::node(2));
    let hashes = profiles
        .iter()
        .map(|p| merkle::leaf_hash(&protocol::canonical(p)));
    let without_sums = GroupBlock {
        root: merkle::root(&hashes.collect::<Vec<_>>()),
        ..sealed.body.clone()
    };
    vec![
        Case {
            name: "group-block",
            what: "A group block over three profiles, each leaf with the energy of those before it",
            sealed: sealed.clone(),
            profiles: profiles.clone(),
            reason: None,
        },
        Case {
            name: "group-block-of-one",
            what: "A group block over one profile: its root is that leaf",
            sealed: chain.block(4).body.group_blocks[0].clone(),
            profiles: vec![chain.block(4).body.charges[0].profile.clone()],
            reason: None,
        },
        case(
            "group-block-flipped-signature",
            "The last bit of the signature flipped",
            &flipped,
            &profiles,
            "the signature is not the parent's",
        ),
        case(
            "group-block-another-signer",
            "Signed by another group's parent",
            &by_another,
            &profiles,
            "the signature is not the parent's",
        ),
        case(
            "group-block-another-total",
            "It states a Wh less than its profiles come to",
            &changed(|body| body.energy = EnergyWh(body.energy.0 - 1)),
            &profiles,
            "its energy is not that of its profiles",
        ),
        case(
            "group-block-another-count",
            "It states four profiles",
            &changed(|body| body.count += 1),
            &profiles,
            "its count is not that of its profiles",
        ),
        case(
            "group-block-missing-profile",
            "One of its profiles is not shown",
            &sealed,
            &profiles[..2],
            "its count is not that of its profiles",
        ),
        case(
            "group-block-out-of-order",
            "Its profiles are not sorted by charger, node and number, and its root is over them so",
            &over(&swapped),
            &swapped,
            "its profiles are not in order",
        ),
        case(
            "group-block-without-sums",
            "Its root is over the profiles without the energy of those before each",
            &sign(without_sums, &chain::node(1)),
            &profiles,
            "its root is not that of its profiles",
        ),
        case(
            "group-block-forged-profile",
            "Its second profile says one Wh more than its node signed, and root and total agree",
            &over(&forged),
            &forged,
            "a profile is not signed by its node",
        ),
        case(
            "group-block-of-none",
            "It seals no profile",
            &over(&[]),
            &[],
            "it seals no profile",
        ),
    ]
}

fn sign(body: GroupBlock, key: &KeyPair) -> Signed<GroupBlock> {
    Signed::new(body, key, &chain::genesis().chain_id())
}

fn over(profiles: &[SignedProfile]) -> Signed<GroupBlock> {
    let body = GroupBlock::over(HOME.group, 2, Hash::ZERO, profiles.iter());
    sign(body, &chain::node(1))
}

impl Case {
    fn vector(self, chain: &Chain) -> Vector {
        assert_eq!(self.holds(chain), self.reason.is_none(), "{}", self.name);
        let mut before = EnergyWh(0);
        let mut hashes = Vec::new();
        let leaves = self.profiles.iter().map(|profile| {
            let hash = group_block_leaf(profile, before);
            hashes.push(hash);
            let leaf = object([
                ("before_wh", before.0.into()),
                ("bytes", bytes(&(before, profile))),
                ("hash", raw(&hash.0)),
            ]);
            before.0 += u64::from(profile.body.energy_wh);
            leaf
        });
        let leaves = list(leaves.collect::<Vec<_>>());
        let json = object([
            ("what", self.what.into()),
            ("valid", self.reason.is_none().into()),
            ("chain_id", raw(&chain.genesis.chain_id().0)),
            ("parent_key", raw(&chain::node(1).public().0)),
            (
                "node_keys",
                object([("1", raw(&chain::node(1).public().0))]),
            ),
            ("group_block", bytes(&self.sealed)),
            ("profiles", list(self.profiles.iter().map(bytes))),
            ("leaves", leaves),
            ("root_over_leaves", raw(&merkle::root(&hashes).0)),
        ]);
        let json = match self.reason {
            Some(reason) => json.with([("reason", Json::from(reason))]),
            None => json,
        };
        Vector::new(self.name, json)
    }

    /// Whether it holds by itself: signatures, order, root, count and energy.
    fn holds(&self, chain: &Chain) -> bool {
        let chain_id = chain.genesis.chain_id();
        let key = chain::node(1).public();
        let said = &self.sealed.body;
        let due = GroupBlock::over(said.group, said.round, said.previous, self.profiles.iter());
        let sorted = |pair: &[SignedProfile]| pair[0].body.sort_key() < pair[1].body.sort_key();
        self.sealed.verify(&key, &chain_id).is_ok()
            && due == *said
            && due.count > 0
            && self.profiles.windows(2).all(sorted)
            && self
                .profiles
                .iter()
                .all(|p| p.verify(&key, &chain_id).is_ok())
    }
}
