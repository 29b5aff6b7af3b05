//! Where transaction messages wait until they are confirmed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// A durable list of short JSON texts, in order.
pub trait Journal: Send + 'static {
    /// Adds an entry and names it; durable when it returns. Ids rise.
    fn append(&mut self, entry: String) -> impl Future<Output = Result<u64, JournalError>> + Send;

    /// All entries, oldest first.
    fn load(&mut self) -> impl Future<Output = Result<Vec<(u64, String)>, JournalError>> + Send;

    /// Drops an entry.
    fn remove(&mut self, id: u64) -> impl Future<Output = Result<(), JournalError>> + Send;
}

/// The journal failed; nothing more may be reported as done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The store behind it.
    #[error("the journal of transaction messages cannot be read or written")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An entry of a newer version, or a damaged one.
    #[error("entry {id} of the journal cannot be read; was it written by a newer version?")]
    Unreadable {
        /// Which.
        id: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// A journal in memory, for simulated chargers and tests; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    entries: Arc<Mutex<(u64, BTreeMap<u64, String>)>>,
}

impl MemoryJournal {
    /// How many entries wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|(_, entries)| entries.len())
    }

    /// True where nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, act: impl FnOnce(&mut (u64, BTreeMap<u64, String>)) -> T) -> T {
        // Every change is one call on the map, so a panic elsewhere leaves it whole.
        act(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Journal for MemoryJournal {
    async fn append(&mut self, entry: String) -> Result<u64, JournalError> {
        Ok(self.with(|(last, entries)| {
            *last += 1;
            entries.insert(*last, entry);
            *last
        }))
    }

    async fn load(&mut self) -> Result<Vec<(u64, String)>, JournalError> {
        Ok(self.with(|(_, entries)| {
            entries
                .iter()
                .map(|(id, entry)| (*id, entry.clone()))
                .collect()
        }))
    }

    async fn remove(&mut self, id: u64) -> Result<(), JournalError> {
        self.with(|(_, entries)| entries.remove(&id));
        Ok(())
    }
}
