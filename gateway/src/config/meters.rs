//! `[[bus]]` and `[[meter]]`: which meters are on which line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use meter_drivers::transport::serial::BAUD_RATES;
use meter_drivers::{Endpoint, Parity, RegisterMap, SerialSettings, StopBits};

use super::{Check, Config, ConfigError, raw};

/// Rate of a line that says nothing of it: what most meters leave the factory with.
const USUAL_BAUD: u32 = 9_600;
/// How long a meter with a line to itself is waited for.
const TIMEOUT_ALONE_MS: u64 = 1_000;
/// How long a meter among others is waited for: each of these milliseconds is taken from them.
const TIMEOUT_SHARED_MS: u64 = 500;
/// The longest that one may be waited for, so that a silent one costs the others less than 2 s.
const LONGEST_TIMEOUT_SHARED_MS: u64 = 1_900;

/// A Modbus meter.
#[derive(Clone, Debug)]
pub struct MeterConfig {
    /// Its register map.
    pub map: &'static RegisterMap,
    /// Where it is.
    pub line: MeterLine,
    /// Modbus unit id.
    pub unit_id: u8,
    /// How often it is read.
    pub poll_interval: Duration,
    /// How long one answer is waited for.
    pub timeout: Duration,
    /// Silence on the line that it wants before a request and after its answer.
    pub pause: Duration,
}

/// What a meter is on.
#[derive(Clone, Debug)]
pub enum MeterLine {
    /// A connection of its own, to this host and port.
    Own(String),
    /// The bus of this name.
    Bus(String),
}

