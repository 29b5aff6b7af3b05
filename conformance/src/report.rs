//! What a run found out.

use std::fmt;

use serde::Serialize;

use crate::failure::Failure;

/// The outcome of every case that ran. Serialises to the JSON of `--json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order they ran.
    pub cases: Vec<CaseReport>,
}

/// The outcome of one case.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct CaseReport {
    /// The case's id.
    pub id: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// The first deviation; none if the case passed.
    pub failure: Option<Failure>,
}

impl Report {
    /// Whether every case passed.
    #[must_use]
    pub fn all_passed(&self) -> bool {
        self.cases.iter().all(|case| case.failure.is_none())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for CaseReport { id, title, failure } in &self.cases {
            match failure {
                None => writeln!(out, "{id:<14} passed  {title}")?,
                Some(failure) => writeln!(out, "{id:<14} FAILED  {title}\n    {failure}")?,
            }
        }
        let passed = self
            .cases
            .iter()
            .filter(|case| case.failure.is_none())
            .count();
        write!(out, "{passed} of {} passed", self.cases.len())
    }
}
