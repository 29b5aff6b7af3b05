//! The configuration file: TOML, read once into a checked [`Config`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ledger::tariff::FlatTariff;
use protocol::Genesis;
use serde::Deserialize;
use toml::{Spanned, Value};

/// The longest round: a day.
const MAX_INTERVAL_S: u32 = 86_400;

/// The shortest silence that makes a voter dormant where money is at stake: a day.
const MIN_DORMANCY_S: u32 = 86_400;
/// The shortest dispute period where money is at stake: an hour.
const MIN_DISPUTE_PERIOD_S: u32 = 3_600;
/// The longest of both: a year.
const MAX_PERIOD_S: u32 = 365 * 86_400;

/// Names this alike are taken for a slip of the pen (Jaro-Winkler, 1 is equal).
const ALIKE: f64 = 0.8;

/// Everything an operator sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where key and database are kept.
    pub state_dir: PathBuf,
    /// Where gateways connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the operator API listens; a loopback address, port 0 takes a free one.
    pub operator_listen: SocketAddr,
    /// What the chain begins with.
    pub chain: ChainConfig,
    /// The tariff of charges from now on.
    pub tariff: FlatTariff,
}

/// The parameters of the chain. They hold from its beginning and never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainConfig {
    /// Length of a round in seconds.
    pub interval_s: u32,
    /// How many groups other than the payer's witness a charge.
    pub witnesses: u8,
    /// How long a voter may be silent and still count, in seconds.
    pub dormancy_s: u32,
    /// How long a block stays open to the silent before it may be final without them, in seconds.
    pub dispute_period_s: u32,
    /// ISO 4217 code of every amount.
    pub currency: String,
    /// Whether simulated meters may be billed.
    pub test: bool,
}

/// Why a configuration file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}; check the path and its permissions")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A key that nobody reads.
    #[error("{path} line {line}: unknown key {key}; {}", suggestion(.nearest.as_deref(), .valid))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// As written.
        key: String,
        /// The valid key that was probably meant.
        nearest: Option<String>,
        /// All keys that are valid there.
        valid: Vec<String>,
    },
    /// A value that cannot be used.
    #[error("{path} line {line}: {key} = {value} is not accepted; give {accepted}")]
    WrongValue {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key.
        key: &'static str,
        /// As written.
        value: String,
        /// What may be written there.
        accepted: &'static str,
    },
    /// A key or table that must be there is not, or the file is no TOML.
    #[error("{path} line {line}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The parser's words.
        reason: String,
    },
}

fn suggestion(nearest: Option<&str>, valid: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("valid here: {}", valid.join(", ")),
    }
}

type Raw = Spanned<Value>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    state_dir: Raw,
    listen: Raw,
    operator_listen: Raw,
    chain: RawChain,
    tariff: RawTariff,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChain {
    interval_s: Raw,
    witnesses: Raw,
    dormancy_s: Option<Raw>,
    dispute_period_s: Option<Raw>,
    currency: Raw,
    test: Raw,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTariff {
    price_per_kwh: Raw,
    owner_credit_per_kwh: Raw,
}

impl Config {
    /// Reads the file at `path`. A relative `state_dir` is relative to the file.
    ///
    /// # Errors
    /// `ConfigError`, which names file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Reads `text`, which is what the file at `path` holds.
    ///
    /// # Errors
    /// `ConfigError`, which names file, line and key.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = File { path, text };
        let raw: RawConfig = toml::from_str(text).map_err(|error| file.refused(&error))?;
        let chain = file.chain(&raw.chain)?;
        let tariff = file.tariff(&raw.tariff, &chain.currency)?;
        let state_dir = file.read(
            "state_dir",
            &raw.state_dir,
            "the path of a directory",
            |value| value.as_str().filter(|p| !p.is_empty()).map(PathBuf::from),
        )?;
        Ok(Self {
            state_dir: path.parent().unwrap_or(Path::new("")).join(state_dir),
            listen: file.read(
                "listen",
                &raw.listen,
                "an address and port such as \"0.0.0.0:9650\"",
                address,
            )?,
            operator_listen: file.read(
                "operator_listen",
                &raw.operator_listen,
                "a loopback address and port such as \"127.0.0.1:9651\"",
                |value| address(value).filter(|a| a.ip().is_loopback()),
            )?,
            chain,
            tariff,
        })
    }
}

fn address(value: &Value) -> Option<SocketAddr> {
    value.as_str()?.parse().ok()
}

