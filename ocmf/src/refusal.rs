//! Why records are not one charge.

use crate::error::shortened;
use crate::reading::{MeterStatus, Unit};

/// Why records are not one charge that can be billed.
///
/// None of these says that a record is false: each is what it is, and is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no record.
    #[error("no signed record")]
    NoRecord,
    /// Neither meter nor gateway has a serial number.
    #[error("no serial number (GS or MS) in the record")]
    NoSerial,
    /// A field differs that one charge has once.
    #[error(
        "{field} is {first:?} in one record and {other:?} in another; they are not of one charge"
    )]
    Differs {
        /// The field's key.
        field: &'static str,
        /// Its first value.
        first: String,
        /// The other value.
        other: String,
    },
    /// Some records are verified and others are not, or with another key.
    #[error("the records are not verified with one key")]
    DifferentKeys,
    /// A record without a page.
    #[error("no pagination (PG) in the record")]
    NoPage,
    /// A page of the fiscal count: no transaction.
    #[error("page F{number} is none of a transaction")]
    FiscalPage {
        /// The page.
        number: u64,
    },
    /// A page that does not follow: sorted wrongly, or the same record again.
    #[error("page T{number} comes after page T{before}; pages rise")]
    PageNotRising {
        /// The page before.
        before: u64,
        /// The page.
        number: u64,
    },
    /// A page that an earlier charge has used.
    #[error("page T{number} was used before: the meter's last charge ended with page T{last}")]
    PageUsed {
        /// The page.
        number: u64,
        /// The last page of the charge before.
        last: u64,
    },
    /// The meter says that it does not know who charged.
    #[error("the user assignment failed: IL is {level:?}")]
    AssignmentFailed {
        /// `IL`.
        level: String,
    },
    /// No reading of a register that counts energy to the vehicle.
    #[error("no reading of imported energy; registers (RI) in the record: {found}")]
    NoImportRegister {
        /// The registers there are.
        found: String,
    },
    /// Several registers count energy of one kind, and none of them the total of all rates: which of
    /// them says what was charged cannot be told.
    #[error("several registers (RI) count the same kind of energy, none their total: {found}")]
    SeveralRegisters {
        /// Those registers.
        found: String,
    },
    /// A reading that belongs to no transaction.
    #[error("a reading without a reason (TX) is of no transaction")]
    NoReason,
    /// No reading with `TX` B.
    #[error("no reading with TX B: the begin is missing")]
    NoBegin,
    /// No reading with `TX` E, L, R, A or P.
    #[error("no reading with TX E, L, R, A or P: the end is missing")]
    NoEnd,
    /// A begin behind the begin.
    #[error("a second reading with TX B: two charges")]
    SecondBegin,
    /// A reading behind the end.
    #[error("a reading with TX {reason} behind the end of the charge")]
    AfterEnd {
        /// Its `TX`.
        reason: &'static str,
    },
    /// An error while charging: time or energy are not usable from there on.
    #[error("a reading with TX X: the meter had an error while charging")]
    Exception,
    /// `EF` says that energy is not usable.
    #[error("error flags (EF) {flags:?}: the meter declares its energy not usable")]
    EnergyNotUsable {
        /// `EF`.
        flags: String,
    },
    /// The meter was not well.
    #[error("meter status (ST) is {}; billed is with G only", status.map_or("missing", MeterStatus::letter))]
    MeterNotGood {
        /// `ST`, where there is one.
        status: Option<MeterStatus>,
    },
    /// Events were counted while charging (format 0.4).
    #[error("the event counter (EI) went from {begin} to {end} while charging")]
    Events {
        /// At the begin.
        begin: String,
        /// At the end.
        end: String,
    },
    /// A reading of the register without a value.
    #[error("a reading of {register} without a value (RV)")]
    NoValue {
        /// `RI`.
        register: String,
    },
    /// A unit that is none of energy.
    #[error("{register} is in {unit:?}; billed are Wh and kWh")]
    NotEnergy {
        /// `RI`.
        register: String,
        /// `RU`, where there is one.
        unit: Option<Unit>,
    },
    /// A register below 0, or beyond 64 bits of Wh.
    #[error("{register} stands at {wh} Wh, which no register of energy can")]
    OutOfRange {
        /// `RI`.
        register: String,
        /// Its value in Wh.
        wh: String,
    },
    /// A register that fell.
    #[error("{register} fell from {before} to {after} Wh")]
    Fell {
        /// `RI`.
        register: String,
        /// Before, in Wh.
        before: String,
        /// After, in Wh.
        after: String,
    },
    /// Time went backwards.
    #[error("a reading of {after} comes after one of {before}")]
    TimeBackwards {
        /// `TM` of the reading before.
        before: String,
        /// `TM` of the reading.
        after: String,
    },
    /// The cumulated loss did not begin at 0, so it is not this charge's.
    #[error("the cumulated loss (CL) is {wh} Wh at the begin; it begins at 0")]
    LossNotReset {
        /// The loss in Wh.
        wh: String,
    },
}

impl Refusal {
    /// A difference, with values shortened to what a log line takes.
    pub(crate) fn differs(field: &'static str, first: &str, other: &str) -> Self {
        Self::Differs {
            field,
            first: shortened(first),
            other: shortened(other),
        }
    }
}
