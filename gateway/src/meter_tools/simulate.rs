//! `meters simulate`: answers as meters would, from a map or from a recording.
//!
//! It is for a bench: a gateway's configuration is tried before its meters are there, and what a meter
//! in the field sent is read again. It says in its first line that no meter is here.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use meter_drivers::simulator::{
    MapValues, RegisterImage, ServedLine, SimulatedLine, SimulatedUnit,
};
use meter_drivers::{Connection, Endpoint, Recording, RegisterMaps};
use protocol::{EnergyWh, PowerW};

use super::arguments::Simulate;
use super::line::{cannot_open, serial};
use super::{map_of, say};

/// The longest recording that is read.
const MOST_BYTES: u64 = 64 << 20;
/// Serial numbers of simulated units: this, and the unit id.
const FIRST_SERIAL: u32 = 99_000_000;

type Units = BTreeMap<u8, (String, Arc<dyn SimulatedUnit>)>;

pub(super) async fn run(arguments: &Simulate) -> anyhow::Result<ExitCode> {
    let units = units(arguments, &arguments.models.load()?)?;
    let line = SimulatedLine::new(units.iter().map(|(&id, (_, unit))| (id, Arc::clone(unit))));
    let (_served, at) = serve(line, arguments).await?;
    let mut text =
        "SIMULATION: no meter is here. Bill nothing that is read from this.\n".to_owned();
    for (unit, (what, _)) in &units {
        text += &format!("unit {unit} is simulated: {what}\n");
    }
    text += &format!("simulating on {at}; Ctrl-C ends it\n");
    say(&text)?;
    super::stopped().await?;
    Ok(ExitCode::SUCCESS)
}

/// `N=MODEL`, as clap reads it.
pub(super) fn unit_and_model(text: &str) -> Result<(u8, String), String> {
    let accepted =
        || "write N=MODEL with a unit id from 1 to 247, such as 1=eastron-sdm630".to_owned();
    let (unit, model) = text.split_once('=').ok_or_else(accepted)?;
    match unit.parse() {
        Ok(unit @ 1..=247) if !model.is_empty() => Ok((unit, model.to_owned())),
        _ => Err(accepted()),
    }
}

fn units(arguments: &Simulate, maps: &RegisterMaps) -> anyhow::Result<Units> {
    let mut units = Units::new();
    let mut add = |id: u8, what: String, image: RegisterImage| {
        let before = units.insert(id, (what, Arc::new(image)));
        anyhow::ensure!(
            before.is_none(),
            "unit {id} is named twice; each unit id is one meter"
        );
        Ok(())
    };
    for (id, model) in &arguments.unit {
        let map = map_of(maps, model)?;
        let values = MapValues {
            energy: EnergyWh(arguments.energy_wh),
            power: PowerW(arguments.power_w),
            serial: FIRST_SERIAL + u32::from(*id),
        };
        let what = format!(
            "{model}, {} Wh, {} W",
            arguments.energy_wh, arguments.power_w
        );
        add(*id, what, RegisterImage::of_map(&map, values))?;
    }
    for path in &arguments.recording {
        let recording = read(path)?;
        let mut ids: Vec<u8> = recording
            .entries()
            .iter()
            .map(|entry| entry.unit_id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        anyhow::ensure!(!ids.is_empty(), "{} holds no answers", path.display());
        for id in ids {
            let image = RegisterImage::of_recording(&recording, id);
            add(id, format!("recording {}", path.display()), image)?;
        }
    }
    Ok(units)
}

fn read(path: &Path) -> anyhow::Result<Recording> {
    let file = path.display().to_string();
    let unreadable = || format!("cannot read {file}; check its name and permissions");
    let length = path.metadata().with_context(unreadable)?.len();
    anyhow::ensure!(
        length <= MOST_BYTES,
        "{file} has {length} bytes; a recording of at most {MOST_BYTES} can be served"
    );
    let text = std::fs::read_to_string(path).with_context(unreadable)?;
    Ok(Recording::parse(&file, &text)?)
}

/// Serves the line, and says where.
async fn serve(line: SimulatedLine, arguments: &Simulate) -> anyhow::Result<(ServedLine, String)> {
    let cannot =
        |at: &str| format!("cannot listen on {at}; write HOST:PORT with a port that is free");
    let (served, fallback) = match (&arguments.tcp, &arguments.serial, &arguments.rtu_over_tcp) {
        (Some(at), _, _) => {
            arguments.settings.nothing_for("--tcp")?;
            let served = line.serve_tcp(at.as_str()).await;
            (served.with_context(|| cannot(at))?, at.clone())
        }
        (_, Some(path), _) => {
            let settings = arguments.settings.over(&Connection::default())?;
            let endpoint = serial(path, settings);
            let Endpoint::Serial(port) = &endpoint else {
                unreachable!("it was just made of a serial port")
            };
            let served = line.serve_serial(port);
            let served = served.map_err(|error| anyhow::anyhow!(cannot_open(&endpoint, &error)))?;
            (served, format!("{} at {settings}", path.display()))
        }
        (_, _, Some(at)) => {
            let served = line.serve_rtu_over_tcp(at.as_str()).await;
            (served.with_context(|| cannot(at))?, at.clone())
        }
        _ => anyhow::bail!("write one of --tcp, --serial and --rtu-over-tcp"),
    };
    let at = served
        .local_addr()
        .map_or(fallback, |address| address.to_string());
    Ok((served, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_its_id_and_model() {
        let sdm = |unit| Some((unit, "eastron-sdm630".to_owned()));
        let check =
            |text: &str, expected| assert_eq!(unit_and_model(text).ok(), expected, "{text}");
        check("1=eastron-sdm630", sdm(1));
        check("247=eastron-sdm630", sdm(247));
        check("0=eastron-sdm630", None);
        check("248=eastron-sdm630", None);
        check("eastron-sdm630", None);
        check("1=", None);
    }
}
