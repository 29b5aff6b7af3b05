//! Entries of the stores on disk: reading them back is refused or works.
//!
//! An input is the owner's number, the entry's number and the bytes that stand in its place.

use std::sync::OnceLock;

use ledger::node::{stored_evidence, stored_receipts};
use ledger::provider::stored_proofs;
use ledger::store::{Store, StoreError, Write};
use protocol::NodeId;

use super::Corpus;
use crate::stores::{Owner, load_node, load_provider};

pub(super) fn check(bytes: &[u8]) {
    let &[owner, entry, ref value @ ..] = bytes else {
        return;
    };
    let Some((owner, entries, store)) = stores().get(usize::from(owner)) else {
        return;
    };
    let Some(entry) = entries.get(usize::from(entry)) else {
        return;
    };
    if BY_THEMSELVES.contains(&entry.table.0) {
        return;
    }
    let changed = Write {
        value: Some(value.to_vec()),
        ..entry.clone()
    };
    let store = store.copy().expect("it is a simulated one");
    store.commit(&[changed]).expect("memory is there");
    match read_all(*owner, &store) {
        Ok(()) | Err(StoreError::Damaged { .. } | StoreError::BrokenChain { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

/// Tables whose entries the provider has judged before it wrote them. One that is whole and false
/// stops it, and should; the structure target tries how they are read.
const BY_THEMSELVES: [&str; 2] = ["received", "records"];

/// Reads everything in `store`.
pub(crate) fn read_all(owner: Owner, store: &Store) -> Result<(), StoreError> {
    match owner {
        Owner::Parent | Owner::Member => {
            load_node(store)?;
            stored_receipts(store, |_, _| {})?;
            stored_evidence(store, |_, _| {})
        }
        Owner::Provider => {
            load_provider(store)?;
            stored_proofs(store, NodeId(1), 2, 16, |_| {})
        }
    }
}

type Stored = (Owner, Vec<Write>, Store);

fn stores() -> &'static [Stored] {
    static STORES: OnceLock<Vec<Stored>> = OnceLock::new();
    let stored = |owner: Owner| (owner, owner.entries(), owner.store());
    STORES.get_or_init(|| Owner::ALL.map(stored).into())
}

pub(super) fn corpus() -> Corpus {
    let mut inputs = Corpus::new();
    for (owner_number, (owner, entries, _)) in (0_u8..).zip(stores()) {
        for (number, entry) in (0_u8..).zip(entries) {
            if BY_THEMSELVES.contains(&entry.table.0) {
                continue;
            }
            let value = entry.value.as_deref().expect("no entry is deleted");
            let input = [&[owner_number, number], value].concat();
            inputs.insert(format!("{owner:?}-{number:02}-{}", entry.table.0), input);
        }
    }
    inputs
}
