//! RTU frames: unit id, answer, checksum.
//!
//! A frame is taken from the front of what arrived and from nowhere else. A decoder that looks for a
//! frame further in finds one in noise sooner or later, with a checksum of 16 bits that fits by chance.

use crc::{CRC_16_MODBUS, Crc};

use super::command::{Command, Shape};
use super::pdu::{self, Length};

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);
const CRC_BYTES: usize = 2;

/// Bytes of a request for registers.
#[cfg(any(test, feature = "simulator"))]
const REQUEST_FRAME_BYTES: usize = 1 + 5 + CRC_BYTES;

/// What is at the front of `bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front<'a> {
    /// A frame may begin here; more is needed.
    Incomplete,
    /// A whole frame whose checksum is right.
    Frame {
        /// Unit that answered.
        unit_id: u8,
        /// Function code and what follows it.
        pdu: &'a [u8],
        /// Bytes of the frame, checksum included.
        length: usize,
    },
    /// No answer to a request of ours.
    NoFrame(Spoilt),
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spoilt {
    /// Something else than an answer to a request of ours.
    #[error("function code {0:#04x} was never asked for")]
    Function(u8),
    /// Bits changed on the way, or two units talked at once.
    #[error("checksum is wrong")]
    Checksum,
    /// An odd number of bytes, or more than one answer holds.
    #[error("registers of an odd number of bytes")]
    OddBytes,
}

/// Looks at the front of what arrived.
#[must_use]
pub fn front(bytes: &[u8]) -> Front<'_> {
    let Some((&unit_id, after_unit)) = bytes.split_first() else {
        return Front::Incomplete;
    };
    let pdu_bytes = match pdu::answer_length(after_unit) {
        Length::Unknown => return Front::Incomplete,
        Length::NoAnswer => return Front::NoFrame(Spoilt::Function(after_unit[0])),
        Length::Bytes(length) => length,
    };
    let checked = 1 + pdu_bytes;
    let length = checked + CRC_BYTES;
    let Some(frame) = bytes.get(..length) else {
        return Front::Incomplete;
    };
    let (content, checksum) = frame.split_at(checked);
    if checksum != CRC.checksum(content).to_le_bytes() {
        return Front::NoFrame(Spoilt::Checksum);
    }
    let pdu = &content[1..];
    if pdu::answer(pdu).is_none() {
        return Front::NoFrame(Spoilt::OddBytes);
    }
    Front::Frame {
        unit_id,
        pdu,
        length,
    }
}

/// The frame that gives `command` to `unit_id`.
pub(crate) fn request(unit_id: u8, command: &Command) -> Vec<u8> {
    frame(unit_id, &command.pdu())
}

/// The frame of `unit_id` around `pdu`.
#[must_use]
pub fn frame(unit_id: u8, pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(1 + pdu.len() + CRC_BYTES);
    frame.push(unit_id);
    frame.extend(pdu);
    frame.extend(CRC.checksum(&frame).to_le_bytes());
    frame
}

/// A request for registers, as a meter sees it.
#[cfg(feature = "simulator")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) unit_id: u8,
    pub(crate) function: u8,
    pub(crate) start: u16,
    pub(crate) count: u16,
}

/// Takes the first request off what arrived, and with it whatever comes before.
///
/// A meter has to find the next request among other units' answers, so unlike [`front`] this looks
/// further in.
#[cfg(feature = "simulator")]
pub(crate) fn take_request(bytes: &mut Vec<u8>) -> Option<Request> {
    let is_request = |frame: &[u8]| {
        let (content, checksum) = frame.split_at(REQUEST_FRAME_BYTES - CRC_BYTES);
        checksum == CRC.checksum(content).to_le_bytes()
    };
    let Some(at) = bytes.windows(REQUEST_FRAME_BYTES).position(is_request) else {
        // The beginning of a request may be at the end.
        let kept = bytes.len().min(REQUEST_FRAME_BYTES - 1);
        bytes.drain(..bytes.len() - kept);
        return None;
    };
    let frame: Vec<u8> = bytes.drain(..at + REQUEST_FRAME_BYTES).skip(at).collect();
    let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    Some(Request {
        unit_id: frame[0],
        function: frame[1],
        start: word(2),
        count: word(4),
    })
}

