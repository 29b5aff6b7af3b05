//! The TOML of a register map, and what it must satisfy.

mod place;
mod quantity;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use protocol::PowerW;
use serde::Deserialize;

use self::place::{RawIdentity, RawProbe};
use self::quantity::RawQuantity;
use super::connection::RawConnection;
use super::{MapError, Measurand, Quantity, RegisterMap, RegisterSpace, ValueType, WordOrder};
use crate::block::{Block, are_readable, extents};

/// The most registers a Modbus reply has room for.
///
/// # Source
/// Modbus Application Protocol V1.1b3, sections 6.3 and 6.4.
const MAX_REGISTERS_PER_READ: u16 = 125;
/// The longest id, so that it fits a line of a table.
const MAX_ID_LENGTH: usize = 48;

/// A register map as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMap {
    id: String,
    vendor: String,
    model: String,
    sources: Vec<String>,
    #[serde(default)]
    replaces_builtin: bool,
    rollover: Option<String>,
    not_billable: Option<String>,
    max_power_w: Option<u64>,
    space: RegisterSpace,
    r#type: Option<ValueType>,
    word_order: WordOrder,
    max_registers_per_read: Option<u64>,
    #[serde(default)]
    readable: Vec<RawRange>,
    #[serde(default)]
    connection: RawConnection,
    #[serde(default)]
    no_value: BTreeMap<ValueType, Vec<String>>,
    #[serde(default)]
    identity: RawIdentity,
    measurands: BTreeMap<Measurand, RawQuantity>,
    #[serde(default)]
    probes: Vec<RawProbe>,
}

/// Addresses that answer although no value of the map is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRange {
    space: Option<RegisterSpace>,
    first: u16,
    last: u16,
}

/// A key, and what is accepted there.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) key: String,
    pub(super) accepted: Cow<'static, str>,
}

pub(super) fn refused(key: impl Into<String>, accepted: impl Into<Cow<'static, str>>) -> Refused {
    Refused {
        key: key.into(),
        accepted: accepted.into(),
    }
}

/// An optional number in `range`.
pub(super) fn within<T: TryFrom<u64>>(
    key: &str,
    number: Option<u64>,
    range: RangeInclusive<u64>,
    accepted: &'static str,
) -> Result<Option<T>, Refused> {
    let Some(number) = number else {
        return Ok(None);
    };
    let held = range.contains(&number).then(|| T::try_from(number).ok());
    held.flatten()
        .map(Some)
        .ok_or_else(|| refused(key, accepted))
}

/// What is no map: with its line, and with the key of a value that serde does not name.
pub(super) fn syntax_error(file: &str, text: &str, error: &toml::de::Error) -> MapError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let same_line = before.rsplit('\n').next().unwrap_or_default();
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let key = same_line.rsplit_once('=').map(|(key, _)| {
        let key = key.trim_end();
        key.rsplit(|c| !is_key(c)).next().unwrap_or_default()
    });
    let message = error.message().trim().replace('\n', " ");
    MapError::Syntax {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        problem: match key {
            Some(key) if !key.is_empty() => format!("{key}: {message}"),
            _ => message,
        },
    }
}

/// What registers are that do not say otherwise.
struct Defaults {
    space: RegisterSpace,
    value_type: Option<ValueType>,
    word_order: WordOrder,
    no_value: BTreeMap<ValueType, Vec<u64>>,
}