/// A file and its text, for errors that name the line.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn chain(&self, raw: &RawChain) -> Result<ChainConfig, ConfigError> {
        let test = self.read("test", &raw.test, "true or false", Value::as_bool)?;
        let period = |key, raw: &Option<Raw>, shortest, default, accepted| match raw {
            None => Ok(default),
            Some(raw) => self.read(key, raw, accepted, |value| {
                let seconds = u32::try_from(value.as_integer()?).ok()?;
                let shortest = if test { 1 } else { shortest };
                (shortest..=MAX_PERIOD_S)
                    .contains(&seconds)
                    .then_some(seconds)
            }),
        };
        Ok(ChainConfig {
            dormancy_s: period(
                "dormancy_s",
                &raw.dormancy_s,
                MIN_DORMANCY_S,
                Genesis::DORMANCY_S,
                "whole seconds from 86400 (a day) to 31536000 (a year), or from 1 with test = true",
            )?,
            dispute_period_s: period(
                "dispute_period_s",
                &raw.dispute_period_s,
                MIN_DISPUTE_PERIOD_S,
                Genesis::DISPUTE_PERIOD_S,
                "whole seconds from 3600 (an hour) to 31536000 (a year), or from 1 with test = true",
            )?,
            interval_s: self.read(
                "interval_s",
                &raw.interval_s,
                "whole seconds from 1 to 86400",
                |value| {
                    let seconds = u32::try_from(value.as_integer()?).ok()?;
                    (1..=MAX_INTERVAL_S).contains(&seconds).then_some(seconds)
                },
            )?,
            witnesses: self.read(
                "witnesses",
                &raw.witnesses,
                "a whole number from 0 to 255",
                |value| u8::try_from(value.as_integer()?).ok(),
            )?,
            currency: self.read(
                "currency",
                &raw.currency,
                "an ISO 4217 code such as \"EUR\"",
                |value| {
                    let code = value.as_str()?;
                    FlatTariff::new(code, "0", "0")
                        .ok()
                        .map(|_| code.to_owned())
                },
            )?,
            test,
        })
    }

    fn tariff(&self, raw: &RawTariff, currency: &str) -> Result<FlatTariff, ConfigError> {
        let accepted = "currency units per kWh in quotes, such as \"0.40\"";
        let price = |key, raw| {
            self.read(key, raw, accepted, |value| {
                let text = value.as_str()?;
                FlatTariff::new(currency, text, "0").ok()?;
                Some(text.to_owned())
            })
        };
        let payer = price("price_per_kwh", &raw.price_per_kwh)?;
        let owner = price("owner_credit_per_kwh", &raw.owner_credit_per_kwh)?;
        Ok(FlatTariff::new(currency, &payer, &owner).expect("each part was checked above"))
    }

    fn read<T>(
        &self,
        key: &'static str,
        raw: &Raw,
        accepted: &'static str,
        take: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, ConfigError> {
        take(raw.get_ref()).ok_or_else(|| ConfigError::WrongValue {
            path: self.path.to_owned(),
            line: self.line(raw.span().start),
            key,
            value: raw.get_ref().to_string(),
            accepted,
        })
    }

    fn refused(&self, error: &toml::de::Error) -> ConfigError {
        let line = self.line(error.span().map_or(0, |span| span.start));
        let path = self.path.to_owned();
        match unknown_field(error.message()) {
            Some((key, valid)) => ConfigError::UnknownKey {
                nearest: nearest(&key, &valid),
                path,
                line,
                key,
                valid,
            },
            None => ConfigError::Malformed {
                path,
                line,
                reason: error.message().replace('\n', " "),
            },
        }
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }
}

/// The unknown key and the valid ones, read from serde's words, the only place it gives them:
/// "unknown field `a`, expected one of `b`, `c`".
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((quoted.next()?, quoted.collect()))
}

