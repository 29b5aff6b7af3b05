//! `RD`: the readings of a record.

use crate::decimal::Decimal;
use crate::error::ParseError;
use crate::json::Object;
use crate::time::ReadingTime;

/// A closed table of letters.
macro_rules! letters {
    ($(#[$doc:meta])* $name:ident, $accepted:literal, {$($(#[$variant_doc:meta])* $variant:ident = $letter:literal,)*}) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            const ACCEPTED: &'static str = $accepted;

            fn from_letter(letter: &str) -> Option<Self> {
                match letter.trim() {
                    $($letter => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The letter in the record.
            #[must_use]
            pub fn letter(self) -> &'static str {
                match self {
                    $(Self::$variant => $letter,)*
                }
            }
        }
    };
}

letters! {
    /// Why a reading was taken.
    ///
    /// # Source
    /// OCMF 1.3.1, table 7 (`TX`).
    Reason, "B, C, X, E, L, R, A, P, S or T", {
        /// Begin of the transaction.
        Begin = "B",
        /// While charging.
        Charging = "C",
        /// An error while charging: from here on time or energy are no longer usable.
        Exception = "X",
        /// End of the transaction.
        End = "E",
        /// Ended locally.
        EndLocal = "L",
        /// Ended remotely.
        EndRemote = "R",
        /// Ended by an error.
        EndAbort = "A",
        /// Ended by a power failure.
        EndPowerFailure = "P",
        /// The transaction goes on without charging.
        Suspended = "S",
        /// The tariff changes.
        TariffChange = "T",
    }
}

impl Reason {
    /// Whether the transaction ends with this reading.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(
            self,
            Self::End | Self::EndLocal | Self::EndRemote | Self::EndAbort | Self::EndPowerFailure
        )
    }
}

letters! {
    /// The state of the meter when a reading was taken.
    ///
    /// # Source
    /// OCMF 1.3.1, table 10.
    MeterStatus, "N, G, T, D, R, M, X, I, O, S, E or F", {
        /// Not present or not found.
        NotPresent = "N",
        /// Good: works correctly.
        Good = "G",
        /// Did not answer in time.
        Timeout = "T",
        /// Disconnected from what signs.
        Disconnected = "D",
        /// No longer found.
        NotFound = "R",
        /// Manipulated.
        Manipulated = "M",
        /// Exchanged: another serial number than before.
        Exchanged = "X",
        /// Not compatible with what signs.
        Incompatible = "I",
        /// The value is out of range.
        OutOfRange = "O",
        /// The value is a substitute.
        Substitute = "S",
        /// Another error.
        OtherError = "E",
        /// The register was not read correctly.
        ReadError = "F",
    }
}

/// The unit of a reading.
///
/// # Source
/// OCMF 1.3.1, table 20.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `Wh`.
    WattHours,
    /// `kWh`.
    KilowattHours,
    /// `mOhm`.
    Milliohm,
    /// `uOhm`.
    Microohm,
    /// None of the format's, as it is written: meters also sign seconds.
    Other(String),
}

impl Unit {
    pub(crate) fn new(text: String) -> Self {
        match text.as_str() {
            "Wh" => Self::WattHours,
            "kWh" => Self::KilowattHours,
            "mOhm" => Self::Milliohm,
            "uOhm" => Self::Microohm,
            _ => Self::Other(text),
        }
    }
}

/// `EF`: which quantities are no longer usable for billing.
///
/// # Source
/// OCMF 1.3.1, table 7 (`EF`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFlags(String);

impl ErrorFlags {
    /// The flags as they are written; empty where there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the energy is not usable. A flag that the format does not have may mean it.
    #[must_use]
    pub fn spoil_energy(&self) -> bool {
        self.0.chars().any(|flag| flag != 't')
    }

    /// Whether the time is not usable.
    #[must_use]
    pub fn spoil_time(&self) -> bool {
        self.0.contains('t')
    }
}

