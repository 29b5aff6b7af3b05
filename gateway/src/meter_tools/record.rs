//! `meters record`: raw registers to a file, in the format of `meter_drivers::recording`.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use meter_drivers::{Block, MeterError, Recorded, Recording};
use tokio::time::{Instant, MissedTickBehavior};

use super::arguments::Record;
use super::say;
use super::target::{Target, told};

pub(super) async fn run(arguments: &Record) -> anyhow::Result<ExitCode> {
    let path = &arguments.to;
    let mut target = Target::find(&arguments.meter).await?;
    let identity = target.meter.identify().await;
    identity.map_err(|error| told(&error, &target.endpoint))?;
    // A recording is evidence of something: none is overwritten.
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = file.with_context(|| {
        format!(
            "cannot write {}; choose a name that is not taken",
            path.display()
        )
    })?;
    let head = format!(
        "# {} at {}, unit {}, by charge-gateway {}\n",
        target.map.id(),
        target.endpoint,
        target.unit_id,
        env!("CARGO_PKG_VERSION")
    );
    file.write_all(head.as_bytes())?;
    let mut tape = Tape {
        file,
        written: Recording::default(),
    };
    tokio::select! {
        ended = record(arguments, &mut target, &mut tape) => ended?,
        stopped = super::stopped() => stopped?,
    }
    say(&format!(
        "{} answers are in {}\n",
        tape.written.entries().len(),
        path.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A file that answers are added to.
struct Tape {
    file: std::fs::File,
    written: Recording,
}

impl Tape {
    /// Whatever the clock does meanwhile, times in a recording do not fall.
    fn add(&mut self, answers: Vec<Recorded>) -> anyhow::Result<()> {
        let before = self.written.entries().len();
        for answer in answers {
            self.written.push(answer);
        }
        for entry in &self.written.entries()[before..] {
            writeln!(self.file, "{entry}").context("the recording cannot be written any more")?;
        }
        Ok(())
    }
}

async fn record(arguments: &Record, target: &mut Target, tape: &mut Tape) -> anyhow::Result<()> {
    let ends = Instant::now() + Duration::from_secs(arguments.seconds);
    tape.add(std::mem::take(&mut target.discovered))?;
    let names = names(target).await;
    tape.add(names.map_err(|error| told(&error, &target.endpoint))?)?;
    let mut interval = tokio::time::interval(Duration::from_secs(arguments.every));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_first = true;
    loop {
        let moment = interval.tick().await;
        if !is_first && moment > ends {
            return Ok(());
        }
        match target.read().await {
            Ok(answers) => tape.add(answers)?,
            Err(error) if is_first => return Err(told(&error, &target.endpoint)),
            // What a meter does not say belongs to what it does.
            Err(error) => writeln!(tape.file, "# no answer: {error}")?,
        }
        is_first = false;
    }
}

/// What the meter says of itself: its probes, serial number and firmware.
async fn names(target: &mut Target) -> Result<Vec<Recorded>, MeterError> {
    let map = std::sync::Arc::clone(&target.map);
    let probes = map.probes().iter().map(|probe| probe.place.block());
    let labels = [map.serial_number(), map.firmware()].into_iter().flatten();
    let blocks: Vec<Block> = probes
        .chain(labels.map(|label| label.place.block()))
        .collect();
    let mut answers = Vec::new();
    for block in blocks {
        answers.extend(target.registers(block).await?);
    }
    Ok(answers)
}