fn nearest(key: &str, valid: &[String]) -> Option<String> {
    let likeness = |candidate: &String| strsim::jaro_winkler(key, candidate);
    valid
        .iter()
        .filter(|candidate| likeness(candidate) >= ALIKE)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../charge-provider.example.toml");

    #[derive(Debug, PartialEq)]
    enum Refused<'a> {
        Unknown(usize, &'a str, Option<&'a str>),
        Value(usize, &'a str),
        Malformed(usize),
    }

    /// Replaces `from`, one line of the example, by `to`.
    #[track_caller]
    fn check(from: &str, to: &str, expected: &Refused<'_>) {
        assert_eq!(EXAMPLE.matches(from).count(), 1, "{from} is one line");
        let line = EXAMPLE.lines().position(|l| l == from).expect("a line") + 1;
        let text = EXAMPLE.replace(from, to);
        let error = Config::parse(Path::new("a.toml"), &text).expect_err("it is wrong");
        let found = match &error {
            ConfigError::UnknownKey {
                line, key, nearest, ..
            } => Refused::Unknown(*line, key, nearest.as_deref()),
            ConfigError::WrongValue { line, key, .. } => Refused::Value(*line, key),
            ConfigError::Malformed { line, .. } => Refused::Malformed(*line),
            ConfigError::Unreadable { .. } => unreachable!("nothing is read from a disk"),
        };
        assert_eq!(&found, expected, "{to} at line {line}: {error}");
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }

    fn line_of(text: &str) -> usize {
        EXAMPLE.lines().position(|l| l == text).expect("a line") + 1
    }

    #[test]
    fn the_example_loads() {
        let config = Config::parse(Path::new("/etc/charge-provider.toml"), EXAMPLE);
        let config = config.expect("the example is valid");
        assert_eq!(config.state_dir, Path::new("/var/lib/charge-provider"));
        assert_eq!(config.chain.interval_s, 900);
        assert_eq!(config.chain.dormancy_s, 30 * 24 * 3_600);
        assert_eq!(config.chain.dispute_period_s, 7 * 24 * 3_600);
        assert!(config.operator_listen.ip().is_loopback());
    }

    #[test]
    fn a_relative_state_dir_lies_beside_the_file() {
        let text = EXAMPLE.replace("\"/var/lib/charge-provider\"", "\"state\"");
        let config = Config::parse(Path::new("/srv/a.toml"), &text).expect("valid");
        assert_eq!(config.state_dir, Path::new("/srv/state"));
    }

    #[test]
    fn periods_may_be_left_out_and_are_short_on_a_test_chain_only() {
        let read = |text: &str| Config::parse(Path::new("a.toml"), text).map(|c| c.chain);
        let example = read(EXAMPLE).expect("valid");
        let lines = ["dormancy_s = 2592000", "dispute_period_s = 604800"];
        for line in lines {
            let without = EXAMPLE.replace(line, "");
            assert_ne!(without, EXAMPLE);
            assert_eq!(read(&without).expect("valid"), example);
        }
        let shortest = |dormancy: u32, dispute: u32| {
            EXAMPLE
                .replace(lines[0], &format!("dormancy_s = {dormancy}"))
                .replace(lines[1], &format!("dispute_period_s = {dispute}"))
        };
        assert!(read(&shortest(86_400, 3_600)).is_ok());
        assert!(read(&shortest(1, 1)).is_err());
        let test = shortest(1, 1).replace("test = false", "test = true");
        let chain = read(&test).expect("valid");
        assert_eq!((chain.dormancy_s, chain.dispute_period_s), (1, 1));
        let none = shortest(0, 0).replace("test = false", "test = true");
        assert!(read(&none).is_err());
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_nearest_valid_one() {
        let from = "interval_s = 900";
        let unknown = |key, nearest| Refused::Unknown(line_of(from), key, nearest);
        check(
            from,
            "intervall_s = 900",
            &unknown("intervall_s", Some("interval_s")),
        );
        check(
            from,
            "interval = 900",
            &unknown("interval", Some("interval_s")),
        );
        check(from, "qq = 900", &unknown("qq", None));
        let table = Refused::Unknown(line_of("[tariff]"), "tarif", Some("tariff"));
        check("[tariff]", "[tarif]", &table);
    }

    #[test]
    fn a_wrong_value_is_told_with_its_line_and_key() {
        for (key, from, wrong) in [
            (
                "interval_s",
                "interval_s = 900",
                vec!["0", "86401", "-1", "\"900\"", "1.5"],
            ),
            ("witnesses", "witnesses = 8", vec!["256", "-1", "true"]),
            (
                "dormancy_s",
                "dormancy_s = 2592000",
                vec!["86399", "31536001", "-1", "\"30 days\"", "1.5"],
            ),
            (
                "dispute_period_s",
                "dispute_period_s = 604800",
                vec!["3599", "31536001", "0", "\"7 days\"", "true"],
            ),
            (
                "currency",
                "currency = \"EUR\"",
                vec!["\"euro\"", "\"eur\"", "978"],
            ),
            ("test", "test = false", vec!["\"no\"", "0"]),
            (
                "price_per_kwh",
                "price_per_kwh = \"0.40\"",
                vec!["0.40", "\"-1\"", "\"free\""],
            ),
            (
                "owner_credit_per_kwh",
                "owner_credit_per_kwh = \"0.30\"",
                vec!["\"\"", "1"],
            ),
            (
                "listen",
                "listen = \"0.0.0.0:9650\"",
                vec!["\"9650\"", "9650", "\"localhost\""],
            ),
            (
                "operator_listen",
                "operator_listen = \"127.0.0.1:9651\"",
                vec!["\"0.0.0.0:9651\"", "\"192.168.0.1:9651\""],
            ),
            (
                "state_dir",
                "state_dir = \"/var/lib/charge-provider\"",
                vec!["\"\"", "1"],
            ),
        ] {
            for value in wrong {
                let expected = Refused::Value(line_of(from), key);
                check(from, &format!("{key} = {value}"), &expected);
            }
        }
    }

    #[test]
    fn a_missing_key_and_a_broken_file_are_told_with_their_line() {
        check("test = false", "", &Refused::Malformed(line_of("[chain]")));
        let line = line_of("test = false");
        check("test = false", "test =", &Refused::Malformed(line));
    }
}
