//! `RI`: which register a reading is of.

/// Which way the energy of a register flows, and what it counts.
///
/// # Source
/// IEC 62056-6-1 (value groups A to F); OCMF 1.4, table 25, which gives the value group C the
/// values B0 to B3 and C0 to C3 and keeps the others up to C7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterKind {
    /// Active energy to the vehicle.
    Import(Register),
    /// Active energy from the vehicle.
    Export(Register),
}

/// What a register of energy counts. Those that say more about a charge come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Register {
    /// All energy, as it arrives at the vehicle: B1, C1.
    TotalAtDevice,
    /// Energy with the loss of the cable taken off: 98, from before table 25, of DZG meters.
    Compensated,
    /// The transaction's energy, as it arrives at the vehicle: B3, C3.
    TransactionAtDevice,
    /// All energy of the meter: 1 or 2 of IEC 62056.
    Total,
    /// All energy, at the meter: B0, C0.
    TotalAtMains,
    /// The transaction's energy, at the meter: B2, C2.
    TransactionAtMains,
}

impl RegisterKind {
    /// What the register of this OBIS code counts; `None` where it is none of active energy.
    ///
    /// Groups are hexadecimal, of one digit or two, and the last follows a star or a dot:
    /// `1-b:1.8.0`, `01-00:98.08.00.FF`, `01-00:B2.08.00*FF`. Which rate a register counts (E)
    /// is told apart where there are several registers, see
    /// [`Charge::of`](crate::charge::Charge::of).
    #[must_use]
    pub fn of(obis: &str) -> Option<Self> {
        const ELECTRICITY: u8 = 1;
        const TIME_INTEGRAL: u8 = 8;
        let groups = Groups::parse(obis)?;
        if groups.medium != ELECTRICITY || groups.processing != TIME_INTEGRAL {
            return None;
        }
        Some(match groups.quantity {
            0x01 => Self::Import(Register::Total),
            0x02 => Self::Export(Register::Total),
            0x98 => Self::Import(Register::Compensated),
            0xB0 => Self::Import(Register::TotalAtMains),
            0xB1 => Self::Import(Register::TotalAtDevice),
            0xB2 => Self::Import(Register::TransactionAtMains),
            0xB3 => Self::Import(Register::TransactionAtDevice),
            0xC0 => Self::Export(Register::TotalAtMains),
            0xC1 => Self::Export(Register::TotalAtDevice),
            0xC2 => Self::Export(Register::TransactionAtMains),
            0xC3 => Self::Export(Register::TransactionAtDevice),
            _ => return None,
        })
    }
}

/// Whether the register counts at every rate: group E is 0.
///
/// # Source
/// IEC 62056-6-1, value group E (rates).
pub(crate) fn is_total_of_rates(obis: &str) -> bool {
    Groups::parse(obis).is_some_and(|groups| groups.rate == 0)
}

/// The groups of an OBIS code that tell registers of energy apart: A, C, D and E.
struct Groups {
    medium: u8,
    quantity: u8,
    processing: u8,
    rate: u8,
}

impl Groups {
    fn parse(obis: &str) -> Option<Self> {
        let (medium, rest) = obis.split_once('-')?;
        let (channel, rest) = rest.split_once(':')?;
        let mut groups = rest.splitn(3, '.');
        let (quantity, processing) = (group(groups.next()?)?, group(groups.next()?)?);
        let rate = groups.next()?.split(['*', '.']).next()?;
        group(channel)?;
        Some(Self {
            medium: group(medium)?,
            quantity,
            processing,
            rate: group(rate)?,
        })
    }
}

fn group(digits: &str) -> Option<u8> {
    let is_group =
        (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_group.then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(obis: &str, expected: Option<RegisterKind>) {
        assert_eq!(RegisterKind::of(obis), expected, "{obis}");
    }

    #[test]
    fn import_is_told_from_export() {
        check("1-b:1.8.0", Some(RegisterKind::Import(Register::Total)));
        check("1-b:1.8.e", Some(RegisterKind::Import(Register::Total)));
        check("1-0:1.8.0*198", Some(RegisterKind::Import(Register::Total)));
        check("1-0:2.8.0.FF", Some(RegisterKind::Export(Register::Total)));
        check(
            "01-00:98.08.00.FF",
            Some(RegisterKind::Import(Register::Compensated)),
        );
        check(
            "01-00:B2.08.00*FF",
            Some(RegisterKind::Import(Register::TransactionAtMains)),
        );
        check(
            "01-00:C1.08.00*FF",
            Some(RegisterKind::Export(Register::TotalAtDevice)),
        );
    }

    #[test]
    fn other_registers_are_none() {
        for obis in [
            "",
            "1.8.0",
            "1-0:1.7.0",
            "7-0:1.8.0",
            "01-00:00.08.06.FF",
            "01-00:8C.07.00.FF",
            "01-00:B4.08.00*FF",
            "1-0:1.8",
            "1-0:1.8.",
            "1-0:01x.8.0",
            "1-0:001.8.0",
            "-0:1.8.0",
        ] {
            check(obis, None);
        }
    }
}
