//! The transaction messages that the central system has not confirmed yet, in order.

use std::collections::{BTreeMap, VecDeque};

use protocol::{EnergyWh, IdTag, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{ChargeKey, Journal, JournalError};
use crate::session::{Observation, StopReason};

/// From this many waiting messages on no meter values are added; starts and stops always are.
///
/// # Source
/// OCPP 1.6, section 3.7.1: intermediate meter values may be dropped while offline.
const METER_VALUES_STOP: usize = 10_000;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    Start {
        charge: ChargeKey,
        connector: u32,
        id_tag: IdTag,
        at: UnixMillis,
        register: EnergyWh,
    },
    /// The central system's id for a charge; stays until the charge's stop is confirmed.
    Known {
        charge: ChargeKey,
        connector: u32,
        transaction_id: i32,
    },
    Meter {
        charge: ChargeKey,
        connector: u32,
        observation: Observation,
    },
    Stop {
        charge: ChargeKey,
        id_tag: Option<IdTag>,
        at: UnixMillis,
        register: EnergyWh,
        reason: StopReason,
        detail: Vec<Observation>,
    },
}

impl Entry {
    fn charge(&self) -> ChargeKey {
        match self {
            Self::Start { charge, .. }
            | Self::Known { charge, .. }
            | Self::Meter { charge, .. }
            | Self::Stop { charge, .. } => *charge,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Known {
    journal_id: u64,
    transaction_id: i32,
}

/// A charge that has begun and not ended.
#[derive(Clone, Copy, Debug)]
struct Running {
    connector: u32,
    last_sample: UnixMillis,
}

pub(super) struct Queue<J> {
    journal: J,
    waiting: VecDeque<(u64, Entry)>,
    known: BTreeMap<ChargeKey, Known>,
    running: BTreeMap<ChargeKey, Running>,
}

impl<J: Journal> Queue<J> {
    pub(super) async fn load(mut journal: J) -> Result<Self, JournalError> {
        let entries = journal.load().await?;
        let mut queue = Self {
            journal,
            waiting: VecDeque::new(),
            known: BTreeMap::new(),
            running: BTreeMap::new(),
        };
        for (id, text) in entries {
            let entry = serde_json::from_str(&text)
                .map_err(|source| JournalError::Unreadable { id, source })?;
            queue.take_in(id, entry);
        }
        queue.drop_confirmed_starts().await?;
        Ok(queue)
    }

    fn take_in(&mut self, journal_id: u64, entry: Entry) {
        match &entry {
            Entry::Start {
                charge,
                connector,
                at,
                ..
            } => {
                let (connector, last_sample) = (*connector, *at);
                self.running.insert(
                    *charge,
                    Running {
                        connector,
                        last_sample,
                    },
                );
            }
            Entry::Known {
                charge,
                connector,
                transaction_id,
            } => {
                let (connector, transaction_id) = (*connector, *transaction_id);
                self.known.insert(
                    *charge,
                    Known {
                        journal_id,
                        transaction_id,
                    },
                );
                // Written after a start that is confirmed. If the stop is known too, it came first
                // or will follow; only the latter ends the charge here.
                if !self.has_stop(*charge) {
                    self.running.entry(*charge).or_insert(Running {
                        connector,
                        last_sample: UnixMillis(0),
                    });
                }
                return;
            }
            Entry::Meter {
                charge,
                observation,
                ..
            } => {
                if let Some(running) = self.running.get_mut(charge) {
                    running.last_sample = running.last_sample.max(observation.at);
                }
            }
            Entry::Stop { charge, .. } => {
                self.running.remove(charge);
            }
        }
        self.waiting.push_back((journal_id, entry));
    }

    /// A crash between confirming a start and forgetting it leaves both entries.
    async fn drop_confirmed_starts(&mut self) -> Result<(), JournalError> {
        let confirmed = |entry: &Entry| matches!(entry, Entry::Start { charge, .. } if self.known.contains_key(charge));
        let (done, waiting) = self
            .waiting
            .drain(..)
            .partition(|(_, entry)| confirmed(entry));
        self.waiting = waiting;
        let done: VecDeque<(u64, Entry)> = done;
        for (id, _) in done {
            self.journal.remove(id).await?;
        }
        Ok(())
    }

    fn has_start(&self, charge: ChargeKey) -> bool {
        self.known.contains_key(&charge)
            || self.waiting.iter().any(
                |(_, entry)| matches!(entry, Entry::Start { charge: other, .. } if *other == charge),
            )
    }

    fn has_stop(&self, charge: ChargeKey) -> bool {
        self.waiting.iter().any(
            |(_, entry)| matches!(entry, Entry::Stop { charge: other, .. } if *other == charge),
        )
    }

    async fn append(&mut self, entry: Entry) -> Result<(), JournalError> {
        let text = serde_json::to_string(&entry).expect("entries are plain data");
        let id = self.journal.append(text).await?;
        self.take_in(id, entry);
        Ok(())
    }

    /// Queues a start or a stop; one that is known already changes nothing.
    pub(super) async fn push(&mut self, entry: Entry) -> Result<(), JournalError> {
        let charge = entry.charge();
        let repeated = match &entry {
            Entry::Start { .. } => self.has_start(charge),
            Entry::Stop { .. } => !self.running.contains_key(&charge),
            Entry::Known { .. } | Entry::Meter { .. } => false,
        };
        if repeated {
            tracing::debug!(charge = charge.0, "repeated report");
            return Ok(());
        }
        self.append(entry).await
    }

    /// Queues a sample of the charge at `connector`, where one runs and `interval_ms` have passed
    /// since the last one.
    pub(super) async fn sample(
        &mut self,
        connector: u32,
        observation: Observation,
        interval_ms: u64,
    ) -> Result<(), JournalError> {
        let Some((&charge, running)) = self
            .running
            .iter()
            .find(|(_, running)| running.connector == connector)
        else {
            return Ok(());
        };
        let is_due = observation.at.since_ms(running.last_sample) >= interval_ms;
        if !is_due || self.waiting.len() >= METER_VALUES_STOP {
            return Ok(());
        }
        self.append(Entry::Meter {
            charge,
            connector,
            observation,
        })
        .await
    }

    pub(super) fn head(&self) -> Option<&Entry> {
        self.waiting.front().map(|(_, entry)| entry)
    }

    /// The central system has opened the transaction of the start at the head.
    pub(super) async fn confirm_start(
        &mut self,
        transaction_id: i32,
    ) -> Result<Option<ChargeKey>, JournalError> {
        let Some(&Entry::Start {
            charge, connector, ..
        }) = self.head()
        else {
            return Ok(None);
        };
        // First known, then forgotten: a crash in between repeats nothing.
        self.append(Entry::Known {
            charge,
            connector,
            transaction_id,
        })
        .await?;
        self.drop_head().await?;
        Ok(Some(charge))
    }

    /// The message at the head is confirmed, or given up.
    pub(super) async fn drop_head(&mut self) -> Result<(), JournalError> {
        let Some((id, entry)) = self.waiting.pop_front() else {
            return Ok(());
        };
        // The id first: without its stop it would be taken for a charge that still runs.
        if let Entry::Stop { charge, .. } = entry
            && let Some(known) = self.known.remove(&charge)
        {
            self.journal.remove(known.journal_id).await?;
        }
        self.journal.remove(id).await
    }

    pub(super) fn transaction_id(&self, charge: ChargeKey) -> Option<i32> {
        self.known.get(&charge).map(|known| known.transaction_id)
    }

    /// The running charge that the central system calls `transaction_id`.
    pub(super) fn running_charge(&self, transaction_id: i32) -> Option<ChargeKey> {
        self.running
            .keys()
            .copied()
            .find(|charge| self.transaction_id(*charge) == Some(transaction_id))
    }

    /// The transaction that runs at `connector`, as far as the central system knows it.
    pub(super) fn transaction_at(&self, connector: u32) -> Option<i32> {
        self.running
            .iter()
            .find(|(_, running)| running.connector == connector)
            .and_then(|(charge, _)| self.transaction_id(*charge))
    }

    /// True where no charge runs and nothing waits to be said.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests;
