//! Decoders take any bytes without a panic and accept canonical ones only.

mod support;

use std::sync::OnceLock;

use borsh::{BorshDeserialize, BorshSerialize};
use ledger::block::Block;
use ledger::frame::Frame;
use ledger::receipt_file::ReceiptFile;
use proptest::prelude::*;
use protocol::{canonical, decode};
use support::{Network, wh};

/// A block, a receipt file and a frame as they travel.
fn samples() -> &'static [Vec<u8>] {
    static SAMPLES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let mut net = Network::new();
        net.charge("household", "HOME-1", wh(1_000));
        net.run_rounds(3);
        let blocks = net.blocks();
        let mut samples: Vec<_> = blocks.iter().map(canonical).collect();
        samples.extend(
            blocks
                .into_iter()
                .map(|b| canonical(&Frame::Block(Box::new(b)))),
        );
        samples.extend(net.receipts("household").iter().map(canonical));
        samples
    })
}

fn check<T: BorshDeserialize + BorshSerialize>(bytes: &[u8]) {
    if let Ok(value) = decode::<T>(bytes) {
        assert_eq!(canonical(&value), bytes, "another form of the same value");
    }
}

fn check_all(bytes: &[u8]) {
    check::<Frame>(bytes);
    check::<Block>(bytes);
    check::<ReceiptFile>(bytes);
}

proptest! {
    #[test]
    fn random_bytes_are_refused_or_canonical(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check_all(&bytes);
    }

    #[test]
    fn changed_bytes_are_refused_or_canonical(
        sample in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        length in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = sample.get(samples()).clone();
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        if is_cut {
            bytes.truncate(length.index(bytes.len()));
        }
        check_all(&bytes);
    }
}

#[test]
fn what_is_sent_comes_back_the_same() {
    for sample in samples() {
        let is_read = decode::<Frame>(sample).is_ok()
            || decode::<Block>(sample).is_ok()
            || decode::<ReceiptFile>(sample).is_ok();
        assert!(is_read);
        check_all(sample);
    }
}
