//! When what failed may be tried again.

use std::time::Duration;

use tokio::time::Instant;

/// The wait after a first failure; it doubles with every further one.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// The longest wait is 8 s: how late a line that came back may be noticed.
const MOST_DOUBLINGS: u32 = 5;

/// When a line may be opened again.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
    not_before: Option<Instant>,
}

impl Retry {
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    pub(crate) fn failed(&mut self) {
        self.not_before = Some(Instant::now() + retry_delay(self.failures));
        self.failures = self.failures.saturating_add(1);
    }
}

/// The delay after a failure that `earlier` others went before.
fn retry_delay(earlier: u32) -> Duration {
    FIRST_RETRY * (1 << earlier.min(MOST_DOUBLINGS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(earlier: u32, expected_ms: u64) {
        assert_eq!(retry_delay(earlier), Duration::from_millis(expected_ms));
    }

    #[test]
    fn the_delay_doubles_up_to_eight_seconds() {
        check(0, 250);
        check(1, 500);
        check(4, 4_000);
        check(5, 8_000);
        check(u32::MAX, 8_000);
    }
}
