//! What becomes of a bus's fault once it is known which meter was asked for what.

use std::time::Duration;

use crate::block::Block;
use crate::bus::{Bus, Fault, GATEWAY_TARGET_FAILED};
use crate::error::{Finding, MeterError};

/// A request that failed.
pub(crate) struct Asked<'a> {
    pub(crate) meter: &'a str,
    pub(crate) unit_id: u8,
    pub(crate) timeout: Duration,
    pub(crate) bus: &'a Bus,
    /// Id of the map that names the block.
    pub(crate) map: &'a str,
    pub(crate) block: Block,
}

impl Asked<'_> {
    /// `fault` as an error that tells who, where and what to do.
    pub(crate) fn error(&self, fault: Fault) -> MeterError {
        let meter = self.meter.to_owned();
        let unit_id = self.unit_id;
        let address = self.bus.endpoint().to_string();
        let waited_ms = |waited: Duration| u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        match fault {
            Fault::Unreachable(source) => MeterError::Unreachable {
                meter,
                address,
                source,
            },
            Fault::Lost(source) => MeterError::ConnectionLost {
                meter,
                address,
                source,
            },
            Fault::Reopened => MeterError::ConnectionLost {
                meter,
                address,
                source: std::io::Error::from(std::io::ErrorKind::NotConnected),
            },
            Fault::Silent { waited } => MeterError::Silent {
                meter,
                unit_id,
                waited_ms: waited_ms(waited),
            },
            // A Modbus gateway waited for the unit on our behalf.
            Fault::Exception(GATEWAY_TARGET_FAILED) => MeterError::Silent {
                meter,
                unit_id,
                waited_ms: waited_ms(self.timeout),
            },
            // Illegal function, address or value.
            Fault::Exception(code @ 1..=3) => MeterError::WrongRegisterMap {
                meter,
                map: self.map.to_owned(),
                register: self.block.start,
                finding: Finding::NoSuchRegister { code },
            },
            Fault::Exception(code) => MeterError::Refused {
                meter,
                unit_id,
                code,
            },
            Fault::Foreign(mismatch) => MeterError::ForeignReply {
                meter,
                unit_id,
                mismatch,
            },
            Fault::WrongLength { received } => MeterError::WrongLength {
                meter,
                unit_id,
                requested: self.block.count,
                received,
            },
            Fault::Garbled(problem) => MeterError::Garbled {
                meter,
                address,
                problem,
            },
            Fault::Busy => MeterError::Busy { meter, unit_id },
        }
    }
}
