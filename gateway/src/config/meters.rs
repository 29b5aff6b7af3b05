//! `[[bus]]` and `[[meter]]`: which meters are on which line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use meter_drivers::map::Connection;
use meter_drivers::transport::serial::BAUD_RATES;
use meter_drivers::{Endpoint, Parity, RegisterMap, RegisterMaps, SerialSettings, StopBits};

use super::{Check, Config, ConfigError, raw};

/// Rate of a line where neither the file nor a map says any: what most meters leave the factory with.
const USUAL_BAUD: u32 = 9_600;
/// How long a meter with a line to itself is waited for.
pub(super) const TIMEOUT_ALONE_MS: u64 = 1_000;
/// How long a meter among others is waited for: each of these milliseconds is taken from them.
pub(super) const TIMEOUT_SHARED_MS: u64 = 500;
/// What passes between a meter's answer and us, where a map says by when the meter answers: an adapter
/// hands bytes on every 16 ms, a network is slower.
const ON_THE_WAY_MS: u64 = 100;
/// The longest that one may be waited for, so that a silent one costs the others less than 2 s.
pub(super) const LONGEST_TIMEOUT_SHARED_MS: u64 = 1_900;

/// The model that stands for every meter which tells its registers itself.
const SUNSPEC: &str = "sunspec";

/// A Modbus meter.
#[derive(Clone, Debug)]
pub struct MeterConfig {
    /// Its model.
    pub model: MeterModel,
    /// Where it is.
    pub line: MeterLine,
    /// Modbus unit id.
    pub unit_id: u8,
    /// How often it is read.
    pub poll_interval: Duration,
    /// How long one answer is waited for.
    pub timeout: Duration,
    /// Silence on the line before a request and after its answer: the file's or the map's, the longer.
    pub pause: Duration,
}

/// How a meter's registers are known.
#[derive(Clone, Debug)]
pub enum MeterModel {
    /// By the map of its model.
    Map(Arc<RegisterMap>),
    /// It tells them, by SunSpec.
    SunSpec,
}

impl MeterModel {
    /// The id that the configuration calls it by.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Map(map) => map.id(),
            Self::SunSpec => SUNSPEC,
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.map().map_or("SunSpec meter", RegisterMap::model)
    }

    fn map(&self) -> Option<&RegisterMap> {
        match self {
            Self::Map(map) => Some(map),
            Self::SunSpec => None,
        }
    }

    fn connection(&self) -> Connection {
        self.map()
            .map_or_else(Connection::default, |map| map.connection().clone())
    }
}

/// What a meter is on.
#[derive(Clone, Debug)]
pub enum MeterLine {
    /// A connection of its own, to this host and port.
    Own(String),
    /// The bus of this name.
    Bus(String),
}

/// The maps of the meters on one bus.
struct Factory<'a> {
    bus: &'a str,
    maps: Vec<&'a RegisterMap>,
}

impl<'a> Factory<'a> {
    fn of(bus: &'a str, meters: &'a BTreeMap<String, MeterConfig>) -> Self {
        let is_on = |meter: &&MeterConfig| matches!(&meter.line, MeterLine::Bus(on) if on == bus);
        let meters = meters.values().filter(is_on);
        Self {
            bus,
            maps: meters.filter_map(|meter| meter.model.map()).collect(),
        }
    }
}

