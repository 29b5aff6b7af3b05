//! Requests that wait for their turn, unit by unit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use super::{Fault, Request};

/// Requests that may wait for one unit.
pub const QUEUE: usize = 16;

/// The queues of all units.
#[derive(Debug, Default)]
pub(super) struct Queues {
    by_unit: Mutex<BTreeMap<u8, VecDeque<Request>>>,
    added: Notify,
}

impl Queues {
    /// Queues a request; the oldest are not pushed out by newer ones.
    pub(super) fn add(&self, request: Request) -> Result<(), Fault> {
        let mut by_unit = self.lock();
        let queue = by_unit.entry(request.ask.unit_id).or_default();
        queue.retain(is_awaited);
        if queue.len() >= QUEUE {
            return Err(Fault::Busy);
        }
        queue.push_back(request);
        drop(by_unit);
        self.added.notify_one();
        Ok(())
    }

    /// Waits for the next [`Queues::add`], or for one that nobody waited for.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    /// Units that ever asked.
    pub(super) fn units(&self) -> usize {
        self.lock().len()
    }

    /// The first request of each unit with any, from the unit after `last` on and around.
    ///
    /// `judge` is told each in turn until it takes one.
    pub(super) fn next<T>(
        &self,
        last: u8,
        mut judge: impl FnMut(&Request) -> Verdict<T>,
    ) -> Option<(Request, T)> {
        let mut by_unit = self.lock();
        let units: Vec<u8> = {
            let behind = by_unit.range(last.saturating_add(1)..);
            let before = by_unit.range(..=last);
            behind.chain(before).map(|(&unit, _)| unit).collect()
        };
        for unit in units {
            let queue = by_unit.get_mut(&unit)?;
            queue.retain(is_awaited);
            while let Some(request) = queue.front() {
                match judge(request) {
                    Verdict::Later => break,
                    Verdict::Take(with) => return queue.pop_front().map(|taken| (taken, with)),
                    Verdict::Refuse(fault) => {
                        if let Some(refused) = queue.pop_front() {
                            refused.answer(Err(fault));
                        }
                    }
                }
            }
        }
        None
    }

    /// Answers everything that waits with what `fault` makes.
    pub(super) fn refuse_all(&self, fault: impl Fn() -> Fault) {
        for queue in self.lock().values_mut() {
            for request in queue.drain(..) {
                request.answer(Err(fault()));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u8, VecDeque<Request>>> {
        self.by_unit.lock().expect("no holder of the lock panics")
    }
}

/// What becomes of a request.
pub(super) enum Verdict<T> {
    /// It is sent now.
    Take(T),
    /// It waits.
    Later,
    /// It is answered so, unsent.
    Refuse(Fault),
}

fn is_awaited(request: &Request) -> bool {
    !request.reply.is_closed()
}
