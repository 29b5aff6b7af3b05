//! RTU frames of a meter.

use meter_drivers::transport::rtu::{Front, frame, front};

use super::{Corpus, numbered};

pub(super) fn check(bytes: &[u8]) {
    match front(bytes) {
        Front::Frame {
            unit_id,
            pdu,
            length,
        } => {
            assert_eq!(frame(unit_id, pdu), bytes[..length]);
            // Nothing that follows changes it, and nothing shorter is one.
            assert_eq!(front(&bytes[..length]), front(bytes));
            assert_eq!(front(&bytes[..length - 1]), Front::Incomplete);
        }
        // The longest frame is 260 bytes: a unit id, two bytes, 255 of registers, a checksum.
        Front::Incomplete => assert!(bytes.len() < 260),
        Front::NoFrame(_) => assert!(bytes.len() >= 2),
    }
}

pub(super) fn corpus() -> Corpus {
    let answer = frame(0x11, &[3, 6, 0x02, 0x2B, 0, 0, 0, 0x64]);
    let refusal = frame(1, &[0x84, 2]);
    let longest = frame(247, &[&[4, 250], [0x5A; 250].as_slice()].concat());
    let mut damaged = answer.clone();
    damaged[4] ^= 1;
    let two = [answer.as_slice(), &refusal].concat();
    let coil = frame(12, &[1, 1, 1]);
    let switched = frame(12, &[5, 0, 3, 0xFF, 0]);
    let written = frame(12, &[16, 0, 3, 0, 2]);
    numbered([
        answer, refusal, longest, damaged, two, coil, switched, written,
    ])
}
