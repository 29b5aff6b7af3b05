//! The TOML of a register map, and what it must satisfy.

use serde::Deserialize;

use super::{Probe, Register, RegisterMap, RegisterSpace, Scale, ValueType, WordOrder};

/// The most registers a Modbus reply has room for.
///
/// # Source
/// Modbus Application Protocol V1.1b3, sections 6.3 and 6.4.
const MAX_REGISTERS_PER_READ: u16 = 125;

/// A register map as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMap {
    id: String,
    vendor: String,
    model: String,
    sources: Vec<String>,
    rollover: String,
    word_order: WordOrder,
    max_registers_per_read: u16,
    readable_gaps: Vec<RegisterSpace>,
    energy_import: RawQuantity,
    power: Option<RawQuantity>,
    serial_number: Option<RawRegister>,
    #[serde(default)]
    probes: Vec<RawProbe>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegister {
    space: RegisterSpace,
    address: u16,
    r#type: ValueType,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawQuantity {
    space: RegisterSpace,
    address: u16,
    r#type: ValueType,
    scale: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProbe {
    space: RegisterSpace,
    address: u16,
    r#type: ValueType,
    expect: u32,
    meaning: String,
    remedy: String,
}

/// Key, and what is accepted there.
pub(super) type Refused = (String, &'static str);

impl RawMap {
    /// The map, or the key of a value no meter can have.
    pub(super) fn check(self) -> Result<RegisterMap, Refused> {
        let most = self.max_registers_per_read;
        if !(2..=MAX_REGISTERS_PER_READ).contains(&most) {
            return Err(("max_registers_per_read".to_owned(), "2 to 125"));
        }
        if self.sources.is_empty() {
            return Err(("sources".to_owned(), "a list of at least one source"));
        }
        Ok(RegisterMap {
            energy_import: self.energy_import.check("energy_import")?,
            power: self.power.map(|power| power.check("power")).transpose()?,
            serial_number: self.serial_number.map(check_serial_number).transpose()?,
            probes: self
                .probes
                .into_iter()
                .map(RawProbe::check)
                .collect::<Result<_, _>>()?,
            id: self.id,
            vendor: self.vendor,
            model: self.model,
            sources: self.sources,
            rollover: self.rollover,
            word_order: self.word_order,
            max_registers_per_read: most,
            readable_gaps: self.readable_gaps,
        })
    }
}

impl RawQuantity {
    fn check(self, table: &str) -> Result<(Register, Scale), Refused> {
        let scale = self
            .scale
            .parse()
            .map_err(|accepted| (format!("{table}.scale"), accepted))?;
        Ok((
            register(table, self.space, self.address, self.r#type)?,
            scale,
        ))
    }
}

impl RawProbe {
    fn check(self) -> Result<Probe, Refused> {
        Ok(Probe {
            register: register("probes", self.space, self.address, self.r#type)?,
            expect: self.expect,
            meaning: self.meaning,
            remedy: self.remedy,
        })
    }
}

fn check_serial_number(raw: RawRegister) -> Result<Register, Refused> {
    if raw.r#type != ValueType::U32 {
        // An f32 has room for seven digits; two meters could share them.
        return Err(("serial_number.type".to_owned(), "u32"));
    }
    register("serial_number", raw.space, raw.address, raw.r#type)
}

fn register(
    table: &str,
    space: RegisterSpace,
    address: u16,
    value_type: ValueType,
) -> Result<Register, Refused> {
    let register = Register {
        space,
        address,
        value_type,
    };
    // One address is kept free behind the last register, so that its end fits 16 bits too.
    match address.checked_add(register.width()) {
        Some(_) => Ok(register),
        None => Err((format!("{table}.address"), "0 to 0xFFFD")),
    }
}
