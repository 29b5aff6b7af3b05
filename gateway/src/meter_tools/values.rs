//! What is shown of a meter, from its registers: rules without a line.

use meter_drivers::{Block, Exact, NoNumber};
use meter_drivers::{Measurand, Quantity, Recorded, RegisterMap};
use serde_json::json;

use super::table::Table;

/// A measurand of a meter, and what it said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) measurand: Measurand,
    pub(crate) said: Result<Said, NoNumber>,
}

/// A number, as exactly as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// In the measurand's unit: whole Wh of energy, else thousandths.
    pub(crate) number: String,
    /// The smallest change the register could show here, in mWh; of energy only.
    pub(crate) step_mwh: Option<u64>,
}

/// Everything that `map` measures, from `answers`.
pub(crate) fn values(map: &RegisterMap, answers: &[Recorded]) -> Vec<Value> {
    let of = |quantity: &Quantity| Value {
        measurand: quantity.measurand,
        said: said(quantity, answers),
    };
    map.quantities().iter().map(of).collect()
}

fn said(quantity: &Quantity, answers: &[Recorded]) -> Result<Said, NoNumber> {
    let (block, words) = answers
        .iter()
        .map(|answer| (block_of(answer), &answer.words))
        .find(|(block, _)| block.holds(quantity.block()))
        .ok_or(NoNumber::NotAnswered)?;
    let exact = quantity.exact(block, words)?;
    match quantity.measurand {
        Measurand::EnergyImport | Measurand::EnergyExport => energy(&exact),
        _ => Ok(Said {
            number: decimal(exact.thousandths()?),
            step_mwh: None,
        }),
    }
}

fn energy(exact: &Exact) -> Result<Said, NoNumber> {
    let (energy, step_mwh) = exact.energy()?;
    Ok(Said {
        number: energy.0.to_string(),
        step_mwh: Some(step_mwh),
    })
}

/// The registers that an answer holds.
pub(crate) fn block_of(answer: &Recorded) -> Block {
    Block {
        space: answer.space,
        start: answer.start,
        count: u16::try_from(answer.words.len()).expect("an answer has at most 125 registers"),
    }
}

/// Thousandths as a decimal number.
fn decimal(thousandths: i64) -> String {
    let sign = if thousandths < 0 { "-" } else { "" };
    let magnitude = thousandths.unsigned_abs();
    format!("{sign}{}.{:03}", magnitude / 1_000, magnitude % 1_000)
}

/// The values as a table, each with its unit, and with why where there is none.
pub(crate) fn shown(values: &[Value]) -> String {
    let width = values
        .iter()
        .filter_map(|value| Some(value.said.as_ref().ok()?.number.len()));
    let width = width.max().unwrap_or_default();
    let mut table = Table::default();
    for Value { measurand, said } in values {
        let (number, remark) = match said {
            Ok(said) => (
                &*said.number,
                said.step_mwh.map(in_steps).unwrap_or_default(),
            ),
            Err(why) => ("-", why_not(*why)),
        };
        let unit = match said {
            Ok(_) => measurand.unit().to_string(),
            Err(_) => String::new(),
        };
        let number = format!("{number:>width$}");
        table.row([measurand.key().to_owned(), number, unit, remark]);
    }
    table.show(2)
}

fn in_steps(step_mwh: u64) -> String {
    let wh = decimal(i64::try_from(step_mwh).unwrap_or(i64::MAX));
    let wh = wh.trim_end_matches('0').trim_end_matches('.');
    format!("in steps of {wh} Wh")
}

fn why_not(why: NoNumber) -> String {
    match why {
        NoNumber::NotAnswered => "no value: this device has no such register".to_owned(),
        why => format!("no value: {why}"),
    }
}

/// The values as JSON, by measurand.
pub(crate) fn as_json(values: &[Value]) -> serde_json::Value {
    let one = |value: &Value| {
        let json = match &value.said {
            Ok(said) => json!({
                "value": said.number,
                "unit": value.measurand.unit().to_string(),
                "stepMilliWattHours": said.step_mwh,
            }),
            Err(why) => json!({ "value": null, "why": why.to_string() }),
        };
        (value.measurand.key().to_owned(), json)
    };
    values
        .iter()
        .map(one)
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use meter_drivers::RegisterSpace;
    use protocol::UnixMillis;

    use super::*;

    fn answer(start: u16, words: &[u16]) -> Recorded {
        Recorded {
            at: UnixMillis(0),
            unit_id: 1,
            space: RegisterSpace::Input,
            start,
            words: words.to_vec(),
        }
    }

    #[track_caller]
    fn check(answers: &[Recorded], measurand: Measurand, expected: Result<&str, NoNumber>) {
        let map = RegisterMap::builtin("eastron-sdm630").expect("built in");
        let found = values(&map, answers);
        let value = found.iter().find(|value| value.measurand == measurand);
        let said = value.expect("it measures that").said.clone();
        assert_eq!(said.map(|said| said.number).as_deref(), expected.as_deref());
    }

    #[test]
    fn energy_is_whole_and_the_rest_has_thousandths() {
        // 12345.5 kWh; 229.75 V; -1.5 W.
        let energy = answer(0x48, &[0x4640, 0xE600]);
        check(&[energy], Measurand::EnergyImport, Ok("12345500"));
        let volts = answer(0, &[0x4365, 0xC000, 0, 0]);
        check(&[volts], Measurand::VoltageL1, Ok("229.750"));
        let power = answer(0x34, &[0xBFC0, 0]);
        check(&[power], Measurand::Power, Ok("-1.500"));
    }

    #[test]
    fn no_value_is_told_with_its_reason() {
        check(&[], Measurand::Power, Err(NoNumber::NotAnswered));
        let nan = answer(0x34, &[0x7FC0, 0]);
        check(
            std::slice::from_ref(&nan),
            Measurand::Power,
            Err(NoNumber::NotANumber),
        );
        let map = RegisterMap::builtin("eastron-sdm630").expect("built in");
        let text = shown(&values(&map, &[nan]));
        assert!(text.contains("no value: not a number"), "{text}");
        assert!(
            text.contains("no value: this device has no such register"),
            "{text}"
        );
    }

    #[test]
    fn steps_are_told_in_watt_hours() {
        assert_eq!(in_steps(1), "in steps of 0.001 Wh");
        assert_eq!(in_steps(62_500), "in steps of 62.5 Wh");
        assert_eq!(in_steps(10_000), "in steps of 10 Wh");
    }
}
