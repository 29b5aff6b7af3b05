//! Which of a charge's registers is billed.

use std::collections::BTreeMap;

use crate::error::shortened;
use crate::reading::{Reading, Reason};
use crate::refusal::Refusal;
use crate::register::{Register, RegisterKind, is_total_of_rates};

/// The register that is billed: of those of import the one that says most.
///
/// The begin of one register and the end of another are no charge, so it has to have both, if any has.
/// Of several that count the same it is the total of all rates; of several without a total each is a
/// part of the charge, and none is billed.
pub(crate) fn billed_register<'a>(
    readings: &[&'a Reading],
) -> Result<(&'a str, Register), Refusal> {
    let candidates = import_registers(readings);
    let Some(best) = candidates.values().map(Candidate::rank).min() else {
        return Err(Refusal::NoImportRegister {
            found: listed(readings.iter().filter_map(|it| it.register.as_deref())),
        });
    };
    let mut alike = candidates
        .iter()
        .filter(|(_, candidate)| candidate.rank() == best);
    let (register, billed) = alike.next().expect("one of them has the rank");
    if billed.has_both() && alike.next().is_some() {
        let alike = candidates.iter().filter(|(_, it)| it.rank() == best);
        return Err(Refusal::SeveralRegisters {
            found: listed(alike.map(|(register, _)| *register)),
        });
    }
    Ok((register, billed.counts))
}

/// A register of import, and which ends of the charge it has.
struct Candidate {
    counts: Register,
    is_total: bool,
    has_begin: bool,
    has_end: bool,
}

impl Candidate {
    fn has_both(&self) -> bool {
        self.has_begin && self.has_end
    }

    /// The lowest is billed.
    fn rank(&self) -> (bool, Register, bool) {
        (!self.has_both(), self.counts, !self.is_total)
    }
}

fn import_registers<'a>(readings: &[&'a Reading]) -> BTreeMap<&'a str, Candidate> {
    let mut candidates = BTreeMap::new();
    for reading in readings {
        let Some(register) = reading.register.as_deref() else {
            continue;
        };
        let Some(RegisterKind::Import(counts)) = RegisterKind::of(register) else {
            continue;
        };
        let candidate = candidates.entry(register).or_insert_with(|| Candidate {
            counts,
            is_total: is_total_of_rates(register),
            has_begin: false,
            has_end: false,
        });
        candidate.has_begin |= reading.reason == Some(Reason::Begin);
        candidate.has_end |= reading.reason.is_some_and(Reason::is_end);
    }
    candidates
}

fn listed<'a>(registers: impl Iterator<Item = &'a str>) -> String {
    let mut registers: Vec<&str> = registers.collect();
    registers.dedup();
    shortened(&registers.join(", "))
}
