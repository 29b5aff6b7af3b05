//! Meters: one task each, which reads at its interval and whenever a charge begins or ends.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use meter_drivers::{Bus, MeterError, Reading};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::clock::Clock;
use crate::config::{Config, MeterConfig};
use crate::lines::Lines;

/// How long a charge waits for its meter when it begins or ends.
const READ_NOW_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests for a reading that may wait at one meter.
const REQUESTS: usize = 16;

/// What a meter said last.
#[derive(Clone, Debug, Default)]
pub(crate) struct MeterState {
    /// The newest reading, with its own time.
    pub(crate) reading: Option<Reading>,
    /// Counts the readings: their order, whatever becomes of the clock.
    pub(crate) number: u64,
    /// Why the last attempt gave none.
    pub(crate) fault: Option<String>,
}

/// A reading taken for a charge's beginning or end, with the meter's identity checked.
#[derive(Clone, Debug)]
pub(crate) struct CheckedReading {
    /// As in [`MeterState`].
    pub(crate) number: u64,
    pub(crate) reading: Reading,
    pub(crate) model: String,
}

type Request = oneshot::Sender<Result<CheckedReading, String>>;

#[derive(Debug)]
struct Meter {
    requests: mpsc::Sender<Request>,
    state: watch::Receiver<MeterState>,
}

/// All meters by name.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    meters: Arc<BTreeMap<String, Meter>>,
}

impl Meters {
    /// Starts a task for each meter.
    pub(crate) fn start(config: &Config, clock: &Clock, lines: &mut Lines) -> Self {
        let mut meters = BTreeMap::new();
        for (name, config) in &config.meters {
            let bus = lines.of_meter(&config.line);
            let (requests, inbox) = mpsc::channel(REQUESTS);
            let (publish, state) = watch::channel(MeterState::default());
            tokio::spawn(run(
                name.clone(),
                config.clone(),
                bus,
                clock.clone(),
                inbox,
                publish,
            ));
            meters.insert(name.clone(), Meter { requests, state });
        }
        Self {
            meters: Arc::new(meters),
        }
    }

    /// Reads a meter now and checks that it is the one configured.
    ///
    /// # Errors
    /// Why there is no reading, in words.
    pub(crate) async fn read_now(&self, name: &str) -> Result<CheckedReading, String> {
        let meter = self.meters.get(name).ok_or("no such meter")?;
        let (reply, answer) = oneshot::channel();
        meter
            .requests
            .try_send(reply)
            .map_err(|_| format!("meter {name} is busy"))?;
        match tokio::time::timeout(READ_NOW_TIMEOUT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(format!("meter {name} is not being read any more")),
            Err(_) => Err(format!("meter {name} did not answer in time")),
        }
    }

    /// Follows a meter's readings.
    pub(crate) fn follow(&self, name: &str) -> Option<watch::Receiver<MeterState>> {
        self.meters.get(name).map(|meter| meter.state.clone())
    }

    /// What every meter said last.
    pub(crate) fn states(&self) -> impl Iterator<Item = (&str, MeterState)> {
        self.meters
            .iter()
            .map(|(name, meter)| (name.as_str(), meter.state.borrow().clone()))
    }
}

async fn run(
    name: String,
    config: MeterConfig,
    bus: Bus,
    clock: Clock,
    mut requests: mpsc::Receiver<Request>,
    publish: watch::Sender<MeterState>,
) {
    let now = || clock.now();
    let mut driver = new_driver(&name, &config, &bus);
    let mut told = None;
    let mut interval = tokio::time::interval(config.poll_interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let request = tokio::select! {
            request = requests.recv() => match request {
                Some(request) => Some(request),
                None => return,
            },
            _ = interval.tick() => None,
        };
        let result = match &request {
            None => driver.read(&now).await,
            Some(_) => identify_and_read(&mut driver, &now).await,
        };
        if matches!(result, Err(MeterError::SerialChanged { .. })) {
            // The driver holds on to the old meter; the new one is read by a new driver.
            driver = new_driver(&name, &config, &bus);
        }
        let number = note(&name, &publish, &mut told, &result);
        if let Some(request) = request {
            let checked = result.map(|reading| CheckedReading {
                number,
                reading,
                model: config.map.model().to_owned(),
            });
            // Whoever asked may have given up waiting.
            let _ = request.send(checked.map_err(|error| with_cause(&error)));
        }
    }
}

async fn identify_and_read(
    driver: &mut meter_drivers::Meter,
    now: &impl meter_drivers::Clock,
) -> Result<Reading, MeterError> {
    driver.identify().await?;
    driver.read(now).await
}

fn new_driver(name: &str, config: &MeterConfig, bus: &Bus) -> meter_drivers::Meter {
    let config = meter_drivers::MeterConfig {
        name: name.to_owned(),
        unit_id: config.unit_id,
        timeout: config.timeout,
        pause: config.pause,
        map: Arc::clone(&config.map),
    };
    meter_drivers::Meter::new(config, bus)
}

/// The error and what caused it, such as which register does not fit, on one line.
fn with_cause(error: &MeterError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Publishes a result and gives the newest reading's number. An old reading stays, with its old
/// time.
fn note(
    name: &str,
    publish: &watch::Sender<MeterState>,
    told: &mut Option<Discriminant<MeterError>>,
    result: &Result<Reading, MeterError>,
) -> u64 {
    publish.send_modify(|state| match result {
        Ok(reading) => {
            state.number += 1;
            *told = None;
            if state.fault.take().is_some() {
                tracing::info!(meter = name, "meter answers again");
            }
            state.reading = Some(reading.clone());
        }
        Err(error) => {
            let fault = with_cause(error);
            // Once for each kind: how long a silent meter was waited for differs every time.
            let kind = Some(discriminant(error));
            if *told != kind {
                tracing::warn!(meter = name, "no reading: {fault}");
                *told = kind;
            }
            state.fault = Some(fault);
        }
    });
    publish.borrow().number
}
