//! Discovery over a bus.

use std::sync::Arc;
use std::time::Duration;

use super::{Discovery, Layout};
use crate::asked::Asked;
use crate::bus::{Ask, Bus, Fault};
use crate::error::MeterError;
use crate::transport::command::Command;

/// Which unit on its bus, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct SunSpecConfig {
    /// Name that errors call the meter by.
    pub name: String,
    /// Modbus unit id; on a serial line 1 to 247.
    pub unit_id: u8,
    /// The longest wait for each answer.
    pub timeout: Duration,
    /// Silence on the line before a request and after its answer.
    pub pause: Duration,
}

/// Asks a unit where its registers are. Some ten requests; it may be cancelled at any time.
///
/// # Errors
/// `NoSunSpecMeter` where it answers and is none, the others where it does not answer.
pub async fn discover(bus: &Bus, config: &SunSpecConfig) -> Result<Layout, MeterError> {
    let mut discovery = Discovery::new();
    let mut on = None;
    while let Some(block) = discovery.ask() {
        let ask = Ask {
            unit_id: config.unit_id,
            command: Command::Read(block),
            timeout: config.timeout,
            pause: config.pause,
            on,
            known: Arc::new([]),
        };
        match bus.ask(ask).await {
            Ok(answered) => {
                on = Some(answered.epoch);
                discovery.answer(Some(&answered.words));
            }
            // Illegal function, address or value: it answers, and has no such registers.
            Err(Fault::Exception(1..=3)) => discovery.answer(None),
            Err(fault) => {
                let asked = Asked {
                    meter: &config.name,
                    unit_id: config.unit_id,
                    timeout: config.timeout,
                    bus,
                    map: "sunspec",
                    block,
                };
                return Err(asked.error(fault));
            }
        }
    }
    discovery
        .finish()
        .map_err(|reason| MeterError::NoSunSpecMeter {
            meter: config.name.clone(),
            unit_id: config.unit_id,
            reason,
        })
}
