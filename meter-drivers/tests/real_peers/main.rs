//! The driver and the simulator against other people's Modbus: pymodbus, libmodbus and mbpoll, over
//! TCP, over RTU on a pair of serial ports, and over RTU in TCP. Time, sockets and terminals are real.

mod actuators;
mod programs;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meter_drivers::simulator::{
    MapValues, RegisterImage, SimulatedLine, SimulatedMeter, SimulatedUnit, Simulator,
};
use meter_drivers::{
    Bus, Endpoint, Meter, MeterConfig, MeterError, Parity, Reading, Recording, RegisterMap,
    SerialSettings, StopBits,
};
use programs::{Pymodbus, Wire, libmodbus, mbpoll};
use protocol::{EnergyWh, PowerW, UnixMillis};
use tempfile::TempDir;

const BAUD: u32 = 9_600;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn serial(path: &Path) -> SerialSettings {
    SerialSettings {
        path: path.to_owned(),
        baud: BAUD,
        // A pseudo terminal has no other.
        parity: Parity::None,
        stop_bits: StopBits::One,
    }
}

fn meter(bus: &Bus, unit_id: u8) -> Meter {
    let config = MeterConfig {
        name: format!("unit-{unit_id}"),
        unit_id,
        timeout: Duration::from_millis(400),
        pause: Duration::ZERO,
        map: RegisterMap::builtin("eastron-sdm630").expect("built in"),
    };
    Meter::new(config, bus)
}

fn now() -> UnixMillis {
    let since_epoch = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    UnixMillis(u64::try_from(since_epoch.as_millis()).expect("before the year 584,000,000"))
}

async fn read(meter: &mut Meter) -> Result<Reading, MeterError> {
    meter.read(&now).await
}

#[track_caller]
fn check(reading: Result<Reading, MeterError>, unit: u8, register_wh: u64) {
    let reading = reading.expect("a reading");
    assert_eq!(reading.register, EnergyWh(register_wh));
    let serial = reading.serial.expect("the SDM630 has one");
    assert_eq!(serial.as_str(), (20_630_000 + u32::from(unit)).to_string());
}

/// Two meters of pymodbus on one line: their values, a late answer, a meter that is not there.
async fn read_two_of_pymodbus(mut peer: Pymodbus, endpoint: Endpoint) {
    let bus = Bus::start(endpoint);
    let (mut one, mut two, mut absent) = (meter(&bus, 1), meter(&bus, 2), meter(&bus, 3));
    check(read(&mut one).await, 1, 1_000);
    check(read(&mut two).await, 2, 2_000);
    peer.set(2, "energy_wh", 2_345_000);
    check(read(&mut two).await, 2, 2_345_000);
    check(read(&mut one).await, 1, 1_000);

    let silent = read(&mut absent).await;
    assert!(
        matches!(silent, Err(MeterError::Silent { unit_id: 3, .. })),
        "{silent:?}"
    );
    check(read(&mut one).await, 1, 1_000);

    // Longer than the driver waits: the answer comes while the next question is out.
    peer.set(1, "delay_ms", 600);
    let late = read(&mut one).await;
    assert!(
        matches!(late, Err(MeterError::Silent { unit_id: 1, .. })),
        "{late:?}"
    );
    peer.set(1, "delay_ms", 0);
    peer.set(1, "energy_wh", 1_500_000);
    until_read(&mut one, 1, 1_500_000).await;
    until_read(&mut two, 2, 2_345_000).await;
}

/// Reads until there is a reading, which must be this one.
async fn until_read(meter: &mut Meter, unit: u8, register_wh: u64) {
    let begun = Instant::now();
    loop {
        match read(meter).await {
            Err(_) if begun.elapsed() < Duration::from_secs(20) => (),
            result => return check(result, unit, register_wh),
        }
    }
}

#[tokio::test]
async fn pymodbus_over_tcp() {
    let (peer, address) = Pymodbus::listening("tcp", "1,2");
    read_two_of_pymodbus(peer, Endpoint::Tcp { address }).await;
}

#[tokio::test]
async fn pymodbus_over_rtu_in_tcp() {
    let (peer, address) = Pymodbus::listening("rtu-over-tcp", "1,2");
    let baud = BAUD;
    read_two_of_pymodbus(peer, Endpoint::RtuOverTcp { address, baud }).await;
}

#[tokio::test]
async fn pymodbus_on_a_serial_line() {
    let folder = folder();
    let wire = Wire::lay(&folder);
    let peer = Pymodbus::on(&wire.theirs, "1,2");
    read_two_of_pymodbus(peer, Endpoint::Serial(serial(&wire.ours))).await;
}

#[tokio::test]
async fn libmodbus_over_tcp() {
    let folder = folder();
    let (_server, port) = libmodbus(&folder, &["tcp", "0", "77"]);
    let address = format!("127.0.0.1:{port}");
    let bus = Bus::start(Endpoint::Tcp { address });
    let reading = read(&mut meter(&bus, 77)).await;
    assert_eq!(
        reading.as_ref().ok().and_then(|r| r.power),
        Some(PowerW(7_360))
    );
    check(reading, 77, 12_345_500);
}

