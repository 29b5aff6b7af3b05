//! A process: its machine while it runs, its disk, which outlives it, and its clock.

use std::sync::atomic::{AtomicBool, Ordering};

use ledger::store::{Machine, Store, StoreError, Watch, Write, drive};
use protocol::{UnixMillis, UnixSeconds};

/// When every run begins.
pub(crate) const BEGIN: UnixSeconds = UnixSeconds(1_800_000_000);

/// How a process dies in its next batch.
///
/// redb promises that a commit is there whole or not at all: it syncs the new pages, then the page
/// that points to them, and a checksum tells a torn pointer, after which the older one holds. So
/// the disk of a run forgets a whole batch or nothing of it; a crash while it syncs (`Torn`) leaves
/// either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doom {
    /// With the batch decided and not synced.
    BeforeSync,
    /// In the sync.
    Torn {
        /// Whether the batch is there afterwards.
        is_there: bool,
    },
    /// With the batch synced and nothing of it sent.
    AfterSync,
    /// With the batch synced and this percentage of its effects carried out.
    Midway(u8),
}

/// One thing for a machine to take in, with what its shell stores at the same time.
#[derive(Debug)]
pub(crate) struct Item<I> {
    pub(crate) input: Option<I>,
    pub(crate) writes: Vec<Write>,
    /// The shell's own business that rests on the sync.
    pub(crate) done: Option<Done>,
}

impl<I> Item<I> {
    pub(crate) fn input(input: I) -> Self {
        Self {
            input: Some(input),
            writes: Vec::new(),
            done: None,
        }
    }
}

/// What a gateway's shell does once something is synced; the number is the charge's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Lets the charge begin.
    Begun(usize),
    /// Answers the charger's stop message.
    Saved(usize),
    /// Tells who exchanged the meter of this outlet that the gateway knows.
    Exchanged(usize),
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Process<M: Machine> {
    pub(crate) machine: Option<M>,
    pub(crate) store: Store,
    /// Counts starts; what was planned for an earlier life is void.
    pub(crate) life: u32,
    pub(crate) inbox: Vec<Item<M::Input>>,
    pub(crate) is_scheduled: bool,
    /// How far its clock is off.
    pub(crate) skew_ms: i64,
    pub(crate) doom: Option<Doom>,
    /// How much longer a sync takes than usual.
    pub(crate) slow_ms: u64,
}

/// What a batch came to.
#[derive(Debug)]
pub(crate) struct Ran<E> {
    pub(crate) effects: Vec<E>,
    pub(crate) done: Vec<Done>,
    /// The process dies after so many of the effects.
    pub(crate) dies_after: Option<usize>,
}

impl<M: Machine> Process<M> {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            machine: None,
            store,
            life: 0,
            inbox: Vec::new(),
            is_scheduled: false,
            skew_ms: 0,
            doom: None,
            slow_ms: 0,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// The process's clock at the virtual moment `now`.
    pub(crate) fn clock(&self, now: u64) -> UnixMillis {
        let true_ms = BEGIN.millis().0 + now;
        UnixMillis(true_ms.saturating_add_signed(self.skew_ms))
    }

    pub(crate) fn start(&mut self, machine: M) {
        self.machine = Some(machine);
        self.life += 1;
        self.inbox.clear();
        self.is_scheduled = false;
    }

    /// Whatever was not synced is gone.
    pub(crate) fn kill(&mut self) {
        self.machine = None;
        self.doom = None;
        self.inbox.clear();
        self.is_scheduled = false;
    }

    /// Runs `count` items through the machine as one batch with one sync, as the engine does;
    /// `None` where the process dies before anything of it is durable.
    pub(crate) fn run(&mut self, now: u64, count: usize) -> Option<Ran<M::Effect>> {
        let clock = self.clock(now);
        let doom = self.doom.filter(|_| !self.inbox.is_empty());
        let is_lost = matches!(
            doom,
            Some(Doom::BeforeSync | Doom::Torn { is_there: false })
        );
        if is_lost {
            return None;
        }
        let (mut inputs, mut writes, mut done) = (Vec::new(), Vec::new(), Vec::new());
        for item in self.inbox.drain(..count) {
            inputs.extend(item.input);
            writes.extend(item.writes);
            done.extend(item.done);
        }
        let machine = self.machine.as_mut()?;
        let synced = Synced::default();
        let effects: Result<_, StoreError> =
            drive(machine, &self.store, clock, inputs, writes, &synced);
        let effects = effects.expect("memory does not refuse");
        let dies_after = doom
            .filter(|_| synced.0.load(Ordering::Relaxed))
            .map(|doom| match doom {
                Doom::Midway(percent) => effects.len() * usize::from(percent) / 100,
                _ => 0,
            });
        Some(Ran {
            effects,
            done,
            dies_after,
        })
    }
}

/// Whether a batch stored anything: a batch that did not has no moment to die at.
#[derive(Default)]
struct Synced(AtomicBool);

impl Watch for Synced {
    fn synced(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