impl Check<'_> {
    /// A line, set as the file says, and where it says nothing as the `meters` on it are.
    pub(super) fn bus(
        &self,
        raw: raw::Bus,
        meters: &BTreeMap<String, MeterConfig>,
    ) -> Result<(String, Endpoint), ConfigError> {
        let name = self.identity("bus.name", &raw.name)?;
        let factory = Factory::of(&name, meters);
        let endpoint = match (&raw.tcp, &raw.serial, &raw.rtu_over_tcp) {
            (Some(address), None, None) => {
                self.nothing_serial(&raw, "bus.tcp", address)?;
                Endpoint::Tcp {
                    address: self.host_and_port("bus.tcp", address)?,
                }
            }
            (None, Some(path), None) => Endpoint::Serial(SerialSettings {
                path: self.device(path)?,
                baud: self.baud(&factory, raw.baud)?,
                parity: self.parity(&factory, raw.parity.as_deref())?,
                stop_bits: self.stop_bits(&factory, raw.stop_bits)?,
            }),
            (None, None, Some(address)) => {
                self.settings_of_converter(&raw)?;
                Endpoint::RtuOverTcp {
                    address: self.host_and_port("bus.rtu_over_tcp", address)?,
                    baud: self.baud(&factory, raw.baud)?,
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

    fn baud(&self, factory: &Factory, baud: Option<u32>) -> Result<u32, ConfigError> {
        let baud = match baud {
            Some(baud) => baud,
            None => self
                .agreed(factory, "baud", |map| map.baud)?
                .unwrap_or(USUAL_BAUD),
        };
        if BAUD_RATES.contains(&baud) {
            return Ok(baud);
        }
        let known: Vec<_> = BAUD_RATES.iter().map(ToString::to_string).collect();
        let accepted = format!("write one of {}", known.join(", "));
        Err(self.refuse("bus.baud", &baud.to_string(), &accepted))
    }

    fn parity(&self, factory: &Factory, parity: Option<&str>) -> Result<Parity, ConfigError> {
        match parity {
            None => Ok(self
                .agreed(factory, "parity", |map| map.parity)?
                .unwrap_or(Parity::None)),
            Some("none") => Ok(Parity::None),
            Some("even") => Ok(Parity::Even),
            Some("odd") => Ok(Parity::Odd),
            Some(other) => {
                let accepted = "write \"none\", \"even\" or \"odd\"";
                Err(self.refuse("bus.parity", other, accepted))
            }
        }
    }

    fn stop_bits(&self, factory: &Factory, bits: Option<u8>) -> Result<StopBits, ConfigError> {
        let bits = match bits {
            Some(bits) => Some(bits),
            None => self.agreed(factory, "stop_bits", |map| map.stop_bits)?,
        };
        match bits {
            None | Some(1) => Ok(StopBits::One),
            Some(2) => Ok(StopBits::Two),
            Some(other) => Err(self.refuse("bus.stop_bits", &other.to_string(), "write 1 or 2")),
        }
    }

    /// What the meters of a line leave the factory with, if all of whom it is known are alike.
    fn agreed<T: Copy + PartialEq>(
        &self,
        factory: &Factory,
        key: &str,
        setting: impl Fn(&Connection) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let set = factory.maps.iter();
        let mut set = set.filter_map(|map| Some((map.id(), setting(map.connection())?)));
        let Some((first, value)) = set.next() else {
            return Ok(None);
        };
        match set.find(|(_, other)| *other != value) {
            None => Ok(Some(value)),
            Some((other, _)) => {
                let accepted = format!(
                    "write its {key}: {first} and {other} leave the factory with different ones, \
                     and all meters on a bus must be set alike"
                );
                Err(self.refuse("bus.name", factory.bus, &accepted))
            }
        }
    }

    pub(super) fn meter(
        &self,
        raw: raw::Meter,
        maps: &RegisterMaps,
    ) -> Result<(String, MeterConfig), ConfigError> {
        let model = self.model(&raw.model, maps)?;
        let connection = model.connection();
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
        let takes = connection.answer_within.unwrap_or_default();
        let takes_ms = u64::try_from(takes.as_millis()).expect("a map allows a minute");
        // A shorter wait would take the model for silent.
        let least_ms = takes_ms.max(50);
        if least_ms > most_ms {
            let accepted = format!(
                "it takes up to {takes_ms} ms to answer; on a bus no meter may keep the others \
                 waiting for more than {most_ms} ms"
            );
            return Err(self.refuse("meter.model", &raw.model, &accepted));
        }
        let timeout_ms = raw.timeout_ms.unwrap_or_else(|| match takes_ms {
            0 => usual_ms,
            takes_ms => usual_ms.max(takes_ms + ON_THE_WAY_MS).min(most_ms),
        });
        let poll_interval_ms = raw.poll_interval_ms;
        let pause = milliseconds("meter.pause_ms", raw.pause_ms, 0, 1_000)?;
        let meter = MeterConfig {
            pause: pause.max(connection.pause.unwrap_or_default()),
            model,
            line,
            unit_id: raw.unit_id,
            poll_interval: milliseconds("meter.poll_interval_ms", poll_interval_ms, 100, 60_000)?,
            timeout: milliseconds("meter.timeout_ms", timeout_ms, least_ms, most_ms)?,
        };
        Ok((raw.id, meter))
    }

    fn model(&self, id: &str, maps: &RegisterMaps) -> Result<MeterModel, ConfigError> {
        let map = match maps.get(id) {
            Some(map) => map,
            None if id == SUNSPEC => return Ok(MeterModel::SunSpec),
            None => {
                let known: Vec<_> = maps.ids().chain([SUNSPEC]).collect();
                let accepted = format!("the models known are {}", known.join(", "));
                return Err(self.refuse("meter.model", id, &accepted));
            }
        };
        match map.not_billable() {
            None => Ok(MeterModel::Map(map)),
            Some(reason) => {
                let accepted = format!("it cannot be billed: {reason}");
                Err(self.refuse("meter.model", id, &accepted))
            }
        }
    }

    pub(super) fn host_and_port(&self, key: &str, address: &str) -> Result<String, ConfigError> {
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
