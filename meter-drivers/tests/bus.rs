//! Many meters on one line, in virtual time: whose turn it is, and what a silent one costs the others.
//! The line answers at once, so that all time that passes is the arbiter's doing.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use meter_drivers::simulator::{MapValues, RegisterImage, SimulatedLine, SimulatedUnit};
use meter_drivers::transport::{Dialled, Wire};
use meter_drivers::{
    Bus, Dial, Endpoint, Framing, Meter, MeterConfig, MeterError, Reading, RegisterMap,
    RegisterMaps,
};
use protocol::{EnergyWh, PowerW, UnixMillis};
use tokio::io::duplex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const TIMEOUT: Duration = Duration::from_millis(500);
const BAUD: u32 = 9_600;
/// 3.5 characters at 9,600 baud, rounded down.
const GAP: Duration = Duration::from_micros(4_010);
/// Two probes, the serial number, energy with power.
const REQUESTS_AT_FIRST: u32 = 4;

/// A line of simulated units that can be plugged out.
struct Line {
    units: SimulatedLine,
    dialled: AtomicUsize,
    is_there: bool,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("line")
    }
}

impl Dial for Line {
    fn dial(&self) -> Dialled<'_> {
        self.dialled.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            if !self.is_there {
                return Err(io::Error::from(io::ErrorKind::NotFound));
            }
            let (ours, theirs) = duplex(512);
            let units = self.units.clone();
            tokio::spawn(async move { units.serve_rtu(theirs).await });
            Ok(Box::new(ours) as Box<dyn Wire>)
        })
    }
}

fn map() -> Arc<RegisterMap> {
    RegisterMap::builtin("eastron-sdm630").expect("built in")
}

fn line(units: &[u8], is_there: bool) -> Arc<Line> {
    line_of(&map(), units, is_there)
}

fn line_of(map: &RegisterMap, units: &[u8], is_there: bool) -> Arc<Line> {
    let unit = |&unit_id: &u8| {
        let values = MapValues {
            energy: EnergyWh(1_000 * u64::from(unit_id)),
            power: PowerW(0),
            serial: unit_id.into(),
        };
        let image: Arc<dyn SimulatedUnit> = Arc::new(RegisterImage::of_map(map, values));
        (unit_id, image)
    };
    Arc::new(Line {
        units: SimulatedLine::new(units.iter().map(unit)),
        dialled: AtomicUsize::new(0),
        is_there,
    })
}

fn bus(line: &Arc<Line>) -> Bus {
    Bus::start(Endpoint::Wires {
        framing: Framing::Rtu,
        baud: BAUD,
        dial: Arc::clone(line) as Arc<dyn Dial>,
    })
}

fn meter(bus: &Bus, unit_id: u8, pause: Duration) -> Meter {
    meter_of(map(), bus, unit_id, pause)
}

fn meter_of(map: Arc<RegisterMap>, bus: &Bus, unit_id: u8, pause: Duration) -> Meter {
    let config = MeterConfig {
        name: format!("unit-{unit_id}"),
        unit_id,
        timeout: TIMEOUT,
        pause,
        map,
    };
    Meter::new(config, bus)
}

async fn read(meter: &mut Meter) -> Result<Reading, MeterError> {
    meter.read(&|| UnixMillis(1)).await
}

/// Reads once a second for a minute; how many readings there were, and the latest of them after its
/// second.
async fn poll_for_a_minute(mut meter: Meter) -> (u32, Duration) {
    let begun = Instant::now();
    let (mut readings, mut latest) = (0, Duration::ZERO);
    for second in 0..60 {
        let due = begun + Duration::from_secs(second);
        sleep_until(due).await;
        if read(&mut meter).await.is_ok() {
            readings += 1;
            latest = latest.max(due.elapsed());
        }
    }
    (readings, latest)
}

