//! Processor time of this thread: unlike the wall clock it does not count what other programs on
//! the machine take.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

fn now() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    Duration::from(now.expect("every Linux has this clock"))
}

/// Adds the processor time of `work` to `sum` and gives what it made.
pub(crate) fn charge<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let before = now();
    let made = work();
    *sum += now() - before;
    made
}