impl Check<'_> {
    pub(super) fn bus(&self, raw: raw::Bus) -> Result<(String, Endpoint), ConfigError> {
        let name = self.identity("bus.name", &raw.name)?;
        let endpoint = match (&raw.tcp, &raw.serial, &raw.rtu_over_tcp) {
            (Some(address), None, None) => {
                self.nothing_serial(&raw, "bus.tcp", address)?;
                Endpoint::Tcp {
                    address: self.host_and_port("bus.tcp", address)?,
                }
            }
            (None, Some(path), None) => Endpoint::Serial(SerialSettings {
                path: self.device(path)?,
                baud: self.baud(raw.baud)?,
                parity: self.parity(raw.parity.as_deref())?,
                stop_bits: self.stop_bits(raw.stop_bits)?,
            }),
            (None, None, Some(address)) => {
                self.settings_of_converter(&raw)?;
                Endpoint::RtuOverTcp {
                    address: self.host_and_port("bus.rtu_over_tcp", address)?,
                    baud: self.baud(raw.baud)?,
                }
            }
            _ => {
                let accepted = "write exactly one of tcp = \"HOST:PORT\", serial = \
                                \"/dev/serial/by-id/...\" and rtu_over_tcp = \"HOST:PORT\"";
                return Err(self.refuse("bus.name", &raw.name, accepted));
            }
        };
        Ok((name, endpoint))
    }

    fn nothing_serial(&self, raw: &raw::Bus, key: &str, found: &str) -> Result<(), ConfigError> {
        match (raw.baud, &raw.parity, raw.stop_bits) {
            (None, None, None) => Ok(()),
            _ => {
                let accepted = "Modbus TCP has no baud, parity or stop_bits; leave them out, or use \
                                serial or rtu_over_tcp";
                Err(self.refuse(key, found, accepted))
            }
        }
    }

    fn settings_of_converter(&self, raw: &raw::Bus) -> Result<(), ConfigError> {
        match (&raw.parity, raw.stop_bits, &raw.rtu_over_tcp) {
            (None, None, _) | (_, _, None) => Ok(()),
            (_, _, Some(address)) => {
                let accepted = "parity and stop_bits are set at the converter; leave them out \
                                (baud says how long silence between frames lasts)";
                Err(self.refuse("bus.rtu_over_tcp", address, accepted))
            }
        }
    }

    fn device(&self, path: &Path) -> Result<std::path::PathBuf, ConfigError> {
        if path.is_absolute() {
            return Ok(path.to_owned());
        }
        let accepted = "write the device's whole path, best one below /dev/serial/by-id";
        Err(self.refuse("bus.serial", &path.display().to_string(), accepted))
    }

    fn baud(&self, baud: Option<u32>) -> Result<u32, ConfigError> {
        let baud = baud.unwrap_or(USUAL_BAUD);
        if BAUD_RATES.contains(&baud) {
            return Ok(baud);
        }
        let known: Vec<_> = BAUD_RATES.iter().map(ToString::to_string).collect();
        let accepted = format!("write one of {}", known.join(", "));
        Err(self.refuse("bus.baud", &baud.to_string(), &accepted))
    }

    fn parity(&self, parity: Option<&str>) -> Result<Parity, ConfigError> {
        match parity {
            None | Some("none") => Ok(Parity::None),
            Some("even") => Ok(Parity::Even),
            Some("odd") => Ok(Parity::Odd),
            Some(other) => {
                let accepted = "write \"none\", \"even\" or \"odd\"";
                Err(self.refuse("bus.parity", other, accepted))
            }
        }
    }

    fn stop_bits(&self, stop_bits: Option<u8>) -> Result<StopBits, ConfigError> {
        match stop_bits {
            None | Some(1) => Ok(StopBits::One),
            Some(2) => Ok(StopBits::Two),
            Some(other) => Err(self.refuse("bus.stop_bits", &other.to_string(), "write 1 or 2")),
        }
    }

    pub(super) fn meter(&self, raw: raw::Meter) -> Result<(String, MeterConfig), ConfigError> {
        let map = RegisterMap::builtin(&raw.model).ok_or_else(|| {
            let known: Vec<_> = RegisterMap::builtin_ids().collect();
            let accepted = format!("the models known are {}", known.join(", "));
            self.refuse("meter.model", &raw.model, &accepted)
        })?;
        let line = match (raw.address, raw.bus) {
            (Some(address), None) => MeterLine::Own(self.host_and_port("meter.address", &address)?),
            (None, Some(bus)) => MeterLine::Bus(bus),
            _ => {
                let accepted = "write either address = \"HOST:PORT\" or bus = \"NAME\"";
                return Err(self.refuse("meter.id", &raw.id, accepted));
            }
        };
        let milliseconds = |key: &str, ms: u64, least: u64, most: u64| match ms {
            ms if (least..=most).contains(&ms) => Ok(Duration::from_millis(ms)),
            _ => Err(self.refuse(key, &ms.to_string(), &format!("write {least} to {most}"))),
        };
        let (usual_ms, most_ms) = match &line {
            MeterLine::Own(_) => (TIMEOUT_ALONE_MS, 60_000),
            MeterLine::Bus(_) => (TIMEOUT_SHARED_MS, LONGEST_TIMEOUT_SHARED_MS),
        };
        let timeout_ms = raw.timeout_ms.unwrap_or(usual_ms);
        let poll_interval_ms = raw.poll_interval_ms;
        let meter = MeterConfig {
            map,
            line,
            unit_id: raw.unit_id,
            poll_interval: milliseconds("meter.poll_interval_ms", poll_interval_ms, 100, 60_000)?,
            timeout: milliseconds("meter.timeout_ms", timeout_ms, 50, most_ms)?,
            pause: milliseconds("meter.pause_ms", raw.pause_ms, 0, 1_000)?,
        };
        Ok((raw.id, meter))
    }

    fn host_and_port(&self, key: &str, address: &str) -> Result<String, ConfigError> {
        let has_port = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !has_port {
            let accepted = "write HOST:PORT, such as 192.0.2.50:502";
            return Err(self.refuse(key, address, accepted));
        }
        Ok(address.to_owned())
    }

    /// A bus that is named is there, each unit on it is one meter, and no two buses share a line.
    pub(super) fn lines(&self, config: &Config) -> Result<(), ConfigError> {
        let mut lines = BTreeMap::new();
        for (name, endpoint) in &config.buses {
            if let Some(other) = lines.insert(endpoint.to_string(), name) {
                let accepted = format!("bus {other} has the same line; put all its meters on one");
                return Err(self.refuse("bus.name", name, &accepted));
            }
        }
        let mut units = BTreeSet::new();
        for (id, meter) in &config.meters {
            let MeterLine::Bus(bus) = &meter.line else {
                continue;
            };
            if !config.buses.contains_key(bus) {
                return Err(self.refuse("meter.bus", bus, "no [[bus]] has this name"));
            }
            let unit = meter.unit_id.to_string();
            // 0 is the broadcast address; above 247 they are reserved.
            if !(1..=247).contains(&meter.unit_id) {
                return Err(self.refuse("meter.unit_id", &unit, "on a bus, write 1 to 247"));
            }
            if !units.insert((bus, meter.unit_id)) {
                let accepted = format!("meter {id} has another's unit_id on bus {bus}");
                return Err(self.refuse("meter.unit_id", &unit, &accepted));
            }
        }
        Ok(())
    }
}
