//! When the recording shows what: as the run did, but nobody waits for long.

use std::time::Duration;

/// A longer pause is cut to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
/// If the run is longer all the same, because it prints all the time, all of it is shown faster.
const LONGEST_PLAY: Duration = Duration::from_secs(35);

/// The times at which chunks that were each printed after a wait are shown, from the start.
pub(crate) fn play_times(waits: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<Duration> = waits
        .scan(Duration::ZERO, |time, wait| {
            *time += wait.min(LONGEST_PAUSE);
            Some(*time)
        })
        .collect();
    let end = times.last().copied().unwrap_or_default();
    if end > LONGEST_PLAY {
        let factor = LONGEST_PLAY.div_duration_f64(end);
        for time in &mut times {
            *time = time.mul_f64(factor);
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(waits_ms: &[u64], expected_ms: &[u128]) {
        let times = play_times(waits_ms.iter().copied().map(Duration::from_millis));
        let times: Vec<_> = times.iter().map(Duration::as_millis).collect();
        assert_eq!(times, expected_ms);
    }

    #[test]
    fn only_pauses_that_are_too_long_are_cut() {
        check(&[10, 1_500, 90_000, 200], &[10, 1_510, 3_010, 3_210]);
    }

    #[test]
    fn a_run_that_never_pauses_is_shown_faster_from_start_to_end() {
        let times = play_times(std::iter::repeat_n(Duration::from_millis(500), 140));
        assert_eq!(times[69], Duration::from_millis(17_500));
        assert_eq!(times[139], Duration::from_secs(35));
    }

    #[test]
    fn nothing_takes_no_time() {
        check(&[], &[]);
    }
}
