//! A relay or a current limit: a coil or a register that is set, and counts as set once it reads so.
//!
//! The answer to a write tells that a unit received it. Some devices answer and do nothing, an adapter
//! with an echo repeats the request as if it were the answer, and an answer may be lost although the
//! value was taken. So [`Actuator::set`] writes, then reads the same place, and succeeds only where
//! that shows what was written. A device that takes a moment is read three times.
//!
//! Setting a value may be repeated without harm, so whoever calls does so after any error. What must
//! not happen is that a value is set by an older request after a newer one; on one line the order
//! holds, and what a connection that broke still delivers is found by reading now and then.

use std::sync::Arc;
use std::time::Duration;

use crate::block::Block;
use crate::bus::{Ask, Bus, Fault, GATEWAY_TARGET_FAILED};
use crate::map::RegisterSpace;
use crate::transport::command::Command;

/// How often a value is read after it was written before it counts as not taken.
const READ_BACKS: u32 = 3;
/// Between them: relays take some 20 ms, and firmware that scans its registers up to 100 ms.
const BETWEEN_READ_BACKS: Duration = Duration::from_millis(200);

/// Which place at which unit, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct ActuatorConfig {
    /// Name that errors and logs call it by.
    pub name: String,
    /// Modbus unit id, not 0.
    pub unit_id: u8,
    /// The longest wait for each answer, beyond the time that its bytes take on a serial line.
    pub timeout: Duration,
    /// Silence on the line before a request and after its answer, where it is to be longer than the
    /// standard's.
    pub pause: Duration,
    /// What is set.
    pub target: Target,
}

/// A place that takes a value. Addresses are those on the wire, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A coil: 0 is off, 1 is on. Written with function code 5, read with 1.
    Coil {
        /// Its address.
        address: u16,
    },
    /// A holding register. Written with function code 6, read with 3.
    Register {
        /// Its address.
        address: u16,
    },
    /// Holding registers that are written with function code 16 and read with 3, because there are
    /// several or because the device knows no other; the highest word comes first.
    Registers {
        /// Address of the first.
        address: u16,
        /// 1 or 2.
        count: u8,
    },
}

/// Sets one place of one unit.
#[derive(Debug)]
pub struct Actuator {
    config: ActuatorConfig,
    bus: Bus,
    known: Arc<[Command]>,
}

/// Why a value is not known to be set, split by what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActuatorError {
    /// Unit 0 is everybody on the line at once, and nobody answers for it.
    #[error("{name}: unit_id 0 is the broadcast address; write the device's own")]
    Broadcast {
        /// Configured name.
        name: String,
    },
    /// The place has no room for the value.
    #[error("{name} cannot hold {value}; check the limits and the unit of its register")]
    NoRoom {
        /// Configured name.
        name: String,
        /// What was to be set.
        value: u32,
    },
    /// Nothing was sent, or no answer came.
    #[error(
        "{name} (unit {unit_id}) at {address} does not answer: {problem}; check power, wiring and unit_id"
    )]
    NoAnswer {
        /// Configured name.
        name: String,
        /// Unit asked.
        unit_id: u8,
        /// Address or device of its line.
        address: String,
        /// What happened instead.
        problem: String,
    },
    /// The unit refused.
    #[error(
        "{name} (unit {unit_id}) refuses with Modbus exception {code}; check the address of its coil or register, and that it may be written"
    )]
    Refused {
        /// Configured name.
        name: String,
        /// Unit asked.
        unit_id: u8,
        /// Modbus exception code.
        code: u8,
    },
    /// The unit answered the write, and reads otherwise.
    #[error(
        "{name} (unit {unit_id}) was set to {wrote} and reads {found}; inspect the device, and what else sets it"
    )]
    NotTaken {
        /// Configured name.
        name: String,
        /// Unit asked.
        unit_id: u8,
        /// What was written.
        wrote: u32,
        /// What is there.
        found: u32,
    },
}

impl Target {
    /// The largest value it holds.
    #[must_use]
    pub fn most(self) -> u32 {
        match self {
            Self::Coil { .. } => 1,
            Self::Register { .. } => u16::MAX.into(),
            Self::Registers { count: 1, .. } => u16::MAX.into(),
            Self::Registers { .. } => u32::MAX,
        }
    }

    fn read(self) -> Command {
        let (address, count) = match self {
            Self::Coil { address } => return Command::ReadCoil { address },
            Self::Register { address } => (address, 1),
            Self::Registers { address, count } => (address, count),
        };
        Command::Read(Block {
            space: RegisterSpace::Holding,
            start: address,
            count: count.into(),
        })
    }

