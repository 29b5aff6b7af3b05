//! One meter: its driver, and whether what it reads follows from what it read before.

use std::error::Error as _;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use meter_drivers::sunspec::{SunSpecConfig, discover};
use meter_drivers::watch::{Counter, Step, Verdict, Watch};
use meter_drivers::{Bus, Meter, MeterError, Reading, RegisterMap};
use protocol::PowerW;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::{MeterConfig, MeterModel};

/// Readings that are taken for a charge before one that does not follow is given up.
const TRIES: u32 = 3;
/// Between two of them: most meters renew their registers within it.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// Reads one meter.
pub(super) struct Reader {
    name: String,
    config: MeterConfig,
    bus: Bus,
    clock: Clock,
    // `None` before a meter that tells its registers itself has done so.
    driver: Option<Meter>,
    model: String,
    watch: Watch,
    max_power: Option<PowerW>,
    begun: Instant,
}

/// A reading that can be billed by.
pub(super) struct Trusted {
    pub(super) reading: Reading,
    /// What became of the register since the reading before; `None` where it counted on.
    pub(super) step: Option<Step>,
}

/// Why there is no reading that can be billed by.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// There is none.
    #[error(transparent)]
    Meter(#[from] MeterError),
    /// It does not follow from the one before; the next one will tell what it is.
    #[error("a reading that may be wrong: {0}")]
    Doubted(Step),
}

impl Trouble {
    /// What to tell once, whatever the details.
    pub(super) fn kind(&self) -> Option<Discriminant<MeterError>> {
        match self {
            Self::Meter(error) => Some(discriminant(error)),
            Self::Doubted(_) => None,
        }
    }

    /// The error and what caused it, such as which register does not fit, on one line.
    pub(super) fn in_words(&self) -> String {
        match self.source() {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

impl Reader {
    /// A reader of a meter behind which at most `max_power` is drawn.
    pub(super) fn new(
        name: &str,
        config: &MeterConfig,
        bus: &Bus,
        clock: &Clock,
        max_power: Option<PowerW>,
    ) -> Self {
        let mut reader = Self {
            name: name.to_owned(),
            config: config.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            driver: None,
            model: String::new(),
            watch: Watch::new(max_power),
            max_power,
            begun: Instant::now(),
        };
        if let MeterModel::Map(map) = &config.model {
            reader.use_map(Arc::clone(map));
        }
        reader
    }

    /// The models that the meter's map stands for; empty before it is known.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// Reads once.
    pub(super) async fn poll(&mut self) -> Result<Trusted, Trouble> {
        let driver = self.driver().await?;
        let clock = driver.1;
        let read = driver.0.read(&clock).await;
        self.judge(read)
    }

    /// Reads, with the meter's identity checked before; again while the reading is in doubt.
    pub(super) async fn check_and_read(&mut self) -> Result<Trusted, Trouble> {
        let (driver, _) = self.driver().await?;
        let identified = driver.identify().await;
        if let Err(error) = identified {
            return self.judge(Err(error));
        }
        let mut read = self.poll().await;
        for _ in 1..TRIES {
            if !matches!(read, Err(Trouble::Doubted(_))) {
                break;
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
            read = self.poll().await;
        }
        read
    }

    async fn driver(
        &mut self,
    ) -> Result<(&mut Meter, impl meter_drivers::Clock + use<>), MeterError> {
        if self.driver.is_none() {
            let unit = SunSpecConfig {
                name: self.name.clone(),
                unit_id: self.config.unit_id,
                timeout: self.config.timeout,
                pause: self.config.pause,
            };
            let layout = discover(&self.bus, &unit).await?;
            tracing::info!(
                meter = self.name,
                model = layout.meter().id,
                vendor = layout.map().vendor(),
                "SunSpec meter found"
            );
            self.use_map(Arc::new(layout.into_map()));
        }
        let clock = self.clock.clone();
        let driver = self.driver.as_mut().expect("made above");
        Ok((driver, move || clock.now()))
    }

    fn use_map(&mut self, map: Arc<RegisterMap>) {
        map.model().clone_into(&mut self.model);
        let config = meter_drivers::MeterConfig {
            name: self.name.clone(),
            unit_id: self.config.unit_id,
            timeout: self.config.timeout,
            pause: self.config.pause,
            map,
        };
        self.driver = Some(Meter::new(config, &self.bus));
    }

    fn judge(&mut self, read: Result<Reading, MeterError>) -> Result<Trusted, Trouble> {
        let reading = match read {
            Ok(reading) => reading,
            Err(error) => {
                self.begin_anew_after(&error);
                return Err(error.into());
            }
        };
        let counter = Counter {
            register: reading.register,
            read_at: self.begun.elapsed(),
            resolution_mwh: reading.resolution_mwh,
            rollover_wh: reading.rollover_wh,
        };
        match self.watch.judge(counter) {
            Verdict::Doubted(step) => Err(Trouble::Doubted(step)),
            Verdict::Believed { step, glitch } => {
                if let (Some(wrong), Step::Rose) = (glitch, step) {
                    let meter = &self.name;
                    tracing::warn!(meter, %wrong, right = %reading.register, "one wrong reading left out");
                }
                Ok(Trusted {
                    reading,
                    step: (step != Step::Rose).then_some(step),
                })
            }
        }
    }

    /// After some errors what was known of the meter does not hold any more.
    fn begin_anew_after(&mut self, error: &MeterError) {
        match (error, &self.config.model) {
            // The driver holds on to the old meter; the new one is read by a new driver.
            (MeterError::SerialChanged { .. }, MeterModel::Map(map)) => {
                let map = Arc::clone(map);
                self.watch = Watch::new(self.max_power);
                self.use_map(map);
            }
            (MeterError::SerialChanged { .. }, MeterModel::SunSpec) => {
                self.watch = Watch::new(self.max_power);
                self.driver = None;
            }
            // Its options were changed, and its registers are elsewhere.
            (MeterError::WrongRegisterMap { .. }, MeterModel::SunSpec) => self.driver = None,
            _ => {}
        }
    }
}
