//! `[modbus_charger.relay]` and `[modbus_charger.current_limit]`: what switches and limits the power of
//! a charger without OCPP.

use std::collections::BTreeMap;
use std::time::Duration;

use meter_drivers::Target;

use super::meters::{LONGEST_TIMEOUT_SHARED_MS, TIMEOUT_ALONE_MS, TIMEOUT_SHARED_MS};
use super::{Check, Config, ConfigError, MeterLine, raw};

/// How long a relay may go unconfirmed where the file says nothing.
const USUAL_DEAD_MAN_S: u32 = 60;

/// Where a value is set.
#[derive(Clone, Debug)]
pub struct PlaceConfig {
    /// The device's line.
    pub line: MeterLine,
    /// Modbus unit id.
    pub unit_id: u8,
    /// How long one answer is waited for.
    pub timeout: Duration,
    /// Coil or registers.
    pub target: Target,
}

/// What happens when nobody confirms a value any more.
#[derive(Clone, Debug)]
pub struct DeadMan {
    /// A charge whose relay or limit was not confirmed for so long ends.
    pub after: Duration,
    /// Where the device is told so, and the number it is told.
    pub register: Option<(Target, u32)>,
}

/// A relay.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Where it is.
    pub place: PlaceConfig,
    /// The value that closes it.
    pub on: u32,
    /// The value that opens it.
    pub off: u32,
    /// See there.
    pub dead_man: DeadMan,
}

/// A current limit.
#[derive(Clone, Debug)]
pub struct CurrentLimitConfig {
    /// Where it is.
    pub place: PlaceConfig,
    /// Milliamperes of one step of its register.
    pub step_ma: u32,
    /// The least that a charge is given.
    pub minimum_ma: u32,
    /// The most, and what a charge begins with.
    pub maximum_ma: u32,
    /// What is set while nobody charges: 0 or the minimum.
    pub idle_ma: u32,
    /// See there.
    pub dead_man: DeadMan,
}

/// The keys that relay and current limit have in common, with the table they are in.
struct Common<'a> {
    table: &'a str,
    charger: &'a str,
    bus: Option<String>,
    address: Option<String>,
    unit_id: Option<u8>,
    timeout_ms: Option<u64>,
    dead_man_s: Option<u32>,
    dead_man_register: Option<u16>,
    dead_man_unit: Option<String>,
    write_function: Option<u8>,
}

impl Common<'_> {
    fn key(&self, name: &str) -> String {
        format!("modbus_charger.{}.{name}", self.table)
    }
}

