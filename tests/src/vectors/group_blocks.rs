//! Group blocks with what they are over, for whoever checks one by itself.

use ledger::block::{GroupBlock, group_block_leaf};
use ledger::merkle;
use protocol::{Domain, EnergyWh, Hash, KeyPair, NodeId, PublicKey, Signed, SignedProfile};

use super::Vector;
use super::chain::{self, Chain, HOME};
use super::crypto;
use super::json::{Json, bytes, list, object, raw};

/// A group block, and the keys by which it is judged.
struct Case {
    name: &'static str,
    what: &'static str,
    sealed: Signed<GroupBlock>,
    profiles: Vec<SignedProfile>,
    parent_key: PublicKey,
    /// The rule that it breaks, and why it does not hold.
    broken: Option<(&'static str, &'static str)>,
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
    let case = |name, what, sealed: &Signed<GroupBlock>, profiles: &[SignedProfile], broken| Case {
        name,
        what,
        sealed: sealed.clone(),
        profiles: profiles.to_vec(),
        parent_key: chain::node(1).public(),
        broken: Some(broken),
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
    let mut weak = sealed.clone();
    weak.signature = crypto::over_neutral_key();
    let mut malleable = sealed.clone();
    malleable.signature = crypto::with_order_added(&sealed.signature);
    let mut another_purpose = sealed.clone();
    another_purpose.signature = chain::node(1).sign(
        Domain::Header,
        &chain.genesis.chain_id(),
        &protocol::canonical(&sealed.body),
    );
    let lines = chain.block(2).body.charges.iter();
    let all_groups: Vec<SignedProfile> = lines.map(|line| line.profile.clone()).collect();
    let twice = [profiles[0].clone(), profiles[0].clone()];
    let mut unknown = profiles.clone();
    unknown[1].body.node = NodeId(9);
    unknown.sort_by_key(|profile| profile.body.sort_key());
    let mut unsigned = profiles.clone();
    unsigned[2].signature.0[63] ^= 1;
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
            parent_key: chain::node(1).public(),
            broken: None,
        },
        Case {
            name: "group-block-of-one",
            what: "A group block over one profile: its root is that leaf",
            sealed: chain.block(4).body.group_blocks[0].clone(),
            profiles: vec![chain.block(4).body.charges[0].profile.clone()],
            parent_key: chain::node(1).public(),
            broken: None,
        },
        case(
            "group-block-flipped-signature",
            "The last bit of the signature flipped",
            &flipped,
            &profiles,
            ("G1", "the signature is not the parent's"),
        ),
        case(
            "group-block-another-signer",
            "Signed by another group's parent",
            &by_another,
            &profiles,
            ("G1", "the signature is not the parent's"),
        ),
        case(
            "group-block-another-total",
            "It states a Wh less than its profiles come to",
            &changed(|body| body.energy = EnergyWh(body.energy.0 - 1)),
            &profiles,
            ("G5", "its energy is not that of its profiles"),
        ),
        case(
            "group-block-another-count",
            "It states four profiles",
            &changed(|body| body.count += 1),
            &profiles,
            ("G5", "its count is not that of its profiles"),
        ),
        case(
            "group-block-missing-profile",
            "One of its profiles is not shown",
            &sealed,
            &profiles[..2],
            ("G5", "its count is not that of its profiles"),
        ),
        case(
            "group-block-out-of-order",
            "Its profiles are not sorted by charger, node and number, and its root is over them so",
            &over(&swapped),
            &swapped,
            ("G3", "its profiles are not in order"),
        ),
        case(
            "group-block-without-sums",
            "Its root is over the profiles without the energy of those before each",
            &sign(without_sums, &chain::node(1)),
            &profiles,
            ("G5", "its root is not that of its profiles"),
        ),
        case(
            "group-block-forged-profile",
            "Its second profile says one Wh more than its node signed, and root and total agree",
            &over(&forged),
            &forged,
            ("G4", "a profile is not signed by its node"),
        ),
        Case {
            parent_key: crypto::neutral(),
            ..case(
                "group-block-weak-key",
                "The parent's key is of small order: a lenient check accepts this signature of it \
                 for any message",
                &weak,
                &profiles,
                ("G1", "the parent's key is not usable"),
            )
        },
        case(
            "group-block-another-number",
            "The second half of the signature has the group's order added: the same point, \
             another number",
            &malleable,
            &profiles,
            ("G1", "the signature is not the parent's"),
        ),
        case(
            "group-block-another-purpose",
            "The parent's signature over the same bytes for the purpose of a header",
            &another_purpose,
            &profiles,
            ("G1", "the signature is not the parent's"),
        ),
        case(
            "group-block-another-payer",
            "One of its profiles is another group's",
            &over(&all_groups),
            &all_groups,
            ("G2", "a profile is not the group's"),
        ),
        case(
            "group-block-twice",
            "It seals one profile twice",
            &over(&twice),
            &twice,
            ("G3", "its profiles are not in order"),
        ),
        case(
            "group-block-unknown-node",
            "A profile of a node whose key is not given",
            &over(&unknown),
            &unknown,
            ("G4", "a profile is not signed by its node"),
        ),
        case(
            "group-block-profile-signature",
            "The last byte of a profile's signature changed, and its root is over it so",
            &over(&unsigned),
            &unsigned,
            ("G4", "a profile is not signed by its node"),
        ),
        case(
            "group-block-of-none",
            "It seals no profile",
            &over(&[]),
            &[],
            ("G2", "it seals no profile"),
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
        assert_eq!(self.holds(chain), self.broken.is_none(), "{}", self.name);
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
            ("valid", self.broken.is_none().into()),
            ("chain_id", raw(&chain.genesis.chain_id().0)),
            ("parent_key", raw(&self.parent_key.0)),
            (
                "node_keys",
                object([("1", raw(&chain::node(1).public().0))]),
            ),
            ("group_block", bytes(&self.sealed)),
            ("profiles", list(self.profiles.iter().map(bytes))),
            ("leaves", leaves),
            ("root_over_leaves", raw(&merkle::root(&hashes).0)),
        ]);
        let json = match self.broken {
            Some((rule, reason)) => {
                json.with([("rule", rule.into()), ("reason", Json::from(reason))])
            }
            None => json,
        };
        Vector::new(self.name, json)
    }

    /// Whether it holds by itself: G1 to G5.
    fn holds(&self, chain: &Chain) -> bool {
        let chain_id = chain.genesis.chain_id();
        let (said, profiles) = (&self.sealed.body, &self.profiles);
        let due = GroupBlock::over(said.group, said.round, said.previous, profiles.iter());
        let sorted = |pair: &[SignedProfile]| pair[0].body.sort_key() < pair[1].body.sort_key();
        let is_signed = |profile: &SignedProfile| {
            let key = chain::node(1).public();
            profile.body.node == NodeId(1) && profile.verify(&key, &chain_id).is_ok()
        };
        self.sealed.verify(&self.parent_key, &chain_id).is_ok()
            && !profiles.is_empty()
            && profiles.iter().all(|p| p.body.payer == said.group)
            && profiles.windows(2).all(sorted)
            && profiles.iter().all(is_signed)
            && due == *said
    }
}
