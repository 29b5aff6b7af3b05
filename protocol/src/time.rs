//! Moments: whole seconds on the chain, milliseconds inside a process.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01T00:00:00Z; the chain's resolution.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct UnixSeconds(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z; what clocks and readings carry.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The second this moment lies in (rounds down).
    #[must_use]
    pub fn seconds(self) -> UnixSeconds {
        UnixSeconds(self.0 / 1000)
    }

    /// This moment `ms` milliseconds later; stops at the end of the range.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 where `earlier` is later.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads an RFC 3339 date-time with any offset and fraction.
    ///
    /// # Errors
    /// `TimeError` where the text is no RFC 3339 date-time or lies before 1970.
    ///
    /// # Source
    /// OCPP 1.6, section 3.14 (time notations); RFC 3339, section 5.6.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        let refused = || TimeError(text.chars().take(40).collect());
        let timestamp = jiff::Timestamp::from_str(text).map_err(|_| refused())?;
        u64::try_from(timestamp.as_millisecond())
            .map(Self)
            .map_err(|_| refused())
    }
}

impl UnixSeconds {
    /// The first millisecond of this second.
    #[must_use]
    pub fn millis(self) -> UnixMillis {
        UnixMillis(self.0.saturating_mul(1000))
    }
}

/// A text that is no RFC 3339 date-time after 1970.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 date-time such as 2026-11-23T12:00:00Z")]
pub struct TimeError(String);

impl fmt::Display for UnixMillis {
    /// RFC 3339 in UTC, with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        match timestamp {
            Some(timestamp) => write!(f, "{timestamp:.3}"),
            None => write!(f, "{} ms after 1970", self.0),
        }
    }
}

impl fmt::Display for UnixSeconds {
    /// RFC 3339 in UTC, whole seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = i64::try_from(self.0)
            .ok()
            .and_then(|s| jiff::Timestamp::from_second(s).ok());
        match timestamp {
            Some(timestamp) => write!(f, "{timestamp:.0}"),
            None => write!(f, "{} s after 1970", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(
            UnixMillis::parse_rfc3339(text).ok().map(|t| t.0),
            expected,
            "{text}"
        );
    }

    #[test]
    fn every_offset_and_fraction_is_read() {
        check("1970-01-01T00:00:01Z", Some(1_000));
        check("1970-01-01T01:00:01.5+01:00", Some(1_500));
        check("1970-01-01T00:00:00.123456789Z", Some(123));
        check("1969-12-31T23:59:59Z", None);
        check("yesterday", None);
    }

    #[test]
    fn utc_is_written() {
        assert_eq!(UnixSeconds(1).to_string(), "1970-01-01T00:00:01Z");
        assert_eq!(UnixMillis(1_500).to_string(), "1970-01-01T00:00:01.500Z");
    }
}
