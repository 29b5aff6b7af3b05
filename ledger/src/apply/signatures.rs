//! The signatures of one block: each key is read once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use protocol::{Hash, PublicKey, Signable, SignatureError, Signed, Verifier};

/// What is to be done about the signatures of charges, grants, group blocks and ballots.
///
/// They are checked one by one and strictly. A batch check is no shortcut: what it accepts, a
/// strict check may refuse (a signature whose R has a part of small order), and then the voters
/// would not agree.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signatures<'a> {
    Check(&'a Keys),
    /// By the provider, of each of these, when it was taken in: keys do not change.
    Checked,
}

impl Signatures<'_> {
    /// Checks a signature; `Ok` without looking where it was checked already.
    pub(super) fn check<T: Signable>(
        self,
        signed: &Signed<T>,
        key: &PublicKey,
    ) -> Result<(), SignatureError> {
        match self {
            Self::Check(keys) => keys.check(signed, key),
            Self::Checked => Ok(()),
        }
    }
}

/// The keys that were read so far, for signatures of one chain.
#[derive(Debug)]
pub(crate) struct Keys {
    chain_id: Hash,
    read: RefCell<BTreeMap<PublicKey, Verifier>>,
}

impl Keys {
    pub(crate) fn new(chain_id: Hash) -> Self {
        Self {
            chain_id,
            read: RefCell::default(),
        }
    }

    fn check<T: Signable>(
        &self,
        signed: &Signed<T>,
        key: &PublicKey,
    ) -> Result<(), SignatureError> {
        let mut read = self.read.borrow_mut();
        if let Some(verifier) = read.get(key) {
            return signed.verify_with(verifier, &self.chain_id);
        }
        let verifier = key.verifier()?;
        let checked = signed.verify_with(&verifier, &self.chain_id);
        read.insert(*key, verifier);
        checked
    }
}
