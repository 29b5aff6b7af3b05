//! From records to a charge: start and stop, the same meter, nothing amiss between.

use protocol::EnergyWh;

use crate::billed::billed_register;
use crate::decimal::Decimal;
use crate::key::PublicKey;
use crate::payload::{PaginationContext, Payload, UserAssignment};
use crate::reading::{MeterStatus, Reading, Reason};
use crate::refusal::Refusal;
use crate::register::Register;
use crate::time::{ReadingTime, TimeStatus};
use crate::verify::SignedRecord;

/// What signed records say of one charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// `MS`: the meter's serial number.
    pub meter_serial: Option<String>,
    /// `GS`: the serial number of what signs.
    pub gateway_serial: Option<String>,
    /// `CI`: the charge point.
    pub charge_point: Option<String>,
    /// `RI`: the register that was read.
    pub register: String,
    /// What that register counts.
    pub counts: Register,
    /// The register at the begin.
    pub begin: RegisterReading,
    /// The register at the end.
    pub end: RegisterReading,
    /// What was charged, in Wh, exact. A bill takes the difference of the rounded registers, so that
    /// what several charges lose and gain at their ends cancels out.
    pub energy_wh: Decimal,
    /// The smallest change that the register could show at both ends, in Wh.
    pub resolution_wh: Decimal,
    /// `CL` at the end, in Wh: what loss compensation took off. It is off the register already.
    pub cumulated_loss_wh: Option<Decimal>,
    /// What the times are good for.
    pub time_quality: TimeQuality,
    /// Who charged, as the last record knows it.
    pub user: UserAssignment,
    /// `TT`: the tariff that the last record names.
    pub tariff_text: Option<String>,
    /// `PG` of the first record.
    pub first_page: u64,
    /// `PG` of the last record.
    pub last_page: u64,
    /// How many records the meter has signed between the first and the last that are not here: as
    /// many as there were readings while charging, where those are not sent.
    pub pages_missing: u64,
    /// The key that all records were verified with; `None`: carried, not verified.
    pub key: Option<PublicKey>,
}

/// A register at one end of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterReading {
    /// Its value in Wh, exact.
    pub exact_wh: Decimal,
    /// Its value rounded once to whole Wh (nearest; halves up).
    pub register: EnergyWh,
    /// When it was read.
    pub time: ReadingTime,
}

/// What the times of a charge are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeQuality {
    /// Both ends are synchronized.
    Synchronized,
    /// The duration is exact, the time of day informative.
    Relative,
    /// Informative only.
    Informative,
    /// Not usable: an end is not synchronized, the power failed, or the meter says so.
    NotUsable,
}

impl Charge {
    /// Judges whether `records`, the first first, are one charge, and sums it up.
    ///
    /// One record has both readings, or the first has the begin and the last the end. `after_page` is
    /// the last page that an earlier charge of the same meter used, if any: a page is billed once.
    ///
    /// Of several registers that one is billed which says most of what reached the vehicle, see
    /// [`Register`]. Export is never taken off.
    ///
    /// # Errors
    /// Why they are not one charge.
    ///
    /// # Source
    /// OCMF 1.3.1, sections "Signing and Verification Process", "Pagination" and "Readings".
    pub fn of(records: &[SignedRecord], after_page: Option<u64>) -> Result<Self, Refusal> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Err(Refusal::NoRecord);
        };
        let payloads: Vec<&Payload> = records.iter().map(|it| it.record().payload()).collect();
        if records.iter().any(|record| record.key() != first.key()) {
            return Err(Refusal::DifferentKeys);
        }
        check_source(&payloads)?;
        let pages = check_pages(&payloads, after_page)?;
        check_user(&payloads)?;
        let readings: Vec<&Reading> = payloads.iter().flat_map(|it| &it.readings).collect();
        check_state(&readings)?;
        let (register, counts) = billed_register(&readings)?;
        let of_register = |reading: &&Reading| reading.register.as_deref() == Some(register);
        let readings: Vec<&Reading> = readings.into_iter().filter(of_register).collect();
        let (begin, end) = ends(&readings)?;
        check_events(payloads[0], begin, end)?;
        let energies = check_course(&readings, register)?;
        check_loss(begin)?;
        let (begin_wh, end_wh) = (energies[0], energies[energies.len() - 1]);
        let last = last.record().payload();
        Ok(Self {
            meter_serial: last.meter_serial.clone(),
            gateway_serial: last.gateway_serial.clone(),
            charge_point: last.charge_point.clone(),
            register: register.to_owned(),
            counts,
            begin: at(begin, begin_wh, register)?,
            end: at(end, end_wh, register)?,
            energy_wh: end_wh.minus(begin_wh),
            resolution_wh: begin_wh.step().max(end_wh.step()),
            cumulated_loss_wh: end.cumulated_loss_wh(),
            time_quality: time_quality(&readings, begin, end),
            user: last.user.clone(),
            tariff_text: last.tariff_text.clone(),
            first_page: pages[0],
            last_page: pages[pages.len() - 1],
            pages_missing: pages.windows(2).map(|pair| pair[1] - pair[0] - 1).sum(),
            key: first.key().cloned(),
        })
    }
}

