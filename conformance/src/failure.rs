//! What a peer did wrong.

use std::fmt;

/// One deviation from the standard.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// The clause that asks for something else.
    pub clause: &'static str,
    /// What it asks for.
    pub expected: String,
    /// What came instead.
    pub seen: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}: expected {}; saw {}",
            self.clause, self.expected, self.seen
        )
    }
}
