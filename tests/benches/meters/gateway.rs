//! What a whole gateway takes while it reads its meters and nothing else happens.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bench_report::{Effort, Row};
use meter_drivers::simulator::{
    ServedLine, SimulatedLine, SimulatedMeter, SimulatedUnit, Simulator,
};
use tests::config::Gateway;
use tests::{Place, Server, until};

/// How many meters, and how many of them are on one bus.
const METERS: [u8; 3] = [10, 32, 247];
/// Limits of 10 meters at 1 Hz: MiB resident, and share of a core.
const MOST_MIB: f64 = 15.0;
const MOST_SHARE: f64 = 0.01;

pub(crate) fn run(effort: Effort) -> Vec<Row> {
    let seconds = u64::try_from(effort.pick(20, 1)).expect("few");
    METERS
        .into_iter()
        .flat_map(|meters| with(meters, seconds))
        .collect()
}

fn with(meters: u8, seconds: u64) -> [Row; 2] {
    let place = Place::new(env!("CARGO_BIN_EXE_crashpoint"));
    let (_units, line) = place.runtime().block_on(serve(meters));
    let address = line.local_addr().expect("it listens on TCP");
    let mut text = Gateway::new("ws://127.0.0.1:1/billing", "no-token")
        .text()
        .to_owned();
    text.push_str(&format!("[[bus]]\nname = \"line\"\ntcp = \"{address}\"\n"));
    for unit in 1..=meters {
        text.push_str(&format!(
            "[[meter]]\nid = \"meter-{unit}\"\nmodel = \"eastron-sdm630\"\nbus = \"line\"\n\
             unit_id = {unit}\npoll_interval_ms = 1000\n"
        ));
    }
    let mut gateway = Server::gateway(&place, "gateway", &text);
    gateway.start();
    until("all meters are read", || {
        let status = gateway.status()?;
        let read = status["meters"].as_object()?.values();
        let good = read.filter(|meter| meter["quality"] == "good").count();
        (good == usize::from(meters)).then_some(())
    });
    let process = gateway.process().id();
    let before = processor_time(process);
    std::thread::sleep(Duration::from_secs(seconds));
    let spent = processor_time(process) - before;
    let share = spent.as_secs_f64() / Duration::from_secs(seconds).as_secs_f64();
    let resident = resident_mib(process);
    let memory = format!("{meters} meters at 1 Hz: resident");
    let processor = format!("{meters} meters at 1 Hz: share of a core, %");
    match meters {
        10 => [
            Row::at_most(memory, resident, MOST_MIB, "MiB"),
            Row::at_most(processor, share * 100.0, MOST_SHARE * 100.0, ""),
        ],
        _ => [
            Row::plain(memory, resident, "MiB"),
            Row::plain(processor, share * 100.0, ""),
        ],
    }
}

async fn serve(meters: u8) -> (Vec<Simulator>, ServedLine) {
    let mut simulators = Vec::new();
    let mut units: Vec<(u8, Arc<dyn SimulatedUnit>)> = Vec::new();
    for unit_id in 1..=meters {
        let meter = SimulatedMeter {
            unit_id,
            serial: 1_000 + u32::from(unit_id),
            ..SimulatedMeter::default()
        };
        let simulator = Simulator::bind("127.0.0.1:0", meter)
            .await
            .expect("a free port");
        units.push((unit_id, simulator.unit()));
        simulators.push(simulator);
    }
    let line = SimulatedLine::new(units).serve_tcp("127.0.0.1:0").await;
    (simulators, line.expect("a free port"))
}

/// User's and system's time of a process; the kernel counts them in hundredths of a second.
fn processor_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let (_, behind_name) = stat.rsplit_once(')').expect("its name is in brackets");
    let fields = behind_name.split_whitespace();
    // Fields 14 and 15 of the whole line; the first here is its third (proc(5)).
    let ticks = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>());
    let ticks: u64 = ticks.map(|ticks| ticks.expect("a count")).sum();
    Duration::from_millis(ticks * 10)
}

fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u32 = kib
        .and_then(|kib| kib.trim().parse().ok())
        .expect("a count of kB");
    f64::from(kib) / 1_024.0
}
