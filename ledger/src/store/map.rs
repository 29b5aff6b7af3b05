//! A store in plain memory, for simulators that open thousands a minute: a batch is there whole or
//! not at all, as with redb, and nothing else of redb is in the way.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Table, Write};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Entries by table and key.
#[derive(Debug, Default)]
pub(super) struct Map(Mutex<BTreeMap<&'static str, Entries>>);

impl Map {
    fn tables(&self) -> MutexGuard<'_, BTreeMap<&'static str, Entries>> {
        // No code of ours runs while it is locked, so a batch is never half there.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn commit(&self, writes: &[Write]) {
        let mut tables = self.tables();
        for write in writes {
            let entries = tables.entry(write.table.0).or_default();
            match &write.value {
                Some(value) => entries.insert(write.key.clone(), value.clone()),
                None => entries.remove(&write.key),
            };
        }
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.tables().get(table.0)?.get(key).cloned()
    }

    pub(super) fn entries(&self, table: Table) -> Entries {
        self.tables().get(table.0).cloned().unwrap_or_default()
    }

    pub(super) fn copy(&self) -> Self {
        Self(Mutex::new(self.tables().clone()))
    }
}
