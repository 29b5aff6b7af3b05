//! A meter on Modbus TCP, directly or behind a serial gateway.
//!
//! Three rules keep a foreign or late answer out of a bill:
//!
//! - After any error, a timeout above all, the connection is dropped: its late answer has nowhere to
//!   arrive. The same holds for a call the caller gives up on, so a call may be cancelled.
//! - A new connection begins with the probes and the serial number. A serial gateway that passes an
//!   answer to an old request on to the new connection thus meets a request of another kind.
//! - An answer counts only with the transaction id, unit id, function code and number of registers
//!   of its request.

use std::sync::Arc;
use std::time::Duration;

use protocol::UnixMillis;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::block::Block;
use crate::error::{Finding, MeterError};
use crate::link::Link;
use crate::map::{Measurand, Quantity, RegisterMap};
use crate::reading::{Clock, Identity, MeterSerial, Reading};

/// The wait after a first failure; it doubles with every further one.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// The longest wait is 8 s: how late a meter that came back may be noticed.
const MOST_DOUBLINGS: u32 = 5;

/// Which meter, where, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct MeterConfig {
    /// Name that errors and logs call the meter by.
    pub name: String,
    /// Host name or address, and port: `192.0.2.7:502`.
    pub address: String,
    /// Modbus unit id.
    pub unit_id: u8,
    /// The longest wait for a connection and for each answer.
    pub timeout: Duration,
    /// Register map of the meter's model.
    pub map: Arc<RegisterMap>,
}

/// Reads one meter over Modbus TCP; connects when needed.
pub struct ModbusTcpMeter {
    config: MeterConfig,
    reading_blocks: Vec<Block>,
    // Taken out for the time of a request and put back only after its good answer, so that neither
    // an error nor a cancelled call leaves a connection with an answer outstanding.
    link: Option<Link>,
    // The first identity seen. Kept for the life of the driver: another one is an error each time.
    identity: Option<Identity>,
    retry: Retry,
}

impl ModbusTcpMeter {
    /// A driver for `config`; nothing is sent before the first call.
    #[must_use]
    pub fn new(config: MeterConfig) -> Self {
        let requests = config
            .map
            .requests(&[Measurand::EnergyImport, Measurand::Power]);
        Self {
            reading_blocks: requests
                .iter()
                .filter(|request| !request.optional)
                .map(|request| request.block)
                .collect(),
            config,
            link: None,
            identity: None,
            retry: Retry::default(),
        }
    }

    /// Checks that the meter is the configured model, set as its map expects, and the same as ever.
    ///
    /// Call it at both ends of a charge: a meter exchanged behind a gateway leaves the connection up.
    ///
    /// # Errors
    /// `WrongRegisterMap` and `SerialChanged` for the wrong meter, the others for none.
    pub async fn identify(&mut self) -> Result<Identity, MeterError> {
        if let Some(mut link) = self.link.take() {
            match self.identify_over(&mut link).await {
                Err(MeterError::ConnectionLost { .. }) => self.note_idle_end(),
                result => return self.settle(link, result),
            }
        }
        let (link, identity) = self.connect().await?;
        self.settle(link, Ok(identity))
    }

    /// Reads the billing register, stamped with `clock` when its answer arrives.
    ///
    /// A call soon after a failure first waits out the rest of a delay that grows from 250 ms to 8 s.
    ///
    /// # Errors
    /// See [`MeterError`]. Nothing that raises one is ever taken for a reading later.
    pub async fn read<C: Clock>(&mut self, clock: &C) -> Result<Reading, MeterError> {
        if let Some(mut link) = self.link.take() {
            match self.read_over(&mut link, clock).await {
                // Modbus gateways end idle connections; a read may be repeated without harm.
                Err(MeterError::ConnectionLost { .. }) => self.note_idle_end(),
                result => return self.settle(link, result),
            }
        }
        let (mut link, _) = self.connect().await?;
        let result = self.read_over(&mut link, clock).await;
        self.settle(link, result)
    }

    /// A new connection to the meter we know.
    async fn connect(&mut self) -> Result<(Link, Identity), MeterError> {
        self.retry.wait().await;
        // Counts as failed until an answer says otherwise, so that a cancelled call counts too.
        self.retry.failed();
        let mut link = Link::open(&self.config).await?;
        let identity = self.identify_over(&mut link).await?;
        info!(
            meter = self.config.name,
            address = self.config.address,
            serial = identity.serial.as_ref().map(MeterSerial::as_str),
            "meter connected"
        );
        Ok((link, identity))
    }

    /// Keeps the connection of a good answer and no other.
    fn settle<T>(&mut self, link: Link, result: Result<T, MeterError>) -> Result<T, MeterError> {
        match &result {
            Ok(_) => {
                self.link = Some(link);
                self.retry = Retry::default();
            }
            Err(error) => {
                debug!(meter = self.config.name, %error, "connection dropped");
            }
        }
        result
    }

