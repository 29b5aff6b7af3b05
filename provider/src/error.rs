//! Everything that ends the program, and the one line that tells it.

use std::error::Error as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use ledger::store::StoreError;

use crate::config::ConfigError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot use {path}; check that it exists, is writable and has space")]
    StateFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is not what this program wrote; restore the state directory from a backup")]
    DamagedFile { path: PathBuf },
    #[error("others can read {path} (mode {mode:o}); run chmod 600 on it")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error(
        "{state_dir} is the state directory of another chain: provider.key does not belong to \
         the chain in provider.redb; restore both from one backup or choose another state_dir"
    )]
    OtherChain { state_dir: PathBuf },
    #[error(
        "{key} is {configured} in the configuration, but the chain in {state_dir} began with \
         {stored}; set it back or begin a new chain in another state_dir"
    )]
    OtherParameter {
        key: &'static str,
        configured: String,
        stored: String,
        state_dir: PathBuf,
    },
    #[error(
        "block {height} in {state_dir} does not follow the chain before it; restore the state \
         directory from a backup"
    )]
    BrokenChain { height: u64, state_dir: PathBuf },
    #[error(
        "cannot listen on {address}; stop what listens there or change {key} in the configuration"
    )]
    Listen {
        key: &'static str,
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the system gives no threads or signals; check its limits")]
    System(#[source] std::io::Error),
    #[error("the engine stopped without an error; this is a fault of charge-provider, report it")]
    Engine,
    #[error(
        "the provider of {state_dir} is not running; start it with charge-provider run --config FILE"
    )]
    NotRunning { state_dir: PathBuf },
    #[error(
        "this convicts the provider if its state directory is an older copy: gateways that see a \
         second header for a block, or a second receipt for a charge, stop for good; add --yes if \
         it is none, or if the gateways that are missing are gone for good"
    )]
    Unconfirmed,
    #[error("{0}")]
    Refused(String),
    #[error("the provider's answer cannot be read; check that it has the version of this command")]
    Answer(#[source] ureq::Error),
}

impl Error {
    /// The error and its causes on one line.
    pub(crate) fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line.replace('\n', " ")
    }
}
