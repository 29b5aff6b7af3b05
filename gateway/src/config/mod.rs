//! The configuration file: read once, checked once, passed along.

mod control;
mod meters;
mod neighbours;
mod raw;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ledger::node::Limits;
use meter_drivers::{Endpoint, MapError, RegisterMaps};
use neighbours::NeighboursConfig;
use protocol::{IdTag, PowerW, PublicKey, UnixMillis};

use crate::signed::SignedMeterKey;
pub(crate) use control::{CurrentLimitConfig, PlaceConfig, RelayConfig};
pub(crate) use meters::{MeterConfig, MeterLine, MeterModel};

/// What an outlet can give at most where nothing is configured: 3 × 80 A at 230 V.
const DEFAULT_MAX_POWER: PowerW = PowerW(55_200);

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything durable is.
    pub state_dir: PathBuf,
    /// The service provider.
    pub provider: ProviderConfig,
    /// Where the local API listens; it is off without.
    pub local_api: Option<SocketAddr>,
    /// Where OCPP chargers connect; none can without.
    pub ocpp: Option<SocketAddr>,
    /// Other gateways.
    pub neighbours: NeighboursConfig,
    /// Mobile chargers at home here, with their group.
    pub chargers: BTreeMap<IdTag, Option<IdTag>>,
    /// Mobile chargers at home at other gateways that this one vouches for, with their group.
    pub members: BTreeMap<IdTag, IdTag>,
    /// What mobile chargers of groups that this gateway speaks for are allowed, where it is not
    /// everything.
    pub limits: BTreeMap<IdTag, Limits>,
    /// Keys of the gateways that speak for groups while this one is away.
    pub deputies: BTreeMap<IdTag, PublicKey>,
    /// Lines that meters share, by name.
    pub buses: BTreeMap<String, Endpoint>,
    /// Meters by name.
    pub meters: BTreeMap<String, MeterConfig>,
    /// Outlets by name.
    pub outlets: BTreeMap<String, OutletConfig>,
    /// OCPP chargers by identity.
    pub charge_points: BTreeMap<String, ChargePointConfig>,
    /// Chargers without OCPP by identity.
    pub modbus_chargers: BTreeMap<String, ModbusChargerConfig>,
}

/// How to reach the provider.
#[derive(Clone)]
pub struct ProviderConfig {
    /// Its WebSocket address.
    pub url: String,
    /// Its key, where it is known beforehand.
    pub key: Option<PublicKey>,
    /// The one-time enrolment token.
    pub enrolment_token: Option<String>,
}

impl std::fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("url", &self.url)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// An outlet.
#[derive(Clone, Debug)]
pub struct OutletConfig {
    /// The group that is credited.
    pub owner: IdTag,
    /// Name of its meter; the charger's own register is billed without.
    pub meter: Option<String>,
    /// What can flow at most.
    pub max_power: PowerW,
    /// Key of the meter that signs what is charged here, in the charger or beside it.
    pub(crate) signed_meter_key: Option<SignedMeterKey>,
}

/// An OCPP charger.
#[derive(Clone, Debug)]
pub struct ChargePointConfig {
    /// The outlets of its connectors, from connector 1.
    pub outlets: Vec<String>,
    /// Its heartbeat interval.
    pub heartbeat_interval_s: u32,
}

/// A charger without OCPP.
#[derive(Clone, Debug)]
pub struct ModbusChargerConfig {
    /// Its outlet, which has a meter.
    pub outlet: String,
    /// The central system it is shown to.
    pub central_system: Option<String>,
    /// Who says yes to an idTag.
    pub authorization: Policy,
    /// What switches its power, where the gateway does.
    pub relay: Option<RelayConfig>,
    /// What limits its current, where the gateway does.
    pub current_limit: Option<CurrentLimitConfig>,
}

/// Who says yes to an idTag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The billing chain.
    Chain,
    /// The central system.
    CentralSystem,
    /// Both must.
    Both,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {file}; check the path and its permissions ({source})")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{file}, line {line}: {problem}")]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A meter model in the folder `meter_models` that is none.
    #[error("{file}: meter_models cannot be used: {problem}{cause}", cause = cause(.problem))]
    MeterModels {
        /// The file.
        file: PathBuf,
        /// What is wrong in the folder, and where.
        problem: MapError,
    },
    /// A value that cannot be used.
    #[error("{file}: {key} = {found:?} cannot be used; {accepted}")]
    Value {
        /// The file.
        file: PathBuf,
        /// The key with its table.
        key: String,
        /// What is there.
        found: String,
        /// What would be right.
        accepted: String,
    },
}

