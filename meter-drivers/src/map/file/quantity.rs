//! A measurand as written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Defaults, Refused, refused};
use crate::map::{Measurand, Quantity, Register, RegisterSpace, Scale, Unit, ValueType, WordOrder};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuantity {
    space: Option<RegisterSpace>,
    address: u16,
    r#type: Option<ValueType>,
    word_order: Option<WordOrder>,
    unit: Option<String>,
    scale: Option<Scale>,
    power_of_ten: Option<RawPowerOfTen>,
    #[serde(default)]
    plus: Vec<u16>,
    no_value: Option<Vec<String>>,
    modulus: Option<u64>,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPowerOfTen {
    address: u16,
    r#type: Option<ValueType>,
}

impl RawQuantity {
    pub(super) fn check(
        self,
        measurand: Measurand,
        defaults: &Defaults,
    ) -> Result<Quantity, Refused> {
        let table = format!("measurands.{measurand}");
        let value_type = self.r#type.or(defaults.value_type).ok_or_else(|| {
            refused(
                format!("{table}.type"),
                "there, or a type for the whole map",
            )
        })?;
        let register = Register {
            space: self.space.unwrap_or(defaults.space),
            address: self.address,
            value_type,
            word_order: self.word_order.unwrap_or(defaults.word_order),
        };
        if self.optional && measurand == Measurand::EnergyImport {
            return Err(refused(
                format!("{table}.optional"),
                "false: a meter that lacks the billing register is of no use",
            ));
        }
        let addends = self.plus.iter().map(|&address| Register {
            address,
            ..register
        });
        let plus: Vec<Register> = addends.collect();
        let power_of_ten = self.power_of_ten.map(|raw| Register {
            address: raw.address,
            value_type: raw.r#type.unwrap_or(ValueType::I16),
            ..register
        });
        if power_of_ten.is_some_and(|register| !register.value_type.is_integer()) {
            return Err(refused(
                format!("{table}.power_of_ten.type"),
                "an integer type, such as i16",
            ));
        }
        for register in std::iter::once(&register).chain(&plus).chain(&power_of_ten) {
            check_end(&table, *register)?;
        }
        let no_value = match self.no_value {
            Some(texts) => marker_list(&format!("{table}.no_value"), value_type, &texts)?,
            None => defaults.no_value.get(&value_type).cloned(),
        };
        Ok(Quantity {
            measurand,
            register,
            plus,
            scale: self.scale.unwrap_or(Scale::ONE).times(factor(
                &table,
                measurand.unit(),
                self.unit.as_deref(),
            )?),
            power_of_ten,
            no_value: no_value.unwrap_or_default(),
            modulus: check_modulus(&table, measurand, self.modulus)?,
            optional: self.optional,
        })
    }
}

/// A register ends at the last address there is.
pub(super) fn check_end(table: &str, register: Register) -> Result<(), Refused> {
    let last = u16::MAX - (register.width() - 1);
    if register.address <= last {
        return Ok(());
    }
    Err(refused(
        format!("{table}.address"),
        format!("0 to {last:#06X}"),
    ))
}

/// The factor from the unit written to ours.
fn factor(table: &str, unit: Unit, written: Option<&str>) -> Result<(u32, u32), Refused> {
    let accepted = unit.accepted();
    let found = match written {
        None if unit.must_be_named() => None,
        None => Some((1, 1)),
        Some(written) => accepted
            .iter()
            .find(|(name, _)| *name == written)
            .map(|&(_, factor)| factor),
    };
    found.ok_or_else(|| {
        let names: Vec<_> = accepted.iter().map(|(name, _)| *name).collect();
        refused(
            format!("{table}.unit"),
            format!("one of {}", names.join(", ")),
        )
    })
}

fn check_modulus(
    table: &str,
    measurand: Measurand,
    modulus: Option<u64>,
) -> Result<Option<u64>, Refused> {
    match modulus {
        Some(_) if measurand.unit() != Unit::WattHour => Err(refused(
            format!("{table}.modulus"),
            "left out: only energy counts up",
        )),
        Some(0) => Err(refused(format!("{table}.modulus"), "1 or more")),
        _ => Ok(modulus),
    }
}

/// The markers of each type.
pub(super) fn markers(
    raw: BTreeMap<ValueType, Vec<String>>,
) -> Result<BTreeMap<ValueType, Vec<u64>>, Refused> {
    raw.into_iter()
        .map(|(value_type, texts)| {
            let markers = marker_list("no_value", value_type, &texts)?;
            Ok((value_type, markers.unwrap_or_default()))
        })
        .collect()
}

fn marker_list(
    key: &str,
    value_type: ValueType,
    texts: &[String],
) -> Result<Option<Vec<u64>>, Refused> {
    let markers: Option<Vec<u64>> = texts.iter().map(|text| marker(value_type, text)).collect();
    let digits = 4 * usize::from(value_type.width());
    let accepted = format!("texts of {digits} hexadecimal digits after 0x, all bits of the value");
    markers.map(Some).ok_or_else(|| refused(key, accepted))
}

/// All bits of a value, because `0xFFFF` of a longer one would be an ordinary number.
fn marker(value_type: ValueType, text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    let is_whole = digits.len() == 4 * usize::from(value_type.width())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_whole
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}
