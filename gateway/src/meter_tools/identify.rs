//! Which model a unit is, from what it answered: rules without a line.

use std::sync::Arc;

use meter_drivers::{Block, Measurand, Probe, RegisterMap, RegisterMaps};

/// The most models that are named as possible.
const MOST_POSSIBLE: usize = 5;

/// A model that a unit may be.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) map: Arc<RegisterMap>,
    pub(crate) certainty: Certainty,
    /// A setting that is not as the map needs it, and how to make it so.
    pub(crate) unmet: Option<String>,
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Certainty {
    /// The unit names this model.
    Named,
    /// Settings that this model has are as it has them.
    Settings,
    /// Read as this model, voltage and frequency are those of a grid.
    Plausible,
}

impl Certainty {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Named => "says so",
            Self::Settings => "fits",
            Self::Plausible => "perhaps",
        }
    }
}

/// The blocks that tell models apart, each once.
pub(crate) fn probe_blocks(maps: &RegisterMaps) -> Vec<Block> {
    let probes = maps.iter().flat_map(|map| map.probes());
    each_once(probes.map(|probe| probe.place.block()))
}

/// Models whose probes hold, the surest first.
///
/// A map whose probes hold by an empty register proves nothing: one at least must hold by a value.
pub(crate) fn by_probes(
    maps: &RegisterMaps,
    words: &dyn Fn(Block) -> Option<Vec<u16>>,
) -> Vec<Candidate> {
    let holds = |probe: &Probe| words(probe.place.block()).is_some_and(|words| probe.holds(&words));
    let tells = |probe: &Probe| {
        holds(probe)
            && words(probe.place.block()).is_some_and(|words| words.iter().any(|&w| w != 0))
    };
    let mut found: Vec<Candidate> = maps
        .iter()
        .filter_map(|map| {
            let unmet = map.probes().iter().find(|probe| !holds(probe));
            let is_named = map
                .probes()
                .iter()
                .any(|probe| probe.names_model && tells(probe));
            let fits = unmet.is_none() && map.probes().iter().any(tells);
            let certainty = match (is_named, fits) {
                (true, _) => Certainty::Named,
                (false, true) => Certainty::Settings,
                (false, false) => return None,
            };
            Some(Candidate {
                map: Arc::clone(map),
                certainty,
                unmet: unmet.map(|probe| format!("not {}: {}", probe.meaning, probe.remedy)),
            })
        })
        .collect();
    found.sort_by_key(|candidate| (candidate.certainty, candidate.unmet.is_some()));
    // What a unit says itself leaves no room for what only fits.
    if let Some(first) = found.first().map(|candidate| candidate.certainty) {
        found.retain(|candidate| candidate.certainty == first);
    }
    found
}

/// The blocks by which maps without telling probes are tried, each once.
pub(crate) fn value_blocks(maps: &RegisterMaps) -> Vec<Block> {
    let maps = maps.iter().filter(|map| map.probes().is_empty());
    each_once(maps.flat_map(|map| {
        SHOWING
            .iter()
            .filter_map(|&m| Some(map.quantity(m)?.block()))
    }))
}

/// Models without probes that would read a grid's voltage and frequency, and a count of energy.
pub(crate) fn by_values(
    maps: &RegisterMaps,
    words: &dyn Fn(Block) -> Option<Vec<u16>>,
) -> Vec<Candidate> {
    let maps = maps.iter().filter(|map| map.probes().is_empty());
    let fitting = maps.filter(|map| is_plausible(map, words));
    let candidates = fitting.map(|map| Candidate {
        map: Arc::clone(map),
        certainty: Certainty::Plausible,
        unmet: None,
    });
    candidates.take(MOST_POSSIBLE).collect()
}

/// What shows by its size whether it was read right.
const SHOWING: [Measurand; 4] = [
    Measurand::EnergyImport,
    Measurand::VoltageL1,
    Measurand::Voltage,
    Measurand::Frequency,
];

fn is_plausible(map: &RegisterMap, words: &dyn Fn(Block) -> Option<Vec<u16>>) -> bool {
    let value = |measurand| {
        let quantity = map.quantity(measurand)?;
        let words = words(quantity.block());
        // Unanswered where the map has it is no value of it.
        Some(words.and_then(|words| quantity.thousandths(quantity.block(), &words).ok()))
    };
    let within = |measurand, range: std::ops::RangeInclusive<i64>| {
        value(measurand).map(|found| found.is_some_and(|found| range.contains(&found)))
    };
    let of_grid = [
        within(Measurand::VoltageL1, 80_000..=300_000),
        within(Measurand::Voltage, 10_000..=1_500_000),
        within(Measurand::Frequency, 45_000..=65_000),
    ];
    let energy = within(Measurand::EnergyImport, 0..=i64::MAX);
    let mut shown = of_grid.into_iter().flatten().peekable();
    energy == Some(true) && shown.peek().is_some() && shown.all(|holds| holds)
}

