//! Our driver and libmodbus, each in a process of its own, read the same meter: a libmodbus server, on
//! TCP and on a pair of pseudo terminals.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bench_report::{Effort, Row};
use meter_drivers::transport::serial::SerialSettings;
use meter_drivers::{Bus, Endpoint, Meter, MeterConfig, Parity, RegisterMap, StopBits};
use nix::sys::resource::{UsageWho, getrusage};
use protocol::UnixMillis;

use crate::libmodbus::{Cost, Program, build, measure};

/// Tells this program to be the reader: `--client tcp ADDRESS COUNT` or `--client rtu DEVICE COUNT`.
const CLIENT: &str = "--client";
const BAUD: u32 = 115_200;
/// Bits of a character on the line: start, eight, stop, and one that may guard it.
const BITS: u32 = 11;
/// Bytes of a reading's request and answer.
const REQUEST_BYTES: u32 = 8;
const ANSWER_BYTES: u32 = 49;
/// Silence before and after each frame above 19,200 baud (Modbus over Serial Line V1.02, 2.5.1.1).
const SILENCE: Duration = Duration::from_micros(1_750);

pub(crate) fn run(effort: Effort) -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = build(folder.path(), "modbus_server");
    let client = build(folder.path(), "modbus_client");
    let mut rows = over_tcp(&server, &client, effort.pick(20_000, 20));
    rows.extend(over_rtu(
        folder.path(),
        &server,
        &client,
        effort.pick(2_000, 5),
    ));
    rows
}

fn over_tcp(server: &Path, client: &Path, count: usize) -> Vec<Row> {
    let started = Program::start(Command::new(server).args(["tcp", "0", "1"]));
    let port = started
        .said
        .trim()
        .strip_prefix("ready ")
        .expect("it listens");
    let count_text = count.to_string();
    let theirs = measure(Command::new(client).args(["tcp", port, "1", &count_text]));
    let address = format!("127.0.0.1:{port}");
    let ours = measure(ourselves().args([CLIENT, "tcp", &address, &count_text]));
    vec![
        per_reading("TCP: processor time per reading, µs", ours, theirs, count),
        Row::beside(
            "TCP: readings",
            rate(ours, count),
            rate(theirs, count),
            "/s",
        ),
    ]
}

fn over_rtu(folder: &Path, server: &Path, client: &Path, count: usize) -> Vec<Row> {
    let (near, far) = (folder.join("near"), folder.join("far"));
    let _wire = wire(&near, &far);
    let (near, far) = (text(&near), text(&far));
    let (baud, count_text) = (BAUD.to_string(), count.to_string());
    let _server = Program::start(Command::new(server).args(["rtu", far, &baud, "1"]));
    let theirs = measure(Command::new(client).args(["rtu", near, &baud, "1", &count_text]));
    let ours = measure(ourselves().args([CLIENT, "rtu", near, &count_text]));
    let bits = f64::from((REQUEST_BYTES + ANSWER_BYTES) * BITS);
    let on_the_line = bits / f64::from(BAUD) + 2.0 * SILENCE.as_secs_f64();
    vec![
        per_reading(
            "RTU on a pty: processor time per reading, µs",
            ours,
            theirs,
            count,
        ),
        Row::beside(
            "RTU on a pty: readings",
            rate(ours, count),
            rate(theirs, count),
            "/s",
        ),
        Row::rate(
            format!("RTU on a pty: readings, beside a line of {BAUD} baud"),
            rate(ours, count),
            1.0 / on_the_line,
            1.0,
        ),
    ]
}

/// Two pseudo terminals with a wire between them, by socat.
fn wire(near: &Path, far: &Path) -> impl Drop {
    let end = |path: &Path| format!("pty,rawer,link={}", path.display());
    let mut socat = Command::new("socat");
    let socat = socat.args([end(near), end(far)]).spawn();
    let socat = Killed(socat.expect("socat is missing: apt-get install socat"));
    let begun = Instant::now();
    while !(near.exists() && far.exists()) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "socat opens no terminals"
        );
        std::thread::yield_now();
    }
    socat
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ourselves() -> Command {
    Command::new(std::env::current_exe().expect("this program has a file"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn per_reading(what: &str, ours: Cost, theirs: Cost, count: usize) -> Row {
    let microseconds = |cost: Cost| cost.processor.as_secs_f64() * 1e6 / number(count);
    let limit = 2.0 * microseconds(theirs);
    Row::at_most(
        format!("{what}, against twice libmodbus's"),
        microseconds(ours),
        limit,
        "",
    )
}

fn rate(cost: Cost, count: usize) -> f64 {
    number(count) / cost.wall.as_secs_f64()
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("few"))
}

/// Where this program was called to be the reader: reads, prints what it took, and says that it is done.
pub(crate) fn client_of(mut words: impl Iterator<Item = String>) -> Option<()> {
    words.find(|word| word == CLIENT)?;
    let [kind, place, count] = [(); 3].map(|()| words.next().expect("kind, place, count"));
    let endpoint = match kind.as_str() {
        "tcp" => Endpoint::Tcp { address: place },
        _ => Endpoint::Serial(SerialSettings {
            path: PathBuf::from(place),
            baud: BAUD,
            parity: Parity::None,
            stop_bits: StopBits::One,
        }),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let cost = runtime
        .expect("a runtime")
        .block_on(read(endpoint, count.parse().expect("a number")));
    println!("{} {}", cost.processor.as_nanos(), cost.wall.as_nanos());
    Some(())
}

async fn read(endpoint: Endpoint, count: u32) -> Cost {
    let config = MeterConfig {
        name: "meter".to_owned(),
        unit_id: 1,
        timeout: Duration::from_secs(1),
        pause: Duration::ZERO,
        map: RegisterMap::builtin("eastron-sdm630").expect("it is built in"),
    };
    let mut meter = Meter::new(config, &Bus::start(endpoint));
    let clock = || UnixMillis(1);
    // The first one identifies the meter as well.
    meter.read(&clock).await.expect("the meter answers");
    let (processor, wall) = (processor_time(), Instant::now());
    for _ in 0..count {
        meter.read(&clock).await.expect("the meter answers");
    }
    Cost {
        processor: processor_time() - processor,
        wall: wall.elapsed(),
    }
}

fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every Linux has it");
    let of = |time: nix::sys::time::TimeVal| {
        let microseconds = time.tv_sec() * 1_000_000 + time.tv_usec();
        Duration::from_micros(microseconds.cast_unsigned())
    };
    of(usage.user_time()) + of(usage.system_time())
}
