//! Unit ids as they are written: `1-10,33,247`.

use std::str::FromStr;

/// Unit ids to ask, each once, in the order written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Units(Vec<u8>);

/// The ids that a meter may have.
///
/// # Source
/// MODBUS over Serial Line V1.02, section 2.2.
const FIRST: u8 = 1;
const LAST: u8 = 247;

impl Units {
    /// Every id that a meter may have.
    pub(crate) fn all() -> Self {
        Self((FIRST..=LAST).collect())
    }

    /// Those that most lines have enough with.
    pub(crate) fn first_32() -> Self {
        Self((FIRST..=32).collect())
    }

    /// One.
    pub(crate) fn one(unit: u8) -> Self {
        Self(vec![unit])
    }

    pub(crate) fn ids(&self) -> &[u8] {
        &self.0
    }

    /// The same ids, with those of `first` that are among them before the others.
    pub(crate) fn with_first(&self, first: &[u8]) -> (Vec<u8>, Vec<u8>) {
        self.0.iter().partition(|unit| first.contains(unit))
    }
}

impl FromStr for Units {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let accepted = || format!("write unit ids from {FIRST} to {LAST}, such as 1-10,33");
        let id = |text: &str| match text.trim().parse() {
            Ok(unit @ FIRST..=LAST) => Ok(unit),
            _ => Err(accepted()),
        };
        let mut units = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (id(first)?, id(last)?);
            if first > last {
                return Err(accepted());
            }
            units.extend(
                (first..=last)
                    .filter(|unit| !units.contains(unit))
                    .collect::<Vec<_>>(),
            );
        }
        Ok(Self(units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&[u8]>) {
        let found = text.parse::<Units>().ok();
        assert_eq!(found.as_ref().map(Units::ids), expected);
    }

    #[test]
    fn unit_ids_are_ranges_and_numbers() {
        check("7", Some(&[7]));
        check("1-3,33,2", Some(&[1, 2, 3, 33]));
        check("247", Some(&[247]));
        check("0", None);
        check("248", None);
        check("3-1", None);
        check("1-", None);
        check("", None);
        check("1,,2", None);
        assert_eq!(Units::all().ids().len(), 247);
    }
}
