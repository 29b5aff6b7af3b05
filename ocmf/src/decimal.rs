//! Decimal numbers as meters write them: exact, with the decimal places they were given in.

use std::cmp::Ordering;
use std::fmt;

use protocol::EnergyWh;

/// The most significant digits, and the most decimal places, of a number that is read.
///
/// A meter that counts Wh for a million years needs fewer; within them no sum here overflows.
const MOST_DIGITS: usize = 16;

/// An exact number: `coefficient` ÷ 10^`decimals`.
///
/// `2935.600` keeps its three places: they say how finely the register counts.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    coefficient: i128,
    decimals: u8,
}

impl Decimal {
    /// The number `coefficient` ÷ 10^`decimals`; `None` beyond 16 digits or places.
    #[must_use]
    pub fn new(coefficient: i64, decimals: u8) -> Option<Self> {
        let most = 10_u64.pow(16);
        (coefficient.unsigned_abs() < most && usize::from(decimals) <= MOST_DIGITS).then_some(
            Self {
                coefficient: coefficient.into(),
                decimals,
            },
        )
    }

    /// Reads a number in JSON's notation.
    ///
    /// Blanks around it are skipped: DZG meters pad the number and write it as a text. `None` where
    /// it is no number, or one of more than 16 digits or places.
    ///
    /// # Source
    /// RFC 8259, section 6.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches(' ');
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent_of(exponent)?),
            None => (text, 0),
        };
        let (negative, digits) = match digits.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, digits),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (digits, ""),
        };
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leading_zero || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let significant = format!("{whole}{fraction}");
        let significant = significant.trim_start_matches('0');
        let places = i32::try_from(fraction.len()).ok()? - exponent;
        let surplus_zeros = places.min(0).unsigned_abs();
        if significant.len() + usize::try_from(surplus_zeros).ok()? > MOST_DIGITS {
            return None;
        }
        let decimals = u8::try_from(places.max(0)).ok()?;
        if usize::from(decimals) > MOST_DIGITS {
            return None;
        }
        let magnitude = match significant {
            "" => 0,
            digits => digits.parse::<i128>().ok()? * 10_i128.pow(surplus_zeros),
        };
        Some(Self {
            coefficient: if negative { -magnitude } else { magnitude },
            decimals,
        })
    }

    /// The exact value's numerator, over [`denominator`](Self::denominator).
    #[must_use]
    pub fn numerator(self) -> i128 {
        self.coefficient
    }

    /// The exact value's denominator, a power of ten.
    #[must_use]
    pub fn denominator(self) -> i128 {
        10_i128.pow(self.decimals.into())
    }

    /// How many decimal places it was given with.
    #[must_use]
    pub fn decimals(self) -> u8 {
        self.decimals
    }

    /// Whether it is below 0.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.coefficient < 0
    }

    /// The smallest change a number with these decimal places can show.
    #[must_use]
    pub fn step(self) -> Self {
        Self {
            coefficient: 1,
            ..self
        }
    }

    /// `self` × 1,000, with three decimal places fewer: kWh as Wh.
    #[must_use]
    pub(crate) fn thousandfold(self) -> Self {
        let places = self.decimals.min(3);
        Self {
            coefficient: self.coefficient * 10_i128.pow(u32::from(3 - places)),
            decimals: self.decimals - places,
        }
    }

    /// `self` − `other`, with the places of the one that has more.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let (own, others, decimals) = self.aligned(other);
        Self {
            coefficient: own - others,
            decimals,
        }
    }

    /// The value in Wh to the nearest whole Wh, halves up; `None` below 0 or beyond 64 bits.
    #[must_use]
    pub fn rounded_wh(self) -> Option<EnergyWh> {
        if self.is_negative() {
            return None;
        }
        let denominator = self.denominator();
        let nearest = (2 * self.coefficient + denominator) / (2 * denominator);
        u64::try_from(nearest).ok().map(EnergyWh)
    }

    /// Both coefficients at the same number of places. Below 10^(16 + 3 + 16) each: it fits.
    fn aligned(self, other: Self) -> (i128, i128, u8) {
        let decimals = self.decimals.max(other.decimals);
        let at =
            |number: Self| number.coefficient * 10_i128.pow((decimals - number.decimals).into());
        (at(self), at(other), decimals)
    }
}