/// Bytes of the answer of `shape`.
pub(crate) fn answer_frame_bytes(shape: Shape) -> usize {
    1 + shape.answer_bytes() + CRC_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::Block;
    use crate::map::RegisterSpace;

    /// The answer of unit 17 to a request for three registers.
    ///
    /// # Source
    /// MODBUS Application Protocol V1.1b3, section 6.3, for the answer; MODBUS over Serial Line V1.02,
    /// section 6.2.2, for the checksum, carried out bit by bit.
    const ANSWER: [u8; 11] = [0x11, 3, 6, 0x02, 0x2B, 0, 0, 0, 0x64, 0xC8, 0xBA];

    #[test]
    fn a_frame_is_told_by_length_and_checksum() {
        for length in 0..ANSWER.len() {
            assert_eq!(front(&ANSWER[..length]), Front::Incomplete, "{length}");
        }
        let Front::Frame {
            unit_id,
            pdu,
            length,
        } = front(&ANSWER)
        else {
            panic!("{:?}", front(&ANSWER));
        };
        assert_eq!((unit_id, length), (0x11, ANSWER.len()));
        assert_eq!(pdu, &ANSWER[1..9]);
    }

    #[test]
    fn a_request_is_eight_bytes() {
        let block = Block {
            space: RegisterSpace::Holding,
            start: 0x6B,
            count: 3,
        };
        let frame = request(0x11, &Command::Read(block));
        assert_eq!(frame, [0x11, 3, 0, 0x6B, 0, 3, 0x76, 0x87]);
        assert_eq!(frame.len(), REQUEST_FRAME_BYTES);
    }

    #[cfg(feature = "simulator")]
    #[test]
    fn a_meter_finds_the_request_behind_other_bytes() {
        let block = Block {
            space: RegisterSpace::Input,
            start: 0x48,
            count: 2,
        };
        let mut bytes = [
            &ANSWER[..],
            &request(9, &Command::Read(block))[..],
            &[9, 4, 0],
        ]
        .concat();
        let expected = Request {
            unit_id: 9,
            function: 4,
            start: 0x48,
            count: 2,
        };
        assert_eq!(take_request(&mut bytes), Some(expected));
        assert_eq!(take_request(&mut bytes), None);
        assert_eq!(bytes, [9, 4, 0]);
    }

    #[test]
    fn what_was_never_asked_for_is_no_frame() {
        assert_eq!(front(&[1, 2]), Front::NoFrame(Spoilt::Function(2)));
        assert_eq!(front(&[0, 0]), Front::NoFrame(Spoilt::Function(0)));
        let odd = frame(1, &[3, 1, 7]);
        assert_eq!(front(&odd), Front::NoFrame(Spoilt::OddBytes));
    }

    #[test]
    fn the_answer_to_a_write_is_eight_bytes() {
        let command = Command::WriteCoil {
            address: 0xAC,
            on: true,
        };
        let bytes = request(0x11, &command);
        // The checksum, carried out bit by bit.
        assert_eq!(bytes, [0x11, 5, 0, 0xAC, 0xFF, 0, 0x4E, 0x8B]);
        assert_eq!(bytes.len(), answer_frame_bytes(command.shape()));
        for length in 0..bytes.len() {
            assert_eq!(front(&bytes[..length]), Front::Incomplete, "{length}");
        }
        assert!(matches!(front(&bytes), Front::Frame { length: 8, .. }));
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_no_frame(at in 0..ANSWER.len(), change in 1..=u8::MAX) {
            let mut bytes = ANSWER;
            bytes[at] ^= change;
            let is_frame = matches!(front(&bytes), Front::Frame { .. });
            prop_assert!(!is_frame);
        }
    }
}
