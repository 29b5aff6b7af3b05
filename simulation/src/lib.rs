//! The simulator: the real state machines of node and provider in virtual time, on disks that
//! forget and wires that break, among liars, with every promise checked at every step.
//!
//! A run depends on its seed alone: no clock, no threads, one source of chance. The same seed gives
//! the same events and so the same trace hash, on every machine.
//!
//! Files to meet first: `scenario` (what a seed stands for), `world` (the loop that moves time),
//! `lies` (who lies how), `check` (what must hold). `docs/simulation.md` says what is modelled.
#![warn(missing_docs)]

mod changes;
mod check;
mod describe;
mod faults;
mod lies;
mod occurrences;
mod process;
mod queue;
mod random;
mod scenario;
mod tally;
mod trace;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use check::Violation;
pub use occurrences::{missing, unlisted};
use protocol::Hash;
use scenario::Scenario;
pub use tally::Tally;
use trace::Trace;
use world::World;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// SHA-256 over every event.
    pub trace: Hash,
    /// Events.
    pub steps: u64,
    /// How often each fault and each lie occurred.
    pub tally: Tally,
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// The last events before it.
    pub last: Vec<String>,
}

/// Runs one seed; prints every event where `is_printed`.
#[must_use]
pub fn simulate(seed: u64, is_printed: bool) -> Outcome {
    let mut world = World::new(seed, Scenario::of(seed), Trace::new(is_printed));
    // A machine that panics is a finding like any other; the world is only looked at afterwards.
    let run = catch_unwind(AssertUnwindSafe(|| world.run_to_the_end()));
    let steps = run.unwrap_or_else(|panic| {
        world.checks.violated("rules never panic", &words(&*panic));
        0
    });
    Outcome {
        seed,
        trace: world.trace.hash(),
        steps,
        last: match world.checks.violation {
            Some(_) => world.trace.last(),
            None => Vec::new(),
        },
        tally: world.tally,
        violation: world.checks.violation,
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_story() {
        for seed in 0..9 {
            let (first, second) = (simulate(seed, false), simulate(seed, false));
            assert_eq!((first.trace, first.steps), (second.trace, second.steps));
            assert_eq!(first.tally, second.tally);
        }
        assert_ne!(simulate(0, false).trace, simulate(3, false).trace);
    }

    #[test]
    fn what_is_counted_is_listed() {
        let mut tally = Tally::default();
        for seed in 0..60 {
            tally.add(&simulate(seed, false).tally);
        }
        assert_eq!(unlisted(&tally), [""; 0]);
    }
}