impl Check<'_> {
    /// A relay of the charger `id` at `outlet`.
    pub(super) fn relay(
        &self,
        id: &str,
        outlet: &str,
        raw: raw::Relay,
        config: &Config,
    ) -> Result<RelayConfig, ConfigError> {
        let common = Common {
            table: "relay",
            charger: id,
            bus: raw.bus,
            address: raw.address,
            unit_id: raw.unit_id,
            timeout_ms: raw.timeout_ms,
            dead_man_s: raw.dead_man_s,
            dead_man_register: raw.dead_man_register,
            dead_man_unit: raw.dead_man_unit,
            write_function: raw.write_function,
        };
        let (target, on, off) = match (raw.coil, raw.register) {
            (Some(address), None) => {
                if raw.on.is_some() || raw.off.is_some() || common.write_function.is_some() {
                    let accepted = "a coil is on or off and has one function; leave out on, off and \
                                    write_function, or write register instead";
                    let key = common.key("coil");
                    return Err(self.refuse(&key, &address.to_string(), accepted));
                }
                (Target::Coil { address }, 1, 0)
            }
            (None, Some(address)) => {
                let (on, off) = (raw.on.unwrap_or(1), raw.off.unwrap_or(0));
                if on == off {
                    let accepted = "write another value than off has";
                    return Err(self.refuse(&common.key("on"), &on.to_string(), accepted));
                }
                (self.register(&common, address)?, on.into(), off.into())
            }
            _ => {
                let accepted = "[modbus_charger.relay] has exactly one of coil = ADDRESS and \
                                register = ADDRESS";
                return Err(self.refuse("modbus_charger.id", id, accepted));
            }
        };
        Ok(RelayConfig {
            place: self.place(&common, outlet, target, config)?,
            on,
            off,
            dead_man: self.dead_man(&common)?,
        })
    }

    /// A current limit of the charger `id` at `outlet`.
    pub(super) fn current_limit(
        &self,
        id: &str,
        outlet: &str,
        raw: raw::CurrentLimit,
        config: &Config,
    ) -> Result<CurrentLimitConfig, ConfigError> {
        let common = Common {
            table: "current_limit",
            charger: id,
            bus: raw.bus,
            address: raw.address,
            unit_id: raw.unit_id,
            timeout_ms: raw.timeout_ms,
            dead_man_s: raw.dead_man_s,
            dead_man_register: raw.dead_man_register,
            dead_man_unit: raw.dead_man_unit,
            write_function: raw.write_function,
        };
        let step_ma = match raw.unit.as_str() {
            "A" => 1_000,
            "0.1 A" => 100,
            "mA" => 1,
            other => {
                let accepted = "write \"A\", \"0.1 A\" or \"mA\": one step of the register";
                return Err(self.refuse(&common.key("unit"), other, accepted));
            }
        };
        let target = match raw.registers.unwrap_or(1) {
            1 => self.register(&common, raw.register)?,
            2 if common.write_function.is_none_or(|function| function == 16) => Target::Registers {
                address: raw.register,
                count: 2,
            },
            2 => {
                let accepted = "two registers are written together, by function 16; leave it out";
                let found = common.write_function.unwrap_or_default().to_string();
                return Err(self.refuse(&common.key("write_function"), &found, accepted));
            }
            other => {
                let accepted = "write 1 or 2";
                let key = common.key("registers");
                return Err(self.refuse(&key, &other.to_string(), accepted));
            }
        };
        let ampere = |name: &str, ampere: u32, least: u32, accepted: &str| {
            // What a control pilot can tell a vehicle: IEC 61851-1, annex A.
            match (least..=80).contains(&ampere) {
                true => Ok(ampere * 1_000),
                false => Err(self.refuse(&common.key(name), &ampere.to_string(), accepted)),
            }
        };
        let minimum_ma = ampere("minimum_a", raw.minimum_a, 6, "write 6 to 80")?;
        let maximum_ma = ampere(
            "maximum_a",
            raw.maximum_a,
            raw.minimum_a,
            &format!("write minimum_a ({}) to 80", raw.minimum_a),
        )?;
        if maximum_ma / step_ma > target.most() {
            let accepted =
                "two registers hold it; write registers = 2, or the unit of the register";
            return Err(self.refuse(&common.key("unit"), &raw.unit, accepted));
        }
        let idle_ma = match raw.when_idle.as_deref() {
            None | Some("zero") => 0,
            Some("minimum") => minimum_ma,
            Some(other) => {
                let accepted = "write \"zero\" or \"minimum\"";
                return Err(self.refuse(&common.key("when_idle"), other, accepted));
            }
        };
        Ok(CurrentLimitConfig {
            place: self.place(&common, outlet, target, config)?,
            step_ma,
            minimum_ma,
            maximum_ma,
            idle_ma,
            dead_man: self.dead_man(&common)?,
        })
    }

    fn register(&self, common: &Common, address: u16) -> Result<Target, ConfigError> {
        match common.write_function {
            None | Some(6) => Ok(Target::Register { address }),
            Some(16) => Ok(Target::Registers { address, count: 1 }),
            Some(other) => {
                let accepted = "write 6 (one register) or 16 (for devices that have no 6)";
                let key = common.key("write_function");
                Err(self.refuse(&key, &other.to_string(), accepted))
            }
        }
    }

    fn place(
        &self,
        common: &Common,
        outlet: &str,
        target: Target,
        config: &Config,
    ) -> Result<PlaceConfig, ConfigError> {
        let meter = config.outlets.get(outlet).and_then(|o| o.meter.as_ref());
        let meter = meter.and_then(|meter| config.meters.get(meter));
        let (line, usual_unit) = match (&common.bus, &common.address) {
            (Some(bus), None) => {
                if !config.buses.contains_key(bus) {
                    let accepted = "no [[bus]] has this name";
                    return Err(self.refuse(&common.key("bus"), bus, accepted));
                }
                (MeterLine::Bus(bus.clone()), None)
            }
            (None, Some(address)) => {
                let address = self.host_and_port(&common.key("address"), address)?;
                (MeterLine::Own(address), None)
            }
            // The device that measures is most often the one that switches.
            (None, None) if meter.is_some() => {
                let meter = meter.expect("just looked at");
                (meter.line.clone(), Some(meter.unit_id))
            }
            _ => {
                let accepted = format!(
                    "[modbus_charger.{}] has one of bus = \"NAME\" and address = \"HOST:PORT\", or \
                     none to be on the line of the outlet's meter",
                    common.table
                );
                return Err(self.refuse("modbus_charger.id", common.charger, &accepted));
            }
        };
        let (most_unit, usual_ms, most_ms) = match &line {
            MeterLine::Own(_) => (255, TIMEOUT_ALONE_MS, 60_000),
            MeterLine::Bus(_) => (247, TIMEOUT_SHARED_MS, LONGEST_TIMEOUT_SHARED_MS),
        };
        let unit_id = common.unit_id.or(usual_unit).unwrap_or(1);
        if !(1..=most_unit).contains(&unit_id) {
            let accepted = format!("write 1 to {most_unit}; 0 would switch every device at once");
            return Err(self.refuse(&common.key("unit_id"), &unit_id.to_string(), &accepted));
        }
        let timeout_ms = common.timeout_ms.unwrap_or(usual_ms);
        if !(50..=most_ms).contains(&timeout_ms) {
            let accepted = format!("write 50 to {most_ms}");
            let key = common.key("timeout_ms");
            return Err(self.refuse(&key, &timeout_ms.to_string(), &accepted));
        }
        Ok(PlaceConfig {
            line,
            unit_id,
            timeout: Duration::from_millis(timeout_ms),
            target,
        })
    }

    fn dead_man(&self, common: &Common) -> Result<DeadMan, ConfigError> {
        let seconds = common.dead_man_s.unwrap_or(USUAL_DEAD_MAN_S);
        if !(4..=3_600).contains(&seconds) {
            let key = common.key("dead_man_s");
            return Err(self.refuse(&key, &seconds.to_string(), "write 4 to 3600"));
        }
        let per_second = match common.dead_man_unit.as_deref() {
            None | Some("s") => 1,
            Some("0.1 s") => 10,
            Some("ms") => 1_000,
            Some(other) => {
                let accepted = "write \"s\", \"0.1 s\" or \"ms\": one step of dead_man_register";
                return Err(self.refuse(&common.key("dead_man_unit"), other, accepted));
            }
        };
        let register = match (common.dead_man_register, &common.dead_man_unit) {
            (Some(address), _) => Some((self.register(common, address)?, seconds * per_second)),
            (None, None) => None,
            (None, Some(unit)) => {
                let accepted = "it is the unit of dead_man_register, which is not there";
                return Err(self.refuse(&common.key("dead_man_unit"), unit, accepted));
            }
        };
        if register.is_some_and(|(target, value)| value > target.most()) {
            let accepted = "in dead_man_unit it does not fit into a register; write fewer seconds";
            let key = common.key("dead_man_s");
            return Err(self.refuse(&key, &seconds.to_string(), accepted));
        }
        Ok(DeadMan {
            after: Duration::from_secs(seconds.into()),
            register,
        })
    }

    /// No place is set by two: each would undo what the other did.
    pub(super) fn places(&self, config: &Config) -> Result<(), ConfigError> {
        let mut taken = BTreeMap::new();
        for (id, charger) in &config.modbus_chargers {
            let relay = charger.relay.as_ref().map(|r| (&r.place, &r.dead_man));
            let limit = charger.current_limit.as_ref();
            let limit = limit.map(|limit| (&limit.place, &limit.dead_man));
            for (place, dead_man) in relay.into_iter().chain(limit) {
                let watchdog = dead_man.register.map(|(target, _)| target);
                for target in std::iter::once(place.target).chain(watchdog) {
                    for address in addresses(target) {
                        let line = format!("{:?}", place.line);
                        let place = (line, place.unit_id, address);
                        if let Some(other) = taken.insert(place, id) {
                            let accepted = format!(
                                "it sets a coil or register that {other} sets, too; each has its own"
                            );
                            return Err(self.refuse("modbus_charger.id", id, &accepted));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Table and address of everything that is set there.
fn addresses(target: Target) -> Vec<(&'static str, u16)> {
    match target {
        Target::Coil { address } => vec![("coil", address)],
        Target::Register { address } => vec![("register", address)],
        Target::Registers { address, count } => (0..u16::from(count))
            .map(|offset| ("register", address.saturating_add(offset)))
            .collect(),
    }
}
