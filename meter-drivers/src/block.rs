//! Fewest requests: registers that may be read together.

use crate::map::{Register, RegisterMap, RegisterSpace};

/// Registers read by one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) space: RegisterSpace,
    pub(crate) start: u16,
    pub(crate) count: u16,
}

/// The fewest blocks that cover `registers`, within what `map` says a request may span.
pub(crate) fn blocks(map: &RegisterMap, registers: &[Register]) -> Vec<Block> {
    let mut sorted = registers.to_vec();
    sorted.sort_by_key(|register| (register.space, register.address));
    let mut blocks: Vec<Block> = Vec::new();
    for register in sorted {
        match blocks.last_mut() {
            Some(last) if last.can_reach(map, register) => last.extend_to(register),
            _ => blocks.push(Block::from(register)),
        }
    }
    blocks
}

impl Block {
    fn can_reach(self, map: &RegisterMap, register: Register) -> bool {
        let adjacent = register.address <= self.start + self.count;
        self.space == register.space
            && (adjacent || map.gaps_are_readable(self.space))
            && register.address - self.start + register.width() <= map.max_registers_per_read()
    }

    fn extend_to(&mut self, register: Register) {
        self.count = self
            .count
            .max(register.address - self.start + register.width());
    }

    /// The two words of `register` in `words`, the answer to this block; `None` if it is not in it.
    pub(crate) fn words_of(self, register: Register, words: &[u16]) -> Option<[u16; 2]> {
        if self.space != register.space {
            return None;
        }
        let offset = usize::from(register.address.checked_sub(self.start)?);
        let words = words.get(offset..offset + usize::from(register.width()))?;
        words.try_into().ok()
    }
}

impl From<Register> for Block {
    fn from(register: Register) -> Self {
        Self {
            space: register.space,
            start: register.address,
            count: register.width(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::ValueType;

    use RegisterSpace::{Holding, Input};

    #[track_caller]
    fn check(registers: &[(RegisterSpace, u16)], expected: &[(RegisterSpace, u16, u16)]) {
        let map = RegisterMap::builtin("eastron-sdm630").expect("built in");
        let registers: Vec<Register> = registers
            .iter()
            .map(|&(space, address)| Register {
                space,
                address,
                value_type: ValueType::F32,
            })
            .collect();
        let found: Vec<_> = blocks(map, &registers)
            .iter()
            .map(|block| (block.space, block.start, block.count))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn one_request_spans_input_gaps_up_to_the_most_registers() {
        check(&[(Input, 72), (Input, 52)], &[(Input, 52, 22)]);
        check(&[(Input, 0), (Input, 78)], &[(Input, 0, 80)]);
        check(&[(Input, 0), (Input, 80)], &[(Input, 0, 2), (Input, 80, 2)]);
    }

    #[test]
    fn holding_gaps_and_other_spaces_are_not_spanned() {
        check(&[(Holding, 2), (Holding, 4)], &[(Holding, 2, 4)]);
        check(
            &[(Holding, 30), (Holding, 40)],
            &[(Holding, 30, 2), (Holding, 40, 2)],
        );
        check(
            &[(Holding, 2), (Input, 4)],
            &[(Input, 4, 2), (Holding, 2, 2)],
        );
    }

    #[test]
    fn words_are_found_by_address() {
        let block = Block {
            space: Input,
            start: 52,
            count: 4,
        };
        let at = |space, address| Register {
            space,
            address,
            value_type: ValueType::F32,
        };
        let words = [1, 2, 3, 4];
        assert_eq!(block.words_of(at(Input, 54), &words), Some([3, 4]));
        assert_eq!(block.words_of(at(Input, 55), &words), None);
        assert_eq!(block.words_of(at(Input, 50), &words), None);
        assert_eq!(block.words_of(at(Holding, 54), &words), None);
    }
}
