//! Exact factors.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// An exact factor from a register's unit to ours; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    numerator: u64,
    denominator: u64,
}

/// What a scale may look like.
const ACCEPTED: &str =
    "above 0 and written as text: \"0.01\", \"1/100\" or \"10\", with at most nine digits a number";

impl Scale {
    /// Leaves the unit as it is.
    pub const ONE: Self = Self {
        numerator: 1,
        denominator: 1,
    };

    /// `numerator` / `denominator`; `None` if either is 0.
    #[must_use]
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        (numerator != 0 && denominator != 0).then_some(Self {
            numerator: numerator.into(),
            denominator: denominator.into(),
        })
    }

    /// What a register's value is multiplied with, below 2^64.
    #[must_use]
    pub fn numerator(self) -> u64 {
        self.numerator
    }

    /// What it is then divided by, below 2^64.
    #[must_use]
    pub fn denominator(self) -> u64 {
        self.denominator
    }

    /// Both factors in one.
    #[must_use]
    pub(crate) fn times(self, (numerator, denominator): (u32, u32)) -> Self {
        // Each is below 2^32 where it comes from a file or from `new`, and multiplied but once.
        Self {
            numerator: self.numerator * u64::from(numerator),
            denominator: self.denominator * u64::from(denominator),
        }
    }
}

impl FromStr for Scale {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.split_once('/') {
            Some((numerator, denominator)) => whole(numerator).zip(whole(denominator)),
            None => decimal(text),
        };
        parsed
            .and_then(|(numerator, denominator)| Self::new(numerator, denominator))
            .ok_or(ACCEPTED)
    }
}

/// Up to nine digits, which fit 32 bits.
fn whole(text: &str) -> Option<u32> {
    let is_whole = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_whole.then(|| text.parse().ok()).flatten()
}

/// "12.05" as 1205 and 100.
fn decimal(text: &str) -> Option<(u32, u32)> {
    let (integral, fractional) = text.split_once('.').unwrap_or((text, ""));
    if text.ends_with('.') || integral.is_empty() {
        return None;
    }
    let digits = whole(&format!("{integral}{fractional}"))?;
    let places = u32::try_from(fractional.len()).ok()?;
    Some((digits, 10_u32.checked_pow(places)?))
}

impl<'de> Deserialize<'de> for Scale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Scale;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a scale {ACCEPTED}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scale, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        // A TOML float would have been rounded to binary before it came here.
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u64, u64)>) {
        let found = text.parse::<Scale>().ok();
        assert_eq!(found.map(|s| (s.numerator(), s.denominator())), expected);
    }

    #[test]
    fn a_scale_is_read_exactly() {
        check("1", Some((1, 1)));
        check("1000", Some((1000, 1)));
        check("0.1", Some((1, 10)));
        check("0.0001", Some((1, 10_000)));
        check("12.05", Some((1205, 100)));
        check("1/3", Some((1, 3)));
        check("999999999/999999999", Some((999_999_999, 999_999_999)));
    }

    #[test]
    fn what_is_no_positive_number_is_no_scale() {
        for text in [
            "",
            "0",
            "0.0",
            "1/0",
            "0/1",
            "-1",
            "+1",
            "1e3",
            " 1",
            "1.",
            ".5",
            "1.2.3",
            "1/2/3",
            "1234567890",
            "0.0000000001",
            "a",
            "1/0.5",
            "٣",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_unit_is_multiplied_in() {
        let scale: Scale = "999999999".parse().expect("nine digits");
        let times = scale.times((1_000_000, 1));
        assert_eq!(times.numerator(), 999_999_999_000_000);
    }
}
