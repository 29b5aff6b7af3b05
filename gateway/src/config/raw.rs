//! The file as written: every key, its type and its default. Unknown keys are refused.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ConfigError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    pub(super) state_dir: PathBuf,
    pub(super) meter_models: Option<PathBuf>,
    pub(super) provider: Provider,
    pub(super) local_api: Option<Listen>,
    pub(super) ocpp: Option<Listen>,
    pub(super) neighbours: Option<Neighbours>,
    #[serde(default)]
    pub(super) group: Vec<Group>,
    #[serde(default)]
    pub(super) charger: Vec<Charger>,
    #[serde(default)]
    pub(super) limit: Vec<Limit>,
    #[serde(default)]
    pub(super) bus: Vec<Bus>,
    #[serde(default)]
    pub(super) meter: Vec<Meter>,
    #[serde(default)]
    pub(super) outlet: Vec<Outlet>,
    #[serde(default)]
    pub(super) charge_point: Vec<ChargePoint>,
    #[serde(default)]
    pub(super) modbus_charger: Vec<ModbusCharger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    pub(super) url: String,
    pub(super) key: Option<String>,
    pub(super) enrolment_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    pub(super) listen: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Neighbours {
    pub(super) listen: Option<String>,
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) known: Vec<Neighbour>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Neighbour {
    pub(super) key: String,
    pub(super) address: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) id_tags: Vec<String>,
    #[serde(default)]
    pub(super) member_id_tags: Vec<String>,
    pub(super) deputy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    pub(super) id_tag: String,
    #[serde(default)]
    pub(super) blocked: bool,
    pub(super) expires: Option<String>,
    pub(super) energy_wh: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Charger {
    pub(super) id_tag: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bus {
    pub(super) name: String,
    pub(super) tcp: Option<String>,
    pub(super) serial: Option<PathBuf>,
    pub(super) rtu_over_tcp: Option<String>,
    pub(super) baud: Option<u32>,
    pub(super) parity: Option<String>,
    pub(super) stop_bits: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meter {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) address: Option<String>,
    pub(super) bus: Option<String>,
    #[serde(default = "one")]
    pub(super) unit_id: u8,
    #[serde(default = "second_ms")]
    pub(super) poll_interval_ms: u64,
    pub(super) timeout_ms: Option<u64>,
    #[serde(default)]
    pub(super) pause_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outlet {
    pub(super) id: String,
    pub(super) owner: String,
    pub(super) meter: Option<String>,
    pub(super) max_power_w: Option<u32>,
    pub(super) signed_meter_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChargePoint {
    pub(super) id: String,
    pub(super) outlets: Vec<String>,
    #[serde(default = "five_minutes_s")]
    pub(super) heartbeat_interval_s: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModbusCharger {
    pub(super) id: String,
    pub(super) outlet: String,
    pub(super) central_system: Option<String>,
    #[serde(default = "chain")]
    pub(super) authorization: String,
    pub(super) relay: Option<Relay>,
    pub(super) current_limit: Option<CurrentLimit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Relay {
    pub(super) bus: Option<String>,
    pub(super) address: Option<String>,
    pub(super) unit_id: Option<u8>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) coil: Option<u16>,
    pub(super) register: Option<u16>,
    pub(super) write_function: Option<u8>,
    pub(super) on: Option<u16>,
    pub(super) off: Option<u16>,
    pub(super) dead_man_s: Option<u32>,
    pub(super) dead_man_register: Option<u16>,
    pub(super) dead_man_unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CurrentLimit {
    pub(super) bus: Option<String>,
    pub(super) address: Option<String>,
    pub(super) unit_id: Option<u8>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) register: u16,
    pub(super) registers: Option<u8>,
    pub(super) write_function: Option<u8>,
    pub(super) unit: String,
    pub(super) minimum_a: u32,
    pub(super) maximum_a: u32,
    pub(super) when_idle: Option<String>,
    pub(super) dead_man_s: Option<u32>,
    pub(super) dead_man_register: Option<u16>,
    pub(super) dead_man_unit: Option<String>,
}

fn one() -> u8 {
    1
}

fn second_ms() -> u64 {
    1_000
}

fn five_minutes_s() -> u32 {
    300
}

fn chain() -> String {
    "chain".to_owned()
}

/// Reads the text; an error names the line and, for an unknown key, the nearest known one.
pub(super) fn read(file: &Path, text: &str) -> Result<Config, ConfigError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text[..start.min(text.len())].matches('\n').count() + 1;
        ConfigError::Syntax {
            file: file.to_owned(),
            line,
            problem: with_nearest(error.message()),
        }
    })
}

/// Adds the nearest known key to serde's "unknown field `a`, expected one of `b`, `c`".
fn with_nearest(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted
        .next()
        .filter(|_| message.starts_with("unknown field"))
    else {
        return message.replace('\n', " ");
    };
    let nearest = quoted.max_by(|a, b| {
        let (a, b) = (
            strsim::jaro_winkler(unknown, a),
            strsim::jaro_winkler(unknown, b),
        );
        a.total_cmp(&b)
    });
    match nearest {
        Some(key) => format!("unknown key `{unknown}`; did you mean `{key}`?"),
        None => format!("unknown key `{unknown}`; no key is expected here"),
    }
}
