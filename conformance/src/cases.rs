//! The cases, one file each, and the table of them.

mod tc_001_csms;

use std::pin::Pin;

use crate::failure::Failure;
use crate::peer::CentralSystem;

/// What a case tests; the run plays the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// An OCPP 1.6J central system; we are the charge point.
    CentralSystem,
}

/// One test case.
pub struct Case {
    /// The Open Charge Alliance's id.
    pub id: &'static str,
    /// What it is about, in our words.
    pub title: &'static str,
    /// What it tests.
    pub target: Target,
    pub(crate) run: fn(&CentralSystem) -> CaseFuture<'_>,
}

pub(crate) type CaseFuture<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// All cases, in the order they run.
pub const CASES: &[Case] = &[Case {
    id: "TC_001_CSMS",
    title: "cold boot",
    target: Target::CentralSystem,
    run: |central_system| Box::pin(tc_001_csms::run(central_system)),
}];