#[tokio::test(start_paused = true)]
async fn a_silent_meter_delays_its_neighbours_by_one_timeout_at_a_time() {
    let line = line(&[1, 2], true);
    let bus = bus(&line);
    let mut polled = tokio::task::JoinSet::new();
    for unit_id in [1, 2, 3] {
        let meter = meter(&bus, unit_id, Duration::ZERO);
        polled.spawn(async move { (unit_id, poll_for_a_minute(meter).await) });
    }
    while let Some(done) = polled.join_next().await {
        let (unit_id, (readings, latest)) = done.expect("it ends");
        if unit_id == 3 {
            assert_eq!(readings, 0);
            continue;
        }
        assert_eq!(readings, 60, "unit {unit_id}");
        assert!(latest < Duration::from_millis(700), "{latest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_meter_costs_the_line_less_than_two_seconds_and_then_a_fortieth() {
    let line = line(&[1], true);
    let bus = bus(&line);
    read(&mut meter(&bus, 1, Duration::ZERO))
        .await
        .expect("it is there");
    let mut absent = meter(&bus, 3, Duration::ZERO);
    let begun = Instant::now();
    let mut attempts = Vec::new();
    while begun.elapsed() < Duration::from_secs(60) {
        let asked = Instant::now();
        let Err(MeterError::Silent { waited_ms, .. }) = read(&mut absent).await else {
            panic!("nobody is there");
        };
        // What is known to be silent is answered at once and costs the line nothing.
        if asked.elapsed() > Duration::ZERO {
            attempts.push((begun.elapsed().as_secs(), waited_ms));
        }
        sleep(Duration::from_millis(100)).await;
    }
    let timeout_ms = 500;
    // 0.55 s each, with the bytes' own time and the silence that is waited for after them: at 0, 0.8, 3.3
    // and then every 22 s. The second given is their end.
    let expected = [0, 1, 4, 26, 48].map(|second| (second, timeout_ms));
    assert_eq!(attempts, expected);
}

#[tokio::test(start_paused = true)]
async fn a_silent_neighbour_is_no_fault_of_the_others() {
    let line = line(&[1, 2], true);
    let bus = bus(&line);
    read(&mut meter(&bus, 1, Duration::ZERO))
        .await
        .expect("it is there");
    let mut two = meter(&bus, 2, Duration::ZERO);
    let mut unheard = meter(&bus, 9, Duration::ZERO);
    for _ in 0..3 {
        read(&mut unheard).await.expect_err("nobody is there");
        read(&mut two)
            .await
            .expect("a silent neighbour is no fault");
    }
}

#[tokio::test(start_paused = true)]
async fn a_meter_that_is_asked_often_delays_another_by_one_exchange() {
    let line = line(&[1, 2], true);
    let bus = bus(&line);
    let mut quiet = meter(&bus, 2, Duration::ZERO);
    read(&mut quiet).await.expect("it is there");
    let alone = Instant::now();
    read(&mut quiet).await.expect("it is there");
    let alone = alone.elapsed();
    for _ in 0..12 {
        let mut eager = meter(&bus, 1, Duration::ZERO);
        tokio::spawn(async move { while read(&mut eager).await.is_ok() {} });
    }
    for _ in 0..100 {
        let begun = Instant::now();
        read(&mut quiet).await.expect("it is there");
        assert!(begun.elapsed() <= alone * 3, "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn frames_keep_their_distance() {
    let line = line(&[1, 2], true);
    let bus = bus(&line);
    let begun = Instant::now();
    read(&mut meter(&bus, 1, Duration::ZERO))
        .await
        .expect("it is there");
    let took = begun.elapsed();
    // Before each request and after each answer; one silence may serve as both.
    assert!(took >= GAP * REQUESTS_AT_FIRST, "{took:?}");
    assert!(took <= Duration::from_millis(50), "{took:?}");

    let pause = Duration::from_millis(100);
    let begun = Instant::now();
    read(&mut meter(&bus, 2, pause)).await.expect("it is there");
    let took = begun.elapsed();
    assert!(took >= pause * REQUESTS_AT_FIRST, "{took:?}");
    // After its answer, too, whoever is asked then.
    let begun = Instant::now();
    read(&mut meter(&bus, 1, Duration::ZERO))
        .await
        .expect("it is there");
    assert!(begun.elapsed() >= pause - GAP, "{:?}", begun.elapsed());
}

/// The SDM630's map, with `connection` in the table of that name.
fn map_with(connection: &str) -> Arc<RegisterMap> {
    let text = include_str!("../models/eastron-sdm630.toml");
    let table = "[connection]\n";
    assert_eq!(text.matches(table).count(), 1);
    let text = text.replacen(table, &format!("{table}{connection}\n"), 1);
    Arc::new(RegisterMap::parse("eastron-sdm630.toml", &text).expect("it is a map"))
}

#[tokio::test(start_paused = true)]
async fn the_pause_that_a_model_needs_is_kept_without_being_asked_for() {
    let bus = bus(&line(&[1], true));
    let slow = || map_with("pause_ms = 100");
    let pause = Duration::from_millis(100);
    for (asked, kept) in [(Duration::ZERO, pause), (pause * 2, pause * 2)] {
        let mut meter = meter_of(slow(), &bus, 1, asked);
        let begun = Instant::now();
        read(&mut meter).await.expect("it is there");
        let took = begun.elapsed();
        assert!(took >= kept * REQUESTS_AT_FIRST - pause, "{took:?}");
        assert!(took < kept * (REQUESTS_AT_FIRST + 1), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_is_waited_for_as_long_as_it_takes() {
    let bus = bus(&line(&[], true));
    let slow = map_with("answer_within_ms = 700");
    let mut absent = meter_of(slow, &bus, 1, Duration::ZERO);
    let silent = read(&mut absent).await;
    assert!(
        matches!(silent, Err(MeterError::Silent { waited_ms: 700, .. })),
        "{silent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn every_model_that_can_be_billed_is_read_on_a_line() {
    for map in RegisterMaps::builtin().iter() {
        let bus = bus(&line_of(map, &[7], true));
        let reading = read(&mut meter_of(Arc::clone(map), &bus, 7, Duration::ZERO)).await;
        if map.not_billable().is_some() {
            let refused = matches!(reading, Err(MeterError::NotBillable { .. }));
            assert!(refused, "{}: {reading:?}", map.id());
            continue;
        }
        let reading = reading.unwrap_or_else(|error| panic!("{}: {error}", map.id()));
        // What the register is too coarse for was rounded down.
        let missing = 7_000_u64.checked_sub(reading.register.0);
        let missing = missing.unwrap_or_else(|| panic!("{}: {reading:?}", map.id()));
        assert!(missing * 1_000 <= reading.resolution_mwh, "{}", map.id());
        assert_eq!(reading.serial.is_some(), map.serial_number().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn all_meters_of_a_line_that_is_gone_are_told_together() {
    let line = line(&[], false);
    let bus = bus(&line);
    let mut told = tokio::task::JoinSet::new();
    for unit_id in 1..=30 {
        let mut meter = meter(&bus, unit_id, Duration::ZERO);
        told.spawn(async move { read(&mut meter).await });
    }
    let all = timeout(Duration::from_secs(1), told.join_all()).await;
    for result in all.expect("within one attempt") {
        assert!(
            matches!(result, Err(MeterError::Unreachable { .. })),
            "{result:?}"
        );
    }
    assert_eq!(line.dialled.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reading_has_the_time_of_its_answer_however_late_it_is_picked_up() {
    let line = line(&[1], true);
    let bus = bus(&line);
    let mut one = meter(&bus, 1, Duration::ZERO);
    read(&mut one).await.expect("it is there");
    let begun = Instant::now();
    let clock = move || {
        let since = u64::try_from(begun.elapsed().as_millis()).expect("seconds");
        UnixMillis(1_000_000 + since)
    };
    let mut reading = Box::pin(one.read(&clock));
    // Polled once, then left alone for a minute as a busy task would leave it.
    assert!(timeout(Duration::ZERO, reading.as_mut()).await.is_err());
    sleep(Duration::from_secs(60)).await;
    let reading = reading.await.expect("it is there");
    let age_ms = reading.taken_at.0 - 1_000_000;
    assert!(age_ms < 100, "{age_ms}");
}
