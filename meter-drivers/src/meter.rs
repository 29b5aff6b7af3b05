//! One meter on a [`Bus`]: from the blocks of its register map to readings fit for a bill.
//!
//! Rules that hold on every transport:
//!
//! - An answer counts only if it is of the unit, the function and the number of registers asked for,
//!   and if nothing that was asked before can have it for an answer; see [`bus`](crate::bus).
//! - Each opening of the line, and each fault of this meter, is followed by the probes and the serial
//!   number before anything is read for a bill. A meter exchanged while it did not answer is noticed.
//! - A reading has the time at which its answer arrived, however late it is picked up.
//! - Any call may be cancelled. What it had asked for is waited for by the bus, and thrown away.

use std::sync::Arc;
use std::time::Duration;

use protocol::UnixMillis;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::asked::Asked;
use crate::block::Block;
use crate::bus::{Answered, Ask, Bus, Epoch, Fault};
use crate::error::{Finding, MeterError};
use crate::map::{Measurand, Quantity, RegisterMap};
use crate::reading::{Clock, Identity, MeterSerial, Reading};
use crate::transport::command::Command;

/// Which meter on its bus, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct MeterConfig {
    /// Name that errors and logs call the meter by.
    pub name: String,
    /// Modbus unit id; on a serial line 1 to 247.
    pub unit_id: u8,
    /// The longest wait for each answer, beyond the time that its bytes take on a serial line. The
    /// model is never waited for less than its map says that it takes.
    pub timeout: Duration,
    /// Silence on the line before a request and after its answer, where it is to be longer than the
    /// standard's and than the one the map says that the model needs.
    pub pause: Duration,
    /// Register map of the meter's model.
    pub map: Arc<RegisterMap>,
}

/// Reads one meter.
#[derive(Debug)]
pub struct Meter {
    config: MeterConfig,
    bus: Bus,
    reading_blocks: Vec<Block>,
    /// Every block that is asked for: one of them is the barrier after a timeout.
    known: Arc<[Command]>,
    /// The opening of the line over which the meter was identified, with no fault since.
    identified: Option<Epoch>,
    // The first identity seen. Kept for the life of the driver: another one is an error each time.
    identity: Option<Identity>,
}

impl Meter {
    /// A driver for the meter of `config` on `bus`; nothing is sent before the first call.
    #[must_use]
    pub fn new(config: MeterConfig, bus: &Bus) -> Self {
        let map = Arc::clone(&config.map);
        let requests = map.requests(&[Measurand::EnergyImport, Measurand::Power]);
        let required = requests.iter().filter(|request| !request.optional);
        let reading_blocks: Vec<Block> = required.map(|request| request.block).collect();
        let probes = map.probes().iter().map(|probe| probe.place.block());
        let serial = map.serial_number().map(|label| label.place.block());
        let known = reading_blocks.iter().copied().chain(probes).chain(serial);
        let (needed, takes) = (map.connection().pause, map.connection().answer_within);
        Self {
            known: known.map(Command::Read).collect(),
            reading_blocks,
            config: MeterConfig {
                timeout: config.timeout.max(takes.unwrap_or_default()),
                pause: config.pause.max(needed.unwrap_or_default()),
                ..config
            },
            bus: bus.clone(),
            identified: None,
            identity: None,
        }
    }

    /// Checks that the meter is the configured model, set as its map expects, and the same as ever.
    ///
    /// Call it at both ends of a charge: a meter exchanged behind a gateway leaves the line up.
    ///
    /// # Errors
    /// `WrongRegisterMap` and `SerialChanged` for the wrong meter, the others for none.
    pub async fn identify(&mut self) -> Result<Identity, MeterError> {
        // Until it is done, and for good if it is cancelled.
        self.identified = None;
        let mut epoch = None;
        let map = Arc::clone(&self.config.map);
        for probe in map.probes() {
            let block = probe.place.block();
            let answered = self.ask(block, &mut epoch).await?;
            if !probe.holds(&answered.words) {
                let finding = Finding::Setting {
                    expected: probe.meaning.clone(),
                    remedy: probe.remedy.clone(),
                };
                return Err(self.misfit(block, finding));
            }
        }
        let serial = self.read_serial(&mut epoch).await?;
        let identity = self.same_as_ever(Identity {
            vendor: map.vendor().to_owned(),
            model: map.model().to_owned(),
            serial,
        })?;
        self.identified = epoch;
        Ok(identity)
    }

