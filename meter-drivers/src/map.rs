//! Register maps: what a meter model keeps where.
//!
//! A map is a TOML file of facts with their sources, one per model; `docs/meter-models.md` tells how
//! to write one. It is parsed once into a [`RegisterMap`] that cannot ask a meter for nonsense.
//! [`RegisterMaps`] are those compiled in and those of a user's folder.

mod connection;
mod file;
mod identity;
mod library;
mod measurand;
mod quantity;
mod register;
mod scale;

use std::path::PathBuf;
use std::sync::Arc;

use protocol::PowerW;

use crate::block::{Block, Request, are_readable, fewest};

pub use connection::{Connection, Parity, Transport};
pub use identity::{Accept, Label, Place, Probe};
pub use library::RegisterMaps;
pub use measurand::{Measurand, Unit};
pub use quantity::{Energy, Quantity};
pub use register::{Register, RegisterSpace, ValueType, WordOrder};
pub use scale::Scale;

/// Where a meter model keeps what is billed, and how to tell that it is that model.
#[derive(Clone, Debug)]
pub struct RegisterMap {
    pub(crate) id: String,
    pub(crate) vendor: String,
    pub(crate) model: String,
    pub(crate) sources: Vec<String>,
    pub(crate) replaces_builtin: bool,
    pub(crate) rollover: Option<String>,
    pub(crate) not_billable: Option<String>,
    pub(crate) max_power: Option<PowerW>,
    pub(crate) max_registers_per_read: u16,
    // Everything that answers, merged: what the map reads, and the gaps it knows to be readable.
    pub(crate) readable: Vec<Block>,
    pub(crate) connection: Connection,
    // Sorted by measurand, each of them once.
    pub(crate) quantities: Vec<Quantity>,
    pub(crate) serial_number: Option<Label>,
    pub(crate) firmware: Option<Label>,
    pub(crate) probes: Vec<Probe>,
}

/// Why a register map was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// Not TOML, an unknown or missing key, or a value of the wrong type.
    #[error("{file}, line {line}: {problem}")]
    Syntax {
        /// File the text came from.
        file: String,
        /// Counted from 1.
        line: usize,
        /// The key, what is wrong with it, and what would be right.
        problem: String,
    },
    /// A value no meter can have.
    #[error("{file}: {key} must be {accepted}")]
    Value {
        /// File the text came from.
        file: String,
        /// Key of the value.
        key: String,
        /// Values accepted there.
        accepted: String,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {path}; check that it exists and its permissions")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// More than any folder of meter models holds.
    #[error("{folder} holds more than {most} register maps; move those that no meter here needs")]
    TooMany {
        /// The folder.
        folder: PathBuf,
        /// The most that are read.
        most: usize,
    },
}

impl RegisterMap {
    /// The map compiled in under `id`.
    #[must_use]
    pub fn builtin(id: &str) -> Option<Arc<Self>> {
        RegisterMaps::builtin().get(id)
    }

    /// The ids of all maps compiled in.
    pub fn builtin_ids() -> impl Iterator<Item = &'static str> {
        RegisterMaps::builtin().ids()
    }

    /// Reads a map from TOML; `file` is what errors call it.
    ///
    /// # Errors
    /// `Syntax` for what is no map at all, `Value` for one no meter can have.
    pub fn parse(file: &str, text: &str) -> Result<Self, MapError> {
        let raw: file::RawMap =
            toml::from_str(text).map_err(|error| file::syntax_error(file, text, &error))?;
        raw.check().map_err(|refused| MapError::Value {
            file: file.to_owned(),
            key: refused.key,
            accepted: refused.accepted.into_owned(),
        })
    }

    /// Id to configure the meter with.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who makes the meter.
    #[must_use]
    pub fn vendor(&self) -> &str {
        &self.vendor
    }

    /// The models the map was made for.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Where the facts are from.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// What becomes of the billing register when it is full, where anything is known.
    #[must_use]
    pub fn rollover(&self) -> Option<&str> {
        self.rollover.as_deref()
    }

    /// Why nothing may be billed by this map; `None` where it may.
    #[must_use]
    pub fn not_billable(&self) -> Option<&str> {
        self.not_billable.as_deref()
    }

    /// The most power the model is made for, where it is known.
    #[must_use]
    pub fn max_power(&self) -> Option<PowerW> {
        self.max_power
    }

    /// The most registers one request may ask for.
    #[must_use]
    pub fn max_registers_per_read(&self) -> u16 {
        self.max_registers_per_read
    }

    /// Whether one request may span all registers of `block`.
    #[must_use]
    pub fn is_readable(&self, block: Block) -> bool {
        are_readable(&self.readable, block)
    }

    /// How the model is reached as it leaves the factory.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Everything the map measures, in the order of [`Measurand::ALL`].
    #[must_use]
    pub fn quantities(&self) -> &[Quantity] {
        &self.quantities
    }

    /// Where `measurand` is; `None` where the model does not measure it.
    #[must_use]
    pub fn quantity(&self, measurand: Measurand) -> Option<&Quantity> {
        self.quantities
            .iter()
            .find(|quantity| quantity.measurand == measurand)
    }

    /// The billing register, total import; `None` only where the map is not billable.
    #[must_use]
    pub fn energy_import(&self) -> Option<&Quantity> {
        self.quantity(Measurand::EnergyImport)
    }

    /// Total active power.
    #[must_use]
    pub fn power(&self) -> Option<&Quantity> {
        self.quantity(Measurand::Power)
    }

    /// The serial number.
    #[must_use]
    pub fn serial_number(&self) -> Option<Label> {
        self.serial_number
    }

    /// The version of the firmware.
    #[must_use]
    pub fn firmware(&self) -> Option<Label> {
        self.firmware
    }

    /// What must hold: first that it is the model, then its settings.
    #[must_use]
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// The fewest requests that read `measurands`; those the model does not measure are left out.
    ///
    /// No value is split over two requests, nor parted from its scale register. A register that some
    /// devices lack has a request of its own, so that nothing else is lost with it.
    #[must_use]
    pub fn requests(&self, measurands: &[Measurand]) -> Vec<Request> {
        let wanted = self
            .quantities
            .iter()
            .filter(|quantity| measurands.contains(&quantity.measurand));
        let (optional, required): (Vec<&Quantity>, Vec<&Quantity>) =
            wanted.partition(|quantity| quantity.optional);
        let required: Vec<Block> = required.iter().map(|quantity| quantity.block()).collect();
        let request = |block, optional| Request { block, optional };
        fewest(&required, &self.readable, self.max_registers_per_read)
            .into_iter()
            .map(|block| request(block, false))
            .chain(optional.iter().map(|q| request(q.block(), true)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
