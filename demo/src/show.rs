//! The story: who starts, who charges, who pays.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use meter_drivers::simulator::{SimulatedMeter, Simulator};
use protocol::PowerW;
use serde_json::Value;

use crate::charger::Charger;
use crate::children::{Process, run};

/// Simulated power and how much faster than real time the meter counts.
const POWER_W: u32 = 11_000;
const TIME_FACTOR: u32 = 360;
/// The charge lasts until the meter has counted this much.
const ENERGY_WH: u64 = 5_000;
const INTERVAL_S: u32 = 2;
const CHARGER: &str = "CABLE-7";
const ID_TAG: &str = "FLEET-VAN-1";

/// How long anything may take before the demo says that it is not true.
const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(100);

/// Shows everything; Ctrl-C ends it and every process with it.
pub(crate) async fn until_interrupted() -> anyhow::Result<()> {
    let state = tempfile::tempdir().context("cannot make a temporary directory")?;
    tokio::select! {
        shown = show(state.path()) => {
            if shown.is_err() {
                tell_logs(state.path());
            }
            shown
        }
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

async fn show(state: &Path) -> anyhow::Result<()> {
    say("A provider and two gateways start, each a process of its own with its own key and disk.");
    let provider = Provider::start(state).await?;
    let meter = SimulatedMeter {
        power: PowerW(0),
        time_factor: TIME_FACTOR,
        energy_mwh: 1_234_567_000,
        ..SimulatedMeter::default()
    };
    let meter = Simulator::bind("127.0.0.1:0", meter).await?;
    let _fleet = Gateway::start(state, "fleet", &provider, fleet_config()).await?;
    let household_config = household_config(&meter.local_addr().to_string());
    let mut household = Gateway::start(state, "household", &provider, household_config).await?;
    provider.wait_for_voters(2).await?;
    say("Both joined with one-time tokens: the fleet's gateway is parent of group FLEET, the");
    say("household's of group HOUSEHOLD. Each group has one vote.");

    let ocpp = household
        .process
        .line("listening for OCPP chargers on ")
        .await?;
    let charger = Charger::boot(&ocpp, CHARGER).await?;
    say("");
    say(&format!(
        "The fleet's van {ID_TAG} plugs in at the household's outlet. The charger asks over OCPP"
    ));
    say("1.6J; the household's gateway asks the fleet's, which grants.");
    charger.authorize(ID_TAG).await?;
    let before = meter.energy_wh();
    let transaction = charger.start(ID_TAG).await?;
    meter.set_power(PowerW(POWER_W));
    say(&format!(
        "Charging with {POWER_W} W, {TIME_FACTOR} times faster than real; the meter is an SDM630 \
         on Modbus TCP."
    ));
    while meter.energy_wh().0 < before.0 + ENERGY_WH {
        tokio::time::sleep(GLANCE).await;
    }
    meter.set_power(PowerW(0));
    charger.stop(transaction, ID_TAG).await?;
    let metered = meter.energy_wh().0 - before.0;
    say(&format!(
        "Unplugged after {metered} Wh. The charge is signed, sealed and voted on."
    ));

    let bill = provider.wait_for_final_bill("FLEET").await?;
    let billed = bill.pointer("/total/energyWh").and_then(Value::as_u64);
    ensure!(
        billed == Some(metered),
        "metered {metered} Wh, billed {billed:?}"
    );
    say("");
    print!("{}", provider.bill("FLEET").await?);
    say("");
    print!("{}", provider.bill("HOUSEHOLD").await?);

    let receipt = household.receipt().await?;
    let key = provider.key().await?;
    let receipt = receipt
        .to_str()
        .context("the temporary directory has an odd name")?;
    say("");
    say("The receipt, checked offline against nothing but the provider's public key:");
    say("");
    print!(
        "{}",
        run(
            "gateway",
            &["receipt", "verify", receipt, "--provider-key", &key]
        )
        .await?
    );
    Ok(())
}

struct Provider {
    config: PathBuf,
    url: String,
    _process: Process,
}

impl Provider {
    async fn start(state: &Path) -> anyhow::Result<Self> {
        let config = state.join("provider.toml");
        std::fs::write(
            &config,
            format!(
                "state_dir = \"provider\"\n\
                 listen = \"127.0.0.1:0\"\n\
                 operator_listen = \"127.0.0.1:0\"\n\
                 [chain]\n\
                 interval_s = {INTERVAL_S}\n\
                 witnesses = 8\n\
                 currency = \"EUR\"\n\
                 test = true\n\
                 [tariff]\n\
                 price_per_kwh = \"0.40\"\n\
                 owner_credit_per_kwh = \"0.30\"\n"
            ),
        )?;
        let log = state.join("provider.log");
        let mut process = Process::start("provider", "provider", &config, &log)?;
        let url = process.line("listening for gateways on ").await?;
        process.line("operator API on ").await?;
        Ok(Self {
            config,
            url,
            _process: process,
        })
    }

    async fn command(&self, args: &[&str]) -> anyhow::Result<String> {
        let config = self.config.to_str().context("an odd temporary directory")?;
        let args: Vec<&str> = args.iter().copied().chain(["--config", config]).collect();
        run("provider", &args).await
    }

    async fn token(&self, group: &str) -> anyhow::Result<String> {
        let token = self.command(&["token", "create", "--group", group]).await?;
        Ok(token.trim().to_owned())
    }

    async fn chain(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(
            &self.command(&["chain", "show", "--json"]).await?,
        )?)
    }

    async fn key(&self) -> anyhow::Result<String> {
        let chain = self.chain().await?;
        let key = chain["providerKey"].as_str();
        Ok(key.context("the provider tells no key")?.to_owned())
    }

    async fn bill(&self, group: &str) -> anyhow::Result<String> {
        self.command(&["bill", "show", group]).await
    }

    async fn wait_for_voters(&self, voters: u64) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.chain().await?["voters"].as_u64() != Some(voters) {
            ensure!(
                tokio::time::Instant::now() < deadline,
                "the gateways were not let in"
            );
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }

    /// Waits until the group's bill has a charge and nothing in it is pending.
    async fn wait_for_final_bill(&self, group: &str) -> anyhow::Result<Value> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let bill = self.command(&["bill", "show", group, "--json"]).await?;
            let bill: Value = serde_json::from_str(&bill)?;
            let lines = bill["lines"].as_array();
            let pending = bill.pointer("/pending/energyWh").and_then(Value::as_u64);
            if lines.is_some_and(|lines| !lines.is_empty()) && pending == Some(0) {
                return Ok(bill);
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "the charge did not become final"
            );
            tokio::time::sleep(GLANCE).await;
        }
    }
}

