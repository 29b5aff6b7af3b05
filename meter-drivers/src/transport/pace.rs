//! How long bytes take on a serial line, and how long silence between frames lasts.

use std::time::Duration;

/// Bits of a character: start, eight of data, parity or a second stop bit, stop.
///
/// # Source
/// MODBUS over Serial Line V1.02, section 2.5.1.
const BITS_PER_CHARACTER: u64 = 11;
/// Above this rate the silence no longer shrinks.
const FIXED_ABOVE_BAUD: u32 = 19_200;
/// The silence between frames above [`FIXED_ABOVE_BAUD`].
///
/// # Source
/// MODBUS over Serial Line V1.02, section 2.5.1.1.
const FIXED_GAP: Duration = Duration::from_micros(1_750);

/// How fast a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Silence that ends a frame.
    pub gap: Duration,
    character: Duration,
}

impl Pace {
    /// A network's, beside which a meter's own time is long.
    pub(crate) const INSTANT: Self = Self {
        gap: Duration::ZERO,
        character: Duration::ZERO,
    };

    /// The pace of a serial line at `baud`: 3.5 characters of silence between frames, but 1.75 ms
    /// above 19,200 baud.
    ///
    /// # Panics
    /// At 0 baud.
    #[must_use]
    pub fn at(baud: u32) -> Self {
        let character = Duration::from_nanos(BITS_PER_CHARACTER * 1_000_000_000 / u64::from(baud));
        let gap = match baud {
            ..=FIXED_ABOVE_BAUD => character * 7 / 2,
            _ => FIXED_GAP,
        };
        Self { gap, character }
    }

    /// How long `bytes` take.
    #[must_use]
    pub fn time_of(self, bytes: usize) -> Duration {
        self.character * u32::try_from(bytes).expect("a frame has at most 260 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(baud: u32, gap_us: u128, request_us: u128) {
        let pace = Pace::at(baud);
        assert_eq!(pace.gap.as_micros(), gap_us, "at {baud} baud");
        assert_eq!(pace.time_of(8).as_micros(), request_us, "at {baud} baud");
    }

    #[test]
    fn silence_is_three_and_a_half_characters_up_to_19200_baud() {
        check(1_200, 32_083, 73_333);
        check(9_600, 4_010, 9_166);
        check(19_200, 2_005, 4_583);
        check(38_400, 1_750, 2_291);
        check(115_200, 1_750, 763);
    }
}
