//! Who is killed where.

/// What a scene's processes are told about crashes when they start.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// Nobody crashes; all count their points.
    Count,
    /// One crashes once, at its first start.
    Once {
        /// Its name.
        victim: &'static str,
        /// Where; `None` once it was told.
        crash: Option<String>,
    },
    /// Whoever starts may crash somewhere.
    Random(Random),
}

impl Plan {
    /// What `server` is told at its next start.
    pub(crate) fn next(&mut self, server: &str) -> Option<String> {
        match self {
            Self::Count => Some("count".to_owned()),
            Self::Once { victim, crash } if *victim == server => crash.take(),
            Self::Once { .. } => None,
            Self::Random(random) => random.next(),
        }
    }
}

/// Crash points drawn from a seed.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
    left: u32,
}

/// Crash points that one run draws.
const CRASHES: u32 = 8;
/// A run has about so many syncs or sends in one process.
const POINTS: u64 = 35;

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            // Neighbouring seeds should not look alike; zero would stay zero.
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            left: CRASHES,
        }
    }

    fn next(&mut self) -> Option<String> {
        self.left = self.left.checked_sub(1)?;
        let number = 1 + self.draw() % POINTS;
        match self.draw() % 4 {
            0 => Some(format!("before-sync:{number}")),
            1 => Some(format!("after-sync:{number}")),
            _ => Some(format!("before-send:{number}")),
        }
    }

    /// # Source
    /// Marsaglia, "Xorshift RNGs" (2003), the 64-bit generator with shifts 13, 7, 17.
    fn draw(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        // The low bits are the weakest.
        self.state >> 20
    }
}
