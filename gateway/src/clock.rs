//! The wall clock, stepped by what the provider says.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::UnixMillis;

/// The provider's clock is followed this far; beyond, a person is asked.
pub(crate) const MAX_STEP_MS: u64 = 5 * 60 * 1000;
/// A difference this small is how long the provider's answer was on its way; to follow it would set
/// a right clock back.
const ON_ITS_WAY_MS: u64 = 2_000;

/// This machine's clock, corrected by the provider's. Clones share the correction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    offset_ms: Arc<AtomicI64>,
}

/// The clock differs too much from the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this machine's clock is {off_min} min {side} the provider's; set it right (such as by \
     `timedatectl set-ntp true`), charges are kept until then"
)]
pub(crate) struct ClockOff {
    off_min: u64,
    side: &'static str,
}

impl Clock {
    pub(crate) fn now(&self) -> UnixMillis {
        let offset = self.offset_ms.load(Ordering::Relaxed);
        UnixMillis(machine_now().0.saturating_add_signed(offset))
    }

    /// Follows the provider's clock.
    pub(crate) fn follow(&self, provider: UnixMillis) -> Result<(), ClockOff> {
        let own = machine_now();
        let (off_ms, side) = match own < provider {
            true => (provider.since_ms(own), "behind"),
            false => (own.since_ms(provider), "ahead of"),
        };
        if off_ms > MAX_STEP_MS {
            // Half a minute either way is of no concern to whoever sets it right.
            let off_min = (off_ms + 30_000) / 60_000;
            return Err(ClockOff { off_min, side });
        }
        if off_ms <= ON_ITS_WAY_MS {
            self.offset_ms.store(0, Ordering::Relaxed);
            return Ok(());
        }
        let off = i64::try_from(off_ms).expect("it is below five minutes");
        let offset = if own < provider { off } else { -off };
        self.offset_ms.store(offset, Ordering::Relaxed);
        Ok(())
    }
}

fn machine_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    UnixMillis(u64::try_from(ms).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_on_its_way_sets_no_clock_back() {
        let clock = Clock::default();
        let before = clock.now();
        assert_eq!(clock.follow(UnixMillis(before.0 - 1_000)), Ok(()));
        assert!(clock.now() >= before);
    }

    #[test]
    fn the_providers_clock_is_followed_up_to_five_minutes() {
        let clock = Clock::default();
        let ahead = machine_now().plus_ms(MAX_STEP_MS - 5_000);
        assert_eq!(clock.follow(ahead), Ok(()));
        assert!(clock.now() >= ahead);
        let far = machine_now().plus_ms(MAX_STEP_MS + 5_000);
        let refused = clock.follow(far).expect_err("it is too far");
        assert_eq!(refused.side, "behind");
        assert!(clock.now() < far);
    }
}
