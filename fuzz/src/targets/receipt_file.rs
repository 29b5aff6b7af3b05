//! Receipt files: what verifies was made.

use ledger::receipt_file::ReceiptFile;

use super::{Corpus, numbered};
use crate::chain::chain;

pub(super) fn check(bytes: &[u8]) {
    let Ok(file) = ReceiptFile::from_bytes(bytes) else {
        return;
    };
    assert!(file.to_bytes() == bytes, "another form of the same file");
    let surplus = [bytes, &[0]].concat();
    assert!(ReceiptFile::from_bytes(&surplus).is_err(), "a surplus byte");
    if file.verify(Some(&chain().genesis.provider_key)).is_ok() {
        assert!(
            receipts().any(|made| is_shorter(&file, made)),
            "a receipt that nobody made verifies"
        );
    }
}

fn receipts() -> impl Iterator<Item = &'static ReceiptFile> {
    let chain = chain();
    chain.receipts.iter().chain(&chain.receipts_after_dormancy)
}

/// Whether `file` is `made`, or `made` without some of its votes: whoever holds a receipt may show
/// fewer votes than it has, as long as they are enough.
fn is_shorter(file: &ReceiptFile, made: &ReceiptFile) -> bool {
    let mut made = made.clone();
    made.finality
        .votes
        .retain(|vote| file.finality.votes.contains(vote));
    *file == made
}

pub(super) fn corpus() -> Corpus {
    numbered(receipts().map(ReceiptFile::to_bytes))
}
