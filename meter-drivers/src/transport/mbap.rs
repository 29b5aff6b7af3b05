//! Modbus TCP frames: a header of seven bytes before the answer.

use super::command::Command;
use super::pdu;

/// Transaction id, protocol id, length, unit id.
const HEADER_BYTES: usize = 7;
/// The longest a unit id and its answer get.
///
/// # Source
/// MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 4.1 (260 bytes with the header).
const MOST_AFTER_LENGTH: u16 = 254;

/// What is at the front of bytes that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front<'a> {
    Incomplete,
    Frame {
        transaction: u16,
        unit_id: u8,
        pdu: &'a [u8],
        /// Bytes of the frame, header included.
        length: usize,
    },
    NoFrame(Spoilt),
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Spoilt {
    #[error("protocol id {0:#06x} is not Modbus's")]
    Protocol(u16),
    #[error("a frame of {0} bytes is none")]
    Length(u16),
}

/// Looks at the front of what arrived. What is in the frame need not be an answer yet.
pub(crate) fn front(bytes: &[u8]) -> Front<'_> {
    let word = |at: usize| {
        let pair = bytes.get(at..at + 2)?;
        Some(u16::from_be_bytes([pair[0], pair[1]]))
    };
    // Each field is judged as soon as it is there: a text that is taken for a header claims a length
    // that never comes.
    match word(2) {
        Some(0) => (),
        Some(protocol) => return Front::NoFrame(Spoilt::Protocol(protocol)),
        None => return Front::Incomplete,
    }
    let after_length = match word(4) {
        Some(length @ 3..=MOST_AFTER_LENGTH) => usize::from(length),
        Some(length) => return Front::NoFrame(Spoilt::Length(length)),
        None => return Front::Incomplete,
    };
    let length = HEADER_BYTES - 1 + after_length;
    let (Some(transaction), Some(frame)) = (word(0), bytes.get(..length)) else {
        return Front::Incomplete;
    };
    Front::Frame {
        transaction,
        unit_id: frame[HEADER_BYTES - 1],
        pdu: &frame[HEADER_BYTES..],
        length,
    }
}

/// Whether an answer may begin here, as far as its header shows.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    match *bytes {
        [_, _, 0, 0, 0, length, _, function, ..] => {
            length >= 3 && pdu::is_asked_for(function & 0x7F)
        }
        _ => false,
    }
}

/// The frame that gives `command` to `unit_id`.
pub(crate) fn request(transaction: u16, unit_id: u8, command: &Command) -> Vec<u8> {
    let pdu = command.pdu();
    let after_length = u16::try_from(1 + pdu.len()).expect("at most 123 registers");
    let mut frame = Vec::with_capacity(HEADER_BYTES + pdu.len());
    frame.extend(transaction.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(after_length.to_be_bytes());
    frame.push(unit_id);
    frame.extend(pdu);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Block;
    use crate::map::RegisterSpace;

    const ANSWER: [u8; 11] = [0x15, 0x01, 0, 0, 0, 5, 0x11, 3, 2, 0x02, 0x2B];

    #[test]
    fn a_frame_is_as_long_as_its_header_says() {
        for length in 0..ANSWER.len() {
            assert_eq!(front(&ANSWER[..length]), Front::Incomplete, "{length}");
        }
        let longer = [ANSWER.as_slice(), &[9]].concat();
        let expected = Front::Frame {
            transaction: 0x1501,
            unit_id: 0x11,
            pdu: &ANSWER[7..],
            length: ANSWER.len(),
        };
        assert_eq!(front(&longer), expected);
    }

    #[test]
    fn what_is_no_modbus_is_told_before_it_is_complete() {
        let text = b"HTTP/1.1 400";
        assert_eq!(front(text), Front::NoFrame(Spoilt::Protocol(0x5450)));
        for length in [0, 2, 255, u16::MAX] {
            let [high, low] = length.to_be_bytes();
            let bytes = [0, 1, 0, 0, high, low];
            assert_eq!(front(&bytes), Front::NoFrame(Spoilt::Length(length)));
        }
    }

    #[test]
    fn a_frame_is_told_from_registers_by_its_header() {
        assert!(begins(&ANSWER));
        assert!(begins(&[0, 9, 0, 0, 0, 3, 1, 0x84, 2]));
        assert!(!begins(&ANSWER[..7]));
        assert!(!begins(&[0; 8]));
        assert!(!begins(&ANSWER[1..]));
    }

    #[test]
    fn a_request_is_twelve_bytes() {
        let block = Block {
            space: RegisterSpace::Input,
            start: 0x48,
            count: 2,
        };
        let expected = [0x15, 0x01, 0, 0, 0, 6, 0x11, 4, 0, 0x48, 0, 2];
        assert_eq!(request(0x1501, 0x11, &Command::Read(block)), expected);
    }
}
