//! Identity and settings as written.

use serde::Deserialize;

use super::quantity::check_end;
use super::{Defaults, Refused, refused};
use crate::block::Block;
use crate::map::{Accept, Label, Place, Probe, Register, RegisterSpace, ValueType, WordOrder};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdentity {
    model: Option<RawModel>,
    serial: Option<RawLabel>,
    firmware: Option<RawLabel>,
}

pub(super) struct Identity {
    pub(super) serial: Option<Label>,
    pub(super) firmware: Option<Label>,
    pub(super) probes: Vec<Probe>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    space: Option<RegisterSpace>,
    address: u16,
    r#type: Option<ValueType>,
    registers: Option<u16>,
    word_order: Option<WordOrder>,
    accept: RawAccept,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "accept must be a list of numbers, or of texts where registers is given"
)]
enum RawAccept {
    Numbers(Vec<u64>),
    Beginnings(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLabel {
    space: Option<RegisterSpace>,
    address: u16,
    r#type: Option<ValueType>,
    registers: Option<u16>,
    word_order: Option<WordOrder>,
    printed: Option<Printed>,
}

#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Printed {
    Decimal,
    Hexadecimal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProbe {
    space: Option<RegisterSpace>,
    address: u16,
    r#type: ValueType,
    word_order: Option<WordOrder>,
    expect: u64,
    meaning: String,
    remedy: String,
}

impl RawIdentity {
    pub(super) fn check(self, defaults: &Defaults, most: u16) -> Result<Identity, Refused> {
        let label = |table, raw: Option<RawLabel>| {
            raw.map(|raw| raw.check(table, defaults, most)).transpose()
        };
        let model = self
            .model
            .map(|raw| raw.check(defaults, most))
            .transpose()?;
        Ok(Identity {
            serial: label("identity.serial", self.serial)?,
            firmware: label("identity.firmware", self.firmware)?,
            probes: model.into_iter().collect(),
        })
    }
}

impl RawModel {
    fn check(self, defaults: &Defaults, most: u16) -> Result<Probe, Refused> {
        let table = "identity.model";
        let register = Register {
            space: self.space.unwrap_or(defaults.space),
            address: self.address,
            value_type: self.r#type.unwrap_or(ValueType::U16),
            word_order: self.word_order.unwrap_or(defaults.word_order),
        };
        let place = place(table, register, self.r#type, self.registers, most)?;
        let (accept, is_empty, shown) = match self.accept {
            RawAccept::Numbers(numbers) => {
                let shown: Vec<_> = numbers.iter().map(u64::to_string).collect();
                (Accept::Numbers(numbers), shown.is_empty(), shown)
            }
            RawAccept::Beginnings(texts) => {
                let is_empty = texts.is_empty() || texts.iter().any(String::is_empty);
                (Accept::Beginnings(texts.clone()), is_empty, texts)
            }
        };
        let fits = matches!(
            (&accept, place),
            (Accept::Numbers(_), Place::Number(_)) | (Accept::Beginnings(_), Place::Text(_))
        );
        if is_empty || !fits {
            return Err(refused(
                "identity.model.accept",
                "a list of numbers where type is given, of texts where registers is",
            ));
        }
        Ok(Probe {
            place,
            accept,
            meaning: format!("the model code {}", shown.join(" or ")),
            remedy: "configure the model that is wired here".to_owned(),
            names_model: true,
        })
    }
}

impl RawLabel {
    fn check(self, table: &str, defaults: &Defaults, most: u16) -> Result<Label, Refused> {
        let unsigned = [
            ValueType::U16,
            ValueType::U32,
            ValueType::U48,
            ValueType::U64,
        ];
        if self.r#type.is_some_and(|found| !unsigned.contains(&found)) {
            // An f32 has room for seven digits; two meters could share them.
            return Err(refused(
                format!("{table}.type"),
                "one of u16, u32, u48, u64",
            ));
        }
        let register = Register {
            space: self.space.unwrap_or(defaults.space),
            address: self.address,
            value_type: self.r#type.unwrap_or(ValueType::U16),
            word_order: self.word_order.unwrap_or(defaults.word_order),
        };
        let place = place(table, register, self.r#type, self.registers, most)?;
        if self.printed.is_some() && self.registers.is_some() {
            return Err(refused(format!("{table}.printed"), "left out for a text"));
        }
        Ok(Label {
            place,
            hexadecimal: self.printed == Some(Printed::Hexadecimal),
        })
    }
}

impl RawProbe {
    pub(super) fn check(self, defaults: &Defaults, most: u16) -> Result<Probe, Refused> {
        let register = Register {
            space: self.space.unwrap_or(defaults.space),
            address: self.address,
            value_type: self.r#type,
            word_order: self.word_order.unwrap_or(defaults.word_order),
        };
        check_number("probes", register, most)?;
        Ok(Probe {
            place: Place::Number(register),
            accept: Accept::Numbers(vec![self.expect]),
            meaning: self.meaning,
            remedy: self.remedy,
            names_model: false,
        })
    }
}

/// A number ends where addresses do, and fits one request.
fn check_number(table: &str, register: Register, most: u16) -> Result<(), Refused> {
    check_end(table, register)?;
    if register.width() <= most {
        return Ok(());
    }
    Err(refused(
        format!("{table}.type"),
        format!("of at most {most} registers, as max_registers_per_read says"),
    ))
}

/// A number where `value_type` was given, a text where its number of `registers` was.
fn place(
    table: &str,
    register: Register,
    value_type: Option<ValueType>,
    registers: Option<u16>,
    most: u16,
) -> Result<Place, Refused> {
    match (value_type, registers) {
        (Some(_), None) => {
            check_number(table, register, most)?;
            Ok(Place::Number(register))
        }
        (None, Some(count)) => {
            let key = || format!("{table}.registers");
            if !(1..=most).contains(&count) {
                return Err(refused(key(), format!("1 to {most}")));
            }
            if register.address.checked_add(count - 1).is_none() {
                return Err(refused(key(), "few enough to end at 0xFFFF"));
            }
            Ok(Place::Text(Block {
                space: register.space,
                start: register.address,
                count,
            }))
        }
        _ => Err(refused(
            format!("{table}.type"),
            "there for a number, or registers for a text, and not both",
        )),
    }
}
