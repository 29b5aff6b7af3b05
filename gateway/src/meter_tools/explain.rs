//! `meters explain`: what a register map says, and where it has it from.

use std::fmt::Write as _;
use std::process::ExitCode;

use meter_drivers::map::{Accept, Label, Place};
use meter_drivers::{
    Block, Measurand, Quantity, Register, RegisterMap, Scale, ValueType, WordOrder,
};

use super::arguments::Explain;
use super::list::transports;
use super::settings::parity_key;
use super::table::{Table, paragraph};
use super::{map_of, say};

pub(super) fn run(arguments: &Explain) -> anyhow::Result<ExitCode> {
    if arguments.model == "sunspec" {
        say(&paragraph("", SUNSPEC))?;
        return Ok(ExitCode::SUCCESS);
    }
    let map = map_of(&arguments.models.load()?, &arguments.model)?;
    say(&explained(&map))?;
    Ok(ExitCode::SUCCESS)
}

const SUNSPEC: &str = "A SunSpec meter says itself where its registers are: marker at 40000, 50000 or \
    0, then a list of models, of which 201 to 204 and 211 to 214 are meters. `charge-gateway meters \
    read --model sunspec` discovers and reads one.";

fn explained(map: &RegisterMap) -> String {
    let mut text = paragraph(
        &format!("{}  ", map.id()),
        &format!("{} {}", map.vendor(), map.model()),
    );
    if let Some(reason) = map.not_billable() {
        text += &paragraph("NOT BILLABLE  ", reason);
    }
    text += "\nRegisters (addresses as sent, from 0; FC is the function code)\n";
    text += &registers(map).show(2);
    text += "\nIdentity\n";
    text += &identity(map).show(2);
    text += "\nAs it leaves the factory\n";
    text += &connection(map).show(2);
    text += "\nRequests\n";
    text += &requests(map);
    text.push('\n');
    text += &paragraph(
        "Rollover  ",
        map.rollover().unwrap_or("nothing is known of it"),
    );
    text += "Sources\n";
    for source in map.sources() {
        text += &paragraph("  - ", source);
    }
    text
}

fn registers(map: &RegisterMap) -> Table {
    let mut table = Table::new([
        "VALUE", "FC", "ADDRESS", "HEX", "TYPE", "WORDS", "IN", "NOTE",
    ]);
    for quantity in map.quantities() {
        let register = quantity.register;
        table.row([
            quantity.measurand.key().to_owned(),
            register.space.function_code().to_string(),
            register.address.to_string(),
            hex(register.address),
            value_type(register.value_type).to_owned(),
            words(register).to_owned(),
            unit(quantity),
            note(quantity),
        ]);
    }
    table
}

fn hex(address: u16) -> String {
    format!("0x{address:04X}")
}

pub(super) fn value_type(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::U16 => "u16",
        ValueType::U32 => "u32",
        ValueType::U48 => "u48",
        ValueType::U64 => "u64",
        ValueType::I16 => "i16",
        ValueType::I32 => "i32",
        ValueType::I64 => "i64",
        ValueType::F32 => "f32",
        ValueType::F64 => "f64",
        ValueType::T5 => "t5",
        ValueType::T6 => "t6",
    }
}

fn words(register: Register) -> &'static str {
    match (register.width(), register.word_order) {
        (1, _) => "1",
        (_, WordOrder::MswFirst) => "high first",
        (_, WordOrder::LswFirst) => "low first",
    }
}

/// What one step of the register is: `kWh` is told as 1000 Wh, because all is converted to Wh.
fn unit(quantity: &Quantity) -> String {
    let unit = quantity.measurand.unit().to_string();
    let factor = match quantity.scale {
        Scale::ONE => {
            return if unit.is_empty() {
                "1".to_owned()
            } else {
                unit
            };
        }
        scale => (scale.numerator(), scale.denominator()),
    };
    match factor {
        (numerator, denominator) if numerator % denominator == 0 => {
            format!("{} {unit}", numerator / denominator)
        }
        (numerator, denominator) if denominator % numerator == 0 => {
            format!("1/{} {unit}", denominator / numerator)
        }
        (numerator, denominator) => format!("{numerator}/{denominator} {unit}"),
    }
    .trim_end()
    .to_owned()
}

fn note(quantity: &Quantity) -> String {
    let mut notes = Vec::new();
    for more in &quantity.plus {
        notes.push(format!("plus {}", hex(more.address)));
    }
    if let Some(scale) = quantity.power_of_ten {
        notes.push(format!("times 10^({})", hex(scale.address)));
    }
    if !quantity.no_value.is_empty() {
        let markers = quantity.no_value.iter().map(|bits| format!("{bits:X}"));
        notes.push(format!(
            "no value: {}",
            markers.collect::<Vec<_>>().join(" ")
        ));
    }
    if let Some(modulus) = quantity.modulus {
        notes.push(format!("rolls over at {modulus}"));
    }
    if quantity.optional {
        notes.push("not in all devices".to_owned());
    }
    notes.join(", ")
}

