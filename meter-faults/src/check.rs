//! What a reading must be, whatever happened on its way.

use meter_drivers::{Identity, MeterError, Reading};

use crate::stamp::{Kind, Stamp};

/// Checks a reading that was asked for between two moments of the run, in milliseconds.
///
/// # Errors
/// What is wrong with it.
pub fn reading(unit_id: u8, reading: &Reading, begun_ms: u32, ended_ms: u32) -> Result<(), String> {
    let energy = stamp(reading.register.0, "energy")?;
    fits(energy, unit_id, Kind::Energy, begun_ms, ended_ms)?;
    if let Some(power) = reading.power {
        let power = stamp(u64::from(power.0), "power")?;
        fits(power, unit_id, Kind::Power, begun_ms, ended_ms)?;
    }
    let taken_ms = u32::try_from(reading.taken_at.0).map_err(|_| "a time outside the run")?;
    if !(energy.at_ms..=ended_ms).contains(&taken_ms) {
        return Err(format!(
            "taken at {taken_ms}, shown at {}, handed out at {ended_ms}",
            energy.at_ms
        ));
    }
    match &reading.serial {
        None => Ok(()),
        Some(serial) => {
            let bits: u64 = serial.as_str().parse().map_err(|_| "a serial number")?;
            let serial = stamp(bits, "serial number")?;
            fits(
                Stamp {
                    at_ms: begun_ms,
                    ..serial
                },
                unit_id,
                Kind::Serial,
                begun_ms,
                ended_ms,
            )
        }
    }
}

/// Checks an error: none may say that the meter is another, or set otherwise.
///
/// # Errors
/// What is wrong with it.
pub fn error(error: &MeterError) -> Result<(), String> {
    match error {
        MeterError::WrongRegisterMap { .. }
        | MeterError::SerialChanged { .. }
        | MeterError::Refused { .. }
        | MeterError::Busy { .. } => Err(format!("no meter said this: {error:?}")),
        _ => Ok(()),
    }
}

/// Checks an identity.
///
/// # Errors
/// What is wrong with it.
pub fn identity(unit_id: u8, identity: &Identity) -> Result<(), String> {
    match &identity.serial {
        None if unit_id == 4 => Ok(()),
        None => Err("no serial number".to_owned()),
        Some(serial) => {
            let bits: u64 = serial.as_str().parse().map_err(|_| "a serial number")?;
            let serial = stamp(bits, "serial number")?;
            fits(serial, unit_id, Kind::Serial, 0, 0)
        }
    }
}

fn stamp(value: u64, what: &str) -> Result<Stamp, String> {
    let bits = u32::try_from(value).map_err(|_| format!("{what} of more than 32 bits"))?;
    Stamp::of(bits).ok_or_else(|| format!("{what} {bits:#010x} that no meter showed"))
}

fn fits(stamp: Stamp, unit_id: u8, kind: Kind, begun_ms: u32, ended_ms: u32) -> Result<(), String> {
    let is_fresh = (begun_ms..=ended_ms).contains(&stamp.at_ms);
    if stamp.unit_id == unit_id && stamp.kind == kind && is_fresh {
        return Ok(());
    }
    Err(format!(
        "{stamp:?} for {kind:?} of unit {unit_id}, asked from {begun_ms} to {ended_ms}"
    ))
}
