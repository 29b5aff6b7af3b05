//! `meters list`: the models that can be read.

use std::process::ExitCode;

use meter_drivers::RegisterMap;
use meter_drivers::map::Transport;
use serde_json::json;

use super::arguments::List;
use super::say;
use super::table::Table;

pub(super) fn run(arguments: &List) -> anyhow::Result<ExitCode> {
    let maps = arguments.models.load()?;
    if arguments.json {
        let models: Vec<_> = maps.iter().map(|map| as_json(map)).collect();
        say(&format!("{}\n", serde_json::to_string_pretty(&models)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["ID", "LINE", "BILLS", "VENDOR AND MODEL"]);
    for map in maps.iter() {
        let line = match transports(map)[..] {
            [] => "?".to_owned(),
            ref some => some.join(","),
        };
        let bills = match map.not_billable() {
            None => "yes",
            Some(_) => "no",
        };
        let model = format!("{} {}", map.vendor(), map.model());
        table.row([map.id().to_owned(), line, bills.to_owned(), model]);
    }
    let others = "\nAny SunSpec meter (models 201 to 204, 211 to 214) is read as model sunspec.\n\
                  charge-gateway meters explain ID shows registers and sources of one.\n";
    say(&format!("{}{others}", table.show(0)))?;
    Ok(ExitCode::SUCCESS)
}

/// Lines the model is made for.
pub(super) fn transports(map: &RegisterMap) -> Vec<&'static str> {
    let transports = map.connection().transports.iter();
    transports
        .map(|transport| match transport {
            Transport::Rtu => "rtu",
            Transport::Tcp => "tcp",
        })
        .collect()
}

fn as_json(map: &RegisterMap) -> serde_json::Value {
    json!({
        "id": map.id(),
        "vendor": map.vendor(),
        "model": map.model(),
        "transports": transports(map),
        "billable": map.not_billable().is_none(),
        "notBillable": map.not_billable(),
    })
}