impl RawMap {
    /// The map, or the key of a value no meter can have.
    pub(super) fn check(self) -> Result<RegisterMap, Refused> {
        self.check_texts()?;
        let most = within(
            "max_registers_per_read",
            self.max_registers_per_read,
            1..=MAX_REGISTERS_PER_READ.into(),
            "1 to 125",
        )?;
        let most = most.unwrap_or(MAX_REGISTERS_PER_READ);
        let defaults = Defaults {
            space: self.space,
            value_type: self.r#type,
            word_order: self.word_order,
            no_value: quantity::markers(self.no_value)?,
        };
        let quantities = self
            .measurands
            .into_iter()
            .map(|(measurand, raw)| raw.check(measurand, &defaults))
            .collect::<Result<Vec<_>, _>>()?;
        let gaps = self
            .readable
            .iter()
            .map(|range| range.check(&defaults))
            .collect::<Result<Vec<_>, _>>()?;
        let readable = readable(&quantities, &gaps);
        check_requests(&quantities, &readable, most)?;
        let mut identity = self.identity.check(&defaults, most)?;
        for probe in self.probes {
            identity.probes.push(probe.check(&defaults)?);
        }
        let max_power = within(
            "max_power_w",
            self.max_power_w,
            1..=u32::MAX.into(),
            "1 to 4294967295",
        )?;
        Ok(RegisterMap {
            id: self.id,
            vendor: self.vendor,
            model: self.model,
            sources: self.sources,
            replaces_builtin: self.replaces_builtin,
            rollover: self.rollover,
            not_billable: self.not_billable,
            max_power: max_power.map(PowerW),
            max_registers_per_read: most,
            readable,
            connection: self.connection.check()?,
            quantities,
            serial_number: identity.serial,
            firmware: identity.firmware,
            probes: identity.probes,
        })
    }

    fn check_texts(&self) -> Result<(), Refused> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=MAX_ID_LENGTH).contains(&self.id.len()) || !self.id.chars().all(is_plain) {
            return Err(refused("id", "1 to 48 small letters, digits and hyphens"));
        }
        let blank = |text: &String| text.trim().is_empty();
        for (key, text) in [("vendor", &self.vendor), ("model", &self.model)] {
            if blank(text) {
                return Err(refused(key, "a name"));
            }
        }
        if self.sources.is_empty() || self.sources.iter().any(blank) {
            return Err(refused("sources", "a list of at least one source"));
        }
        let has_billing_register = self.measurands.contains_key(&Measurand::EnergyImport);
        match &self.not_billable {
            None if !has_billing_register => Err(refused(
                "measurands.energy_import",
                "there, the register that is billed; or say in not_billable why there is none",
            )),
            Some(_) if has_billing_register => Err(refused(
                "not_billable",
                "left out where measurands.energy_import is there",
            )),
            Some(reason) if blank(reason) => Err(refused("not_billable", "a reason")),
            _ => Ok(()),
        }
    }
}

impl RawRange {
    fn check(&self, defaults: &Defaults) -> Result<Block, Refused> {
        let span = self.last.checked_sub(self.first);
        let span = span.ok_or_else(|| refused("readable.last", "readable.first or above"))?;
        Ok(Block {
            space: self.space.unwrap_or(defaults.space),
            start: self.first,
            // A range of all 65,536 addresses loses its last; no value starts there alone.
            count: span.saturating_add(1),
        })
    }
}

/// Everything that answers: what every device of the model has, and the gaps named.
fn readable(quantities: &[Quantity], gaps: &[Block]) -> Vec<Block> {
    let there = quantities.iter().filter(|quantity| !quantity.optional);
    let registers = there.flat_map(|quantity| quantity.registers().map(Block::from));
    extents(registers.chain(gaps.iter().copied()))
}

/// Each value fits one request, with its scale register and the counters added to it.
fn check_requests(quantities: &[Quantity], readable: &[Block], most: u16) -> Result<(), Refused> {
    for quantity in quantities {
        let block = quantity.block();
        let key = format!("measurands.{}", quantity.measurand);
        if block.count > most {
            return Err(refused(
                key,
                format!("within one request: at most {most} registers from first to last"),
            ));
        }
        let own = quantity.registers().map(Block::from);
        if !are_readable(&extents(own.chain(readable.iter().copied())), block) {
            return Err(refused(
                key,
                "readable at once: name the addresses between its registers in readable",
            ));
        }
    }
    Ok(())
}