struct Gateway {
    state_dir: PathBuf,
    process: Process,
}

impl Gateway {
    async fn start(
        state: &Path,
        name: &str,
        provider: &Provider,
        rest: String,
    ) -> anyhow::Result<Self> {
        let config = state.join(format!("{name}.toml"));
        let token = provider.token(name).await?;
        std::fs::write(
            &config,
            format!(
                "state_dir = \"{name}\"\n\
                 [provider]\n\
                 url = \"{}/billing\"\n\
                 enrolment_token = \"{token}\"\n\
                 {rest}",
                provider.url
            ),
        )?;
        let log = state.join(format!("{name}.log"));
        Ok(Self {
            state_dir: state.join(name),
            process: Process::start(name, "gateway", &config, &log)?,
        })
    }

    /// Waits for the first receipt file.
    async fn receipt(&self) -> anyhow::Result<PathBuf> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let path = self.state_dir.join("receipts/charge-00000001.receipt");
        while !path.exists() {
            ensure!(
                tokio::time::Instant::now() < deadline,
                "there is no receipt"
            );
            tokio::time::sleep(GLANCE).await;
        }
        Ok(path)
    }
}

fn fleet_config() -> String {
    format!("[[group]]\nid = \"fleet\"\nid_tags = [\"{ID_TAG}\"]\n")
}

fn household_config(meter: &str) -> String {
    // The meter counts faster than real time, so the outlet's bound is that much higher.
    let max_power_w = POWER_W * TIME_FACTOR * 2;
    format!(
        "[ocpp]\n\
         listen = \"127.0.0.1:0\"\n\
         [[group]]\n\
         id = \"household\"\n\
         id_tags = [\"HOME-CAR\"]\n\
         [[meter]]\n\
         id = \"garage-meter\"\n\
         model = \"eastron-sdm630\"\n\
         address = \"{meter}\"\n\
         poll_interval_ms = 200\n\
         [[outlet]]\n\
         id = \"garage\"\n\
         owner = \"household\"\n\
         meter = \"garage-meter\"\n\
         max_power_w = {max_power_w}\n\
         [[charge_point]]\n\
         id = \"{CHARGER}\"\n\
         outlets = [\"garage\"]\n"
    )
}

fn say(text: &str) {
    println!("{text}");
}

/// What the processes logged, when something was not as it should be.
fn tell_logs(state: &Path) {
    for name in ["provider", "fleet", "household"] {
        if let Ok(log) = std::fs::read_to_string(state.join(format!("{name}.log"))) {
            eprintln!("--- log of the {name}\n{log}");
        }
    }
}