    fn note_idle_end(&self) {
        warn!(
            meter = self.config.name,
            "meter ended the connection, connecting again"
        );
    }

    async fn identify_over(&mut self, link: &mut Link) -> Result<Identity, MeterError> {
        let map = Arc::clone(&self.config.map);
        for probe in map.probes() {
            let block = probe.place.block();
            let words = link.read(&self.config, block).await?;
            if !probe.holds(&words) {
                let finding = Finding::Setting {
                    expected: probe.meaning.clone(),
                    remedy: probe.remedy.clone(),
                };
                return Err(self.misfit(block, finding));
            }
        }
        let serial = self.read_serial(link).await?;
        self.same_as_ever(Identity {
            vendor: map.vendor().to_owned(),
            model: map.model().to_owned(),
            serial,
        })
    }

    async fn read_serial(&mut self, link: &mut Link) -> Result<Option<MeterSerial>, MeterError> {
        let Some(label) = self.config.map.serial_number() else {
            return Ok(None);
        };
        match link.read(&self.config, label.place.block()).await {
            Ok(words) => Ok(MeterSerial::read(label, &words)),
            // Older firmware of a model may lack the register; that is no serial, not no meter.
            Err(MeterError::WrongRegisterMap { .. }) => {
                warn!(meter = self.config.name, "meter has no serial number");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn same_as_ever(&mut self, found: Identity) -> Result<Identity, MeterError> {
        let known = self.identity.get_or_insert_with(|| found.clone());
        if known.serial == found.serial {
            return Ok(found);
        }
        Err(MeterError::SerialChanged {
            meter: self.config.name.clone(),
            before: known.serial.clone(),
            after: found.serial,
        })
    }

    // `&mut self`, because a connection may be sent to another thread but not shared: only so
    // can a meter be read from a task.
    async fn read_over<C: Clock>(
        &mut self,
        link: &mut Link,
        clock: &C,
    ) -> Result<Reading, MeterError> {
        let mut answers = Vec::with_capacity(self.reading_blocks.len());
        for &block in &self.reading_blocks {
            let words = link.read(&self.config, block).await?;
            answers.push(Answer {
                block,
                words,
                arrived: clock.now(),
            });
        }
        self.reading_from(&answers)
    }

    fn reading_from(&self, answers: &[Answer]) -> Result<Reading, MeterError> {
        let map = &self.config.map;
        let quantity = map.energy_import().ok_or_else(|| MeterError::NotBillable {
            meter: self.config.name.clone(),
            map: map.id().to_owned(),
            reason: map.not_billable().unwrap_or_default().to_owned(),
        })?;
        let answer = find(quantity, answers).expect("the billing register is never optional");
        let energy = quantity
            .energy(answer.block, &answer.words)
            .map_err(|no_number| self.misfit(quantity.block(), Finding::NoNumber(no_number)))?;
        // Energy is billed, power only shown: a meter that offers no power still reads.
        let power = map.power().and_then(|quantity| {
            let answer = find(quantity, answers)?;
            quantity.power(answer.block, &answer.words).ok()
        });
        let known = self.identity.as_ref();
        Ok(Reading {
            register: energy.register,
            resolution_mwh: energy.resolution_mwh,
            power,
            taken_at: answer.arrived,
            serial: known.and_then(|identity| identity.serial.clone()),
        })
    }

    fn misfit(&self, block: Block, finding: Finding) -> MeterError {
        MeterError::WrongRegisterMap {
            meter: self.config.name.clone(),
            map: self.config.map.id().to_owned(),
            register: block.start,
            finding,
        }
    }
}

/// The answer that holds `quantity`; `None` where it was not asked for.
fn find<'a>(quantity: &Quantity, answers: &'a [Answer]) -> Option<&'a Answer> {
    answers
        .iter()
        .find(|answer| answer.block.holds(quantity.block()))
}

struct Answer {
    block: Block,
    words: Vec<u16>,
    arrived: UnixMillis,
}

/// When the next connection may be tried.
#[derive(Default)]
struct Retry {
    failures: u32,
    not_before: Option<Instant>,
}

impl Retry {
    async fn wait(&self) {
        if let Some(moment) = self.not_before {
            sleep_until(moment).await;
        }
    }

    fn failed(&mut self) {
        self.not_before = Some(Instant::now() + retry_delay(self.failures));
        self.failures = self.failures.saturating_add(1);
    }
}

/// The delay after a failure that `earlier` others went before.
fn retry_delay(earlier: u32) -> Duration {
    FIRST_RETRY * (1 << earlier.min(MOST_DOUBLINGS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(earlier: u32, expected_ms: u64) {
        assert_eq!(retry_delay(earlier), Duration::from_millis(expected_ms));
    }

    #[test]
    fn the_delay_doubles_up_to_eight_seconds() {
        check(0, 250);
        check(1, 500);
        check(4, 4_000);
        check(5, 8_000);
        check(u32::MAX, 8_000);
    }
}