/// One reading, with what it inherits from the one before it in its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// `TM`: when it was taken. Inherited.
    pub time: ReadingTime,
    /// `TX`: why it was taken; `None` outside of transactions. Inherited.
    pub reason: Option<Reason>,
    /// `RV`: the value; `None` where only an event is told.
    pub value: Option<Decimal>,
    /// `RI`: which register it is, as an OBIS code. Inherited.
    pub register: Option<String>,
    /// `RU`: the unit of `value` and `cumulated_loss`. Inherited.
    pub unit: Option<Unit>,
    /// `RT`: `AC` or `DC`. Inherited.
    pub current_type: Option<String>,
    /// `CL`: energy that loss compensation took off `value` since the transaction began.
    pub cumulated_loss: Option<Decimal>,
    /// `EF`: what is not usable. Inherited.
    pub error_flags: ErrorFlags,
    /// `ST`: the state of the meter. Inherited.
    pub status: Option<MeterStatus>,
    /// `EI`: the count of events, which format 0.4 has instead of `EF`.
    pub event_counter: Option<String>,
    /// Fields that the format does not have: keys and values as they are written.
    pub other: Vec<(String, String)>,
}

impl Reading {
    /// The value in Wh, exact; `None` where there is none or its unit is none of energy.
    #[must_use]
    pub fn energy_wh(&self) -> Option<Decimal> {
        self.in_wh(self.value?)
    }

    /// The cumulated loss in Wh, exact.
    #[must_use]
    pub fn cumulated_loss_wh(&self) -> Option<Decimal> {
        self.in_wh(self.cumulated_loss?)
    }

    fn in_wh(&self, number: Decimal) -> Option<Decimal> {
        match self.unit.as_ref()? {
            Unit::WattHours => Some(number),
            Unit::KilowattHours => Some(number.thousandfold()),
            Unit::Milliohm | Unit::Microohm | Unit::Other(_) => None,
        }
    }

    /// Reads a reading; what it leaves out is as in `before`.
    ///
    /// `RV` and `CL` are never inherited: a reading without a value tells of an event, and billing
    /// what an omission may have meant would be a guess.
    ///
    /// # Source
    /// OCMF 1.3.1, section "Readings".
    pub(crate) fn read(
        mut fields: Object<'_>,
        before: Option<&Self>,
        missing_time: impl FnOnce() -> ParseError,
    ) -> Result<Self, ParseError> {
        let time = match fields.take("TM") {
            Some(field) => ReadingTime::parse(&field.text()?)
                .ok_or_else(|| field.refused(ReadingTime::ACCEPTED))?,
            None => before
                .map(|before| before.time.clone())
                .ok_or_else(missing_time)?,
        };
        let reason = match fields.take("TX") {
            Some(field) => Some(
                Reason::from_letter(&field.text()?)
                    .ok_or_else(|| field.refused(Reason::ACCEPTED))?,
            ),
            None => before.and_then(|before| before.reason),
        };
        let status = match fields.take("ST") {
            Some(field) => Some(
                MeterStatus::from_letter(&field.text()?)
                    .ok_or_else(|| field.refused(MeterStatus::ACCEPTED))?,
            ),
            None => before.and_then(|before| before.status),
        };
        let error_flags = match fields.take_short_text("EF")? {
            Some(text) => ErrorFlags(text),
            None => before
                .map(|before| before.error_flags.clone())
                .unwrap_or_default(),
        };
        Ok(Self {
            time,
            reason,
            value: number(&mut fields, "RV")?,
            register: fields
                .take_short_text("RI")?
                .or_else(|| before?.register.clone()),
            unit: fields
                .take_short_text("RU")?
                .map(Unit::new)
                .or_else(|| before?.unit.clone()),
            current_type: fields
                .take_short_text("RT")?
                .or_else(|| before?.current_type.clone()),
            cumulated_loss: number(&mut fields, "CL")?,
            error_flags,
            status,
            event_counter: fields
                .take_short_text("EI")?
                .or_else(|| before?.event_counter.clone()),
            other: fields.rest(),
        })
    }
}

/// Takes a number out. DZG meters write it as a text.
pub(crate) fn number(fields: &mut Object<'_>, key: &str) -> Result<Option<Decimal>, ParseError> {
    let Some(field) = fields.take(key) else {
        return Ok(None);
    };
    let number = Decimal::parse(&field.text()?);
    let accepted = "a decimal number of at most 16 digits";
    number.map(Some).ok_or_else(|| field.refused(accepted))
}
