//! What the node and the provider of the small chain have on disk: an entry of every table.
//!
//! Entries whose types only `ledger` has are written as structures or tuples of the same fields.

use std::collections::{BTreeMap, BTreeSet};

use borsh::BorshSerialize;
use ledger::block::Record;
use ledger::frame::{SealedGroup, SealedProfile};
use ledger::node::{NodeConfig, Outlet, Pick};
use ledger::provider::{Charger, OutletEntry, Token};
use ledger::store::{Store, StoreError, Table, Write};
use ledger::tariff::FlatTariff;
use ledger::{Node, Provider};
use protocol::{
    ChargerId, EnergyWh, Enrolment, GroupId, Hash, IdTag, Neighbour, NodeAddress, NodeId,
    PublicKey, Salt, Signed, SignedEnrolment, SignedGrant, SupplyPointId, UnixSeconds,
};

use crate::chain::{Chain, chain, key};
use crate::structures;
use crate::targets::frame as frames;

/// Whose store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Node 1, a parent, with all blocks.
    Parent,
    /// Node 1, with headers only.
    Member,
    /// The provider.
    Provider,
}

impl Owner {
    pub(crate) const ALL: [Self; 3] = [Self::Parent, Self::Member, Self::Provider];

    /// An entry of every table, and every entry of the tables that only hold a few.
    pub(crate) fn entries(self) -> Vec<Write> {
        let chain = chain();
        match self {
            Self::Parent => [of_node(chain), of_parent(chain)].concat(),
            Self::Member => [of_node(chain), of_member(chain)].concat(),
            Self::Provider => of_provider(chain),
        }
    }

    pub(crate) fn store(self) -> Store {
        let store = Store::simulated();
        store.commit(&self.entries()).expect("memory is there");
        store
    }
}

/// Node 1 as `store` knows it.
pub(crate) fn load_node(store: &Store) -> Result<Node, StoreError> {
    let config = NodeConfig {
        chargers: BTreeMap::from([(tag("FLEET-1"), Some(tag("FLEET")))]),
        limits: BTreeMap::new(),
        deputies: BTreeMap::from([(tag("FLEET"), key(2).public())]),
        members: BTreeMap::from([(tag("FLEET-2"), tag("FLEET"))]),
        outlets: vec![Outlet {
            name: "garage".to_owned(),
            owner: tag("FLEET"),
            meter: "SDM630 1".to_owned(),
        }],
        ..NodeConfig::default()
    };
    Node::load(key(1), config, store)
}

/// The provider as `store` knows it.
pub(crate) fn load_provider(store: &Store) -> Result<Provider, StoreError> {
    let tariff = FlatTariff::new("EUR", "0.40", "0.30").expect("a tariff");
    Provider::load(key(0), chain().genesis.clone(), tariff, store)
}

pub(crate) fn tag(text: &str) -> IdTag {
    IdTag::parse(text).expect("an idTag")
}

fn put<T: BorshSerialize>(table: &'static str, key: impl Into<Vec<u8>>, value: &T) -> Write {
    Write::put(Table(table), key, value)
}

fn of_node(chain: &Chain) -> Vec<Write> {
    let mut entries = vec![
        put("node", *b"genesis", &chain.genesis),
        put("node", *b"id", &NodeId(1)),
        put("node", *b"last_profile", &(3_u32, Hash::of(b"profile"))),
        put("node", *b"enrolment", &enrolment(chain)),
        put("node", *b"unconfirmed", &true),
        put("node", *b"pick", &pick(chain)),
        put("node", *b"resumed", chain.picked()),
        put(
            "numbers",
            9_u32.to_be_bytes(),
            &(NodeId(9), (1_u32, Hash::of(b"profile"))),
        ),
        put("neighbours", neighbour().key.0, &neighbour()),
        put("groups", *b"FLEET", &(tag("FLEET"), GroupId(1))),
        put("exchanges", *b"garage", &exchange()),
        put("taken", 0_u64.to_be_bytes(), &(0_u64, [9_u8; 16])),
        put(
            "receipts",
            1_u32.to_be_bytes(),
            &chain.receipts[0].to_bytes(),
        ),
        put(
            "evidence",
            3_u64.to_be_bytes(),
            &crate::lies::files()[0].to_bytes(),
        ),
        put(
            "chargers",
            *b"FLEET-1",
            &(tag("FLEET-1"), known_charger(chain)),
        ),
        put(
            "outlets",
            *b"garage",
            &("garage".to_owned(), SupplyPointId(1)),
        ),
    ];
    let charges = structures::charges(chain);
    entries.extend(
        charges
            .iter()
            .map(|charge| put("outbox", charge.number.to_be_bytes(), charge)),
    );
    entries
}

