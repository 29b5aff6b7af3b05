//! The northbound transaction queue, in the gateway's one store.

use std::sync::Arc;

use ledger::node::Node;
use ledger::store::{Engine, Stopped, Store, Table, Write};
use ocpp_bridge::v16::charge_point::{Journal, JournalError};
use tokio::sync::oneshot;

const JOURNAL: Table = Table("northbound");

/// The queue of one charge point. Its keys begin with the charge point's identity.
#[derive(Debug)]
pub(crate) struct StoreJournal {
    engine: Engine<Node>,
    store: Arc<Store>,
    prefix: Vec<u8>,
    next: u64,
}

impl StoreJournal {
    pub(crate) fn new(engine: Engine<Node>, store: Arc<Store>, charge_point: &str) -> Self {
        let prefix = [charge_point.as_bytes(), &[0]].concat();
        Self {
            engine,
            store,
            prefix,
            next: 0,
        }
    }

    fn key(&self, id: u64) -> Vec<u8> {
        [self.prefix.as_slice(), &id.to_be_bytes()].concat()
    }

    async fn durably(&self, write: Write) -> Result<(), JournalError> {
        let (done, stored) = oneshot::channel();
        let sent = self.engine.durably(vec![write], Vec::new(), move || {
            // Whoever waited may be gone; what was stored stays stored.
            let _ = done.send(());
        });
        sent.map_err(failed)?;
        stored.await.map_err(|_| failed(Stopped))
    }
}

fn failed(source: impl std::error::Error + Send + Sync + 'static) -> JournalError {
    JournalError::Store(Box::new(source))
}

impl Journal for StoreJournal {
    async fn append(&mut self, entry: String) -> Result<u64, JournalError> {
        self.next += 1;
        self.durably(Write::put(JOURNAL, self.key(self.next), &entry))
            .await?;
        Ok(self.next)
    }

    async fn load(&mut self) -> Result<Vec<(u64, String)>, JournalError> {
        let mut entries = Vec::new();
        let prefix = self.prefix.clone();
        let read = self.store.for_each(JOURNAL, |key, entry: String| {
            let id = key.strip_prefix(prefix.as_slice());
            if let Some(id) = id.and_then(|id| id.try_into().ok()) {
                entries.push((u64::from_be_bytes(id), entry));
            }
        });
        read.map_err(failed)?;
        self.next = entries.last().map_or(0, |(id, _)| *id);
        Ok(entries)
    }

    async fn remove(&mut self, id: u64) -> Result<(), JournalError> {
        self.durably(Write::delete(JOURNAL, self.key(id))).await
    }
}
