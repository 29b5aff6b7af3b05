//! The service provider as a process, and its operator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::as_text;
use crate::args::Pace;
use crate::children::{Children, Process};
use crate::http::Api;

/// The tariff, in cents per kWh: what the payer owes, and what the outlet's owner is credited.
pub(crate) const PRICE_PER_KWH_CENTS: u64 = 40;
pub(crate) const CREDIT_PER_KWH_CENTS: u64 = 30;

const STATE: &str = "provider";

/// A running provider.
#[derive(Debug)]
pub(crate) struct Provider {
    /// Its configuration file.
    pub(crate) config: PathBuf,
    /// Where nodes connect.
    pub(crate) links: SocketAddr,
    /// Its operator API.
    pub(crate) api: Api,
    _process: Process,
}

impl Provider {
    /// Starts a provider in `dir`, which may have run there before.
    pub(crate) async fn start(
        dir: &Path,
        pace: &Pace,
        children: &Children,
    ) -> anyhow::Result<Self> {
        let config = dir.join("provider.toml");
        std::fs::write(&config, configuration(pace))?;
        let args = ["provider", "run", "--config", as_text(&config)?];
        let mut process = children.start("the provider", &args, &dir.join("provider.log"))?;
        let links = process.line("listening for gateways on ws://").await?;
        let operator = process.line("operator API on ").await?;
        let token = std::fs::read_to_string(Self::state_dir(dir).join("operator.token"))?;
        Ok(Self {
            config,
            links: links.parse().context("an address is expected")?,
            api: Api {
                base: format!("{operator}/v1"),
                token: Some(token.trim().to_owned()),
            },
            _process: process,
        })
    }

    /// Where a provider of `dir` keeps what is durable.
    pub(crate) fn state_dir(dir: &Path) -> PathBuf {
        dir.join(STATE)
    }

    /// Creates a one-time enrolment token.
    pub(crate) async fn token(&self, group: &str) -> anyhow::Result<String> {
        let created = self.api.post("tokens", json!({"groups": [group]})).await?;
        let token = created["token"].as_str();
        Ok(token.context("the operator API gives no token")?.to_owned())
    }

    pub(crate) async fn bill(&self, group: &str) -> anyhow::Result<Value> {
        self.api.get(&format!("bills/{group}")).await
    }

    pub(crate) async fn chain(&self) -> anyhow::Result<Value> {
        self.api.get("chain").await
    }
}

fn configuration(pace: &Pace) -> String {
    let interval_s = pace.interval_s;
    format!(
        "state_dir = \"{STATE}\"\n\
         listen = \"127.0.0.1:0\"\n\
         operator_listen = \"127.0.0.1:0\"\n\
         [chain]\n\
         interval_s = {interval_s}\n\
         witnesses = 8\n\
         currency = \"EUR\"\n\
         test = true\n\
         [tariff]\n\
         price_per_kwh = \"0.{PRICE_PER_KWH_CENTS}\"\n\
         owner_credit_per_kwh = \"0.{CREDIT_PER_KWH_CENTS}\"\n"
    )
}
