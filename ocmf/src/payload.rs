//! The payload section: what signed, who charged, what was read.

use crate::decimal::Decimal;
use crate::error::{ParseError, shortened};
use crate::json::Object;
use crate::reading::{Reading, Unit, number};

/// The payload of a record.
///
/// Only what decides whether energy can be billed is held to the format's tables, because meters in
/// the field leave out or bend other fields. Texts are as they stand in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// `FV`: the version of the format, major and minor; `None` where it is not told.
    pub format_version: Option<(u32, u32)>,
    /// `GI`: maker and model of what signs.
    pub gateway_identification: Option<String>,
    /// `GS`: serial number of what signs.
    pub gateway_serial: Option<String>,
    /// `GV`: software version of what signs.
    pub gateway_version: Option<String>,
    /// `PG`: the record's page.
    pub pagination: Option<Pagination>,
    /// `MV`: maker of the meter.
    pub meter_vendor: Option<String>,
    /// `MM`: model of the meter.
    pub meter_model: Option<String>,
    /// `MS`: serial number of the meter.
    pub meter_serial: Option<String>,
    /// `MF`: firmware of the meter.
    pub meter_firmware: Option<String>,
    /// Who charged.
    pub user: UserAssignment,
    /// `TT`: text that names the tariff.
    pub tariff_text: Option<String>,
    /// `CF`: firmware of the charge controller.
    pub charge_controller_firmware: Option<String>,
    /// `LC`: the cable whose loss is compensated.
    pub loss_compensation: Option<LossCompensation>,
    /// `CT`: what kind of name `charge_point` is: `EVSEID`, `CBIDC`.
    pub charge_point_type: Option<String>,
    /// `CI`: the charge point.
    pub charge_point: Option<String>,
    /// `RD`: the readings, at least one.
    pub readings: Vec<Reading>,
    /// Fields that the format does not have: keys and values as they are written.
    pub other: Vec<(String, String)>,
}

/// `PG`: where a record stands among all that its meter has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pagination {
    /// Which count it is.
    pub context: PaginationContext,
    /// The number, one more for each record of the context.
    pub number: u64,
}

/// The two counts of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaginationContext {
    /// `T`: records of transactions.
    Transaction,
    /// `F`: records outside of transactions.
    Fiscal,
}

impl Pagination {
    fn parse(text: &str) -> Option<Self> {
        let (letter, digits) = text.split_at_checked(1)?;
        let context = match letter {
            "T" => PaginationContext::Transaction,
            "F" => PaginationContext::Fiscal,
            _ => return None,
        };
        // `parse` alone would accept a sign.
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| digits.parse().ok())??;
        Some(Self { context, number })
    }
}

/// Who charged, and how the meter knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserAssignment {
    /// `IS`: whether a user is assigned.
    pub assigned: Option<bool>,
    /// `IL`: how far the assignment can be trusted, or why it failed.
    pub level: Option<String>,
    /// `IF`: how it came about, up to four.
    pub flags: Vec<String>,
    /// `IT`: what kind of name `identification` is: `ISO14443`, `EMAID`, …
    pub identification_type: Option<String>,
    /// `ID`: the user.
    pub identification: Option<String>,
}

impl UserAssignment {
    /// Whether the meter says that the assignment failed.
    ///
    /// # Source
    /// OCMF 1.3.1, table 11 (group "Error").
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let level = self.level.as_deref().map(str::trim);
        matches!(level, Some("MISMATCH" | "INVALID" | "OUTDATED" | "UNKNOWN"))
    }

    fn read(fields: &mut Object<'_>) -> Result<Self, ParseError> {
        let flags = match fields.take("IF") {
            Some(field) => {
                let elements = field.elements()?;
                let texts = elements.iter().map(|element| element.text());
                texts.collect::<Result<_, _>>()?
            }
            None => Vec::new(),
        };
        Ok(Self {
            assigned: fields.take("IS").map(|field| field.boolean()).transpose()?,
            level: fields.take_text("IL")?,
            flags,
            identification_type: fields.take_text("IT")?,
            identification: fields.take_text("ID")?,
        })
    }
}