    /// Reads the billing register, stamped with the time of `clock` at which its answer arrived.
    ///
    /// A call soon after a failure first waits out the rest of a delay; see [`bus`](crate::bus).
    ///
    /// # Errors
    /// See [`MeterError`]. Nothing that raises one is ever taken for a reading later.
    pub async fn read<C: Clock>(&mut self, clock: &C) -> Result<Reading, MeterError> {
        if let Some(epoch) = self.identified.take() {
            match self.read_over(epoch, clock).await {
                // Modbus gateways end idle connections; a read may be repeated without harm.
                Err(MeterError::ConnectionLost { .. }) => {
                    warn!(meter = self.config.name, "line ended, identifying again");
                }
                result => return self.settle(epoch, result),
            }
        }
        let identity = self.identify().await?;
        info!(
            meter = self.config.name,
            at = %self.bus.endpoint(),
            serial = identity.serial.as_ref().map(MeterSerial::as_str),
            "meter identified"
        );
        let Some(epoch) = self.identified.take() else {
            return self.read_unidentified(clock).await;
        };
        let result = self.read_over(epoch, clock).await;
        self.settle(epoch, result)
    }

    /// Reads a meter whose map has nothing to identify it by.
    async fn read_unidentified<C: Clock>(&mut self, clock: &C) -> Result<Reading, MeterError> {
        let mut epoch = None;
        let answers = self.read_blocks(&mut epoch, clock).await?;
        let reading = self.reading_from(&answers)?;
        self.identified = epoch;
        Ok(reading)
    }

    async fn read_over<C: Clock>(
        &mut self,
        epoch: Epoch,
        clock: &C,
    ) -> Result<Reading, MeterError> {
        let answers = self.read_blocks(&mut Some(epoch), clock).await?;
        self.reading_from(&answers)
    }

    /// Goes on without identification only after a good answer.
    fn settle<T>(&mut self, epoch: Epoch, result: Result<T, MeterError>) -> Result<T, MeterError> {
        if result.is_ok() {
            self.identified = Some(epoch);
        }
        result
    }

    async fn read_serial(
        &mut self,
        epoch: &mut Option<Epoch>,
    ) -> Result<Option<MeterSerial>, MeterError> {
        let Some(label) = self.config.map.serial_number() else {
            return Ok(None);
        };
        match self.ask(label.place.block(), epoch).await {
            Ok(answered) => Ok(MeterSerial::read(label, &answered.words)),
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

    async fn read_blocks<C: Clock>(
        &mut self,
        epoch: &mut Option<Epoch>,
        clock: &C,
    ) -> Result<Vec<Answer>, MeterError> {
        let mut answers = Vec::with_capacity(self.reading_blocks.len());
        for block in self.reading_blocks.clone() {
            let answered = self.ask(block, epoch).await?;
            answers.push(Answer {
                block,
                words: answered.words,
                arrived: time_of(answered.arrived, clock),
            });
        }
        Ok(answers)
    }

    /// Asks over the opening of the line that `epoch` names, or notes over which one it was.
    async fn ask(
        &mut self,
        block: Block,
        epoch: &mut Option<Epoch>,
    ) -> Result<Answered, MeterError> {
        let ask = Ask {
            unit_id: self.config.unit_id,
            command: Command::Read(block),
            timeout: self.config.timeout,
            pause: self.config.pause,
            on: *epoch,
            known: Arc::clone(&self.known),
        };
        let answered = self.bus.ask(ask).await;
        let answered = answered.map_err(|fault| self.named(block, fault))?;
        *epoch = Some(answered.epoch);
        Ok(answered)
    }

    fn reading_from(&self, answers: &[Answer]) -> Result<Reading, MeterError> {
        let map = &self.config.map;
        let quantity = map.energy_import().ok_or_else(|| self.not_billable())?;
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
            rollover_wh: energy.rollover_wh,
            power,
            taken_at: answer.arrived,
            serial: known.and_then(|identity| identity.serial.clone()),
        })
    }

    fn not_billable(&self) -> MeterError {
        let map = &self.config.map;
        MeterError::NotBillable {
            meter: self.config.name.clone(),
            map: map.id().to_owned(),
            reason: map.not_billable().unwrap_or_default().to_owned(),
        }
    }

    fn misfit(&self, block: Block, finding: Finding) -> MeterError {
        MeterError::WrongRegisterMap {
            meter: self.config.name.clone(),
            map: self.config.map.id().to_owned(),
            register: block.start,
            finding,
        }
    }

    /// What the bus says of a request for `block`, as an error of this meter.
    fn named(&self, block: Block, fault: Fault) -> MeterError {
        let asked = Asked {
            meter: &self.config.name,
            unit_id: self.config.unit_id,
            timeout: self.config.timeout,
            bus: &self.bus,
            map: self.config.map.id(),
            block,
        };
        asked.error(fault)
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

/// The time of `clock` at `moment`, which is over.
fn time_of<C: Clock>(moment: Instant, clock: &C) -> UnixMillis {
    let age_ms = u64::try_from(moment.elapsed().as_millis()).unwrap_or(u64::MAX);
    UnixMillis(clock.now().0.saturating_sub(age_ms))
}
