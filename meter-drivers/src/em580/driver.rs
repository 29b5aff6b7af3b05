//! Carries sessions out over a bus.

use std::sync::Arc;
use std::time::Duration;

use super::{Em580Error, Em580Session, Em580Step, STATE};
use crate::asked::Asked;
use crate::block::Block;
use crate::bus::{Ask, Bus};
use crate::error::MeterError;
use crate::map::RegisterSpace;
use crate::transport::command::Command;

/// Which unit, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct Em580Config {
    /// Name that errors and logs call it by.
    pub name: String,
    /// Modbus unit id, not 0.
    pub unit_id: u8,
    /// The longest wait for each answer.
    pub timeout: Duration,
    /// Silence on the line before a request and after its answer.
    pub pause: Duration,
}

/// An EM580 on a bus, beside whatever reads its plain registers there.
#[derive(Debug)]
pub struct Em580 {
    config: Em580Config,
    bus: Bus,
    known: Arc<[Command]>,
}

/// Why a session did not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Em580Failure {
    /// The line or the unit. The same session may be tried again: it goes on where it was.
    #[error(transparent)]
    Line(#[from] MeterError),
    /// The meter answered what no session goes on with.
    #[error(transparent)]
    Session(#[from] Em580Error),
}

impl Em580 {
    /// The meter of `config` on `bus`; nothing is sent before the first call.
    #[must_use]
    pub fn new(config: Em580Config, bus: &Bus) -> Self {
        Self {
            config,
            bus: bus.clone(),
            known: [Command::Read(input(STATE, 1))].into(),
        }
    }

    /// Goes on until the meter hands a record out, or until there is nothing to do any more (`None`).
    ///
    /// The record is to be made durable, then [`answered`](Em580Session::answered) with no words, then
    /// this called again: the meter forgets the record only then.
    ///
    /// # Errors
    /// See [`Em580Failure`].
    pub async fn next_record(
        &self,
        session: &mut Em580Session,
    ) -> Result<Option<String>, Em580Failure> {
        loop {
            let words = match session.next() {
                Em580Step::Done => return Ok(None),
                Em580Step::Keep(record) => return Ok(Some(record)),
                Em580Step::Wait(pause) => {
                    tokio::time::sleep(pause).await;
                    Vec::new()
                }
                Em580Step::Read { address, count } => {
                    let block = input(address, count);
                    self.ask(Command::Read(block), block).await?
                }
                Em580Step::Write { address, words } => {
                    let block = Block {
                        space: RegisterSpace::Holding,
                        start: address,
                        count: u16::try_from(words.len()).expect("123 at most"),
                    };
                    let words = words.into();
                    let start = address;
                    self.ask(Command::WriteRegisters { start, words }, block)
                        .await?
                }
            };
            session.answered(&words)?;
        }
    }

    async fn ask(&self, command: Command, block: Block) -> Result<Vec<u16>, MeterError> {
        let Em580Config {
            name,
            unit_id,
            timeout,
            pause,
        } = &self.config;
        let ask = Ask {
            unit_id: *unit_id,
            command,
            timeout: *timeout,
            pause: *pause,
            on: None,
            known: Arc::clone(&self.known),
        };
        let answered = self.bus.ask(ask).await;
        let asked = Asked {
            meter: name,
            unit_id: *unit_id,
            timeout: *timeout,
            bus: &self.bus,
            map: "carlo-gavazzi-em580",
            block,
        };
        answered
            .map(|answered| answered.words)
            .map_err(|fault| asked.error(fault))
    }
}

fn input(start: u16, count: u16) -> Block {
    Block {
        space: RegisterSpace::Input,
        start,
        count,
    }
}
