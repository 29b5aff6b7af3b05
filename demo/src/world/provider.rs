//! The service provider as a process, and its operator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::as_text;
use crate::LEASHED;
use crate::args::Pace;
use crate::children::Process;
use crate::http::Api;
use crate::stage::Stage;

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
    process: Process,
}

impl Provider {
    /// Starts a provider.
    pub(crate) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        Self::start_at(stage, ["127.0.0.1:0"; 2]).await
    }

    /// Stops it in good order, lets `meanwhile` happen, and starts it again where it was.
    pub(crate) async fn restart_after<T>(
        self,
        stage: &Stage,
        meanwhile: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(Self, T)> {
        self.process.stop().await?;
        let done = meanwhile.await?;
        let links = self.links.to_string();
        let operator = self.api.base.trim_start_matches("http://");
        let operator = operator.trim_end_matches("/v1");
        Ok((Self::start_at(stage, [&links, operator]).await?, done))
    }

    async fn start_at(stage: &Stage, listen: [&str; 2]) -> anyhow::Result<Self> {
        let config = stage.dir.join("provider.toml");
        std::fs::write(&config, configuration(&stage.pace, listen))?;
        let args = [LEASHED, "provider", "run", "--config", as_text(&config)?];
        let log = stage.dir.join("provider.log");
        let mut process = stage.children.start("the provider", &args, &log)?;
        let links = process.line("listening for gateways on ws://").await?;
        let operator = process.line("operator API on ").await?;
        let token = Self::state_dir(&stage.dir).join("operator.token");
        Ok(Self {
            config,
            links: links.parse().context("an address is expected")?,
            api: Api {
                base: format!("{operator}/v1"),
                token: Some(std::fs::read_to_string(token)?.trim().to_owned()),
            },
            process,
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

    /// Who is convicted of what.
    pub(crate) async fn convictions(&self) -> anyhow::Result<Value> {
        let mut listed = self.api.get("evidence").await?;
        Ok(listed["convictions"].take())
    }

    pub(crate) async fn chain(&self) -> anyhow::Result<Value> {
        self.api.get("chain").await
    }
}

fn configuration(pace: &Pace, [links, operator]: [&str; 2]) -> String {
    let interval_s = pace.interval_s;
    // Short enough to see the end of a silence.
    let (dormancy_s, dispute_period_s) = (2 * interval_s, interval_s);
    format!(
        "state_dir = \"{STATE}\"\n\
         listen = \"{links}\"\n\
         operator_listen = \"{operator}\"\n\
         [chain]\n\
         interval_s = {interval_s}\n\
         witnesses = 8\n\
         dormancy_s = {dormancy_s}\n\
         dispute_period_s = {dispute_period_s}\n\
         currency = \"EUR\"\n\
         test = true\n\
         [tariff]\n\
         price_per_kwh = \"0.{PRICE_PER_KWH_CENTS}\"\n\
         owner_credit_per_kwh = \"0.{CREDIT_PER_KWH_CENTS}\"\n"
    )
}