/// All records come from the same meter, gateway and charge point.
fn check_source(payloads: &[&Payload]) -> Result<(), Refusal> {
    type Field = fn(&Payload) -> &Option<String>;
    const SAME: [(&str, Field); 7] = [
        ("GS", |payload| &payload.gateway_serial),
        ("MS", |payload| &payload.meter_serial),
        ("GI", |payload| &payload.gateway_identification),
        ("MV", |payload| &payload.meter_vendor),
        ("MM", |payload| &payload.meter_model),
        ("CT", |payload| &payload.charge_point_type),
        ("CI", |payload| &payload.charge_point),
    ];
    let text = |payload: &Payload, field: Field| field(payload).clone().unwrap_or_default();
    for (name, field) in SAME {
        let first = text(payloads[0], field);
        for payload in payloads {
            let other = text(payload, field);
            // A field that only one of them has may be another meter's as well.
            if other != first {
                return Err(Refusal::differs(name, &first, &other));
            }
        }
    }
    let serials = [&payloads[0].gateway_serial, &payloads[0].meter_serial];
    let is_named =
        |serial: &&Option<String>| serial.as_deref().is_some_and(|it| !it.trim().is_empty());
    match serials.iter().any(is_named) {
        true => Ok(()),
        false => Err(Refusal::NoSerial),
    }
}

/// All pages are of transactions, and rise.
fn check_pages(payloads: &[&Payload], after_page: Option<u64>) -> Result<Vec<u64>, Refusal> {
    let mut pages: Vec<u64> = Vec::new();
    for payload in payloads {
        let page = payload.pagination.ok_or(Refusal::NoPage)?;
        let number = page.number;
        if page.context != PaginationContext::Transaction {
            return Err(Refusal::FiscalPage { number });
        }
        if let Some(last) = after_page.filter(|last| number <= *last) {
            return Err(Refusal::PageUsed { number, last });
        }
        if let Some(&before) = pages.last().filter(|before| number <= **before) {
            return Err(Refusal::PageNotRising { before, number });
        }
        pages.push(number);
    }
    Ok(pages)
}

/// One user charges. He may become known after the begin, but never another or nobody.
fn check_user(payloads: &[&Payload]) -> Result<(), Refusal> {
    let mut known: Option<&UserAssignment> = None;
    for user in payloads.iter().map(|payload| &payload.user) {
        if user.has_failed() {
            return Err(Refusal::AssignmentFailed {
                level: user.level.clone().unwrap_or_default(),
            });
        }
        let Some(before) = known else {
            known = (user.assigned != Some(false)).then_some(user);
            continue;
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        if user.assigned != before.assigned {
            let told = |user: &UserAssignment| format!("{:?}", user.assigned);
            return Err(Refusal::differs("IS", &told(before), &told(user)));
        }
        if user.identification_type != before.identification_type {
            let kinds = [before, user].map(|user| text(&user.identification_type));
            return Err(Refusal::differs("IT", &kinds[0], &kinds[1]));
        }
        if user.identification != before.identification {
            let names = [before, user].map(|user| text(&user.identification));
            return Err(Refusal::differs("ID", &names[0], &names[1]));
        }
    }
    Ok(())
}

/// The meter is well and its energy usable at every reading, whichever register it is of.
fn check_state(readings: &[&Reading]) -> Result<(), Refusal> {
    for reading in readings {
        if reading.error_flags.spoil_energy() {
            return Err(Refusal::EnergyNotUsable {
                flags: crate::error::shortened(reading.error_flags.as_str()),
            });
        }
        if reading.status != Some(MeterStatus::Good) {
            return Err(Refusal::MeterNotGood {
                status: reading.status,
            });
        }
        match reading.reason {
            None => return Err(Refusal::NoReason),
            Some(Reason::Exception) => return Err(Refusal::Exception),
            Some(_) => {}
        }
    }
    Ok(())
}

/// The first reading is the begin and the only one, the last is the end and the only one.
fn ends<'a>(readings: &[&'a Reading]) -> Result<(&'a Reading, &'a Reading), Refusal> {
    let [begin, rest @ ..] = readings else {
        return Err(Refusal::NoBegin);
    };
    if begin.reason != Some(Reason::Begin) {
        return Err(Refusal::NoBegin);
    }
    let mut end = None;
    for reading in rest {
        let reason = reading.reason.ok_or(Refusal::NoReason)?;
        if reason == Reason::Begin {
            return Err(Refusal::SecondBegin);
        }
        if end.is_some() {
            return Err(Refusal::AfterEnd {
                reason: reason.letter(),
            });
        }
        if reason.is_end() {
            end = Some(*reading);
        }
    }
    end.map(|end| (*begin, end)).ok_or(Refusal::NoEnd)
}

