//! What stands on the demo's stage: a provider, gateways with their meters, and who plugs in.

mod charger;
mod gateway;
mod meter;
mod provider;

use crate::wire::Upstream;

pub(crate) use charger::Charger;
pub(crate) use gateway::{Gateway, GatewayPlan};
pub(crate) use meter::{FULL_WH, Meter, TOP_UP_WH};
pub(crate) use provider::{CREDIT_PER_KWH_CENTS, PRICE_PER_KWH_CENTS, Provider};

/// The honest ones.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) provider: Provider,
    /// Where every tap finds the provider.
    pub(crate) upstream: Upstream,
    /// Parent of the fleet.
    pub(crate) a: Gateway,
    /// Member of the fleet.
    pub(crate) b: Gateway,
    /// Parent of the household.
    pub(crate) c: Gateway,
}

impl World {
    pub(crate) fn gateways(&self) -> [&Gateway; 3] {
        [&self.a, &self.b, &self.c]
    }
}

/// The path of a file in the temporary directory as text, for arguments and configurations.
pub(crate) fn as_text(path: &std::path::Path) -> anyhow::Result<&str> {
    use anyhow::Context as _;
    path.to_str()
        .context("the temporary directory's name is no text; set TMPDIR to another")
}
