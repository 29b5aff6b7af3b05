//! Charging without a break: the processes keep no more in memory than their chain grows.
//!
//! About twenty seconds, or as many minutes as `CHARGE_GATEWAY_SOAK_MINUTES` says.

use std::path::Path;
use std::time::{Duration, Instant};

use meter_drivers::simulator::Simulator;
use serde_json::{Value, json};
use tests::config::{self, Gateway};
use tests::{Charger, Place, Server, seconds_ago, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
const MINUTES: &str = "CHARGE_GATEWAY_SOAK_MINUTES";
const SHORT: Duration = Duration::from_secs(20);
/// What a process may grow beyond what its state directory grew, from the end of the first third
/// on: the store's cache of 4 MiB, and an allocator that gives pages back late.
const BOUND_KIB: u64 = 16 * 1024;
/// Energy of each charge.
const ENERGY_WH: u64 = 250;
const GARAGE_WH: u64 = 5_000;
const YARD_WH: u64 = 100_000;

#[test]
fn an_hour_of_charging_takes_no_more_memory_than_the_chain_grows() {
    let duration = match std::env::var(MINUTES) {
        Ok(text) => Duration::from_secs(60 * text.parse::<u64>().expect("a number of minutes")),
        Err(_) => SHORT,
    };
    let mut site = Site::new();
    let begun = Instant::now();
    while begun.elapsed() < duration / 3 {
        site.charge();
    }
    let warm = site.sample();
    while begun.elapsed() < duration {
        site.charge();
    }
    let end = site.sample();
    println!(
        "{} charges in {:.0} s",
        2 * site.rounds,
        begun.elapsed().as_secs_f64()
    );
    for (before, after) in warm.iter().zip(&end) {
        check(before, after);
    }
    site.check_bills();
}

/// What one process takes.
struct Sample {
    name: String,
    memory_kib: u64,
    disk_kib: u64,
}

#[track_caller]
fn check(warm: &Sample, end: &Sample) {
    let grown_kib = end.memory_kib.saturating_sub(warm.memory_kib);
    let chain_kib = end.disk_kib.saturating_sub(warm.disk_kib);
    println!(
        "{:<10} memory {} KiB, then {} KiB (+{grown_kib}); disk {} KiB, then {} KiB (+{chain_kib})",
        end.name, warm.memory_kib, end.memory_kib, warm.disk_kib, end.disk_kib
    );
    assert!(
        grown_kib <= BOUND_KIB + chain_kib,
        "{} grew by {grown_kib} KiB, its chain by {chain_kib} KiB",
        end.name
    );
}

struct Site {
    provider: Server,
    fleet: Server,
    household: Server,
    charger: Charger,
    yard: Simulator,
    rounds: u64,
    place: Place,
}

impl Site {
    fn new() -> Self {
        let place = Place::new(PROGRAM);
        let mut provider = Server::provider(&place, &config::provider());
        provider.start();
        let yard = place.simulated_meter(21_000_003, YARD_WH);
        let links = provider.address("{links}");
        let token = |group| provider.token(group).expect("the provider runs");
        let fleet = Gateway::new(links, &token("fleet")).group("fleet", &["VAN-1"]);
        let household = Gateway::new(links, &token("household"))
            .ocpp()
            .group("household", &["HOME-VAN"])
            .meter("yard-meter", &yard.local_addr().to_string())
            .outlet("garage", "household", None)
            .outlet("yard", "household", Some("yard-meter"))
            .charge_point("CP-1", &["garage"])
            .modbus_charger("MB-1", "yard", None);
        let mut fleet = Server::gateway(&place, "fleet", fleet.text());
        let mut household = Server::gateway(&place, "household", household.text());
        fleet.start();
        household.start();
        Self {
            provider,
            fleet,
            household,
            charger: Charger::new(&place, "CP-1"),
            yard,
            rounds: 0,
            place,
        }
    }

    /// A charge of the fleet's van by OCPP, and one of the household's by a swipe.
    fn charge(&mut self) {
        let before_wh = self.rounds * ENERGY_WH;
        let after_wh = before_wh + ENERGY_WH;
        until("VAN-1 is let in", || {
            let answer = self.say("Authorize", &json!({"idTag": "VAN-1"}));
            (answer["idTagInfo"]["status"] == "Accepted").then_some(())
        });
        let start = json!({
            "connectorId": 1, "idTag": "VAN-1", "meterStart": GARAGE_WH + before_wh,
            "timestamp": seconds_ago(1),
        });
        let transaction = self.say("StartTransaction", &start)["transactionId"].take();
        self.swipe("began");
        let register_wh = YARD_WH + after_wh;
        self.yard.set_energy_mwh(register_wh * 1000);
        self.household.wait_for_register("yard-meter", register_wh);
        let stop = json!({
            "transactionId": transaction, "meterStop": GARAGE_WH + after_wh,
            "timestamp": seconds_ago(0),
        });
        self.say("StopTransaction", &stop);
        self.swipe("ended");
        self.rounds += 1;
    }

    fn say(&mut self, action: &str, payload: &Value) -> Value {
        let url = self.household.ocpp_url().expect("it was started");
        let answer = self.charger.call(&url, action, payload);
        answer.unwrap_or_else(|| panic!("{action} is answered"))
    }

    #[track_caller]
    fn swipe(&self, expected: &str) {
        until(expected, || {
            let (_, answer) = self.household.swipe("MB-1", "HOME-VAN")?;
            (answer["did"] == expected).then_some(())
        });
    }

    fn sample(&mut self) -> [Sample; 3] {
        let servers = [&mut self.provider, &mut self.fleet, &mut self.household];
        servers.map(|server| Sample {
            name: server.name().to_owned(),
            memory_kib: memory_kib(server.process().id()),
            disk_kib: disk_bytes(&self.place.path(server.name())) / 1024,
        })
    }

    /// Nothing of it is lost, nothing billed twice.
    fn check_bills(&self) {
        let charges = usize::try_from(self.rounds).expect("it fits");
        for group in ["fleet", "household"] {
            let bill = self.provider.final_bill(group, charges);
            assert_eq!(
                bill["total"]["energyWh"],
                self.rounds * ENERGY_WH,
                "{group}"
            );
        }
    }
}

/// # Source
/// proc(5), /proc/pid/status: `VmRSS` is what of the process is in memory.
fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.expect("a line of kB").parse().expect("a number")
}

fn disk_bytes(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("a state directory");
    let size = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("readable");
        let metadata = entry.metadata().expect("readable");
        match metadata.is_dir() {
            true => disk_bytes(&entry.path()),
            false => metadata.len(),
        }
    };
    entries.map(size).sum()
}
