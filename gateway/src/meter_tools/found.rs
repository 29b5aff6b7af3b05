//! What a scan found, as a table and as the configuration that would read it.

use meter_drivers::{Endpoint, StopBits};

use super::identify::Candidate;
use super::probe::Told;
use super::settings::{bits, parity_key};
use super::table::Table;

/// A line with the units on it.
#[derive(Clone, Debug)]
pub(crate) struct FoundLine {
    pub(crate) endpoint: Endpoint,
    /// How it is set, where it can be.
    pub(crate) settings: String,
    pub(crate) units: Vec<FoundUnit>,
    /// Whether the device answers under any unit id.
    pub(crate) answers_as_any: bool,
}

/// A unit that answered.
#[derive(Clone, Debug)]
pub(crate) struct FoundUnit {
    pub(crate) unit_id: u8,
    /// Whether its answers were clean.
    pub(crate) is_clean: bool,
    pub(crate) told: Told,
}

/// The units as a table.
pub(crate) fn table(lines: &[FoundLine]) -> String {
    let mut table = Table::new(["LINE", "UNIT", "MODEL", "", "SERIAL", "REMARK"]);
    for line in lines {
        for unit in &line.units {
            let (model, how) = model(&unit.told);
            table.row([
                format!(
                    "{} {}",
                    shortened(&line.endpoint.to_string()),
                    line.settings
                )
                .trim_end()
                .to_owned(),
                unit.unit_id.to_string(),
                model,
                how.to_owned(),
                unit.told.serial.clone().unwrap_or_else(|| "-".to_owned()),
                remark(line, unit),
            ]);
        }
    }
    table.show(0)
}

/// The end of a path: those below /dev/serial/by-id fill a line.
fn shortened(path: &str) -> String {
    const MOST: usize = 24;
    let letters: Vec<char> = path.chars().collect();
    match letters.len().checked_sub(MOST) {
        Some(more @ 1..) => format!("..{}", letters[more + 2..].iter().collect::<String>()),
        _ => path.to_owned(),
    }
}

fn model(told: &Told) -> (String, &'static str) {
    match (told.candidates.first(), &told.sunspec) {
        (Some(first), _) => (first.map.id().to_owned(), first.certainty.words()),
        (None, Some(_)) => ("sunspec".to_owned(), "says so"),
        (None, None) => ("unknown".to_owned(), ""),
    }
}

fn remark(line: &FoundLine, unit: &FoundUnit) -> String {
    let told = &unit.told;
    let mut remarks = Vec::new();
    if !unit.is_clean {
        remarks.push("its answers are spoilt: run meters diagnose".to_owned());
    }
    if line.answers_as_any {
        remarks.push("answers under any unit id".to_owned());
    }
    if let Some(map) = &told.sunspec {
        remarks.push(format!("SunSpec: {} {}", map.vendor(), map.model()));
    }
    remarks.extend(
        told.candidates
            .iter()
            .find_map(|candidate| candidate.unmet.clone()),
    );
    let others: Vec<_> = told
        .candidates
        .iter()
        .skip(1)
        .map(|other| other.map.id())
        .collect();
    if !others.is_empty() {
        remarks.push(format!("or {}", others.join(", ")));
    }
    remarks.join("; ")
}

/// The `[[bus]]` and `[[meter]]` that would read what was found.
///
/// What is not sure is there as a comment: a gateway bills by nothing that somebody has not looked at.
pub(crate) fn configuration(lines: &[FoundLine]) -> String {
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let name = format!("line-{}", number + 1);
        text += &bus(&name, &line.endpoint);
        for unit in &line.units {
            text += &meter(&name, unit);
        }
    }
    text
}

fn bus(name: &str, endpoint: &Endpoint) -> String {
    let text = |value: &str| toml::Value::from(value).to_string();
    let mut lines = vec!["[[bus]]".to_owned(), format!("name = {}", text(name))];
    match endpoint {
        Endpoint::Tcp { address } => lines.push(format!("tcp = {}", text(address))),
        Endpoint::RtuOverTcp { address, baud } => {
            lines.push(format!("rtu_over_tcp = {}", text(address)));
            lines.push(format!(
                "baud = {baud}  # that of the converter: correct it"
            ));
        }
        Endpoint::Serial(settings) => {
            lines.push(format!(
                "serial = {}",
                text(&settings.path.display().to_string())
            ));
            lines.push(format!("baud = {}", settings.baud));
            lines.push(format!("parity = {}", text(parity_key(settings.parity))));
            if settings.stop_bits == StopBits::Two {
                lines.push(format!("stop_bits = {}", bits(settings.stop_bits)));
            }
        }
        Endpoint::Wires { .. } => (),
    }
    lines.join("\n") + "\n\n"
}