/// `LC`: the cable whose loss is compensated.
///
/// # Source
/// OCMF 1.3.1, table 24.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossCompensation {
    /// `LN`: a name for its characteristics.
    pub naming: Option<String>,
    /// `LI`: their number in the meter's manual.
    pub identification: Option<String>,
    /// `LR`: its resistance.
    pub resistance: Option<Decimal>,
    /// `LU`: the unit of `resistance`.
    pub unit: Option<Unit>,
}

impl LossCompensation {
    fn read(mut fields: Object<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            naming: fields.take_text("LN")?,
            identification: fields.take_text("LI")?,
            resistance: number(&mut fields, "LR")?,
            unit: fields.take_text("LU")?.map(Unit::new),
        })
    }
}

impl Payload {
    /// Reads a payload section, which is valid JSON.
    pub(crate) fn read(text: &str) -> Result<Self, ParseError> {
        let mut fields = Object::new(String::new(), text)?;
        let format_version = format_version(&mut fields)?;
        let pagination = match fields.take("PG") {
            Some(field) => Some(
                Pagination::parse(&field.text()?)
                    .ok_or_else(|| field.refused("T or F and a number: T12345"))?,
            ),
            None => None,
        };
        let user = UserAssignment::read(&mut fields)?;
        let loss_compensation = match fields.take("LC") {
            Some(field) => Some(LossCompensation::read(field.object()?)?),
            None => None,
        };
        Ok(Self {
            format_version,
            gateway_identification: fields.take_text("GI")?,
            gateway_serial: fields.take_text("GS")?,
            gateway_version: fields.take_text("GV")?,
            pagination,
            meter_vendor: fields.take_text("MV")?,
            meter_model: fields.take_text("MM")?,
            meter_serial: fields.take_text("MS")?,
            meter_firmware: fields.take_text("MF")?,
            user,
            tariff_text: fields.take_text("TT")?,
            charge_controller_firmware: fields.take_text("CF")?,
            loss_compensation,
            charge_point_type: fields.take_text("CT")?,
            charge_point: fields.take_text("CI")?,
            readings: readings(&mut fields)?,
            other: fields.rest(),
        })
    }
}

/// Formats 0.1 to 0.3 have other fields, and a second major version means "no longer compatible".
fn format_version(fields: &mut Object<'_>) -> Result<Option<(u32, u32)>, ParseError> {
    const ACCEPTED: &str = "0.4 and newer minor versions, 1.0 and newer minor versions";
    let Some(field) = fields.take("FV") else {
        return Ok(None);
    };
    let text = field.text()?;
    // A third number is that of the document; it does not change the format.
    let mut numbers = text.splitn(3, '.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(0)), Some(Ok(minor))) if minor >= 4 => Ok(Some((0, minor))),
        (Some(Ok(1)), Some(Ok(minor))) => Ok(Some((1, minor))),
        _ => Err(field.refused(ACCEPTED)),
    }
}

fn readings(fields: &mut Object<'_>) -> Result<Vec<Reading>, ParseError> {
    const ACCEPTED: &str = "an array of one reading or more";
    let Some(field) = fields.take("RD") else {
        return Err(ParseError::Missing {
            field: "RD".to_owned(),
            accepted: ACCEPTED,
        });
    };
    let mut readings: Vec<Reading> = Vec::new();
    for (index, element) in field.elements()?.into_iter().enumerate() {
        let missing_time = || ParseError::Missing {
            field: shortened(&format!("RD[{index}].TM")),
            accepted: crate::time::ReadingTime::ACCEPTED,
        };
        let reading = Reading::read(element.object()?, readings.last(), missing_time)?;
        readings.push(reading);
    }
    if readings.is_empty() {
        return Err(field.refused(ACCEPTED));
    }
    Ok(readings)
}