/// What the system said, where the error alone does not tell.
fn cause(error: &MapError) -> String {
    std::error::Error::source(error).map_or(String::new(), |source| format!(" ({source})"))
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// `ConfigError`, which names file, line or key, and what would be right.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        Self::parse(file, &text)
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let raw = raw::read(file, text)?;
        let check = Check { file };
        let config = check.config(raw)?;
        check.references(&config)?;
        Ok(config)
    }

    /// The outlet of a charge point's connector.
    #[must_use]
    pub fn outlet_of(&self, charge_point: &str, connector: u32) -> Option<&str> {
        if let Some(charger) = self.modbus_chargers.get(charge_point) {
            return (connector == 1).then_some(charger.outlet.as_str());
        }
        let outlets = &self.charge_points.get(charge_point)?.outlets;
        let index = usize::try_from(connector.checked_sub(1)?).ok()?;
        outlets.get(index).map(String::as_str)
    }
}

struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    fn refuse(&self, key: &str, found: &str, accepted: &str) -> ConfigError {
        ConfigError::Value {
            file: self.file.to_owned(),
            key: key.to_owned(),
            found: found.to_owned(),
            accepted: accepted.to_owned(),
        }
    }

    fn config(&self, raw: raw::Config) -> Result<Config, ConfigError> {
        let mut chargers = BTreeMap::new();
        let mut members = BTreeMap::new();
        let mut deputies = BTreeMap::new();
        for group in &raw.group {
            let id = self.id_tag("group.id", &group.id)?;
            if let Some(text) = &group.deputy {
                let accepted = "write the 64 hexadecimal digits that the other gateway's local \
                                API shows as nodeKey in /v1/status";
                let key = self.key("group.deputy", text, accepted)?;
                self.once(deputies.insert(id.clone(), key), "group.id", &group.id)?;
            }
            for tag in &group.id_tags {
                let id_tag = self.id_tag("group.id_tags", tag)?;
                self.once(
                    chargers.insert(id_tag, Some(id.clone())),
                    "group.id_tags",
                    tag,
                )?;
            }
            for tag in &group.member_id_tags {
                let key = "group.member_id_tags";
                let id_tag = self.id_tag(key, tag)?;
                if chargers.contains_key(&id_tag) {
                    return Err(self.refuse(key, tag, "it is at home here already"));
                }
                self.once(members.insert(id_tag, id.clone()), key, tag)?;
            }
        }
        for charger in &raw.charger {
            let id_tag = self.id_tag("charger.id_tag", &charger.id_tag)?;
            self.once(
                chargers.insert(id_tag, None),
                "charger.id_tag",
                &charger.id_tag,
            )?;
        }
        let mut limits = BTreeMap::new();
        for limit in &raw.limit {
            let (id_tag, checked) = self.limit(limit)?;
            self.once(
                limits.insert(id_tag, checked),
                "limit.id_tag",
                &limit.id_tag,
            )?;
        }
        let mut config = Config {
            state_dir: self.beside_the_file(&raw.state_dir),
            provider: self.provider(raw.provider)?,
            local_api: self.local_api(raw.local_api)?,
            ocpp: self.listen("ocpp.listen", raw.ocpp)?,
            neighbours: self.neighbours(raw.neighbours)?,
            chargers,
            members,
            limits,
            deputies,
            buses: BTreeMap::new(),
            meters: BTreeMap::new(),
            outlets: BTreeMap::new(),
            charge_points: BTreeMap::new(),
            modbus_chargers: BTreeMap::new(),
        };
        let maps = match &raw.meter_models {
            None => RegisterMaps::builtin().clone(),
            Some(folder) => {
                RegisterMaps::load(&self.beside_the_file(folder)).map_err(|problem| {
                    ConfigError::MeterModels {
                        file: self.file.to_owned(),
                        problem,
                    }
                })?
            }
        };
        for meter in raw.meter {
            let (id, meter) = self.meter(meter, &maps)?;
            self.once(config.meters.insert(id.clone(), meter), "meter.id", &id)?;
        }
        for bus in raw.bus {
            let (name, bus) = self.bus(bus, &config.meters)?;
            self.once(config.buses.insert(name.clone(), bus), "bus.name", &name)?;
        }
        for outlet in raw.outlet {
            let (id, outlet) = self.outlet(outlet)?;
            self.once(config.outlets.insert(id.clone(), outlet), "outlet.id", &id)?;
        }
        for point in raw.charge_point {
            let id = self.identity("charge_point.id", &point.id)?;
            let checked = ChargePointConfig {
                outlets: point.outlets,
                heartbeat_interval_s: point.heartbeat_interval_s,
            };
            self.once(
                config.charge_points.insert(id.clone(), checked),
                "charge_point.id",
                &id,
            )?;
        }
        for charger in raw.modbus_charger {
            let (id, checked) = self.modbus_charger(charger, &config)?;
            self.once(
                config.modbus_chargers.insert(id.clone(), checked),
                "modbus_charger.id",
                &id,
            )?;
        }
        Ok(config)
    }

    /// A relative path lies beside the file, wherever the gateway is started.
    fn beside_the_file(&self, path: &Path) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    fn once<T>(&self, before: Option<T>, key: &str, found: &str) -> Result<(), ConfigError> {
        match before {
            None => Ok(()),
            Some(_) => Err(self.refuse(key, found, "it is there twice; each must be named once")),
        }
    }

    fn id_tag(&self, key: &str, text: &str) -> Result<IdTag, ConfigError> {
        IdTag::parse(text).map_err(|error| self.refuse(key, text, &error.to_string()))
    }

    fn identity(&self, key: &str, text: &str) -> Result<String, ConfigError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:*".contains(c);
        if !text.is_empty() && text.len() <= 48 && text.chars().all(is_plain) {
            return Ok(text.to_owned());
        }
        Err(self.refuse(key, text, "use 1 to 48 letters, digits or - _ . : *"))
    }

    fn provider(&self, raw: raw::Provider) -> Result<ProviderConfig, ConfigError> {
        self.websocket("provider.url", &raw.url)?;
        let accepted = "write the 64 hexadecimal digits that `charge-provider chain show` prints";
        let key = raw
            .key
            .map(|text| self.key("provider.key", &text, accepted));
        let key = key.transpose()?;
        Ok(ProviderConfig {
            url: raw.url,
            key,
            enrolment_token: raw.enrolment_token,
        })
    }

    fn key(&self, key: &str, text: &str, accepted: &str) -> Result<PublicKey, ConfigError> {
        let read = PublicKey::try_from(text.to_owned());
        let read = read.ok().filter(|read| read.check().is_ok());
        read.ok_or_else(|| self.refuse(key, text, accepted))
    }

    fn limit(&self, raw: &raw::Limit) -> Result<(IdTag, Limits), ConfigError> {
        let id_tag = self.id_tag("limit.id_tag", &raw.id_tag)?;
        let expiry = match &raw.expires {
            None => None,
            Some(text) => {
                let accepted = "write a moment such as 2027-01-31T00:00:00Z";
                let read = UnixMillis::parse_rfc3339(text);
                let read = read.map_err(|_| self.refuse("limit.expires", text, accepted))?;
                Some(read.seconds())
            }
        };
        if raw.energy_wh == Some(0) {
            let accepted = "write at least 1, or blocked = true";
            return Err(self.refuse("limit.energy_wh", "0", accepted));
        }
        let limits = Limits {
            is_blocked: raw.blocked,
            expiry,
            energy_limit_wh: raw.energy_wh.unwrap_or(0),
        };
        Ok((id_tag, limits))
    }

    fn websocket(&self, key: &str, url: &str) -> Result<(), ConfigError> {
        if url.starts_with("ws://") && url.len() > "ws://".len() {
            return Ok(());
        }
        let accepted = "write ws://HOST:PORT/PATH (wss:// is not supported yet; use a TLS tunnel)";
        Err(self.refuse(key, url, accepted))
    }

    fn listen(
        &self,
        key: &str,
        raw: Option<raw::Listen>,
    ) -> Result<Option<SocketAddr>, ConfigError> {
        raw.map(|raw| self.socket(key, &raw.listen)).transpose()
    }

    fn socket(&self, key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
        let address = text.parse();
        address.map_err(|_| self.refuse(key, text, "write IP:PORT, such as 0.0.0.0:9000"))
    }

    fn local_api(&self, raw: Option<raw::Listen>) -> Result<Option<SocketAddr>, ConfigError> {
        let address = self.listen("local_api.listen", raw)?;
        match address.filter(|address| !address.ip().is_loopback()) {
            None => Ok(address),
            Some(open) => Err(self.refuse(
                "local_api.listen",
                &open.to_string(),
                "it asks nobody for a password, so it listens on 127.0.0.1 or [::1] only",
            )),
        }
    }

    fn outlet(&self, raw: raw::Outlet) -> Result<(String, OutletConfig), ConfigError> {
        let id = self.identity("outlet.id", &raw.id)?;
        let outlet = OutletConfig {
            owner: self.id_tag("outlet.owner", &raw.owner)?,
            meter: raw.meter,
            max_power: raw.max_power_w.map_or(DEFAULT_MAX_POWER, PowerW),
            signed_meter_key: self.signed_meter_key(raw.signed_meter_key)?,
        };
        Ok((id, outlet))
    }

    fn signed_meter_key(
        &self,
        text: Option<String>,
    ) -> Result<Option<SignedMeterKey>, ConfigError> {
        let Some(text) = text else { return Ok(None) };
        SignedMeterKey::parse(&text).map(Some).map_err(|error| {
            let accepted =
                format!("{error}; write the public key printed on the meter in hex or base64");
            self.refuse("outlet.signed_meter_key", &text, &accepted)
        })
    }

    fn modbus_charger(
        &self,
        raw: raw::ModbusCharger,
        config: &Config,
    ) -> Result<(String, ModbusChargerConfig), ConfigError> {
        let id = self.identity("modbus_charger.id", &raw.id)?;
        if let Some(url) = &raw.central_system {
            self.websocket("modbus_charger.central_system", url)?;
        }
        let key = "modbus_charger.authorization";
        let authorization = match raw.authorization.as_str() {
            "chain" => Policy::Chain,
            "central-system" => Policy::CentralSystem,
            "both" => Policy::Both,
            other => {
                let accepted = "write \"chain\", \"central-system\" or \"both\"";
                return Err(self.refuse(key, other, accepted));
            }
        };
        if authorization != Policy::Chain && raw.central_system.is_none() {
            let accepted = "without a central_system only \"chain\" can answer";
            return Err(self.refuse(key, &raw.authorization, accepted));
        }
        let relay = raw.relay;
        let relay = relay.map(|relay| self.relay(&id, &raw.outlet, relay, config));
        let limit = raw.current_limit;
        let limit = limit.map(|limit| self.current_limit(&id, &raw.outlet, limit, config));
        let charger = ModbusChargerConfig {
            relay: relay.transpose()?,
            current_limit: limit.transpose()?,
            outlet: raw.outlet,
            central_system: raw.central_system,
            authorization,
        };
        Ok((id, charger))
    }

    /// What is named must be there, and no outlet or meter may serve twice.
    fn references(&self, config: &Config) -> Result<(), ConfigError> {
        self.lines(config)?;
        self.places(config)?;
        let mut meters = BTreeSet::new();
        for outlet in config.outlets.values() {
            let Some(meter) = &outlet.meter else { continue };
            if !config.meters.contains_key(meter) {
                return Err(self.refuse("outlet.meter", meter, "no [[meter]] has this id"));
            }
            if !meters.insert(meter) {
                let accepted = "the meter is at another outlet already; each outlet needs its own";
                return Err(self.refuse("outlet.meter", meter, accepted));
            }
        }
        let points = config.charge_points.values().flat_map(|p| &p.outlets);
        let chargers = config.modbus_chargers.values().map(|c| &c.outlet);
        let mut outlets = BTreeSet::new();
        for outlet in points.chain(chargers) {
            if !config.outlets.contains_key(outlet) {
                return Err(self.refuse("outlets", outlet, "no [[outlet]] has this id"));
            }
            if !outlets.insert(outlet) {
                return Err(self.refuse("outlets", outlet, "the outlet is used twice"));
            }
        }
        for (id, charger) in &config.modbus_chargers {
            if config.outlets[&charger.outlet].meter.is_none() {
                let accepted = "a charger without OCPP needs an outlet with a meter";
                return Err(self.refuse("modbus_charger.outlet", &charger.outlet, accepted));
            }
            if config.charge_points.contains_key(id) {
                let accepted = "a [[charge_point]] has this id already";
                return Err(self.refuse("modbus_charger.id", id, accepted));
            }
        }
        Ok(())
    }
}
