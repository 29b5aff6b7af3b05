//! A meter of software, register for register an SDM630, on Modbus TCP.

use std::time::Duration;

use meter_drivers::simulator::{SimulatedMeter, Simulator};
use protocol::PowerW;

/// What a car draws.
pub(crate) const POWER_W: u32 = 11_000;
/// What a car with an empty battery takes.
pub(crate) const FULL_WH: u64 = 5_000;
/// What a car takes that only stops by.
pub(crate) const TOP_UP_WH: u64 = 1_400;
const GLANCE: Duration = Duration::from_millis(20);

/// A meter that counts faster than real time, so that seconds show what takes half an hour.
pub(crate) struct Meter {
    simulator: Simulator,
    time_factor: u32,
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

impl Meter {
    /// Starts a meter at which [`FULL_WH`] take the time `full`.
    pub(crate) async fn start(
        serial: u32,
        register_wh: u64,
        full: Duration,
    ) -> anyhow::Result<Self> {
        let watt_ms = u64::from(POWER_W) * u64::try_from(full.as_millis())?;
        let time_factor = u32::try_from(FULL_WH * 3_600_000 / watt_ms)?;
        let meter = SimulatedMeter {
            serial,
            time_factor,
            energy_mwh: register_wh * 1000,
            ..SimulatedMeter::default()
        };
        Ok(Self {
            simulator: Simulator::bind("127.0.0.1:0", meter).await?,
            time_factor,
        })
    }

    pub(crate) fn address(&self) -> String {
        self.simulator.local_addr().to_string()
    }

    /// What can flow here at most, for the outlet's configuration: twice the power, as much faster
    /// than real time as the meter counts.
    pub(crate) fn max_power_w(&self) -> u32 {
        2 * POWER_W * self.time_factor
    }

    pub(crate) fn register_wh(&self) -> u64 {
        self.simulator.energy_wh().0
    }

    pub(crate) fn register_mwh(&self) -> u64 {
        self.simulator.energy_mwh()
    }

    /// Lets a car draw at least `energy_wh`, and until `leaves`; gives what it took.
    pub(crate) async fn charge(
        &self,
        energy_wh: u64,
        leaves: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<u64> {
        let before = self.register_wh();
        self.simulator.set_power(PowerW(POWER_W));
        while self.register_wh() < before + energy_wh {
            tokio::time::sleep(GLANCE).await;
        }
        leaves.await?;
        self.simulator.set_power(PowerW(0));
        // It stops at a whole Wh: no later comparison rests on how a register rounds.
        let after = self.simulator.energy_mwh().div_ceil(1000);
        self.simulator.set_energy_mwh(after * 1000);
        Ok(after - before)
    }
}