fn identity(map: &RegisterMap) -> Table {
    let mut table = Table::default();
    for probe in map.probes() {
        let accepted = match &probe.accept {
            Accept::Numbers(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
                format!("is {}", numbers.join(" or "))
            }
            Accept::Beginnings(texts) => format!("begins with {}", texts.join(" or ")),
        };
        let what = if probe.names_model {
            "model"
        } else {
            "setting"
        };
        let meaning = match probe.names_model {
            true => accepted,
            false => format!("{accepted}: {}", probe.meaning),
        };
        table.row([what.to_owned(), place(probe.place), meaning]);
    }
    let labels = [
        ("serial", map.serial_number()),
        ("firmware", map.firmware()),
    ];
    for (what, label) in labels {
        let (at, printed) = match label {
            Some(label) => (place(label.place), printed(label)),
            None => ("-".to_owned(), "no register of it is known"),
        };
        table.row([what.to_owned(), at, printed.to_owned()]);
    }
    table
}

fn printed(label: Label) -> &'static str {
    match (label.place, label.hexadecimal) {
        (Place::Text(_), _) => "text",
        (Place::Number(_), true) => "hexadecimal digits",
        (Place::Number(_), false) => "decimal number",
    }
}

fn place(place: Place) -> String {
    let Block {
        space,
        start,
        count,
    } = place.block();
    let what = match place {
        Place::Number(register) => value_type(register.value_type).to_owned(),
        Place::Text(_) => format!("{count} registers"),
    };
    format!("FC {} {start} {} {what}", space.function_code(), hex(start))
}

fn connection(map: &RegisterMap) -> Table {
    let connection = map.connection();
    let mut table = Table::default();
    let mut row = |what: &str, value: Option<String>| {
        table.row([
            what.to_owned(),
            value.unwrap_or_else(|| "nobody said".to_owned()),
        ]);
    };
    let lines = transports(map);
    row("line", (!lines.is_empty()).then(|| lines.join(", ")));
    row("unit id", connection.unit_id.map(|unit| unit.to_string()));
    row("baud", connection.baud.map(|baud| baud.to_string()));
    row(
        "parity",
        connection
            .parity
            .map(|parity| parity_key(parity).to_owned()),
    );
    row(
        "stop bits",
        connection.stop_bits.map(|bits| bits.to_string()),
    );
    if let Some(pause) = connection.pause {
        row(
            "pause",
            Some(format!(
                "{} ms between answer and request",
                pause.as_millis()
            )),
        );
    }
    if let Some(within) = connection.answer_within {
        row("answers", Some(format!("within {} ms", within.as_millis())));
    }
    table
}

fn requests(map: &RegisterMap) -> String {
    let mut text = String::new();
    let mut told = |what: &str, measurands: &[Measurand]| {
        let requests = map.requests(measurands);
        let _ = writeln!(text, "  {what}: {}", counted(requests.len()));
        for request in requests {
            let Block {
                space,
                start,
                count,
            } = request.block;
            let optional = if request.optional {
                ", may be refused"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "    FC {} {start} ({}), {count} registers{optional}",
                space.function_code(),
                hex(start)
            );
        }
    };
    if map.energy_import().is_some() {
        told("for a bill", &[Measurand::EnergyImport, Measurand::Power]);
    }
    told("for everything", &Measurand::ALL);
    let _ = writeln!(
        text,
        "  at most {} registers a request",
        map.max_registers_per_read()
    );
    text
}

fn counted(requests: usize) -> String {
    match requests {
        1 => "1 request".to_owned(),
        many => format!("{many} requests"),
    }
}

#[cfg(test)]
mod tests {
    use meter_drivers::RegisterMaps;

    use super::super::table::WIDTH;
    use super::*;

    #[test]
    fn every_map_is_explained_within_a_terminal() {
        for map in RegisterMaps::builtin().iter() {
            let text = explained(map);
            for line in text.lines() {
                // A path among the sources may be longer: it stays whole.
                let is_one_word = line.split_whitespace().count() < 3;
                let length = line.chars().count();
                assert!(length <= WIDTH + 6 || is_one_word, "{}: {line}", map.id());
            }
        }
    }

    #[test]
    fn a_unit_is_what_one_step_of_the_register_is() {
        let map = RegisterMap::builtin("eastron-sdm630").expect("built in");
        let energy = map.energy_import().expect("it is billable");
        assert_eq!(unit(energy), "1000 Wh");
        assert_eq!(unit(map.power().expect("it has one")), "W");
    }
}
