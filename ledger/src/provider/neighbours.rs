//! Where nodes reach each other: told by each, kept by the provider, named to others, never on
//! chain.

use std::collections::BTreeMap;
use std::ops::Bound;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::message::{GetNeighbours, GetNeighboursAck, Response};
use protocol::{Enrolment, Neighbour, NodeAddress, NodeId, Signed, UnixMillis, UnixSeconds};

use super::{Provider, disk};
use crate::node::MAX_PARENTS;

/// Nodes named beside the parents.
const MAX_OTHERS: usize = 8;
/// How long a node may show that it is enrolled.
const ENROLMENT_S: u64 = 30 * 24 * 3600;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct AddressEntry {
    pub(super) node: NodeId,
    pub(super) address: NodeAddress,
}

/// The nodes that listen.
#[derive(Debug, Default)]
pub(super) struct Addresses(BTreeMap<NodeId, NodeAddress>);

impl Addresses {
    pub(super) fn restore(entries: Vec<AddressEntry>) -> Self {
        let entries = entries.into_iter();
        Self(entries.map(|entry| (entry.node, entry.address)).collect())
    }

    pub(super) fn of(&self, node: NodeId) -> Option<&NodeAddress> {
        self.0.get(&node)
    }

    /// Those after `node` by number, round to `node` again: so each is named to about as many.
    fn after(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let behind = self.0.range((Bound::Excluded(node), Bound::Unbounded));
        let before = self.0.range(..node);
        behind.chain(before).map(|(node, _)| *node)
    }
}

impl Provider {
    /// A node tells where it listens and asks who is near; `None` where it asks for too much.
    pub(super) fn near(
        &mut self,
        now: UnixMillis,
        node: NodeId,
        asked: GetNeighbours,
    ) -> Option<Response> {
        if asked.parents.len() > MAX_PARENTS {
            return None;
        }
        self.keep_address(node, asked.address);
        let mut named: Vec<NodeId> = Vec::new();
        for parent in asked.parents {
            if parent != node && !named.contains(&parent) {
                named.push(parent);
            }
        }
        let others = self.addresses.after(node);
        let others: Vec<NodeId> = others
            .filter(|other| !named.contains(other))
            .take(MAX_OTHERS)
            .collect();
        let all = named.into_iter().chain(others);
        let neighbours = all.filter_map(|other| self.neighbour(other)).collect();
        let enrolment = Enrolment {
            node,
            key: self.registry.key(node)?,
            until: UnixSeconds(now.seconds().0.saturating_add(ENROLMENT_S)),
        };
        Some(Response::GetNeighbours(GetNeighboursAck {
            neighbours,
            enrolment: Signed::new(enrolment, &self.key, &self.chain_id),
        }))
    }

    fn neighbour(&self, node: NodeId) -> Option<Neighbour> {
        Some(Neighbour {
            node,
            key: self.registry.key(node)?,
            address: self.addresses.of(node)?.clone(),
        })
    }

    fn keep_address(&mut self, node: NodeId, address: Option<NodeAddress>) {
        if self.addresses.of(node) == address.as_ref() {
            return;
        }
        match address {
            Some(address) => {
                self.addresses.0.insert(node, address.clone());
                self.persist(disk::address(&AddressEntry { node, address }));
            }
            None => {
                self.addresses.0.remove(&node);
                self.persist(disk::forget_address(node));
            }
        }
    }
}