    fn write(self, value: u32) -> Command {
        let [_, _, high, low] = value.to_be_bytes();
        let word = u16::from_be_bytes([high, low]);
        match self {
            Self::Coil { address } => Command::WriteCoil {
                address,
                on: value != 0,
            },
            Self::Register { address } => Command::WriteRegister { address, word },
            Self::Registers { address, count: 1 } => Command::WriteRegisters {
                start: address,
                words: [word].into(),
            },
            Self::Registers { address, .. } => {
                let [first, second, ..] = value.to_be_bytes();
                let high = u16::from_be_bytes([first, second]);
                Command::WriteRegisters {
                    start: address,
                    words: [high, word].into(),
                }
            }
        }
    }
}

impl Actuator {
    /// An actuator on `bus`; nothing is sent before the first call.
    ///
    /// # Errors
    /// `Broadcast` for unit 0.
    pub fn new(config: ActuatorConfig, bus: &Bus) -> Result<Self, ActuatorError> {
        if config.unit_id == 0 {
            return Err(ActuatorError::Broadcast { name: config.name });
        }
        Ok(Self {
            known: [config.target.read()].into(),
            config,
            bus: bus.clone(),
        })
    }

    /// What errors and logs call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Sets `value` and reads it back; it was read from the device when this succeeds.
    ///
    /// # Errors
    /// See [`ActuatorError`]. After each of them but `Broadcast` and `NoRoom` the value may have been
    /// taken all the same.
    pub async fn set(&mut self, value: u32) -> Result<(), ActuatorError> {
        let target = self.config.target;
        if value > target.most() {
            let name = self.config.name.clone();
            return Err(ActuatorError::NoRoom { name, value });
        }
        self.ask(target.write(value)).await?;
        let mut found = self.get().await?;
        for _ in 1..READ_BACKS {
            if found == value {
                break;
            }
            tokio::time::sleep(BETWEEN_READ_BACKS).await;
            found = self.get().await?;
        }
        if found == value {
            return Ok(());
        }
        Err(ActuatorError::NotTaken {
            name: self.config.name.clone(),
            unit_id: self.config.unit_id,
            wrote: value,
            found,
        })
    }

    /// Reads what is set.
    ///
    /// # Errors
    /// See [`ActuatorError`].
    pub async fn get(&mut self) -> Result<u32, ActuatorError> {
        let words = self.ask(self.config.target.read()).await?;
        // At most two words: the bus hands out as many as were asked for.
        Ok(words
            .iter()
            .fold(0, |value, &word| (value << 16) | u32::from(word)))
    }

    async fn ask(&self, command: Command) -> Result<Vec<u16>, ActuatorError> {
        let ask = Ask {
            unit_id: self.config.unit_id,
            command,
            timeout: self.config.timeout,
            pause: self.config.pause,
            on: None,
            known: Arc::clone(&self.known),
        };
        let answered = self.bus.ask(ask).await;
        answered
            .map(|answered| answered.words)
            .map_err(|fault| self.named(fault))
    }

    fn named(&self, fault: Fault) -> ActuatorError {
        let problem = match fault {
            Fault::Exception(code) if code != GATEWAY_TARGET_FAILED => {
                return ActuatorError::Refused {
                    name: self.config.name.clone(),
                    unit_id: self.config.unit_id,
                    code,
                };
            }
            Fault::Exception(_) => "its gateway says that it is silent".to_owned(),
            Fault::Unreachable(error) => format!("the line cannot be opened, {error}"),
            Fault::Lost(error) => format!("the line ended, {error}"),
            Fault::Reopened => "the line was opened anew".to_owned(),
            Fault::Silent { waited } => format!("silent for {} ms", waited.as_millis()),
            Fault::Foreign(what) => format!("an answer to something else came, {what}"),
            Fault::WrongLength { received } => format!("an answer with {received} values came"),
            Fault::Garbled(what) => what,
            Fault::Busy => "too many requests wait for it".to_owned(),
        };
        ActuatorError::NoAnswer {
            name: self.config.name.clone(),
            unit_id: self.config.unit_id,
            address: self.bus.endpoint().to_string(),
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: Target, value: u32, write: &[u8], read: &[u8]) {
        assert_eq!(target.write(value).pdu(), write);
        assert_eq!(target.read().pdu(), read);
        assert!(value <= target.most());
    }

    #[test]
    fn each_place_is_written_and_read_with_its_own_functions() {
        let coil = Target::Coil { address: 0x0102 };
        check(coil, 1, &[5, 1, 2, 0xFF, 0], &[1, 1, 2, 0, 1]);
        check(coil, 0, &[5, 1, 2, 0, 0], &[1, 1, 2, 0, 1]);
        let register = Target::Register { address: 3 };
        check(register, 0x1234, &[6, 0, 3, 0x12, 0x34], &[3, 0, 3, 0, 1]);
        let registers = |count| Target::Registers { address: 3, count };
        let one = [16, 0, 3, 0, 1, 2, 0x12, 0x34];
        check(registers(1), 0x1234, &one, &[3, 0, 3, 0, 1]);
        let two = [16, 0, 3, 0, 2, 4, 0, 1, 0x86, 0xA0];
        check(registers(2), 100_000, &two, &[3, 0, 3, 0, 2]);
    }
}
