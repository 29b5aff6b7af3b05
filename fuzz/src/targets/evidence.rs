//! Evidence, in a block and as a file: nobody is convicted by what was not made.

use ledger::evidence::{Evidence, EvidenceFile};
use protocol::canonical;

use super::{Corpus, canonical_value, numbered};
use crate::chain::chain;

pub(super) fn check(bytes: &[u8]) {
    let Some(evidence) = canonical_value::<Evidence>(bytes) else {
        return;
    };
    let chain = chain();
    let convicts = evidence.check(&chain.states[3]).is_some();
    assert_eq!(convicts, evidence == chain.forged_profile);
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
    let chain = chain();
    let convicts = file.verify(Some(&chain.genesis.provider_key)).is_ok();
    assert_eq!(convicts, file == chain.evidence_file);
}

pub(super) fn corpus() -> Corpus {
    numbered([canonical(&chain().forged_profile)])
}

pub(super) fn file_corpus() -> Corpus {
    numbered([chain().evidence_file.to_bytes()])
}
