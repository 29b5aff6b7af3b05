//! The configuration keys of the standard, as one table.

use std::time::Duration;

/// The largest interval that is accepted, a year.
const MAX_SECONDS: u32 = 365 * 24 * 3600;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Flag,
    /// Whole numbers, bounds included.
    Number(u32, u32),
    /// A comma-separated choice of these.
    Choice(&'static [&'static str]),
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    /// Takes effect at the next boot.
    WriteReboot,
}

#[derive(Debug)]
struct Key {
    name: &'static str,
    kind: Kind,
    access: Access,
    default: &'static str,
}

const fn key(name: &'static str, kind: Kind, access: Access, default: &'static str) -> Key {
    Key {
        name,
        kind,
        access,
        default,
    }
}

const MEASURANDS: &[&str] = &["Energy.Active.Import.Register", "Power.Active.Import"];
const SECONDS: Kind = Kind::Number(0, MAX_SECONDS);

/// # Source
/// OCPP 1.6, section 9.1 (core profile keys). Keys of what this charge point does not have (cache,
/// clock-aligned data, lights) are absent where optional and read-only at "none" where required.
const KEYS: &[Key] = &[
    key(
        "AuthorizeRemoteTxRequests",
        Kind::Flag,
        Access::Write,
        "true",
    ),
    key("ClockAlignedDataInterval", SECONDS, Access::Read, "0"),
    key("ConnectionTimeOut", SECONDS, Access::Write, "60"),
    key(
        "ConnectorPhaseRotation",
        Kind::Text,
        Access::WriteReboot,
        "NotApplicable",
    ),
    key(
        "GetConfigurationMaxKeys",
        Kind::Number(1, 50),
        Access::Read,
        "50",
    ),
    key("HeartbeatInterval", SECONDS, Access::Write, "300"),
    key("LocalAuthorizeOffline", Kind::Flag, Access::Write, "true"),
    key("LocalPreAuthorize", Kind::Flag, Access::Write, "false"),
    key("MeterValueSampleInterval", SECONDS, Access::Write, "60"),
    key("MeterValuesAlignedData", Kind::Text, Access::Read, ""),
    key(
        "MeterValuesSampledData",
        Kind::Choice(MEASURANDS),
        Access::Write,
        "Energy.Active.Import.Register,Power.Active.Import",
    ),
    key(
        "NumberOfConnectors",
        Kind::Number(1, u32::MAX),
        Access::Read,
        "1",
    ),
    key("ResetRetries", Kind::Number(0, 10), Access::Write, "0"),
    key(
        "StopTransactionOnEVSideDisconnect",
        Kind::Flag,
        Access::Write,
        "true",
    ),
    key(
        "StopTransactionOnInvalidId",
        Kind::Flag,
        Access::Write,
        "true",
    ),
    key("StopTxnAlignedData", Kind::Text, Access::Read, ""),
    key(
        "StopTxnSampledData",
        Kind::Choice(MEASURANDS),
        Access::Write,
        "",
    ),
    key(
        "SupportedFeatureProfiles",
        Kind::Text,
        Access::Read,
        "Core,RemoteTrigger",
    ),
    key(
        "TransactionMessageAttempts",
        Kind::Number(1, 1_000),
        Access::Write,
        "3",
    ),
    key(
        "TransactionMessageRetryInterval",
        SECONDS,
        Access::Write,
        "60",
    ),
    key(
        "UnlockConnectorOnEVSideDisconnect",
        Kind::Flag,
        Access::Write,
        "true",
    ),
    key("WebSocketPingInterval", SECONDS, Access::Write, "30"),
];

/// What a change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// In effect, under this name.
    Accepted(&'static str),
    /// Kept, in effect after the next boot.
    RebootRequired(&'static str),
    /// Read-only, or no value for this key.
    Rejected,
    /// No such key.
    NotSupported,
}

/// A first value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the OCPP configuration key {key} cannot be {value:?}")]
pub struct ConfigurationError {
    /// The key as given.
    pub key: String,
    /// The value as given.
    pub value: String,
}

/// One key as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown<'a> {
    pub(super) name: &'static str,
    pub(super) read_only: bool,
    pub(super) value: &'a str,
}

pub(super) struct Configuration {
    // Invariant: one value per key of the table, in its order, each fit for its kind.
    values: Vec<String>,
}

impl Configuration {
    pub(super) fn new(
        connectors: u32,
        given: &[(String, String)],
    ) -> Result<Self, ConfigurationError> {
        let mut configuration = Self {
            values: KEYS.iter().map(|key| key.default.to_owned()).collect(),
        };
        if let Some(index) = find("NumberOfConnectors") {
            configuration.values[index] = connectors.to_string();
        }
        for (key, value) in given {
            match configuration.change(key, value) {
                Change::Accepted(_) | Change::RebootRequired(_) => {}
                Change::Rejected | Change::NotSupported => {
                    return Err(ConfigurationError {
                        key: key.clone(),
                        value: value.clone(),
                    });
                }
            }
        }
        Ok(configuration)
    }

    pub(super) fn change(&mut self, name: &str, value: &str) -> Change {
        let Some(index) = find(name) else {
            return Change::NotSupported;
        };
        let key = &KEYS[index];
        let Some(value) = fit(key.kind, value).filter(|_| key.access != Access::Read) else {
            return Change::Rejected;
        };
        self.values[index] = value;
        match key.access {
            Access::WriteReboot => Change::RebootRequired(key.name),
            Access::Read | Access::Write => Change::Accepted(key.name),
        }
    }

