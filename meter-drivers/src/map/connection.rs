//! How a model is reached as it leaves the factory.

use std::time::Duration;

use serde::Deserialize;

use super::file::{Refused, within};

/// What is known about reaching a model: facts for a scan, and the pauses it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Lines the model is made for; empty where nobody said.
    pub transports: Vec<Transport>,
    /// Unit id set at the factory.
    pub unit_id: Option<u8>,
    /// Baud rate set at the factory.
    pub baud: Option<u32>,
    /// Parity set at the factory.
    pub parity: Option<Parity>,
    /// Stop bits set at the factory: 1 or 2.
    pub stop_bits: Option<u8>,
    /// Silence the model needs between an answer and the next request.
    pub pause: Option<Duration>,
    /// The longest the model takes to answer.
    pub answer_within: Option<Duration>,
}

/// A kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Modbus RTU on a serial line.
    Rtu,
    /// Modbus TCP.
    Tcp,
}

/// Parity of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parity {
    /// No parity bit.
    None,
    /// Even parity.
    Even,
    /// Odd parity.
    Odd,
}

/// [`Connection`] as written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConnection {
    #[serde(default)]
    transports: Vec<Transport>,
    unit_id: Option<u64>,
    baud: Option<u64>,
    parity: Option<Parity>,
    stop_bits: Option<u64>,
    pause_ms: Option<u64>,
    answer_within_ms: Option<u64>,
}

impl RawConnection {
    pub(super) fn check(self) -> Result<Connection, Refused> {
        let milliseconds = |key, ms: Option<u64>| {
            let ms = within(key, ms, 1..=60_000, "1 to 60000")?;
            Ok(ms.map(|ms: u32| Duration::from_millis(ms.into())))
        };
        Ok(Connection {
            transports: self.transports,
            unit_id: within("connection.unit_id", self.unit_id, 1..=247, "1 to 247")?,
            baud: within("connection.baud", self.baud, 300..=921_600, "300 to 921600")?,
            parity: self.parity,
            stop_bits: within("connection.stop_bits", self.stop_bits, 1..=2, "1 or 2")?,
            pause: milliseconds("connection.pause_ms", self.pause_ms)?,
            answer_within: milliseconds("connection.answer_within_ms", self.answer_within_ms)?,
        })
    }
}
