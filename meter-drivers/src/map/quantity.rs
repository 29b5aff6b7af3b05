//! One measurand's registers, and its value from their words.

use protocol::{EnergyWh, PowerW};

use super::{Measurand, Register, Scale};
use crate::block::Block;
use crate::decode::{Exact, NoNumber, RawValue};

/// Where a measurand is, and how its registers become a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// What it measures.
    pub measurand: Measurand,
    /// The register with the value.
    pub register: Register,
    /// Counters to add to it: tariffs, where a model has no total.
    pub plus: Vec<Register>,
    /// From the register's unit to Wh, W, V, A, Hz or 1.
    pub scale: Scale,
    /// A register with a power of ten that the value is multiplied with too.
    pub power_of_ten: Option<Register>,
    /// Bits by which the model says that there is no value.
    pub no_value: Vec<u64>,
    /// The count at which the register starts at 0 again, in its own unit.
    pub modulus: Option<u64>,
    /// Whether some devices of this model lack the register.
    pub optional: bool,
}

/// An energy register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Energy {
    /// The register in whole Wh (nearest; halves up).
    pub register: EnergyWh,
    /// The smallest change the register could show at this magnitude, in mWh, rounded up.
    pub resolution_mwh: u64,
    /// The energy at which it starts at 0 again, in Wh (nearest); `None` where nobody knows.
    pub rollover_wh: Option<u64>,
}

impl Quantity {
    /// All registers the value is made of.
    pub fn registers(&self) -> impl Iterator<Item = Register> {
        std::iter::once(self.register)
            .chain(self.plus.iter().copied())
            .chain(self.power_of_ten)
    }

    /// The registers to read at once, from the first to the last.
    ///
    /// A value and its scale of different moments would make another value. All registers of a
    /// quantity are of one space, which the map was checked for.
    #[must_use]
    pub fn block(&self) -> Block {
        self.registers()
            .map(Block::from)
            .reduce(Block::and)
            .expect("there is always the register itself")
    }

    /// The exact value in `words`, the answer to `block`.
    ///
    /// # Errors
    /// `NotAnswered` where `block` does not hold the whole quantity, and whatever the registers say.
    pub fn exact(&self, block: Block, words: &[u16]) -> Result<Exact, NoNumber> {
        let power_of_ten = match self.power_of_ten {
            Some(register) => number(register, &[], block, words)
                .and_then(RawValue::power_of_ten)
                .map_err(|no_number| match no_number {
                    NoNumber::NotAnswered => no_number,
                    _ => NoNumber::NoScale,
                })?,
            None => 0,
        };
        let exact = |register| {
            number(register, &self.no_value, block, words)
                .map(|raw| raw.exact(self.scale, power_of_ten))
        };
        self.plus
            .iter()
            .try_fold(exact(self.register)?, |sum, &more| sum.plus(&exact(more)?))
    }

    /// The energy in `words`, the answer to `block`.
    ///
    /// # Errors
    /// As [`Self::exact`], `Negative` and `TooLarge`.
    pub fn energy(&self, block: Block, words: &[u16]) -> Result<Energy, NoNumber> {
        let (register, resolution_mwh) = self.exact(block, words)?.energy()?;
        let rollover_wh = match (self.modulus, self.power_of_ten) {
            (None, _) => None,
            (Some(modulus), scale) => {
                let power_of_ten = match scale {
                    Some(register) => number(register, &[], block, words)?.power_of_ten()?,
                    None => 0,
                };
                let full = RawValue::integer(modulus).exact(self.scale, power_of_ten);
                // Beyond 64 bits no meter gets there.
                full.energy().ok().map(|(energy, _)| energy.0)
            }
        };
        Ok(Energy {
            register,
            resolution_mwh,
            rollover_wh,
        })
    }

    /// The power drawn in `words`, the answer to `block`; 0 while the meter exports.
    ///
    /// # Errors
    /// As [`Self::exact`], and `TooLarge`.
    pub fn power(&self, block: Block, words: &[u16]) -> Result<PowerW, NoNumber> {
        self.exact(block, words)?.power()
    }

    /// The value in `words`, the answer to `block`, in thousandths of the measurand's unit.
    ///
    /// # Errors
    /// As [`Self::exact`], and `TooLarge`.
    pub fn thousandths(&self, block: Block, words: &[u16]) -> Result<i64, NoNumber> {
        self.exact(block, words)?.thousandths()
    }
}

