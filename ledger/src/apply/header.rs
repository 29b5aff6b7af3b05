//! What a header must say to follow another, whatever its body holds.

use protocol::{Genesis, Hash, Signed, UnixSeconds};

use super::Invalid;
use crate::block::{Header, VERSION};
use crate::merkle::Frontier;
use crate::state::State;

/// The end of a chain of headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge<'a> {
    pub(crate) genesis: &'a Genesis,
    pub(crate) height: u64,
    pub(crate) tip: Hash,
    pub(crate) round: u64,
    pub(crate) time: UnixSeconds,
    pub(crate) log: &'a Frontier,
}

impl<'a> Edge<'a> {
    pub(crate) fn of(state: &'a State) -> Self {
        Self {
            genesis: &state.genesis,
            height: state.height,
            tip: state.tip,
            round: state.round,
            time: state.time,
            log: &state.log,
        }
    }

    /// Whether the header is the next one.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub(crate) fn check_next(&self, signed: &Signed<Header>) -> Result<(), Invalid> {
        let header = &signed.body;
        if header.version != VERSION {
            return Err(Invalid::Version(header.version));
        }
        let expected = self.height + 1;
        if header.height != expected {
            return Err(Invalid::Height {
                expected,
                found: header.height,
            });
        }
        if header.previous != self.tip {
            return Err(Invalid::Previous);
        }
        if header.time < self.time || header.round < self.round {
            return Err(Invalid::Backwards);
        }
        signed
            .verify(&self.genesis.provider_key, &self.genesis.chain_id())
            .map_err(|_| Invalid::Signature("the header"))?;
        if header.log_root != self.log.root() {
            return Err(Invalid::Mismatch("log root"));
        }
        Ok(())
    }
}
