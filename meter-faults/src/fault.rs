//! What can happen to an answer on its way.

use std::fmt;

use meter_drivers::Framing;

use crate::random::Random;

/// What happens to one request or its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The request does not arrive.
    RequestLost,
    /// The answer does not arrive.
    AnswerLost,
    /// The answer comes later, most often after it was given up; never before one asked for earlier.
    Late,
    /// The answer comes twice.
    Twice,
    /// Noise in its place.
    Noise,
    /// Noise, then the answer.
    NoiseBefore,
    /// The answer, and noise at once behind it.
    NoiseAfter,
    /// One to three bits are changed; on TCP, which guards its content, in the header only.
    Bits,
    /// Only its beginning comes.
    CutShort,
    /// Another unit's answer to the same request in its place.
    OtherUnit,
    /// Fewer registers, with a length and a checksum that fit.
    FewerRegisters,
    /// The connection ends in the middle of it.
    Disconnected,
    /// The connection ends in the middle of it, and the whole answer comes over the next one.
    DisconnectedLate,
    /// An answer from long ago in its place, or before it.
    VeryOld,
    /// A gateway gives it for the answer to the unit's next request, under that one's transaction id.
    MixedUp,
    /// It comes byte by byte.
    Crumbs,
}

const ON_BOTH: [Fault; 15] = [
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::Late,
    Fault::Late,
    Fault::Twice,
    Fault::Noise,
    Fault::NoiseBefore,
    Fault::NoiseAfter,
    Fault::Bits,
    Fault::CutShort,
    Fault::OtherUnit,
    Fault::FewerRegisters,
    Fault::VeryOld,
    Fault::VeryOld,
    Fault::Crumbs,
];
const ON_CONNECTIONS: [Fault; 2] = [Fault::Disconnected, Fault::DisconnectedLate];

impl Fault {
    /// One of those that can happen in `framing`.
    pub(crate) fn any(framing: Framing, random: &mut Random) -> Self {
        let mixed_up = match framing {
            Framing::Tcp => &[Self::MixedUp][..],
            // Where there is no transaction id, it is the same as a late answer.
            Framing::Rtu => &[],
        };
        let kinds = [&ON_BOTH[..], &ON_CONNECTIONS, mixed_up].concat();
        kinds[random.below(kinds.len())]
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestLost => "request lost",
            Self::AnswerLost => "answer lost",
            Self::Late => "answer late",
            Self::Twice => "answer twice",
            Self::Noise => "noise instead",
            Self::NoiseBefore => "noise before",
            Self::NoiseAfter => "noise after",
            Self::Bits => "bits changed",
            Self::CutShort => "cut short",
            Self::OtherUnit => "another unit's answer",
            Self::FewerRegisters => "fewer registers",
            Self::Disconnected => "disconnected in the middle",
            Self::DisconnectedLate => "disconnected, answer on the next connection",
            Self::VeryOld => "very old answer",
            Self::MixedUp => "mixed up by a gateway",
            Self::Crumbs => "byte by byte",
        })
    }
}
