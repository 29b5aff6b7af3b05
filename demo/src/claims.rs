//! What the demo says is true, with the facts that anyone can check it by.

use std::sync::Mutex;

use serde_json::Value;

/// Something shown that is true or not.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// Names it for machines.
    pub(crate) name: &'static str,
    /// What is said.
    pub(crate) says: String,
    /// Why it matters, in one line.
    pub(crate) why: &'static str,
    pub(crate) holds: bool,
    /// What it rests on.
    pub(crate) facts: Value,
}

/// How many there were, and how many were false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) claims: usize,
    pub(crate) falsehoods: usize,
}

/// Counts claims.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<Tally>);

impl Claims {
    pub(crate) fn count(&self, claim: &Claim) {
        let mut tally = self.0.lock().expect("no holder of the lock panics");
        tally.claims += 1;
        tally.falsehoods += usize::from(!claim.holds);
    }

    pub(crate) fn tally(&self) -> Tally {
        *self.0.lock().expect("no holder of the lock panics")
    }
}
