//! Which links with other gateways are up: with each at most one that it opened and one that we did.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::PublicKey;
use protocol::link::Link;

use super::MAX_HEADERS;

/// Who opened a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The other gateway.
    In,
    /// This one.
    Out,
}

/// Our end of a link; clones share it.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) link: Link,
    /// Names the link among all.
    pub(super) number: u64,
    // Headers that may still come for a question of ours.
    headers: Arc<AtomicU64>,
}

impl End {
    pub(super) fn new(link: Link, next: &AtomicU64) -> Self {
        Self {
            link,
            number: next.fetch_add(1, Ordering::Relaxed),
            headers: Arc::default(),
        }
    }

    /// A question for headers goes out.
    pub(super) fn expect_headers(&self) {
        self.headers.store(MAX_HEADERS, Ordering::Relaxed);
    }

    /// Whether the header that came is one of those asked for.
    pub(super) fn take_header(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        let taken = self
            .headers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok()
    }
}

#[derive(Debug, Default)]
struct Peer {
    incoming: Option<End>,
    outgoing: Option<End>,
}

impl Peer {
    fn of(&mut self, way: Way) -> &mut Option<End> {
        match way {
            Way::In => &mut self.incoming,
            Way::Out => &mut self.outgoing,
        }
    }

    fn is_down(&self) -> bool {
        self.incoming.is_none() && self.outgoing.is_none()
    }
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Links {
    peers: Mutex<HashMap<PublicKey, Peer>>,
    // Held while the node is told, so that it is told in the order in which it happened. The engine
    // never takes it.
    telling: Mutex<()>,
    opening: Mutex<HashMap<PublicKey, Arc<tokio::sync::Mutex<()>>>>,
}

impl Links {
    /// A link with this gateway, whoever opened it.
    pub(super) fn of(&self, key: &PublicKey) -> Option<End> {
        let peers = lock(&self.peers);
        let peer = peers.get(key)?;
        let ends = [&peer.outgoing, &peer.incoming].into_iter().flatten();
        let mut open = ends.filter(|end| !end.link.is_closed());
        open.next().cloned()
    }

    /// Adds a link; gives the one whose place it takes. `tell` is called with `true` where it is
    /// the only one, before anybody else can add or remove one.
    pub(super) fn put(
        &self,
        key: PublicKey,
        way: Way,
        end: End,
        tell: impl FnOnce(bool),
    ) -> Option<End> {
        let _in_order = lock(&self.telling);
        let mut peers = lock(&self.peers);
        let peer = peers.entry(key).or_default();
        let is_first = peer.is_down();
        let older = peer.of(way).replace(end);
        drop(peers);
        if is_first {
            tell(true);
        }
        older
    }

    /// Removes a link that is lost. `tell` is called with `false` where it was the last one.
    pub(super) fn remove(&self, key: &PublicKey, way: Way, number: u64, tell: impl FnOnce(bool)) {
        let _in_order = lock(&self.telling);
        if self.remove_now(key, way, number) {
            tell(false);
        }
    }

    fn remove_now(&self, key: &PublicKey, way: Way, number: u64) -> bool {
        let mut peers = lock(&self.peers);
        let Some(peer) = peers.get_mut(key) else {
            return false;
        };
        let end = peer.of(way);
        // A newer one may be in its place.
        if end.as_ref().is_some_and(|end| end.number == number) {
            *end = None;
        }
        let is_down = peer.is_down();
        if is_down {
            peers.remove(key);
        }
        is_down
    }

    /// What whoever opens a link to this gateway holds. The node remembers few, so this stays small.
    pub(super) fn opening(&self, key: PublicKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut opening = lock(&self.opening);
        // Nobody but this map has those that no task waits for.
        opening.retain(|_, one| Arc::strong_count(one) > 1);
        Arc::clone(opening.entry(key).or_default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No operation on the maps leaves them half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
