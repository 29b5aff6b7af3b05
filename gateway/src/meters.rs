//! Meters: one task each, which reads at its interval and whenever a charge begins or ends.

mod reader;

use std::collections::BTreeMap;
use std::mem::Discriminant;
use std::sync::Arc;
use std::time::Duration;

use meter_drivers::{MeterError, Reading};
use protocol::PowerW;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::clock::Clock;
use crate::config::Config;
use crate::lines::Lines;
use reader::{Reader, Trouble, Trusted};

/// How long a charge waits for its meter when it begins or ends.
const READ_NOW_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests for a reading that may wait at one meter.
const REQUESTS: usize = 16;

/// What a meter said last.
#[derive(Clone, Debug, Default)]
pub(crate) struct MeterState {
    /// The newest reading that can be billed by, with its own time.
    pub(crate) newest: Option<NumberedReading>,
    /// Why the last attempt gave none.
    pub(crate) fault: Option<String>,
    /// The last attempt gave one that does not follow from the one before.
    is_in_doubt: bool,
}

/// How good what is known of a meter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Quality {
    /// The last attempt gave a reading.
    Good,
    /// There is an older reading, with its own time; the last attempt gave none.
    Stale,
    /// There is an older reading; the last one may be wrong, and the next one tells.
    Doubtful,
    /// There was no reading yet.
    Missing,
}

/// A reading, and its place among all of its meter's.
#[derive(Clone, Debug)]
pub(crate) struct NumberedReading {
    /// Counts the readings: their order, whatever becomes of the clock.
    pub(crate) number: u64,
    pub(crate) reading: Reading,
    /// The newest break before it, or at it.
    pub(crate) broken: Option<Break>,
}

/// Where a register did not count on.
#[derive(Clone, Debug)]
pub(crate) struct Break {
    /// The number of the reading that showed it.
    pub(crate) number: u64,
    /// What became of it.
    pub(crate) what: String,
}

/// A reading taken for a charge's beginning or end, with the meter's identity checked.
#[derive(Clone, Debug)]
pub(crate) struct CheckedReading {
    pub(crate) read: NumberedReading,
    pub(crate) model: String,
}

impl MeterState {
    /// The number of the newest reading; 0 for none.
    pub(crate) fn number(&self) -> u64 {
        self.newest.as_ref().map_or(0, |newest| newest.number)
    }

    pub(crate) fn quality(&self) -> Quality {
        match (&self.newest, &self.fault) {
            (None, _) => Quality::Missing,
            (Some(_), None) => Quality::Good,
            (Some(_), Some(_)) if self.is_in_doubt => Quality::Doubtful,
            (Some(_), Some(_)) => Quality::Stale,
        }
    }
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
        for (name, meter) in &config.meters {
            let bus = lines.of_meter(&meter.line);
            let (requests, inbox) = mpsc::channel(REQUESTS);
            let (publish, state) = watch::channel(MeterState::default());
            let reader = Reader::new(name, meter, &bus, clock, max_power(config, name));
            tokio::spawn(run(
                name.clone(),
                reader,
                meter.poll_interval,
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

/// The most that is drawn behind a meter.
fn max_power(config: &Config, meter: &str) -> Option<PowerW> {
    let outlets = config.outlets.values();
    let outlets = outlets.filter(|outlet| outlet.meter.as_deref() == Some(meter));
    outlets.map(|outlet| outlet.max_power).max()
}

async fn run(
    name: String,
    mut reader: Reader,
    poll_interval: Duration,
    mut requests: mpsc::Receiver<Request>,
    publish: watch::Sender<MeterState>,
) {
    let mut told = None;
    let mut interval = tokio::time::interval(poll_interval);
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
            None => reader.poll().await,
            Some(_) => reader.check_and_read().await,
        };
        let noted = note(&name, &publish, &mut told, result);
        if let Some(request) = request {
            let checked = noted.map(|read| CheckedReading {
                read,
                model: reader.model().to_owned(),
            });
            // Whoever asked may have given up waiting.
            let _ = request.send(checked);
        }
    }
}

/// Publishes a result and gives its reading with its number. An old reading stays, with its old time.
fn note(
    name: &str,
    publish: &watch::Sender<MeterState>,
    told: &mut Option<Option<Discriminant<MeterError>>>,
    result: Result<Trusted, Trouble>,
) -> Result<NumberedReading, String> {
    let trusted = match result {
        Ok(trusted) => trusted,
        Err(trouble) => {
            let fault = trouble.in_words();
            // Once for each kind: how long a silent meter was waited for differs every time.
            let kind = Some(trouble.kind());
            if *told != kind {
                tracing::warn!(meter = name, "no reading: {fault}");
                *told = kind;
            }
            publish.send_modify(|state| {
                state.is_in_doubt = matches!(trouble, Trouble::Doubted(_));
                state.fault = Some(fault.clone());
            });
            return Err(fault);
        }
    };
    *told = None;
    let (number, before) = {
        let state = publish.borrow();
        (state.number() + 1, state.newest.clone())
    };
    let broken = match trusted.step {
        Some(step) => {
            let what = step.to_string();
            tracing::error!(meter = name, "{what}");
            Some(Break { number, what })
        }
        None => before.and_then(|before| before.broken),
    };
    let newest = NumberedReading {
        number,
        reading: trusted.reading,
        broken,
    };
    publish.send_modify(|state| {
        if state.fault.take().is_some() {
            tracing::info!(meter = name, "meter answers again");
        }
        state.newest = Some(newest.clone());
    });
    Ok(newest)
}
