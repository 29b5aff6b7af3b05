//! What is seen on the wire: every message between a node and the provider, and the chain that
//! follows from the blocks among them.
//!
//! [`Tap`] is the relay in between. What the demo tells about the protocol it has from here, not
//! from what the programs say about themselves.

mod chain;
mod message;
mod tap;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use tokio::sync::watch;

use crate::view::{Screen, Told};

pub(crate) use chain::{Chain, Refused};
pub(crate) use message::{Direction, Message, Seen};
pub(crate) use tap::{Tap, Upstream};

use chain::Taken;

/// How long anything may take before the demo says that it is not true.
const PATIENCE: Duration = Duration::from_secs(40);
/// Messages remembered; later ones are only counted. The story is over long before.
const REMEMBERED: usize = 50_000;

/// What went over one node's link.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// Everything seen so far.
pub(crate) struct Wire {
    screen: Arc<Screen>,
    log: Mutex<Log>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Log {
    number: usize,
    seen: Vec<Arc<Seen>>,
    chain: Option<Chain>,
    traffic: BTreeMap<String, Traffic>,
}

impl Wire {
    pub(crate) fn new(screen: Arc<Screen>) -> Self {
        Self {
            screen,
            log: Mutex::default(),
            changed: watch::Sender::default(),
        }
    }

    /// Takes a message in, before its receiver does.
    fn see(&self, node: &str, direction: Direction, message: Message, bytes: usize) {
        let mut log = self.log();
        let seen = Arc::new(Seen {
            number: log.number,
            node: node.to_owned(),
            direction,
            message,
        });
        log.number += 1;
        let traffic = log.traffic.entry(seen.node.clone()).or_default();
        traffic.messages += 1;
        traffic.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.screen.tell(&Told::Message(&seen));
        if let Some(genesis) = seen.genesis()
            && log.chain.is_none()
        {
            self.screen.tell(&Told::Chain(&genesis));
            log.chain = Some(Chain::new(genesis));
        }
        if let Some(block) = seen.block()
            && let Some(chain) = &mut log.chain
        {
            match chain.take(block) {
                Taken::New => self.screen.tell(&Told::Block(block)),
                Taken::Refused => self.screen.tell(&Told::RefusedBlock(block)),
                Taken::Known => {}
            }
        }
        if log.seen.len() < REMEMBERED {
            log.seen.push(seen);
        }
        drop(log);
        self.changed.send_replace(());
    }

    /// The number of the next message: [`Wire::find`] from here on sees only what comes later.
    pub(crate) fn now(&self) -> usize {
        self.log().number
    }

    /// How many messages from `from` on are such.
    pub(crate) fn count(&self, from: usize, is_such: impl Fn(&Seen) -> bool) -> usize {
        let log = self.log();
        let seen = log.seen.get(from..).unwrap_or_default();
        seen.iter().filter(|seen| is_such(seen)).count()
    }

    /// Waits for the first message from `from` on that `pick` takes.
    ///
    /// # Errors
    /// Where it does not come in time; `what` names it.
    pub(crate) async fn find<T>(
        &self,
        what: &str,
        from: usize,
        mut pick: impl FnMut(&Seen) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut next = from;
        self.until(what, || {
            let fresh = {
                let log = self.log();
                log.seen.get(next..).unwrap_or_default().to_vec()
            };
            next += fresh.len();
            fresh.iter().find_map(|seen| pick(seen))
        })
        .await
    }

    /// Waits until the chain is such that `look` finds something.
    ///
    /// # Errors
    /// Where that does not happen in time; `what` names it.
    pub(crate) async fn chain_has<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&Chain) -> Option<T>,
    ) -> anyhow::Result<T> {
        self.until(what, || self.log().chain.as_ref().and_then(&mut look))
            .await
    }

    /// Looks at the chain; `None` before anything was seen of it.
    pub(crate) fn chain<T>(&self, look: impl FnOnce(&Chain) -> T) -> Option<T> {
        self.log().chain.as_ref().map(look)
    }

    /// What went over a node's link.
    pub(crate) fn traffic(&self, node: &str) -> Traffic {
        self.log().traffic.get(node).copied().unwrap_or_default()
    }

    /// What went over all links.
    pub(crate) fn total(&self) -> Traffic {
        let log = self.log();
        let all = log.traffic.values();
        all.fold(Traffic::default(), |sum, link| Traffic {
            messages: sum.messages + link.messages,
            bytes: sum.bytes + link.bytes,
        })
    }

    async fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
        let mut changed = self.changed.subscribe();
        let looked = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = look() {
                    return found;
                }
                // The sender is ours; it cannot be gone.
                let _ = changed.changed().await;
            }
        };
        match tokio::time::timeout(PATIENCE, looked).await {
            Ok(found) => Ok(found),
            Err(_) => bail!("waited {} s in vain: {what}", PATIENCE.as_secs()),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // Nothing that holds it leaves it half done.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
