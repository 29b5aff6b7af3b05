//! Why there is no reading.

use std::io;

use crate::decode::NoNumber;
use crate::reading::MeterSerial;

/// Why a meter gave no reading, split by what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeterError {
    /// Nobody accepts a connection at the address: network, power or address.
    #[error("{meter} unreachable at {address}; check address, network and power")]
    Unreachable {
        /// Configured name of the meter.
        meter: String,
        /// Configured host and port.
        address: String,
        /// What the connection attempt ended with.
        #[source]
        source: io::Error,
    },
    /// The connection ended before the answer was complete; the next call opens another.
    #[error(
        "{meter} closed its connection at {address}; check that no other client pushed this one out"
    )]
    ConnectionLost {
        /// Configured name of the meter.
        meter: String,
        /// Configured host and port.
        address: String,
        /// How the connection ended.
        #[source]
        source: io::Error,
    },
    /// The device is connected, but the unit did not answer in time.
    #[error(
        "{meter} (unit {unit_id}) silent for {waited_ms} ms; check wiring, baud rate and unit_id"
    )]
    Silent {
        /// Configured name of the meter.
        meter: String,
        /// Unit asked.
        unit_id: u8,
        /// Time waited for the answer.
        waited_ms: u64,
    },
    /// The unit answers, but not as the configured model would.
    #[error("{meter} does not fit register map {map} at {register:#06x}; check model and unit_id")]
    WrongRegisterMap {
        /// Configured name of the meter.
        meter: String,
        /// Id of the register map.
        map: String,
        /// Address of the register that does not fit.
        register: u16,
        /// What was found there.
        #[source]
        finding: Finding,
    },
    /// The unit refused a request for a passing reason of its own (Modbus exceptions from 4 on).
    #[error(
        "{meter} (unit {unit_id}) refused to answer with Modbus exception {code}; retry, then inspect the meter"
    )]
    Refused {
        /// Configured name of the meter.
        meter: String,
        /// Unit asked.
        unit_id: u8,
        /// Modbus exception code.
        code: u8,
    },
    /// The answer belongs to another unit or to another request.
    #[error(
        "{meter} (unit {unit_id}) received an answer not meant for it: {mismatch}; check for two masters or two units with one unit_id"
    )]
    ForeignReply {
        /// Configured name of the meter.
        meter: String,
        /// Unit asked.
        unit_id: u8,
        /// What differs.
        mismatch: String,
    },
    /// The answer carries more or fewer registers than were asked for.
    #[error(
        "{meter} (unit {unit_id}) answered {received} registers instead of {requested}; check the Modbus gateway in front of it"
    )]
    WrongLength {
        /// Configured name of the meter.
        meter: String,
        /// Unit asked.
        unit_id: u8,
        /// Registers asked for.
        requested: u16,
        /// Registers in the answer.
        received: usize,
    },
    /// What arrived is not Modbus TCP.
    #[error("{meter} at {address} does not speak Modbus TCP; check address and port")]
    Garbled {
        /// Configured name of the meter.
        meter: String,
        /// Configured host and port.
        address: String,
        /// What could not be read.
        #[source]
        source: io::Error,
    },
    /// The model has no register that may be billed, or none that is known.
    #[error("{meter} cannot be billed by register map {map}: {reason}; choose another meter")]
    NotBillable {
        /// Configured name of the meter.
        meter: String,
        /// Id of the register map.
        map: String,
        /// Why, from the map.
        reason: String,
    },
    /// Another meter answers now. It stays refused until a new driver is made for it.
    #[error("{meter} changed its serial number from {} to {}; charge held, check which meter is wired, then restart", shown(.before), shown(.after))]
    SerialChanged {
        /// Configured name of the meter.
        meter: String,
        /// Serial number read first.
        before: Option<MeterSerial>,
        /// Serial number read now.
        after: Option<MeterSerial>,
    },
}

/// What does not fit the register map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// Illegal function, address or value (Modbus exceptions 1 to 3).
    #[error("the register does not exist (Modbus exception {code})")]
    NoSuchRegister {
        /// Modbus exception code.
        code: u8,
    },
    /// A setting of the meter changes what its registers mean.
    #[error("a setting is not {expected}; {remedy}")]
    Setting {
        /// What the setting must be.
        expected: String,
        /// How to make it so.
        remedy: String,
    },
    /// A register that must count holds no count.
    #[error("the register holds no number fit for billing")]
    NoNumber(#[source] NoNumber),
}

fn shown(serial: &Option<MeterSerial>) -> &str {
    serial.as_ref().map_or("none", MeterSerial::as_str)
}