/// Format 0.4 counts events instead of flagging errors: none may come while charging.
fn check_events(first: &Payload, begin: &Reading, end: &Reading) -> Result<(), Refusal> {
    if first.format_version != Some((0, 4)) || begin.event_counter == end.event_counter {
        return Ok(());
    }
    let count = |reading: &Reading| reading.event_counter.clone().unwrap_or_default();
    Err(Refusal::Events {
        begin: count(begin),
        end: count(end),
    })
}

/// Register and time never fall; the unit stays. Gives the energies in Wh.
fn check_course(readings: &[&Reading], register: &str) -> Result<Vec<Decimal>, Refusal> {
    let mut energies: Vec<Decimal> = Vec::new();
    for (index, reading) in readings.iter().enumerate() {
        let energy = energy_of(reading, register)?;
        if let Some(before) = index.checked_sub(1).map(|index| readings[index]) {
            if before.unit != reading.unit {
                let units = [before, reading].map(|reading| format!("{:?}", reading.unit));
                return Err(Refusal::differs("RU", &units[0], &units[1]));
            }
            if reading.time.at < before.time.at {
                return Err(Refusal::TimeBackwards {
                    before: before.time.text.clone(),
                    after: reading.time.text.clone(),
                });
            }
        }
        if let Some(before) = energies.last().filter(|before| energy < **before) {
            return Err(Refusal::Fell {
                register: register.to_owned(),
                before: before.to_string(),
                after: energy.to_string(),
            });
        }
        energies.push(energy);
    }
    Ok(energies)
}

fn energy_of(reading: &Reading, register: &str) -> Result<Decimal, Refusal> {
    if reading.value.is_none() {
        return Err(Refusal::NoValue {
            register: register.to_owned(),
        });
    }
    reading.energy_wh().ok_or_else(|| Refusal::NotEnergy {
        register: register.to_owned(),
        unit: reading.unit.clone(),
    })
}

/// # Source
/// OCMF 1.3.1, table 7 (`CL` is reset at `TX` B).
fn check_loss(begin: &Reading) -> Result<(), Refusal> {
    match begin.cumulated_loss_wh() {
        Some(loss) if loss.numerator() != 0 => Err(Refusal::LossNotReset {
            wh: loss.to_string(),
        }),
        _ => Ok(()),
    }
}

fn at(reading: &Reading, exact_wh: Decimal, register: &str) -> Result<RegisterReading, Refusal> {
    let rounded = exact_wh.rounded_wh().ok_or_else(|| Refusal::OutOfRange {
        register: register.to_owned(),
        wh: exact_wh.to_string(),
    })?;
    Ok(RegisterReading {
        exact_wh,
        register: rounded,
        time: reading.time.clone(),
    })
}

/// # Source
/// OCMF 1.3.1, tables 7 (`EF`) and 19; section "Readings" (a power failure is an error where time is
/// billed).
fn time_quality(readings: &[&Reading], begin: &Reading, end: &Reading) -> TimeQuality {
    let is_spoiled = |reading: &&Reading| reading.error_flags.spoil_time();
    if readings.iter().any(is_spoiled) || end.reason == Some(Reason::EndPowerFailure) {
        return TimeQuality::NotUsable;
    }
    match (begin.time.status, end.time.status) {
        (TimeStatus::Unknown, _) | (_, TimeStatus::Unknown) => TimeQuality::NotUsable,
        (TimeStatus::Synchronized, TimeStatus::Synchronized) => TimeQuality::Synchronized,
        (_, TimeStatus::Relative) => TimeQuality::Relative,
        // Counting that began relative and does not end so was lost on the way.
        (TimeStatus::Relative, _) => TimeQuality::NotUsable,
        _ => TimeQuality::Informative,
    }
}