    pub(super) fn show(&self, name: &str) -> Option<Shown<'_>> {
        find(name).map(|index| self.shown(index))
    }

    pub(super) fn show_all(&self) -> impl Iterator<Item = Shown<'_>> {
        (0..KEYS.len()).map(|index| self.shown(index))
    }

    fn shown(&self, index: usize) -> Shown<'_> {
        Shown {
            name: KEYS[index].name,
            read_only: KEYS[index].access == Access::Read,
            value: &self.values[index],
        }
    }

    fn value(&self, name: &str) -> &str {
        find(name).map_or("", |index| &self.values[index])
    }

    fn number(&self, name: &str) -> u32 {
        // The invariant makes it one.
        self.value(name).parse().unwrap_or(0)
    }

    /// `None` where the key is 0: off.
    fn interval(&self, name: &str) -> Option<Duration> {
        Some(Duration::from_secs(self.number(name).into())).filter(|interval| !interval.is_zero())
    }

    pub(super) fn heartbeat_interval(&self) -> Option<Duration> {
        self.interval("HeartbeatInterval")
    }

    pub(super) fn ping_interval(&self) -> Option<Duration> {
        self.interval("WebSocketPingInterval")
    }

    pub(super) fn sample_interval(&self) -> Option<Duration> {
        self.interval("MeterValueSampleInterval")
    }

    pub(super) fn samples(&self, measurand: &str) -> bool {
        has(self.value("MeterValuesSampledData"), measurand)
    }

    pub(super) fn sends_transaction_data(&self) -> bool {
        has(self.value("StopTxnSampledData"), MEASURANDS[0])
    }

    pub(super) fn authorizes_remote_starts(&self) -> bool {
        self.value("AuthorizeRemoteTxRequests") == "true"
    }

    pub(super) fn transaction_attempts(&self) -> u32 {
        self.number("TransactionMessageAttempts")
    }

    pub(super) fn transaction_retry_interval(&self) -> Duration {
        Duration::from_secs(self.number("TransactionMessageRetryInterval").into())
    }
}

/// Key names are case-insensitive.
fn find(name: &str) -> Option<usize> {
    KEYS.iter()
        .position(|key| key.name.eq_ignore_ascii_case(name))
}

fn has(list: &str, item: &str) -> bool {
    list.split(',').any(|element| element == item)
}

/// `value` as it is kept, where it fits.
fn fit(kind: Kind, value: &str) -> Option<String> {
    let value = value.trim();
    match kind {
        Kind::Flag => ["true", "false"]
            .into_iter()
            .find(|flag| flag.eq_ignore_ascii_case(value))
            .map(str::to_owned),
        Kind::Number(min, max) => value
            .parse()
            .ok()
            .filter(|number: &u32| (min..=max).contains(number))
            .map(|number| number.to_string()),
        Kind::Choice(_) if value.is_empty() => Some(String::new()),
        Kind::Choice(allowed) => value
            .split(',')
            .map(|item| allowed.iter().find(|known| **known == item.trim()).copied())
            .collect::<Option<Vec<_>>>()
            .map(|items| items.join(",")),
        Kind::Text => Some(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_fits_its_key() {
        for key in KEYS {
            assert_eq!(
                fit(key.kind, key.default).as_deref(),
                Some(key.default),
                "{}",
                key.name
            );
        }
    }

    #[track_caller]
    fn check(name: &str, value: &str, expected: Change, kept: &str) {
        let mut configuration = Configuration::new(2, &[]).expect("defaults");
        assert_eq!(
            configuration.change(name, value),
            expected,
            "{name} = {value}"
        );
        assert_eq!(configuration.value(name), kept, "{name} = {value}");
    }

    #[test]
    fn a_change_is_checked_against_the_table() {
        let heartbeat = Change::Accepted("HeartbeatInterval");
        check("HEARTBEATinterval", " 7 ", heartbeat, "7");
        check("HeartbeatInterval", "-1", Change::Rejected, "300");
        check("HeartbeatInterval", "1.5", Change::Rejected, "300");
        check("HeartbeatInterval", "99999999999", Change::Rejected, "300");
        check("NumberOfConnectors", "3", Change::Rejected, "2");
        check(
            "LocalPreAuthorize",
            "TRUE",
            Change::Accepted("LocalPreAuthorize"),
            "true",
        );
        check("LocalPreAuthorize", "yes", Change::Rejected, "false");
        check("NoSuchKey", "1", Change::NotSupported, "");
        let rotation = Change::RebootRequired("ConnectorPhaseRotation");
        check("ConnectorPhaseRotation", "0.RST", rotation, "0.RST");
        let power = "Power.Active.Import";
        check(
            "StopTxnSampledData",
            power,
            Change::Accepted("StopTxnSampledData"),
            power,
        );
        check("StopTxnSampledData", "Voltage", Change::Rejected, "");
    }

    #[test]
    fn first_values_are_checked_too() {
        let given = |key: &str, value: &str| {
            Configuration::new(1, &[(key.to_owned(), value.to_owned())]).is_ok()
        };
        assert!(given("WebSocketPingInterval", "0"));
        assert!(!given("WebSocketPingInterval", "often"));
        assert!(!given("Unknown", "1"));
    }
}
