//! A serial port and its settings.
//!
//! The crate is serial2: tokio-serial stands on serialport, whose licence (MPL-2.0) is not among those
//! that our binaries may carry.

use std::io;
use std::path::PathBuf;

use serial2_tokio::{CharSize, FlowControl, SerialPort, Settings};

use crate::map::Parity;

/// Rates that a line of meters may have.
pub const BAUD_RATES: [u32; 8] = [1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200];

/// A serial port as the meters on it are set. Characters have eight bits of data, always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialSettings {
    /// The device. Below `/dev/serial/by-id` a USB adapter keeps its path wherever it is plugged in.
    pub path: PathBuf,
    /// Bits a second; one of [`BAUD_RATES`].
    pub baud: u32,
    /// The bit that guards a character.
    pub parity: Parity,
    /// How a character ends.
    pub stop_bits: StopBits,
}

/// How a character ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopBits {
    /// With one bit.
    One,
    /// With two; the standard asks for them where there is no parity, few meters do.
    Two,
}

impl SerialSettings {
    /// Opens the port and sets it; a port that cannot be set so is refused.
    pub(crate) fn open(&self) -> io::Result<SerialPort> {
        let port = SerialPort::open(&self.path, |settings| self.apply(settings))?;
        // What was received under the settings of whoever had the port before.
        port.discard_buffers()?;
        Ok(port)
    }

    fn apply(&self, mut settings: Settings) -> io::Result<Settings> {
        settings.set_raw();
        settings.set_baud_rate(self.baud)?;
        settings.set_char_size(CharSize::Bits8);
        settings.set_parity(match self.parity {
            Parity::None => serial2_tokio::Parity::None,
            Parity::Even => serial2_tokio::Parity::Even,
            Parity::Odd => serial2_tokio::Parity::Odd,
        });
        settings.set_stop_bits(match self.stop_bits {
            StopBits::One => serial2_tokio::StopBits::One,
            StopBits::Two => serial2_tokio::StopBits::Two,
        });
        settings.set_flow_control(FlowControl::None);
        Ok(settings)
    }
}
