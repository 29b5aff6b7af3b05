//! What a unit is asked or told, and what its answer must look like.

use std::sync::Arc;

use crate::block::Block;
use crate::map::RegisterSpace;

const READ_COILS: u8 = 1;
const READ_HOLDING_REGISTERS: u8 = 3;
const READ_INPUT_REGISTERS: u8 = 4;
const WRITE_SINGLE_COIL: u8 = 5;
const WRITE_SINGLE_REGISTER: u8 = 6;
const WRITE_MULTIPLE_REGISTERS: u8 = 16;

/// A coil that is on, as it is written.
///
/// # Source
/// MODBUS Application Protocol V1.1b3, section 6.5.
const COIL_ON: u16 = 0xFF00;
const COIL_OFF: u16 = 0;

/// One request to one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Function code 3 or 4.
    Read(Block),
    /// Function code 1, for one coil.
    ReadCoil { address: u16 },
    /// Function code 5.
    WriteCoil { address: u16, on: bool },
    /// Function code 6.
    WriteRegister { address: u16, word: u16 },
    /// Function code 16, for at most 123 registers.
    WriteRegisters { start: u16, words: Arc<[u16]> },
}

/// What an answer must look like to be one, as far as RTU can tell. Two requests of one shape have
/// answers that nothing tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Function code and number of registers.
    Registers { function: u8, count: u16 },
    /// Bytes of coils.
    Coils { bytes: u16 },
    /// Function code of a write, and the two words of the request that its answer repeats: address
    /// and value, or address and number of registers.
    Echo { function: u8, words: [u16; 2] },
}

impl Command {
    pub(crate) fn function(&self) -> u8 {
        match self {
            Self::Read(block) => match block.space {
                RegisterSpace::Holding => READ_HOLDING_REGISTERS,
                RegisterSpace::Input => READ_INPUT_REGISTERS,
            },
            Self::ReadCoil { .. } => READ_COILS,
            Self::WriteCoil { .. } => WRITE_SINGLE_COIL,
            Self::WriteRegister { .. } => WRITE_SINGLE_REGISTER,
            Self::WriteRegisters { .. } => WRITE_MULTIPLE_REGISTERS,
        }
    }

    /// What its answer looks like.
    pub(crate) fn shape(&self) -> Shape {
        let function = self.function();
        match self {
            Self::Read(block) => Shape::Registers {
                function,
                count: block.count,
            },
            Self::ReadCoil { .. } => Shape::Coils { bytes: 1 },
            Self::WriteCoil { .. } | Self::WriteRegister { .. } | Self::WriteRegisters { .. } => {
                Shape::Echo {
                    function,
                    words: self.head(),
                }
            }
        }
    }

    /// The two words behind the function code.
    fn head(&self) -> [u16; 2] {
        match self {
            Self::Read(block) => [block.start, block.count],
            Self::ReadCoil { address } => [*address, 1],
            Self::WriteCoil { address, on: true } => [*address, COIL_ON],
            Self::WriteCoil { address, on: false } => [*address, COIL_OFF],
            Self::WriteRegister { address, word } => [*address, *word],
            Self::WriteRegisters { start, words } => [*start, count(words)],
        }
    }

    /// The request: function code and what follows it.
    ///
    /// # Source
    /// MODBUS Application Protocol V1.1b3, sections 6.1, 6.3 to 6.6 and 6.12.
    pub(crate) fn pdu(&self) -> Vec<u8> {
        let mut pdu = vec![self.function()];
        pdu.extend(self.head().iter().flat_map(|word| word.to_be_bytes()));
        if let Self::WriteRegisters { words, .. } = self {
            pdu.push(u8::try_from(2 * words.len()).expect("at most 123 registers"));
            pdu.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
        pdu
    }
}

fn count(words: &[u16]) -> u16 {
    u16::try_from(words.len()).expect("at most 123 registers")
}

impl Shape {
    pub(crate) fn function(self) -> u8 {
        match self {
            Self::Registers { function, .. } | Self::Echo { function, .. } => function,
            Self::Coils { .. } => READ_COILS,
        }
    }

    /// Bytes of an answer of this shape, function code included.
    pub(crate) fn answer_bytes(self) -> usize {
        match self {
            Self::Registers { count, .. } => 2 + 2 * usize::from(count),
            Self::Coils { bytes } => 2 + usize::from(bytes),
            Self::Echo { .. } => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &Command, request: &[u8], shape: Shape) {
        assert_eq!(command.pdu(), request);
        assert_eq!(command.shape(), shape);
    }

    #[test]
    fn a_request_for_registers_names_function_start_and_count() {
        for (space, function) in [(RegisterSpace::Holding, 3), (RegisterSpace::Input, 4)] {
            let block = Block {
                space,
                start: 0xFC00,
                count: 2,
            };
            check(
                &Command::Read(block),
                &[function, 0xFC, 0, 0, 2],
                Shape::Registers { function, count: 2 },
            );
        }
    }

    /// The examples of MODBUS Application Protocol V1.1b3, sections 6.5, 6.6 and 6.12.
    #[test]
    fn writes_are_those_of_the_standards_examples() {
        check(
            &Command::WriteCoil {
                address: 0x00AC,
                on: true,
            },
            &[5, 0, 0xAC, 0xFF, 0],
            Shape::Echo {
                function: 5,
                words: [0xAC, 0xFF00],
            },
        );
        check(
            &Command::WriteRegister {
                address: 1,
                word: 3,
            },
            &[6, 0, 1, 0, 3],
            Shape::Echo {
                function: 6,
                words: [1, 3],
            },
        );
        check(
            &Command::WriteRegisters {
                start: 1,
                words: [0x000A, 0x0102].into(),
            },
            &[16, 0, 1, 0, 2, 4, 0, 0x0A, 1, 2],
            Shape::Echo {
                function: 16,
                words: [1, 2],
            },
        );
    }

    #[test]
    fn a_coil_is_read_by_itself() {
        check(
            &Command::ReadCoil { address: 0x13 },
            &[1, 0, 0x13, 0, 1],
            Shape::Coils { bytes: 1 },
        );
    }

    #[test]
    fn a_coil_switched_on_and_off_has_answers_that_differ() {
        let shape = |on| Command::WriteCoil { address: 7, on }.shape();
        assert_ne!(shape(true), shape(false));
    }
}
