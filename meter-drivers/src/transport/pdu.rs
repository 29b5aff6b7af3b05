//! What is asked and answered, whichever way it travels: Modbus's protocol data unit.

use super::command::Shape;

/// Set in the function code of an answer that refuses.
const REFUSED: u8 = 0x80;

/// An answer.
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
    /// Bytes of coils, the first in the lowest bit.
    Coils(&'a [u8]),
    /// What a write's answer repeats of it.
    Echo([u16; 2]),
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
    /// Nothing that answers a request of ours begins so.
    NoAnswer,
}

impl Answer<'_> {
    /// Its shape; refusals have none.
    pub(crate) fn shape(self) -> Option<Shape> {
        let bytes_of = |bytes: &[u8]| u16::try_from(bytes.len()).expect("a length of one byte");
        match self.content {
            Content::Registers(bytes) => Some(Shape::Registers {
                function: self.function,
                count: bytes_of(bytes) / 2,
            }),
            Content::Coils(bytes) => Some(Shape::Coils {
                bytes: bytes_of(bytes),
            }),
            Content::Echo(words) => Some(Shape::Echo {
                function: self.function,
                words,
            }),
            Content::Exception(_) => None,
        }
    }
}

/// How long the answer is that begins with `bytes`.
pub(crate) fn answer_length(bytes: &[u8]) -> Length {
    match *bytes {
        [] => Length::Unknown,
        [1 | 3 | 4] => Length::Unknown,
        [1 | 3 | 4, byte_count, ..] => Length::Bytes(2 + usize::from(byte_count)),
        [5 | 6 | 16, ..] => Length::Bytes(5),
        [function, ..] if is_refusal(function) => Length::Bytes(2),
        _ => Length::NoAnswer,
    }
}

/// Whether a function code is one that we ask for.
pub(crate) fn is_asked_for(function: u8) -> bool {
    matches!(function, 1 | 3 | 4 | 5 | 6 | 16)
}

fn is_refusal(function: u8) -> bool {
    function & REFUSED != 0 && is_asked_for(function & !REFUSED)
}

/// Takes a whole answer apart; `None` where its bytes are none.
pub(crate) fn answer(bytes: &[u8]) -> Option<Answer<'_>> {
    if answer_length(bytes) != Length::Bytes(bytes.len()) {
        return None;
    }
    let (&function, rest) = bytes.split_first()?;
    let content = match (function, rest) {
        (_, &[code]) if is_refusal(function) => Content::Exception(code),
        (1, [_, coils @ ..]) => Content::Coils(coils),
        (3 | 4, [_, registers @ ..]) if registers.len() % 2 == 0 => Content::Registers(registers),
        (5 | 6 | 16, &[a, b, c, d]) => {
            Content::Echo([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
        }
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
        check(&[1, 1, 0x05], Some((1, Content::Coils(&[0x05]))));
        check(&[1, 2, 0x05], None);
        check(&[0x85, 3], Some((5, Content::Exception(3))));
        check(&[0x90, 3], Some((16, Content::Exception(3))));
        check(&[0x82, 3], None);
        check(&[2, 1, 0], None);
        check(&[], None);
    }

    #[test]
    fn the_answer_to_a_write_repeats_two_words_of_it() {
        for function in [5, 6, 16] {
            let bytes = [function, 0, 0xAC, 0xFF, 0];
            check(&bytes, Some((function, Content::Echo([0xAC, 0xFF00]))));
            check(&bytes[..4], None);
            check(&[&bytes[..], &[0]].concat(), None);
        }
    }
}
