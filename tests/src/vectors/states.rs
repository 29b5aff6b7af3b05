//! The tree over a state: section roots by their definition, each leaf's way, and ways that lead
//! nowhere.

use ledger::merkle::{Way, node_hash, root};
use ledger::state::{GroupAccount, Leaf, State};
use protocol::{EnergyWh, GroupId, Hash, MinorUnits, NodeId, UnixSeconds, canonical};

use super::chain::{self, Chain};
use super::json::{Json, bytes, list, object, raw};

/// Names of the sections, by number.
const SECTIONS: [&str; 8] = [
    "totals",
    "nodes",
    "groups",
    "supply_points",
    "chargers",
    "grants",
    "tariffs",
    "convictions",
];

pub(super) fn states(chain: &Chain) -> Json {
    let empty = State::new(chain::genesis());
    let cases = [
        ("The state before the first block", &empty),
        (
            "The state after block 11: every section has a leaf",
            chain.state_at(11),
        ),
        (
            "The state after block 16: offences of a parent and of the provider",
            chain.state_at(16),
        ),
        (
            "Groups with numbers far apart, which no chain of these vectors has",
            &scattered(),
        ),
    ];
    object([
        (
            "what",
            "The tree over a state: the leaves in the order of their sections and keys, each with \
             its way, the roots of the eight sections, and the state root over them."
                .into(),
        ),
        (
            "states",
            list(cases.map(|(what, state)| of_state(what, state))),
        ),
        ("refused", refused(chain.state_at(11))),
    ])
}

/// A state whose groups part at bits of all heights.
fn scattered() -> State {
    let account = GroupAccount {
        parent: NodeId(1),
        deputy: None,
        deputies: 0,
        former_deputies: Vec::new(),
        last_group_block: Hash::ZERO,
        energy: EnergyWh(0),
        amount: MinorUnits(0),
        charges: 0,
        voter_since: 1,
        voted_height: 0,
        last_ballot: UnixSeconds(chain::BEGIN),
    };
    let numbers = [1, 2, 3, 5, 8, 255, 256, 65_536, 0x8000_0001, u32::MAX];
    let mut state = State::new(chain::genesis());
    for number in numbers {
        state.groups.insert(GroupId(number), account.clone());
    }
    state
}

fn of_state(what: &str, state: &State) -> Json {
    let leaves: Vec<Leaf> = state.leaves().collect();
    let sections = [0, 1, 2, 3, 4, 5, 6, 7].map(|section| {
        let of_section = leaves.iter().filter(|leaf| section_of(leaf) == section);
        section_root(&of_section.collect::<Vec<_>>())
    });
    assert_eq!(root(&sections), state.root(), "{what}");
    let roots = SECTIONS.into_iter().zip(&sections);
    let roots = roots.map(|(name, root)| (name.to_owned(), raw(&root.0)));
    object([
        ("what", what.into()),
        (
            "leaves",
            list(leaves.iter().map(|leaf| of_leaf(state, leaf))),
        ),
        ("section_roots", Json::Object(roots.collect())),
        ("state_root", raw(&state.root().0)),
    ])
}

fn of_leaf(state: &State, leaf: &Leaf) -> Json {
    let way = state.way(leaf).expect("it is in the state");
    assert!(leaf.is_in(&state.root(), &way));
    object([
        ("leaf", bytes(leaf)),
        ("hash", raw(&leaf.hash().0)),
        ("turns", way.turns.into()),
        ("path", hashes(&way.path)),
        ("way", bytes(&way)),
    ])
}

fn hashes(hashes: &[Hash]) -> Json {
    list(hashes.iter().map(|hash| raw(&hash.0)))
}

/// A leaf's section: its number of kind, which is its first byte.
fn section_of(leaf: &Leaf) -> u8 {
    canonical(leaf)[0]
}

/// The root of a section as the document defines it, from all its leaves.
fn section_root(leaves: &[&Leaf]) -> Hash {
    match leaves {
        [] => Hash::of(b""),
        [leaf] => leaf.hash(),
        _ => {
            let has = |leaf: &Leaf, bit: usize| key(leaf)[bit / 8] & (0x80 >> (bit % 8)) != 0;
            let parts = |bit: &usize| {
                leaves
                    .iter()
                    .any(|leaf| has(leaf, *bit) != has(leaves[0], *bit))
            };
            let bit = (0..).find(parts).expect("no key is there twice");
            let (right, left): (Vec<&Leaf>, Vec<&Leaf>) =
                leaves.iter().partition(|leaf| has(leaf, bit));
            node_hash(&section_root(&left), &section_root(&right))
        }
    }
}

/// The bits of a leaf's key, the highest first.
fn key(leaf: &Leaf) -> Vec<u8> {
    use ledger::evidence::Offence;
    match leaf {
        Leaf::Totals(_) => Vec::new(),
        Leaf::Node(node, _) => node.0.to_be_bytes().to_vec(),
        Leaf::Group(group, _) => group.0.to_be_bytes().to_vec(),
        Leaf::SupplyPoint(outlet, _) => outlet.0.to_be_bytes().to_vec(),
        Leaf::Charger(charger, _) => charger.0.to_vec(),
        Leaf::Grant(grant, _) => grant.0.to_vec(),
        Leaf::Tariff(tariff, _) => tariff.0.to_be_bytes().to_vec(),
        Leaf::Conviction(offence, _) => {
            let (kind, who, when) = match *offence {
                Offence::Parent { group, round } => (0, group.0, round),
                Offence::Node { node, seq } => (1, node.0, seq.into()),
                Offence::Voter { group, height } => (2, group.0, height),
                Offence::Provider { height } => (3, 0, height),
            };
            [&[kind], &who.to_be_bytes()[..], &when.to_be_bytes()].concat()
        }
    }
}

fn refused(state: &State) -> Json {
    let root = state.root();
    let group = Leaf::Group(GroupId(2), state.groups[&GroupId(2)].clone());
    let way = state.way(&group).expect("it is there");
    let beyond = 1 << way.path.len();
    let changed = |change: &dyn Fn(&mut Way)| {
        let mut way = way.clone();
        change(&mut way);
        (group.clone(), way)
    };
    let cases = [
        ("a turn the other way", changed(&|way| way.turns ^= 1)),
        (
            "a turn that is never taken",
            changed(&|way| way.turns |= beyond),
        ),
        (
            "a hash too few at the bottom",
            changed(&|way| {
                way.path.remove(0);
                way.turns >>= 1;
            }),
        ),
        (
            "a hash too many at the top",
            changed(&|way| way.path.push(Hash::ZERO)),
        ),
        ("64 hashes", changed(&|way| way.path.resize(64, Hash::ZERO))),
        ("no way at all", (group.clone(), Way::default())),
        (
            "the way of another leaf",
            (
                Leaf::Group(GroupId(3), state.groups[&GroupId(3)].clone()),
                way.clone(),
            ),
        ),
        ("totals that tell one voter more", {
            let mut totals = state.totals();
            let way = state.way(&Leaf::Totals(totals.clone()));
            totals.voters += 1;
            (Leaf::Totals(totals), way.expect("it is there"))
        }),
    ];
    list(cases.map(|(what, (leaf, way))| {
        assert!(!leaf.is_in(&root, &way), "{what}");
        object([
            ("what", what.into()),
            ("state_root", raw(&root.0)),
            ("leaf", bytes(&leaf)),
            ("turns", way.turns.into()),
            ("path", hashes(&way.path)),
        ])
    }))
}