/// A node that another one may reach.
pub(crate) fn neighbour() -> Neighbour {
    Neighbour {
        node: NodeId(2),
        key: key(2).public(),
        address: NodeAddress::parse("ws://depot.example:9652").expect("an address"),
    }
}

/// The provider's word that it let node 1 in.
pub(crate) fn enrolment(chain: &Chain) -> SignedEnrolment {
    let enrolment = Enrolment {
        node: NodeId(1),
        key: key(1).public(),
        until: UnixSeconds(u64::MAX),
    };
    Signed::new(enrolment, &key(0), &chain.genesis.chain_id())
}

/// What a node's operator picked.
pub(crate) fn pick(chain: &Chain) -> Pick {
    let word = &chain.picked()[0].body;
    Pick {
        height: word.height,
        header: word.header,
    }
}

/// A charger as a node knows it.
#[derive(BorshSerialize)]
struct KnownCharger {
    charger: ChargerId,
    group: GroupId,
    group_id: IdTag,
    parent: NodeId,
    parent_key: PublicKey,
    deputy_key: Option<PublicKey>,
    salt: Option<Salt>,
    grants: Vec<SignedGrant>,
    since: UnixSeconds,
    is_refused: bool,
}

fn known_charger(chain: &Chain) -> KnownCharger {
    KnownCharger {
        charger: ChargerId([1; 16]),
        group: GroupId(1),
        group_id: tag("FLEET"),
        parent: NodeId(1),
        parent_key: key(1).public(),
        deputy_key: Some(key(2).public()),
        salt: Some(Salt([7; 16])),
        grants: vec![chain.grant().clone()],
        since: UnixSeconds(0),
        is_refused: false,
    }
}

/// The newest exchange of an outlet's meter, as a node keeps it.
#[derive(BorshSerialize)]
struct Exchange {
    outlet: String,
    first_charge: u64,
    meter: String,
    last_register: EnergyWh,
    first_register: EnergyWh,
    number: u32,
    is_recorded: bool,
}

fn exchange() -> Exchange {
    Exchange {
        outlet: "garage".to_owned(),
        first_charge: 1,
        meter: "SDM630 2".to_owned(),
        last_register: EnergyWh(40_000),
        first_register: EnergyWh(5),
        number: 1,
        is_recorded: false,
    }
}

fn of_parent(chain: &Chain) -> Vec<Write> {
    let body = &chain.blocks[2].body;
    let sealed = SealedGroup {
        block: body.group_blocks[0].clone(),
        profiles: vec![SealedProfile::Full(Box::new(
            body.charges[0].profile.clone(),
        ))],
    };
    let newest = &chain.blocks[3].header;
    let mut entries = vec![
        put("node", *b"keeps_blocks", &true),
        put("node", *b"vote", &(newest.body.height, newest.hash())),
        put("group_blocks", 1_u32.to_be_bytes(), &(GroupId(1), sealed)),
        put("proofs", [7; 32], &chain.blocks[3]),
    ];
    entries.extend(blocks(chain));
    entries
}

fn blocks(chain: &Chain) -> impl Iterator<Item = Write> + '_ {
    let block =
        |block: &ledger::Block| put("blocks", block.header.body.height.to_be_bytes(), block);
    chain.blocks.iter().map(block)
}

