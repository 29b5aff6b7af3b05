//! `charge-gateway meters`: the tools that an installer stands before the cabinet with.
//!
//! Each command has a file. What is decided is apart from what is asked: [`identify`] tells the model
//! of a unit from its answers, [`verdict`] what is wrong with a line from counts, [`settings`] what to
//! try, [`found`] writes the configuration, [`values`] turns registers into what is shown. None of them
//! knows a line. The lines are those of `meter-drivers`: `read` and `record` use its bus, as the
//! running gateway does; `scan` and `diagnose` listen to everything that comes back.
//!
//! Nothing here writes to a meter, and nothing here is billed. `simulate` stands in for meters; a
//! gateway that runs never starts it.

mod addresses;
mod advice;
mod arguments;
mod diagnose;
mod explain;
mod found;
mod identify;
mod line;
mod list;
mod probe;
mod read;
mod record;
mod scan;
mod settings;
mod simulate;
mod table;
mod target;
mod units;
mod values;
mod verdict;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use meter_drivers::{RegisterMap, RegisterMaps};

pub(crate) use arguments::MetersCommand;
use arguments::Models;

/// Carries a command out.
///
/// # Errors
/// What is wrong, and what to do, in a line.
pub(crate) fn run(command: MetersCommand) -> anyhow::Result<ExitCode> {
    match command {
        MetersCommand::List(arguments) => list::run(&arguments),
        MetersCommand::Explain(arguments) => explain::run(&arguments),
        MetersCommand::Read(arguments) => line::runtime()?.block_on(read::run(&arguments)),
        MetersCommand::Scan(arguments) => line::runtime()?.block_on(scan::run(arguments)),
        MetersCommand::Diagnose(arguments) => line::runtime()?.block_on(diagnose::run(&arguments)),
        MetersCommand::Record(arguments) => line::runtime()?.block_on(record::run(&arguments)),
        MetersCommand::Simulate(arguments) => line::runtime()?.block_on(simulate::run(&arguments)),
    }
}

impl Models {
    fn load(&self) -> anyhow::Result<RegisterMaps> {
        match &self.meter_models {
            None => Ok(RegisterMaps::builtin().clone()),
            Some(folder) => RegisterMaps::load(folder)
                .with_context(|| format!("--meter-models {} cannot be used", folder.display())),
        }
    }
}

/// The map of this id, or which ids are like it.
fn map_of(maps: &RegisterMaps, id: &str) -> anyhow::Result<Arc<RegisterMap>> {
    maps.get(id).with_context(|| {
        let distance = |known: &&str| strsim::damerau_levenshtein(id, known);
        let part = maps
            .ids()
            .find(|known| known.contains(id) && !id.is_empty());
        let like = part.or_else(|| maps.ids().min_by_key(distance));
        let like = like
            .map(|like| format!("did you mean {like}? "))
            .unwrap_or_default();
        format!("no model is called {id}; {like}`charge-gateway meters list` shows all")
    })
}

/// Prints to stdout. A reader that has seen enough, such as `head`, is no error.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}

/// Returns when somebody wants this program to end.
async fn stopped() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
