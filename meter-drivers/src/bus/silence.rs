//! How long a unit that did not answer is left alone.

use std::time::Duration;

use tokio::time::Instant;

/// After the first failure: a single frame is easily lost.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// After further ones, as long as [`BUDGET`] lasts.
const SECOND_DELAY: Duration = Duration::from_secs(2);
/// What a unit may cost its neighbours before it waits as long as [`steady_delay`] says.
const BUDGET: Duration = Duration::from_millis(1_900);
/// A silent unit takes at most one part in so many of the line.
const SHARE: u32 = 40;
/// The longest a unit that came back may go unnoticed.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// The same for a unit that has no neighbours to cost anything.
const LONGEST_DELAY_ALONE: Duration = Duration::from_secs(8);
/// The longest a caller waits for a unit's next turn.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// What a unit's failures in a row mean for its next request.
#[derive(Debug, Default)]
pub(super) struct Silence {
    failures: u32,
    /// What they cost the line together.
    spent: Duration,
    since: Option<Instant>,
    not_before: Option<Instant>,
}

/// When a unit may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    /// Soon enough to wait for.
    At(Instant),
    /// Not soon; it has been silent for so long.
    NotSoon {
        silent_for: Duration,
    },
}

impl Silence {
    /// When the unit may be asked.
    pub(super) fn turn(&self, now: Instant) -> Turn {
        match self.not_before {
            Some(moment) if moment > now + LONGEST_WAIT => Turn::NotSoon {
                silent_for: self.since.map_or(Duration::ZERO, |since| now - since),
            },
            Some(moment) if moment > now => Turn::At(moment),
            _ => Turn::Now,
        }
    }

    /// Notes an attempt from `began` to `now` that had no answer.
    pub(super) fn failed(&mut self, began: Instant, now: Instant, has_neighbours: bool) {
        let cost = now - began;
        self.failures = self.failures.saturating_add(1);
        self.spent += cost;
        self.since.get_or_insert(began);
        self.not_before = Some(now + self.delay(cost, has_neighbours));
    }

    /// Notes an answer.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    fn delay(&self, cost: Duration, has_neighbours: bool) -> Duration {
        let steady = steady_delay(cost, has_neighbours);
        match self.failures {
            _ if has_neighbours && self.spent + cost > BUDGET => steady,
            ..=1 => FIRST_DELAY,
            2 => SECOND_DELAY.min(steady),
            _ => steady,
        }
    }
}

fn steady_delay(cost: Duration, has_neighbours: bool) -> Duration {
    let longest = match has_neighbours {
        true => LONGEST_DELAY,
        false => LONGEST_DELAY_ALONE,
    };
    (cost * SHARE).clamp(FIRST_DELAY, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The delays after failures in a row that cost `cost_ms` each.
    #[track_caller]
    fn check(cost_ms: u64, has_neighbours: bool, expected_ms: &[u64]) {
        let cost = Duration::from_millis(cost_ms);
        let (mut silence, mut now) = (Silence::default(), Instant::now());
        for &expected in expected_ms {
            let began = now;
            now += cost;
            silence.failed(began, now, has_neighbours);
            let next = silence.not_before.expect("it failed");
            assert_eq!(next - now, Duration::from_millis(expected));
            now = next;
        }
    }

    #[test]
    fn neighbours_lose_less_than_two_seconds_and_then_a_fortieth() {
        check(100, true, &[250, 2_000, 4_000, 4_000]);
        check(500, true, &[250, 2_000, 20_000, 20_000]);
        check(900, true, &[250, 36_000, 36_000]);
        check(1_000, true, &[40_000, 40_000]);
        check(1_900, true, &[60_000, 60_000]);
    }

    #[test]
    fn a_unit_without_neighbours_is_asked_at_least_every_eight_seconds() {
        check(1_000, false, &[250, 2_000, 8_000, 8_000]);
        check(5, false, &[250, 250, 250]);
    }

    #[test]
    fn nobody_waits_long_for_what_is_known_to_be_silent() {
        let mut silence = Silence::default();
        let began = Instant::now();
        assert_eq!(silence.turn(began), Turn::Now);
        let now = began + Duration::from_secs(1);
        silence.failed(began, now, true);
        let silent_for = Duration::from_secs(1);
        assert_eq!(silence.turn(now), Turn::NotSoon { silent_for });
        let next = now + Duration::from_secs(40);
        assert_eq!(silence.turn(next - LONGEST_WAIT), Turn::At(next));
        assert_eq!(silence.turn(next), Turn::Now);
        silence.answered();
        assert_eq!(silence.turn(now), Turn::Now);
    }
}