fn meter(bus: &str, unit: &FoundUnit) -> String {
    let told = &unit.told;
    let (model, _) = model(told);
    let mut lines = vec![
        "[[meter]]".to_owned(),
        format!("id = \"{bus}-unit-{}\"", unit.unit_id),
        format!(
            "model = \"{model}\"{}",
            told.serial
                .as_ref()
                .map(|serial| { format!("  # serial number {serial}") })
                .unwrap_or_default()
        ),
        format!("bus = \"{bus}\""),
        format!("unit_id = {}", unit.unit_id),
    ];
    let first = told.candidates.first();
    if let Some(why) = doubt(unit, first) {
        lines = lines.into_iter().map(|line| format!("# {line}")).collect();
        lines.insert(0, format!("# {why}"));
    }
    lines.join("\n") + "\n\n"
}

/// Why a meter is not to be billed by what the scan found, as it is.
fn doubt(unit: &FoundUnit, first: Option<&Candidate>) -> Option<String> {
    use super::identify::Certainty;
    let id = |candidate: &Candidate| candidate.map.id().to_owned();
    let told = &unit.told;
    match first {
        _ if !unit.is_clean => {
            Some("Its answers are spoilt: charge-gateway meters diagnose says why.".to_owned())
        }
        None if told.sunspec.is_some() => None,
        None => {
            Some("Nothing tells its model: see docs/meter-models.md to write its map.".to_owned())
        }
        Some(first) if first.map.not_billable().is_some() => {
            Some("It has no register that can be billed.".to_owned())
        }
        Some(first) if first.unmet.is_some() => first
            .unmet
            .as_ref()
            .map(|unmet| format!("Set it right first: {unmet}.")),
        Some(first) if first.certainty == Certainty::Plausible => {
            let ids: Vec<_> = told.candidates.iter().map(id).collect();
            Some(format!(
                "One of {}, or none: read its label.",
                ids.join(", ")
            ))
        }
        Some(_) if told.candidates.len() > 1 => {
            let ids: Vec<_> = told.candidates.iter().map(id).collect();
            Some(format!("One of {}: read its label.", ids.join(", ")))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use meter_drivers::{Parity, RegisterMap, SerialSettings};

    use super::super::identify::Certainty;
    use super::*;

    fn candidate(id: &str, certainty: Certainty) -> Candidate {
        Candidate {
            map: RegisterMap::builtin(id).expect("built in"),
            certainty,
            unmet: None,
        }
    }

    fn line(candidates: Vec<Candidate>) -> FoundLine {
        FoundLine {
            endpoint: Endpoint::Serial(SerialSettings {
                path: PathBuf::from("/dev/serial/by-id/usb-with-a-\"name\""),
                baud: 19_200,
                parity: Parity::Even,
                stop_bits: StopBits::Two,
            }),
            settings: "19200 8E2".to_owned(),
            units: vec![FoundUnit {
                unit_id: 33,
                is_clean: true,
                told: Told {
                    candidates,
                    sunspec: None,
                    serial: Some("42".to_owned()),
                },
            }],
            answers_as_any: false,
        }
    }

    #[test]
    fn a_model_that_is_sure_is_configured() {
        let lines = [line(vec![candidate("eastron-sdm120", Certainty::Named)])];
        let text = configuration(&lines);
        let read: toml::Table = text.parse().expect("TOML");
        let bus = &read["bus"][0];
        assert_eq!(
            bus["serial"].as_str(),
            Some("/dev/serial/by-id/usb-with-a-\"name\"")
        );
        assert_eq!(bus["baud"].as_integer(), Some(19_200));
        assert_eq!(bus["parity"].as_str(), Some("even"));
        assert_eq!(bus["stop_bits"].as_integer(), Some(2));
        let meter = &read["meter"][0];
        assert_eq!(meter["model"].as_str(), Some("eastron-sdm120"));
        assert_eq!(meter["unit_id"].as_integer(), Some(33));
        assert_eq!(meter["bus"], bus["name"]);
    }

    #[test]
    fn a_model_that_is_not_sure_is_a_comment() {
        for candidates in [
            vec![],
            vec![candidate("eastron-sdm230", Certainty::Plausible)],
            vec![candidate("siemens-sicam-t-7kg966", Certainty::Named)],
            vec![
                candidate("carlo-gavazzi-em340-family", Certainty::Named),
                candidate("carlo-gavazzi-em530-em540", Certainty::Named),
            ],
        ] {
            let text = configuration(&[line(candidates)]);
            let read: toml::Table = text.parse().expect("TOML");
            assert!(!read.contains_key("meter"), "{text}");
            assert!(text.contains("# [[meter]]"), "{text}");
        }
    }
}