fn number(
    register: Register,
    no_value: &[u64],
    block: Block,
    words: &[u16],
) -> Result<RawValue, NoNumber> {
    let words = block
        .words_of(register, words)
        .ok_or(NoNumber::NotAnswered)?;
    let bits = register.bits(words);
    if no_value.contains(&bits) {
        return Err(NoNumber::NoValue);
    }
    RawValue::new(bits, register.value_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{RegisterSpace, ValueType, WordOrder};

    fn register(address: u16, value_type: ValueType) -> Register {
        Register {
            space: RegisterSpace::Input,
            address,
            value_type,
            word_order: WordOrder::MswFirst,
        }
    }

    /// A counter at 10, its power of ten at 13, in hundredths of a Wh.
    fn counter() -> Quantity {
        Quantity {
            measurand: Measurand::EnergyImport,
            register: register(10, ValueType::U32),
            plus: Vec::new(),
            scale: Scale::new(1, 100).expect("not zero"),
            power_of_ten: Some(register(13, ValueType::I16)),
            no_value: vec![0xFFFF_FFFF],
            modulus: Some(1 << 32),
            optional: false,
        }
    }

    #[track_caller]
    fn check(words: [u16; 4], expected: Result<(u64, u64, Option<u64>), NoNumber>) {
        let quantity = counter();
        let found = quantity.energy(quantity.block(), &words);
        let found = found.map(|e| (e.register.0, e.resolution_mwh, e.rollover_wh));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_value_and_its_scale_come_from_one_answer() {
        let block = counter().block();
        assert_eq!((block.start, block.count), (10, 4));
        check([0, 1_250, 7, 0], Ok((13, 10, Some(42_949_673))));
        check([0, 1_250, 7, 2], Ok((1_250, 1_000, Some(4_294_967_296))));
        check([0, 1_250, 7, 0xFFFF], Ok((1, 1, Some(4_294_967))));
    }

    #[test]
    fn a_marker_and_a_missing_scale_are_no_number() {
        check([0xFFFF, 0xFFFF, 7, 0], Err(NoNumber::NoValue));
        check([0, 1, 7, 0x8000], Err(NoNumber::NoScale));
        check([0, 1, 7, 11], Err(NoNumber::NoScale));
        check([0, 1, 7, 0xFFF5], Err(NoNumber::NoScale));
        let quantity = counter();
        let block = Block {
            count: 2,
            ..quantity.block()
        };
        let found = quantity.energy(block, &[0, 1]);
        assert_eq!(found, Err(NoNumber::NotAnswered));
    }

    #[test]
    fn tariffs_are_added_exactly() {
        let quantity = Quantity {
            register: register(0, ValueType::F64),
            plus: vec![register(4, ValueType::F64)],
            scale: Scale::ONE,
            power_of_ten: None,
            no_value: Vec::new(),
            modulus: None,
            ..counter()
        };
        let wh = |first: f64, second: f64| {
            let bits = [first.to_bits(), second.to_bits()];
            let words: Vec<u16> = bits
                .iter()
                .flat_map(|bits| bits.to_be_bytes())
                .collect::<Vec<u8>>()
                .chunks(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect();
            let energy = quantity.energy(quantity.block(), &words);
            energy.map(|energy| energy.register.0)
        };
        // Rounded apart, these would make 3.
        assert_eq!(wh(1.4, 1.0), Ok(2));
        assert_eq!(wh(1.25, 1.25), Ok(3));
        assert_eq!(wh(9_007_199_254_740_993.0, 1.0), Ok(9_007_199_254_740_993));
        assert_eq!(wh(1.0e15, f64::MIN_POSITIVE), Ok(1_000_000_000_000_000));
        assert_eq!(wh(1.0, -1.0), Err(NoNumber::Negative));
        assert_eq!(wh(1.0, f64::NAN), Err(NoNumber::NotANumber));
        // The step of a sum is that of its coarser counter, whichever comes first: 4 Wh at 2^54.
        let step = |first: f64, second: f64| {
            let exact = |value: f64| {
                let raw = RawValue::new(value.to_bits(), ValueType::F64).expect("a number");
                raw.exact(Scale::ONE, 0)
            };
            let sum = exact(first).plus(&exact(second)).expect("two counters");
            sum.energy().expect("below 2^64").1
        };
        assert_eq!(step(18_014_398_509_481_984.0, 1.0), 4_000);
        assert_eq!(step(1.0, 18_014_398_509_481_984.0), 4_000);
    }
}
