//! Waiting for what another process does: look, pause, look again, give up.

use std::time::{Duration, Instant};

/// How long anything may take before a test says that it does not happen.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(30);

/// Looks until there is something, and gives it.
///
/// # Panics
/// After a minute without it.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "waited {PATIENCE:?} in vain: {what}"
        );
        std::thread::sleep(GLANCE);
    }
}

/// Whether `look` becomes true in that time; for what must not happen.
pub fn is_true_within(time: Duration, mut look: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if look() {
            return true;
        }
        std::thread::sleep(GLANCE);
    }
    false
}
