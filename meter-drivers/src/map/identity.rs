//! How a meter tells that it is the model, and which one of them.

use super::Register;
use crate::block::Block;
use crate::decode::RawValue;
use crate::map::RegisterSpace;

/// Where a value that is not measured is: a number or a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A number.
    Number(Register),
    /// Text, two bytes a register, the first letter in the upper byte.
    Text(Block),
}

/// A name or number that a meter gives itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where it is: a text or an integer.
    pub place: Place,
    /// Whether an integer is printed in hexadecimal digits (and so may be BCD), not in decimal.
    pub hexadecimal: bool,
}

/// A setting or identification that must hold for the map to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where it is.
    pub place: Place,
    /// What it may be.
    pub accept: Accept,
    /// What it is then, in words.
    pub meaning: String,
    /// How to make it so.
    pub remedy: String,
    /// Whether it holds for this model and no other, so that it tells which one is wired.
    pub names_model: bool,
}

/// What a probe accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// A number that is exactly one of these.
    Numbers(Vec<u64>),
    /// A text that begins with one of these.
    Beginnings(Vec<String>),
}

impl Place {
    /// The registers to read.
    #[must_use]
    pub fn block(self) -> Block {
        match self {
            Self::Number(register) => register.into(),
            Self::Text(block) => block,
        }
    }

    /// Table the registers are in.
    #[must_use]
    pub fn space(self) -> RegisterSpace {
        self.block().space
    }
}

impl Label {
    /// The text or number in `words`, the answer to its block; `None` where it was never set.
    ///
    /// Unset are an empty text, and 0 and all ones of a number.
    #[must_use]
    pub fn read(self, words: &[u16]) -> Option<String> {
        match self.place {
            Place::Text(_) => text(words).filter(|text| !text.is_empty()),
            Place::Number(register) => match register.bits(words) {
                0 => None,
                bits if bits == register.value_type.all_ones() => None,
                bits if self.hexadecimal => {
                    let digits = 4 * usize::from(register.width());
                    Some(format!("{bits:0digits$X}"))
                }
                bits => Some(bits.to_string()),
            },
        }
    }
}

impl Probe {
    /// Whether `words`, the answer to its block, are what the map needs.
    #[must_use]
    pub fn holds(&self, words: &[u16]) -> bool {
        match (&self.accept, self.place) {
            (Accept::Numbers(numbers), Place::Number(register)) => {
                RawValue::new(register.bits(words), register.value_type)
                    .is_ok_and(|value| numbers.iter().any(|&number| value.is_exactly(number)))
            }
            (Accept::Beginnings(beginnings), Place::Text(_)) => text(words).is_some_and(|text| {
                beginnings
                    .iter()
                    .any(|beginning| text.starts_with(beginning.as_str()))
            }),
            _ => false,
        }
    }
}

/// The text up to its first NUL, without blanks at its ends; `None` where it is erased memory.
///
/// What is not printable ASCII is shown by its number, so that no two texts look alike.
fn text(words: &[u16]) -> Option<String> {
    if words.iter().all(|&word| word == 0xFFFF) {
        return None;
    }
    let bytes = words.iter().flat_map(|word| word.to_be_bytes());
    let shown: String = bytes
        .take_while(|&byte| byte != 0)
        .flat_map(std::ascii::escape_default)
        .map(char::from)
        .collect();
    Some(shown.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{ValueType, WordOrder};

    fn number(value_type: ValueType) -> Place {
        Place::Number(Register {
            space: RegisterSpace::Holding,
            address: 0,
            value_type,
            word_order: WordOrder::MswFirst,
        })
    }

    fn letters(count: u16) -> Place {
        Place::Text(Block {
            space: RegisterSpace::Holding,
            start: 0,
            count,
        })
    }

    #[track_caller]
    fn check(place: Place, hexadecimal: bool, words: &[u16], expected: Option<&str>) {
        let label = Label { place, hexadecimal };
        assert_eq!(label.read(words).as_deref(), expected);
    }

    #[test]
    fn a_label_is_read_as_it_is_printed() {
        let u32 = number(ValueType::U32);
        check(u32, false, &[0x0141, 0x816A], Some("21070186"));
        check(u32, true, &[0x1809, 0x0012], Some("18090012"));
        check(u32, true, &[0x0009, 0x0012], Some("00090012"));
        check(letters(3), false, &[0x4142, 0x3132, 0x3300], Some("AB123"));
        check(letters(2), false, &[0x2041, 0x2020], Some("A"));
        check(letters(2), false, &[0x4109, 0x4100], Some("A\\tA"));
        check(letters(1), false, &[0x41FF], Some("A\\xff"));
    }

    #[test]
    fn what_was_never_set_is_no_label() {
        check(number(ValueType::U32), false, &[0, 0], None);
        check(number(ValueType::U32), true, &[0xFFFF, 0xFFFF], None);
        check(number(ValueType::U16), false, &[0xFFFF], None);
        check(letters(2), false, &[0, 0x4142], None);
        check(letters(2), false, &[0x2020, 0x2020], None);
        check(letters(2), false, &[0xFFFF, 0xFFFF], None);
    }

    #[test]
    fn a_probe_holds_for_what_it_accepts_alone() {
        let probe = |place, accept| Probe {
            place,
            accept,
            meaning: String::new(),
            remedy: String::new(),
            names_model: false,
        };
        let code = probe(number(ValueType::U16), Accept::Numbers(vec![70, 71]));
        assert!(code.holds(&[70]) && code.holds(&[71]) && !code.holds(&[72]));
        let order = probe(number(ValueType::F32), Accept::Numbers(vec![2141]));
        assert!(order.holds(&[0x4505, 0xD000]) && !order.holds(&[0xD000, 0x4505]));
        assert!(!order.holds(&[0x7FC0, 0]));
        let name = probe(letters(2), Accept::Beginnings(vec!["B23".to_owned()]));
        assert!(name.holds(&[0x4232, 0x3320]) && !name.holds(&[0x4232, 0x3420]));
    }
}
