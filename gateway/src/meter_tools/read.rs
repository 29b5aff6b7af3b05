//! `meters read`: one meter, everything it measures.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use meter_drivers::{Identity, MeterSerial, Recorded, RegisterMap};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::arguments::Read;
use super::say;
use super::table::paragraph;
use super::target::{Target, told};
use super::values::{as_json, shown, values};

/// How often `--watch` reads.
const EVERY: Duration = Duration::from_secs(1);
/// Moves a terminal's cursor home and clears it.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(super) async fn run(arguments: &Read) -> anyhow::Result<ExitCode> {
    let mut target = Target::find(&arguments.meter).await?;
    if !arguments.watch {
        let text = once(&mut target, arguments.json).await?;
        say(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let watched = watch(&mut target, arguments.json);
    tokio::select! {
        ended = watched => ended.map(|()| ExitCode::SUCCESS),
        stopped = super::stopped() => {
            stopped?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reads once a second. A failed reading is shown in its place, and the next one is tried.
async fn watch(target: &mut Target, json: bool) -> anyhow::Result<()> {
    let clears = std::io::stdout().is_terminal() && !json;
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let text = match once(target, json).await {
            Ok(text) => text,
            Err(error) if json => format!("{}\n", json!({ "error": format!("{error:#}") })),
            Err(error) => paragraph("no reading: ", &format!("{error:#}")),
        };
        let clear = if clears { CLEAR } else { "" };
        let end = if json { "" } else { "\n" };
        say(&format!("{clear}{text}{end}"))?;
    }
}

async fn once(target: &mut Target, json: bool) -> anyhow::Result<String> {
    let endpoint = target.endpoint.clone();
    let identity = target.meter.identify().await;
    let identity = identity.map_err(|error| told(&error, &endpoint))?;
    let answers = target.read().await;
    let answers = answers.map_err(|error| told(&error, &endpoint))?;
    Ok(match json {
        true => format!("{}\n", told_as_json(target, &identity, &answers)),
        false => told_in_words(target, &identity, &answers),
    })
}

fn serial(identity: &Identity) -> Option<&str> {
    identity.serial.as_ref().map(MeterSerial::as_str)
}

fn told_in_words(target: &Target, identity: &Identity, answers: &[Recorded]) -> String {
    let map = &target.map;
    let mut text = format!("{} {} ({})\n", identity.vendor, identity.model, map.id());
    let serial = serial(identity).unwrap_or("none known");
    text += &format!(
        "unit {} at {}, serial number {serial}\n",
        target.unit_id, target.endpoint
    );
    if let Some(last) = answers.last() {
        let requests = answers.len();
        text += &format!("{}, requests answered: {requests}\n", last.at);
    }
    text += &checked(map);
    text += &shown(&values(map, answers));
    text
}

/// How sure it is that the meter is this model.
fn checked(map: &RegisterMap) -> String {
    let remark = match (map.not_billable(), map.probes().is_empty()) {
        (Some(reason), _) => format!("NOT BILLABLE: {reason}"),
        (None, true) => "this model cannot be told by its registers: compare the values with its \
                         display"
            .to_owned(),
        (None, false) => return "\n".to_owned(),
    };
    format!("{}\n", paragraph("", &remark))
}

fn told_as_json(target: &Target, identity: &Identity, answers: &[Recorded]) -> serde_json::Value {
    json!({
        "model": target.map.id(),
        "unit": target.unit_id,
        "line": target.endpoint.to_string(),
        "serial": serial(identity),
        "takenAt": answers.last().map(|last| last.at.to_string()),
        "values": as_json(&values(&target.map, answers)),
    })
}
