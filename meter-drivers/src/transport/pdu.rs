//! What is asked and answered, whichever way it travels: Modbus's protocol data unit.

use crate::block::Block;
use crate::map::RegisterSpace;

/// Bytes of a request for registers.
pub(crate) const REQUEST_BYTES: usize = 5;
/// Set in the function code of an answer that refuses.
const REFUSED: u8 = 0x80;

/// What an answer must look like to be one, as far as RTU can tell: function code and number of
/// registers. Two requests of one shape have answers that nothing tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) function: u8,
    pub(crate) count: u16,
}

/// An answer to a request for registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// Function code asked for; the bit that marks a refusal is not in it.
    pub(crate) function: u8,
    pub(crate) content: Content<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// Bytes of registers, as many as the answer says itself.
    Registers(&'a [u8]),
    /// Modbus exception code.
    Exception(u8),
}

/// The head of an answer: how long all of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Too little is there to tell.
    Unknown,
    /// So many bytes.
    Bytes(usize),
    /// Nothing that answers a request for registers begins so.
    NoAnswer,
}

impl Shape {
    pub(crate) fn of(block: Block) -> Self {
        let function = match block.space {
            RegisterSpace::Holding => 3,
            RegisterSpace::Input => 4,
        };
        Self {
            function,
            count: block.count,
        }
    }

    /// The shape of an answer; refusals have none.
    pub(crate) fn of_answer(answer: Answer<'_>) -> Option<Self> {
        match answer.content {
            Content::Registers(bytes) => Some(Self {
                function: answer.function,
                count: u16::try_from(bytes.len() / 2).expect("a length of one byte"),
            }),
            Content::Exception(_) => None,
        }
    }
}

/// The request for `block`.
///
/// # Source
/// MODBUS Application Protocol V1.1b3, sections 6.3 and 6.4.
pub(crate) fn request(block: Block) -> [u8; REQUEST_BYTES] {
    let [start_high, start_low] = block.start.to_be_bytes();
    let [count_high, count_low] = block.count.to_be_bytes();
    let function = Shape::of(block).function;
    [function, start_high, start_low, count_high, count_low]
}

/// How long the answer is that begins with `bytes`.
pub(crate) fn answer_length(bytes: &[u8]) -> Length {
    match *bytes {
        [] => Length::Unknown,
        [3 | 4] => Length::Unknown,
        [3 | 4, byte_count, ..] => Length::Bytes(2 + usize::from(byte_count)),
        [0x83 | 0x84, ..] => Length::Bytes(2),
        _ => Length::NoAnswer,
    }
}

/// Takes a whole answer apart; `None` where its bytes are none.
pub(crate) fn answer(bytes: &[u8]) -> Option<Answer<'_>> {
    if answer_length(bytes) != Length::Bytes(bytes.len()) {
        return None;
    }
    let (&function, rest) = bytes.split_first()?;
    let content = match rest {
        &[code] if function & REFUSED != 0 => Content::Exception(code),
        [_, registers @ ..] if registers.len() % 2 == 0 => Content::Registers(registers),
        _ => return None,
    };
    Some(Answer {
        function: function & !REFUSED,
        content,
    })
}

/// The registers in `bytes`, high byte first.
pub(crate) fn words(bytes: &[u8]) -> Vec<u16> {
    let pairs = bytes.chunks_exact(2);
    pairs
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<(u8, Content<'_>)>) {
        let found = answer(bytes).map(|answer| (answer.function, answer.content));
        assert_eq!(found, expected);
    }

    #[test]
    fn an_answer_says_its_own_length() {
        check(
            &[3, 2, 0x12, 0x34],
            Some((3, Content::Registers(&[0x12, 0x34]))),
        );
        check(&[4, 0], Some((4, Content::Registers(&[]))));
        check(&[0x84, 2], Some((4, Content::Exception(2))));
        check(&[3, 2, 0x12], None);
        check(&[3, 2, 0x12, 0x34, 0x56], None);
        check(&[3, 3, 1, 2, 3], None);
        check(&[0x83], None);
        check(&[0x83, 2, 0], None);
        check(&[6, 0, 0, 0, 0], None);
        check(&[], None);
    }

    #[test]
    fn a_request_names_function_start_and_count() {
        let block = |space| Block {
            space,
            start: 0xFC00,
            count: 2,
        };
        assert_eq!(request(block(RegisterSpace::Holding)), [3, 0xFC, 0, 0, 2]);
        assert_eq!(request(block(RegisterSpace::Input)), [4, 0xFC, 0, 0, 2]);
    }
}