fn each_once(blocks: impl Iterator<Item = Block>) -> Vec<Block> {
    let mut once: Vec<Block> = Vec::new();
    for block in blocks {
        if !once.contains(&block) {
            once.push(block);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use meter_drivers::RegisterSpace::{self, Holding, Input};

    use super::*;

    type Registers<'a> = &'a [(RegisterSpace, u16, &'a [u16])];

    /// Ids and certainties by probes, and if there are none by values.
    #[track_caller]
    fn check(registers: Registers<'_>, expected: &[(&str, Certainty)]) -> Vec<Candidate> {
        let words = |block: Block| {
            let of = |&(space, start, words): &(RegisterSpace, u16, &[u16])| {
                (space == block.space
                    && start == block.start
                    && words.len() == usize::from(block.count))
                .then(|| words.to_vec())
            };
            registers.iter().find_map(of)
        };
        let maps = RegisterMaps::builtin();
        let mut found = by_probes(maps, &words);
        if found.is_empty() {
            found = by_values(maps, &words);
        }
        let shown: Vec<_> = found.iter().map(|c| (c.map.id(), c.certainty)).collect();
        assert_eq!(shown, expected);
        found
    }

    #[test]
    fn a_unit_that_names_its_model_is_that_model() {
        let sdm72 = ("eastron-sdm72d-m-v2", Certainty::Named);
        let code: (_, _, &[u16]) = (Holding, 0xFC02, &[137]);
        check(&[code], &[sdm72]);
        // Its register order is an SDM630's, too, and that is not asked any more.
        let order: (_, _, &[u16]) = (Holding, 0x28, &[0x4505, 0xD000]);
        check(&[code, (Holding, 0x1E, &[0, 0]), order], &[sdm72]);
    }

    #[test]
    fn settings_tell_a_model_unless_they_are_all_empty() {
        let prefix: (_, _, &[u16]) = (Holding, 0x1E, &[0, 0]);
        let order: (_, _, &[u16]) = (Holding, 0x28, &[0x4505, 0xD000]);
        check(&[prefix, order], &[("eastron-sdm630", Certainty::Settings)]);
        check(&[prefix], &[]);
        check(&[order], &[]);
        check(&[], &[]);
    }

    #[test]
    fn a_code_that_two_models_share_names_both() {
        let families = [
            ("carlo-gavazzi-em340-family", Certainty::Named),
            ("carlo-gavazzi-em530-em540", Certainty::Named),
        ];
        check(&[(Holding, 11, &[341]), (Input, 11, &[341])], &families);
    }

    #[test]
    fn a_setting_that_is_wrong_is_told_with_its_remedy() {
        let named = [("carlo-gavazzi-em24-e1", Certainty::Named)];
        let registers: Registers<'_> = &[(Input, 11, &[1_648]), (Input, 0xA000, &[3])];
        let holding: Registers<'_> = &[(Holding, 11, &[1_648]), (Holding, 0xA000, &[3])];
        let found = check(&[registers, holding].concat(), &named);
        let unmet = found[0].unmet.as_deref().expect("it is not set so");
        assert!(unmet.contains("application H"), "{unmet}");
    }

    #[test]
    fn without_probes_a_grid_s_values_make_a_model_possible() {
        let volts = 230.0_f32.to_bits();
        let hertz = 50.0_f32.to_bits();
        let split = |bits: u32| {
            let [a, b, c, d] = bits.to_be_bytes();
            [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
        };
        let (volts, hertz, kwh) = (split(volts), split(hertz), split(1.5_f32.to_bits()));
        let registers: Registers<'_> = &[
            (Input, 0, &volts),
            (Input, 0x46, &hertz),
            (Input, 0x48, &kwh),
        ];
        let words = |block: Block| {
            registers.iter().find_map(|&(space, start, words)| {
                ((space, start) == (block.space, block.start)).then(|| words.to_vec())
            })
        };
        let found = by_values(RegisterMaps::builtin(), &words);
        assert!(found.iter().any(|c| c.map.id() == "eastron-sdm230"));
        let absurd: Registers<'_> = &[(Input, 0, &kwh), (Input, 0x46, &hertz), (Input, 0x48, &kwh)];
        check(absurd, &[]);
    }
}
