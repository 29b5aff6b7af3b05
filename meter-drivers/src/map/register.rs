//! Place and type of one value, and its bits.

use serde::Deserialize;

/// Place and type of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Table the register is in, which decides the function code.
    pub space: RegisterSpace,
    /// Address on the wire, counted from 0.
    pub address: u16,
    /// What the words mean.
    pub value_type: ValueType,
    /// Which word comes first.
    pub word_order: WordOrder,
}

/// Modbus table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterSpace {
    /// Input registers, function code 4.
    Input,
    /// Holding registers, function code 3.
    Holding,
}

/// Type of a number in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// Unsigned integer in one register.
    U16,
    /// Unsigned integer in two registers.
    U32,
    /// Unsigned integer in three registers.
    U48,
    /// Unsigned integer in four registers.
    U64,
    /// Integer in one register, two's complement.
    I16,
    /// Integer in two registers, two's complement.
    I32,
    /// Integer in four registers, two's complement.
    I64,
    /// IEEE 754 binary32 in two registers.
    F32,
    /// IEEE 754 binary64 in four registers.
    F64,
    /// Iskra's unsigned measurement in two registers: a power of ten (8 bit, signed) in the upper
    /// byte, then 24 bits of an unsigned integer.
    T5,
    /// Iskra's signed measurement in two registers: as `T5`, with a signed integer of 24 bits.
    T6,
}

/// Which word of a value comes first; the bytes of a word are always big endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordOrder {
    /// Most significant word first.
    #[default]
    MswFirst,
    /// Least significant word first.
    LswFirst,
}

impl Register {
    /// Registers the value takes: 1 to 4.
    #[must_use]
    pub fn width(self) -> u16 {
        self.value_type.width()
    }

    /// The bits of a value sent as `words`, as many as the register is wide, right-aligned.
    #[must_use]
    pub fn bits(self, words: &[u16]) -> u64 {
        self.word_order.join(words)
    }
}

impl RegisterSpace {
    /// The function code that reads from here.
    ///
    /// # Source
    /// Modbus Application Protocol V1.1b3, sections 6.3 and 6.4.
    #[must_use]
    pub fn function_code(self) -> u8 {
        match self {
            Self::Holding => 3,
            Self::Input => 4,
        }
    }
}

impl ValueType {
    /// Registers the value takes: 1 to 4.
    #[must_use]
    pub fn width(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 | Self::T5 | Self::T6 => 2,
            Self::U48 => 3,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    /// The greatest bits of this width.
    #[must_use]
    pub fn all_ones(self) -> u64 {
        u64::MAX >> (64 - 16 * self.width())
    }

    /// Whether the bits are an integer, and nothing but one.
    #[must_use]
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F32 | Self::F64 | Self::T5 | Self::T6)
    }
}

impl WordOrder {
    /// The bits of a value of up to four `words`, right-aligned.
    #[must_use]
    pub fn join(self, words: &[u16]) -> u64 {
        let shift_in = |bits: u64, &word: &u16| bits << 16 | u64::from(word);
        match self {
            Self::MswFirst => words.iter().fold(0, shift_in),
            Self::LswFirst => words.iter().rev().fold(0, shift_in),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[u16], msw_first: u64, lsw_first: u64) {
        assert_eq!(WordOrder::MswFirst.join(words), msw_first);
        assert_eq!(WordOrder::LswFirst.join(words), lsw_first);
    }

    #[test]
    fn words_are_joined_in_either_order() {
        check(&[0x1234], 0x1234, 0x1234);
        check(&[0x4505, 0xD000], 0x4505_D000, 0xD000_4505);
        check(&[1, 2, 3], 0x0001_0002_0003, 0x0003_0002_0001);
        check(
            &[0x0123, 0x4567, 0x89AB, 0xCDEF],
            0x0123_4567_89AB_CDEF,
            0xCDEF_89AB_4567_0123,
        );
    }

    #[test]
    fn the_greatest_bits_fill_the_width() {
        assert_eq!(ValueType::U16.all_ones(), 0xFFFF);
        assert_eq!(ValueType::I32.all_ones(), 0xFFFF_FFFF);
        assert_eq!(ValueType::U48.all_ones(), 0xFFFF_FFFF_FFFF);
        assert_eq!(ValueType::F64.all_ones(), u64::MAX);
    }
}
