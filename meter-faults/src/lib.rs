//! Meters read through a proxy that does to their answers whatever a line, a gateway or a network can.
//!
//! Each register tells whose it is, which one, and when it was read ([`stamp`]). The [`proxy`] between
//! driver and peer injects [`Fault`]s. [`check`] refuses a reading that is another unit's, another
//! register's, older than the call that returned it, or stamped with a time that is not its answer's.
//! When all faults are injected, each meter must be read again without anything being restarted.
//!
//! [`run`] does this in virtual time, with tokio-modbus's server as the peer, in process: thousands of
//! faults a second, the same ones for a seed. The test `real_peer` does it with pymodbus as another
//! process, in real time.

pub mod check;
mod fault;
mod frame;
mod peer;
pub mod proxy;
mod random;
pub mod stamp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use meter_drivers::{Bus, Endpoint, Framing, Meter, MeterConfig, MeterError};
use protocol::UnixMillis;
use tokio::time::{Instant, sleep};

pub use fault::Fault;
use peer::{Shared, millis};
use proxy::{Control, Proxy};

/// How long an answer is waited for.
pub const TIMEOUT: Duration = Duration::from_millis(500);
/// Between two readings of a meter.
const INTERVAL: Duration = Duration::from_millis(700);
/// Every so many readings the meter is identified first, as at the ends of a charge.
const IDENTIFIED_EVERY: usize = 5;
/// Within so long after the last fault each meter must be read.
pub const RECOVERY: Duration = Duration::from_secs(60);

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Faults by kind.
    pub injected: BTreeMap<Fault, usize>,
    /// Readings, and errors by kind.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// Virtual time.
    pub took: Duration,
    /// From the last fault until each meter was read again, at the longest.
    pub recovered_in: Duration,
}

impl Tally {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (&fault, count) in &other.injected {
            *self.injected.entry(fault).or_default() += count;
        }
        for (&outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.took += other.took;
        self.recovered_in = self.recovered_in.max(other.recovered_in);
    }
}

/// Injects `faults` faults on a line of four meters, in virtual time.
///
/// # Errors
/// The wrong reading, or the meter that was not read again.
///
/// # Panics
/// If the system has no free port on loopback.
pub fn run(seed: u64, faults: usize, framing: Framing) -> Result<Tally, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run_in(seed, faults, framing))
}

async fn run_in(seed: u64, faults: usize, framing: Framing) -> Result<Tally, String> {
    let began = Instant::now();
    let peer = peer::start(framing, began).await;
    let peer = peer.expect("loopback has a free port");
    tokio::time::pause();
    let control = Control::new(faults);
    let (proxy, door) = Proxy::new(framing, TIMEOUT, peer.stream, Arc::clone(&control), seed);
    let proxy = tokio::spawn(proxy.run());
    let bus = Bus::start(Endpoint::Wires {
        framing,
        baud: 9_600,
        dial: Arc::new(door),
    });
    let tally: Shared<Tally> = Shared::default();
    let mut meters = tokio::task::JoinSet::new();
    for unit_id in stamp::UNITS {
        let customer = Customer {
            unit_id,
            meter: meter(&bus, unit_id, TIMEOUT),
            began,
            control: Arc::clone(&control),
            tally: Arc::clone(&tally),
        };
        meters.spawn(customer.read_until_recovered());
    }
    while let Some(outcome) = meters.join_next().await {
        outcome.map_err(|error| error.to_string())??;
    }
    drop(bus);
    let ended = proxy.await.map_err(|error| error.to_string())?;
    ended.map_err(|error| format!("the peer ended: {error}"))?;
    peer.server.abort();
    drop(peer.opened);
    let mut tally = tally.lock().expect("no holder panics").clone();
    tally.injected = control.injected.lock().expect("no holder panics").clone();
    tally.took = began.elapsed();
    Ok(tally)
}

/// The driver of a unit with stamped registers.
#[must_use]
pub fn meter(bus: &Bus, unit_id: u8, timeout: Duration) -> Meter {
    let config = MeterConfig {
        name: format!("unit-{unit_id}"),
        unit_id,
        timeout,
        pause: Duration::ZERO,
        map: Arc::new(stamp::map_of(unit_id)),
    };
    Meter::new(config, bus)
}

/// Somebody who reads one meter.
struct Customer {
    unit_id: u8,
    meter: Meter,
    began: Instant,
    control: Arc<Control>,
    tally: Shared<Tally>,
}

impl Customer {
    async fn read_until_recovered(mut self) -> Result<(), String> {
        let mut since: Option<Instant> = None;
        for number in 0_usize.. {
            if self.control.is_done.load(Ordering::Relaxed) {
                since.get_or_insert_with(Instant::now);
            }
            let is_read = self.read(number).await?;
            if let Some(since) = since {
                let took = since.elapsed();
                if is_read {
                    let mut tally = self.tally.lock().expect("no holder panics");
                    tally.recovered_in = tally.recovered_in.max(took);
                    return Ok(());
                }
                if took > RECOVERY {
                    return Err(format!("unit {} is not read again", self.unit_id));
                }
            }
            sleep(INTERVAL).await;
        }
        Ok(())
    }

    /// Reads once; whether there is a reading, which was checked.
    async fn read(&mut self, number: usize) -> Result<bool, String> {
        let begun_ms = millis(self.began.elapsed());
        if number.is_multiple_of(IDENTIFIED_EVERY) {
            match self.meter.identify().await {
                Ok(identity) => check::identity(self.unit_id, &identity)?,
                Err(error) => return self.note(Some(&error)),
            }
        }
        let began = self.began;
        let clock = move || UnixMillis(u64::from(millis(began.elapsed())));
        let result = self.meter.read(&clock).await;
        let ended_ms = millis(self.began.elapsed());
        match result {
            Ok(reading) => {
                check::reading(self.unit_id, &reading, begun_ms, ended_ms)?;
                self.note(None)
            }
            Err(error) => self.note(Some(&error)),
        }
    }

    fn note(&self, error: Option<&MeterError>) -> Result<bool, String> {
        let outcome = match error {
            None => "read",
            Some(error) => {
                check::error(error)?;
                kind(error)
            }
        };
        let mut tally = self.tally.lock().expect("no holder panics");
        *tally.outcomes.entry(outcome).or_default() += 1;
        Ok(error.is_none())
    }
}

fn kind(error: &MeterError) -> &'static str {
    match error {
        MeterError::Unreachable { .. } => "unreachable",
        MeterError::ConnectionLost { .. } => "connection lost",
        MeterError::Silent { .. } => "silent",
        MeterError::ForeignReply { .. } => "foreign reply",
        MeterError::WrongLength { .. } => "wrong length",
        MeterError::Garbled { .. } => "garbled",
        _ => "other",
    }
}
