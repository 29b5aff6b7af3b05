//! The same faults before a peer that is another process and another implementation: pymodbus, over
//! TCP and over RTU in TCP, in real time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meter_drivers::{Bus, Endpoint, Framing, Meter};
use meter_faults::proxy::{Control, Proxy};
use meter_faults::{check, meter, stamp};
use protocol::UnixMillis;
use tokio::net::TcpStream;

const PYTHON: &str = "CHARGE_GATEWAY_PEER_PYTHON";
/// pymodbus answers within milliseconds; a busy machine within more.
const TIMEOUT: Duration = Duration::from_millis(150);
/// Lines with four meters each, at the same time.
const LINES: u64 = 4;
/// Faults on each of them.
const FAULTS: usize = 40;
/// Within so long after the last fault each meter is read.
const RECOVERY: Duration = Duration::from_secs(60);

struct Peer {
    child: Child,
    port: u16,
}

impl Peer {
    fn start(framing: &str, epoch_ms: u64) -> Self {
        let Some(python) = std::env::var_os(PYTHON) else {
            panic!("{PYTHON} is not set; run cargo xtask test, which installs the Python peers");
        };
        let script = "../tests/peers/modbus_stamps.py";
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .args([framing, "--epoch-ms", &epoch_ms.to_string()])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the Python of the peers runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("it says its port");
        let said: serde_json::Value = serde_json::from_str(&line).expect("peers say JSON");
        let port = said["port"].as_u64().expect("a port");
        Self {
            child,
            port: u16::try_from(port).expect("a port"),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("64 bits")
}

async fn check_against(framing: Framing, name: &str) {
    // A second of slack: nothing is read before it began.
    let epoch_ms = unix_ms() - 1_000;
    let peer = Peer::start(name, epoch_ms);
    let mut lines = tokio::task::JoinSet::new();
    for seed in 0..LINES {
        let stream = TcpStream::connect(("127.0.0.1", peer.port)).await;
        lines.spawn(read_line(
            framing,
            stream.expect("it listens"),
            epoch_ms,
            seed,
        ));
    }
    let readings: usize = lines.join_all().await.into_iter().sum();
    assert!(readings > 100, "{readings} readings");
}

/// Reads four meters of a line among faults, and until each is read again; gives the readings.
async fn read_line(framing: Framing, peer: TcpStream, epoch_ms: u64, seed: u64) -> usize {
    let control = Control::new(FAULTS);
    let (proxy, door) = Proxy::new(framing, TIMEOUT, peer, Arc::clone(&control), seed);
    let proxy = tokio::spawn(proxy.run());
    let bus = Bus::start(Endpoint::Wires {
        framing,
        baud: 19_200,
        dial: Arc::new(door),
    });
    let mut meters = tokio::task::JoinSet::new();
    for unit_id in stamp::UNITS {
        let meter = meter(&bus, unit_id, TIMEOUT);
        meters.spawn(read_meter(meter, unit_id, Arc::clone(&control), epoch_ms));
    }
    let readings = meters.join_all().await.into_iter().sum();
    drop(bus);
    proxy.await.expect("it ends").expect("the peer outlives it");
    readings
}

async fn read_meter(mut meter: Meter, unit_id: u8, control: Arc<Control>, epoch_ms: u64) -> usize {
    let now = move || UnixMillis(unix_ms() - epoch_ms);
    let now_ms = move || u32::try_from(now().0).expect("a test is short");
    let mut readings = 0;
    let mut since: Option<Instant> = None;
    loop {
        if control.is_done.load(Ordering::Relaxed) {
            since.get_or_insert_with(Instant::now);
        }
        let begun_ms = now_ms();
        match meter.read(&now).await {
            Ok(reading) => {
                // Whole milliseconds of two clocks that read the same one.
                let right = check::reading(unit_id, &reading, begun_ms, now_ms());
                right.unwrap_or_else(|wrong| panic!("{wrong}"));
                readings += 1;
                if since.is_some() {
                    return readings;
                }
            }
            Err(error) => check::error(&error).unwrap_or_else(|wrong| panic!("{wrong}")),
        }
        assert!(
            since.is_none_or(|since| since.elapsed() < RECOVERY),
            "unit {unit_id} is not read again"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wrong_reading_of_pymodbus_over_tcp() {
    check_against(Framing::Tcp, "tcp").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wrong_reading_of_pymodbus_over_rtu_in_tcp() {
    check_against(Framing::Rtu, "rtu").await;
}
