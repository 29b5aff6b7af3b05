//! Evidence, in a block and as a file: nobody is convicted of what was not done.
//!
//! The same lie can be shown in more than one way: with the two signed pieces swapped, for example.

use ledger::evidence::{Evidence, EvidenceFile, Exhibit};
use protocol::{Hash, canonical};

use super::{Corpus, canonical_value, numbered};
use crate::chain::chain;
use crate::lies;

pub(super) fn check(bytes: &[u8]) {
    let Some(evidence) = canonical_value::<Evidence>(bytes) else {
        return;
    };
    if let Some(offence) = evidence.check(lies::state()) {
        let mut made = lies::evidence().iter();
        let is_made = made.any(|made| made.check(lies::state()) == Some(offence));
        assert!(is_made, "convicted of {offence:?}, which was not done");
    }
}

pub(super) fn check_file(bytes: &[u8]) {
    let Ok(file) = EvidenceFile::from_bytes(bytes) else {
        return;
    };
    assert!(file.to_bytes() == bytes, "another form of the same file");
    let surplus = [bytes, &[0]].concat();
    assert!(
        EvidenceFile::from_bytes(&surplus).is_err(),
        "a surplus byte"
    );
    if file.verify(Some(&chain().genesis.provider_key)).is_ok() {
        let shown = lie(&file.exhibit);
        let is_made = lies::files().iter().any(|made| lie(&made.exhibit) == shown);
        assert!(is_made, "convicted of {shown:?}, which was not done");
        assert_eq!(file.genesis, chain().genesis);
    }
}

/// What an exhibit is about.
#[derive(Debug, PartialEq)]
enum Lie {
    ForgedCharge { header: Hash, index: u32 },
    BrokenReceipt { receipt: Hash },
    TwoHeaders { height: u64 },
}

fn lie(exhibit: &Exhibit) -> Lie {
    match exhibit {
        Exhibit::ForgedCharge(forged) => Lie::ForgedCharge {
            header: forged.header.hash(),
            index: forged.index,
        },
        Exhibit::BrokenReceipt(broken) => Lie::BrokenReceipt {
            receipt: broken.receipt.hash(),
        },
        Exhibit::TwoHeaders(two) => Lie::TwoHeaders {
            height: two.first.body.height,
        },
    }
}

pub(super) fn corpus() -> Corpus {
    numbered(lies::evidence().iter().map(canonical))
}

pub(super) fn file_corpus() -> Corpus {
    numbered(lies::files().iter().map(EvidenceFile::to_bytes))
}