fn of_member(chain: &Chain) -> Vec<Write> {
    let registers = (SupplyPointId(1), EnergyWh(40_000));
    let mut entries = vec![put("registers", 1_u32.to_be_bytes(), &registers)];
    entries.extend(chain.blocks.iter().map(|block| {
        let header = &block.header;
        put("headers", header.body.height.to_be_bytes(), header)
    }));
    entries
}

fn of_provider(chain: &Chain) -> Vec<Write> {
    let groups = BTreeSet::from([tag("FLEET"), tag("HOUSEHOLD")]);
    let token = Token {
        hash: Hash::of(b"token"),
        groups: groups.clone(),
        used_by: None,
    };
    let charger = Charger {
        id_tag: tag("FLEET-1"),
        charger: ChargerId([1; 16]),
        salt: Salt([7; 16]),
        group_id: tag("FLEET"),
        group: GroupId(1),
        home: NodeId(1),
    };
    let outlet = OutletEntry {
        supply_point: SupplyPointId(1),
        node: NodeId(1),
        name: "garage".to_owned(),
        owner: tag("FLEET"),
        meter: "SDM630 1".to_owned(),
    };
    let group = (tag("FLEET"), GroupId(1), Some(NodeId(1)));
    let record = Record::RegisterCharger {
        charger: ChargerId([9; 16]),
        group: GroupId(1),
    };
    let mut entries = vec![
        put("provider", *b"genesis", &chain.genesis),
        put("received", [0, 0, 0, 1, 0, 0, 0, 4], &received(chain)),
        put("details", [0, 0, 0, 1, 0, 0, 0, 4], &b"detail".to_vec()),
        put("records", 1_u64.to_be_bytes(), &(1_u64, record)),
        put(
            "addresses",
            2_u32.to_be_bytes(),
            &(NodeId(2), neighbour().address),
        ),
        put("tokens", token.hash.0, &token),
        put("chargers", *b"FLEET-1", &charger),
        put("outlets", 1_u32.to_be_bytes(), &outlet),
        put("groups", 1_u32.to_be_bytes(), &group),
        put("places", [0, 0, 0, 1, 0, 0, 0, 3], &(3_u64, 0_u32)),
        put("finality", 3_u64.to_be_bytes(), &chain.receipts[4].finality),
    ];
    entries.extend((1..=3_u8).map(|n| {
        let node = NodeId(n.into());
        put(
            "nodes",
            node.0.to_be_bytes(),
            &(node, key(n).public(), groups.clone()),
        )
    }));
    entries.extend(blocks(chain));
    entries
}

/// The next charge of node 1, with its grant and receipt.
pub(crate) fn received(
    chain: &Chain,
) -> (
    protocol::SignedProfile,
    SignedGrant,
    protocol::SignedReceipt,
) {
    let profile = frames::next_profile(chain);
    let receipt = frames::receipt_for(chain, &profile, 5);
    (profile, chain.grant().clone(), receipt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_read_and_stands_for_something() {
        let parent = Owner::Parent.store();
        let node = load_node(&parent).expect("a parent");
        assert_eq!(node.progress().map(|chain| chain.height), Some(4));
        let member = Owner::Member.store();
        assert_eq!(
            load_node(&member)
                .expect("a member")
                .progress()
                .map(|chain| chain.height),
            Some(4)
        );
        let provider = Owner::Provider.store();
        let provider = load_provider(&provider).expect("a provider");
        assert_eq!(provider.state().height, 4);
        assert!(provider.registry().outlet(SupplyPointId(1)).is_some());
    }

    #[test]
    fn every_damaged_entry_is_noticed() {
        for owner in Owner::ALL {
            for entry in owner.entries() {
                let store = owner.store();
                let mut damaged = entry.clone();
                damaged.value = damaged.value.map(|value| [value.as_slice(), &[0]].concat());
                store.commit(&[damaged]).expect("memory is there");
                let is_whole = crate::targets::store::read_all(owner, &store).is_ok();
                // What is only written for a person to look at is never read again.
                let is_read = !matches!(entry.table.0, "proofs" | "details");
                assert_eq!(is_whole, !is_read, "{owner:?} {}", entry.table.0);
            }
        }
    }
}