/// `1.0` and `1.00` are the same number.
impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, others, _) = self.aligned(*other);
        own.cmp(&others)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative() { "-" } else { "" };
        let (magnitude, denominator) = (
            self.coefficient.unsigned_abs(),
            self.denominator().unsigned_abs(),
        );
        write!(f, "{sign}{}", magnitude / denominator)?;
        match usize::from(self.decimals) {
            0 => Ok(()),
            width => write!(f, ".{:0width$}", magnitude % denominator),
        }
    }
}

/// A JSON exponent of at most two digits; more digits are of no meter.
fn exponent_of(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let is_short = !digits.is_empty() && digits.len() <= 2 && all_digits(digits);
    is_short.then(|| digits.parse::<i32>().ok().map(|exponent| sign * exponent))?
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, u8)>) {
        let read = Decimal::parse(text).map(|number| (number.to_string(), number.decimals()));
        assert_eq!(
            read.as_ref().map(|(text, places)| (text.as_str(), *places)),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn a_number_keeps_its_decimal_places() {
        check("2935.600", Some(("2935.600", 3)));
        check("0", Some(("0", 0)));
        check("-0.5", Some(("-0.5", 1)));
        check("0.000", Some(("0.000", 3)));
        check("       9.038", Some(("9.038", 3)));
    }

    #[test]
    fn an_exponent_moves_the_point() {
        check("2.9356E3", Some(("2935.6", 1)));
        check("1e3", Some(("1000", 0)));
        check("25e-1", Some(("2.5", 1)));
        check("1E+2", Some(("100", 0)));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "", " ", "-", ".5", "5.", "05", "1,5", "0x10", "1e", "1e+", "1e100", "--1", "+1",
            "NaN", "1 2", "1e1.5", "٣",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn more_than_sixteen_digits_are_none() {
        check("9999999999999999", Some(("9999999999999999", 0)));
        check("10000000000000000", None);
        check("1e16", None);
        check("0.0000000000000001", Some(("0.0000000000000001", 16)));
        check("0.00000000000000001", None);
        check("1e-17", None);
    }

    #[test]
    fn kilowatt_hours_become_watt_hours() {
        let wh = |text| Decimal::parse(text).expect("a number").thousandfold();
        assert_eq!(wh("0.2597").to_string(), "259.7");
        assert_eq!(wh("2935.6").to_string(), "2935600");
        assert_eq!(wh("7").to_string(), "7000");
        assert_eq!(wh("0.2597").rounded_wh(), Some(EnergyWh(260)));
    }

    #[test]
    fn half_a_watt_hour_is_rounded_up() {
        let rounded = |text| Decimal::parse(text).expect("a number").rounded_wh();
        assert_eq!(rounded("0.49"), Some(EnergyWh(0)));
        assert_eq!(rounded("0.5"), Some(EnergyWh(1)));
        assert_eq!(rounded("-0.1"), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(coefficient in -1_000_000_000_i64..1_000_000_000, decimals in 0_u8..=16) {
            let number = Decimal::new(coefficient, decimals).expect("few digits");
            let again = Decimal::parse(&number.to_string()).expect("a number");
            prop_assert_eq!(again.numerator(), number.numerator());
            prop_assert_eq!(again.decimals(), decimals);
        }

        #[test]
        fn numbers_are_ordered_as_their_difference(
            a in -9_999_999_999_999_999_i64..=9_999_999_999_999_999, b in -9_999_999_999_999_999_i64..=9_999_999_999_999_999,
            places in 0_u8..=16, others in 0_u8..=16,
        ) {
            let (a, b) = (Decimal::new(a, places).expect("16 digits").thousandfold(),
                Decimal::new(b, others).expect("16 digits").thousandfold());
            prop_assert_eq!(a < b, a.minus(b).is_negative());
        }
    }
}
