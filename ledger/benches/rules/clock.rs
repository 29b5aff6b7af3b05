//! Processor time of this thread, which does not count what other programs on the machine take; and
//! the wall clock, where waiting for the disk counts.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

fn now(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::from(now.expect("every Linux has this clock"))
}

/// Adds the processor time of `work` to `sum` and gives what it made.
pub(crate) fn charge<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    add(ClockId::CLOCK_THREAD_CPUTIME_ID, sum, work)
}

/// The processor time of `work`.
pub(crate) fn spent(work: impl FnOnce()) -> Duration {
    let mut spent = Duration::ZERO;
    charge(&mut spent, work);
    spent
}

/// Adds the time that passes during `work` to `sum` and gives what it made.
pub(crate) fn pass<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    add(ClockId::CLOCK_MONOTONIC, sum, work)
}

fn add<T>(clock: ClockId, sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let before = now(clock);
    let made = work();
    *sum += now(clock) - before;
    made
}