#[tokio::test]
async fn libmodbus_on_a_serial_line() {
    let folder = folder();
    let wire = Wire::lay(&folder);
    let device = wire.theirs.to_str().expect("a plain path").to_owned();
    let (_server, _) = libmodbus(&folder, &["rtu", &device, "9600", "77"]);
    let bus = Bus::start(Endpoint::Serial(serial(&wire.ours)));
    let mut known = meter(&bus, 77);
    for _ in 0..3 {
        check(read(&mut known).await, 77, 12_345_500);
    }
    let silent = read(&mut meter(&bus, 78)).await;
    assert!(
        matches!(silent, Err(MeterError::Silent { .. })),
        "{silent:?}"
    );
    // libmodbus takes whatever follows a request to another unit for that unit's answer, and drops
    // it: one request to a neighbour of an absent meter is lost.
    until_read(&mut known, 77, 12_345_500).await;
}

#[tokio::test]
async fn a_device_that_restarts_is_read_again() {
    let (peer, address) = Pymodbus::listening("tcp", "1");
    let port = address.rsplit(':').next().expect("it has one");
    let port = port.parse().expect("a port");
    let bus = Bus::start(Endpoint::Tcp { address });
    let mut one = meter(&bus, 1);
    check(read(&mut one).await, 1, 1_000);
    drop(peer);
    let down = read(&mut one).await;
    assert!(
        matches!(
            down,
            Err(MeterError::Unreachable { .. } | MeterError::ConnectionLost { .. })
        ),
        "{down:?}"
    );
    let (_peer, _) = Pymodbus::listening_at("tcp", "1", port);
    until_read(&mut one, 1, 1_000).await;
}

#[tokio::test]
async fn a_serial_adapter_that_is_plugged_out_and_in_is_read_again() {
    let folder = folder();
    let wire = Wire::lay(&folder);
    let path = wire.ours.clone();
    let peer = Pymodbus::on(&wire.theirs, "1");
    let bus = Bus::start(Endpoint::Serial(serial(&path)));
    let mut one = meter(&bus, 1);
    check(read(&mut one).await, 1, 1_000);
    // socat takes its terminals and their paths with it.
    drop((peer, wire));
    let gone = read(&mut one).await;
    assert!(
        matches!(
            gone,
            Err(MeterError::Unreachable { .. } | MeterError::ConnectionLost { .. })
        ),
        "{gone:?}"
    );
    let wire = Wire::lay(&folder);
    assert_eq!(wire.ours, path);
    let _peer = Pymodbus::on(&wire.theirs, "1");
    until_read(&mut one, 1, 1_000).await;
}

/// A line of the simulator: unit 1 from a map, unit 2 from a recording, unit 3 a live SDM630.
async fn simulated_line() -> SimulatedLine {
    let map = RegisterMap::builtin("eastron-sdm630").expect("built in");
    let values = MapValues {
        energy: EnergyWh(1_500),
        power: PowerW(7_360),
        serial: 20_630_001,
    };
    let recording = Recording::parse("x", "1000 2 input 0x0048 3FC0 0000").expect("it is one");
    let live = Simulator::bind("127.0.0.1:0", SimulatedMeter::default());
    let live = live.await.expect("a free port");
    live.set_energy_mwh(1_500_000);
    let units: [(u8, Arc<dyn SimulatedUnit>); 3] = [
        (1, Arc::new(RegisterImage::of_map(&map, values))),
        (2, Arc::new(RegisterImage::of_recording(&recording, 2))),
        (3, live.unit()),
    ];
    SimulatedLine::new(units)
}

/// All three show 1.5 kWh; mbpoll counts registers from 1, and takes the high word first with -B.
async fn mbpoll_reads(mode: &[&str], at: &str) {
    for unit in ["1", "2", "3"] {
        let arguments: Vec<String> = ["-a", unit, "-t", "3:float", "-B", "-r", "73", "-1"]
            .iter()
            .chain(mode)
            .chain(&[at])
            .map(ToString::to_string)
            .collect();
        let said = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            mbpoll(&arguments)
        });
        let said = said.await.expect("it ran");
        let value = said.lines().find(|line| line.starts_with("[73]:"));
        let value = value.and_then(|line| line.split_whitespace().last());
        assert_eq!(value, Some("1.5"), "unit {unit}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mbpoll_reads_the_simulator_over_tcp() {
    let line = simulated_line().await;
    let served = line.serve_tcp("127.0.0.1:0").await.expect("a free port");
    let port = served.local_addr().expect("it listens").port().to_string();
    mbpoll_reads(&["-m", "tcp", "-p", &port], "127.0.0.1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mbpoll_reads_the_simulator_on_a_serial_line() {
    let folder = folder();
    let wire = Wire::lay(&folder);
    let line = simulated_line().await;
    let _served = line.serve_serial(&serial(&wire.ours)).expect("it opens");
    let device = wire.theirs.to_str().expect("a plain path");
    mbpoll_reads(&["-m", "rtu", "-b", "9600", "-P", "none"], device).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_driver_reads_the_simulator_over_rtu_in_tcp() {
    let line = simulated_line().await;
    let served = line.serve_rtu_over_tcp("127.0.0.1:0").await;
    let served = served.expect("a free port");
    let address = served.local_addr().expect("it listens").to_string();
    let bus = Bus::start(Endpoint::RtuOverTcp {
        address,
        baud: BAUD,
    });
    check(read(&mut meter(&bus, 1)).await, 1, 1_500);
}
