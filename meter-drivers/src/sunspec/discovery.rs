//! From a device of which nothing is known to the map of its meter.

use std::collections::VecDeque;

use super::model::{Family, holding};
use crate::block::Block;
use crate::decode::NoNumber;
use crate::map::{
    Accept, Connection, Label, Measurand, Place, Probe, Quantity, RegisterMap, RegisterSpace,
    ValueType,
};

/// Where the marker may be.
const BASES: [u16; 3] = [40_000, 50_000, 0];
/// "SunS".
const MARKER: [u16; 2] = [0x5375, 0x6E53];
/// The model that says who made the device, always the first.
const COMMON: u16 = 1;
/// Its length, with a pad and without.
const COMMON_LENGTHS: [u16; 2] = [65, 66];
/// The id that ends the list.
const END: u16 = 0xFFFF;
/// The most models that are looked at; devices have some ten.
const MAX_MODELS: usize = 100;

/// Offsets in the common model, from its id.
const MANUFACTURER: (u16, u16) = (2, 16);
const MODEL: (u16, u16) = (18, 16);
const VERSION: (u16, u16) = (42, 8);
const SERIAL: (u16, u16) = (50, 16);

/// Finds a device's meter: asks for registers, is told the answers, and ends with a [`Layout`].
#[derive(Debug)]
pub struct Discovery {
    state: State,
    device: Device,
    models: Vec<ModelHeader>,
    /// Why meter models were passed over.
    reasons: Vec<(ModelHeader, Reason)>,
    /// A meter that has not counted yet, for want of one that has.
    fallback: Option<ModelHeader>,
}

/// What a device has.
#[derive(Clone, Debug)]
pub struct Layout {
    map: RegisterMap,
    meter: ModelHeader,
    models: Vec<ModelHeader>,
}

/// One entry of a device's list of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelHeader {
    /// Id of the model.
    pub id: u16,
    /// Address of its id.
    pub address: u16,
    /// Registers behind id and length.
    pub length: u16,
}

/// Why a device gives no map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoMeter {
    /// It does not speak SunSpec, or its unit id is another.
    #[error(
        "no SunSpec marker at 40000, 50000 or 0; check unit_id, and that SunSpec is switched on"
    )]
    NoMarker,
    /// The list of models begins with none that says who made the device.
    #[error(
        "the SunSpec models at {base} begin with model {id} of {length} registers, not with model 1 of 65 or 66; its maker must correct it"
    )]
    NoCommonModel {
        /// Where the marker is.
        base: u16,
        /// Id of the first model.
        id: u16,
        /// Its length.
        length: u16,
    },
    /// It is an inverter, a battery or the like.
    #[error("no SunSpec meter model (201 to 204, 211 to 214) among {models:?}; check unit_id")]
    NoMeterModel {
        /// The ids of the models there are.
        models: Vec<u16>,
    },
    /// Its meter models show what no meter measures.
    #[error("no SunSpec meter model can be trusted: {}", shown(.reasons))]
    Implausible {
        /// Each model, and why not.
        reasons: Vec<(ModelHeader, Reason)>,
    },
    /// [`Discovery::ask`] still asks for something.
    #[error("the device has not been asked everything")]
    Unfinished,
}

/// Why a meter model was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Shorter than the model is.
    #[error("it is too short")]
    TooShort,
    /// Listed, and not there.
    #[error("its registers do not answer")]
    NotAnswered,
    /// Its total import is no count.
    #[error("its import register: {0}")]
    Energy(NoNumber),
    /// Its frequency is that of no grid: a wrong scale factor, word order or encoding.
    #[error("its frequency is neither 0 nor 40 to 70 Hz")]
    Frequency,
}

#[derive(Debug)]
enum State {
    /// Asks for the marker and the first header, at each base.
    Marker {
        tried: usize,
    },
    /// Asks for the names in the common model.
    Common,
    /// Asks for a header.
    Header {
        address: u16,
    },
    /// Asks for a meter model's registers: the first of these.
    Meter {
        candidates: VecDeque<ModelHeader>,
    },
    Found(ModelHeader),
    Failed(NoMeter),
}

#[derive(Debug, Default)]
struct Device {
    base: u16,
    manufacturer: String,
    model: String,
}

impl Default for Discovery {
    fn default() -> Self {
        Self::new()
    }
}

impl Discovery {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Marker { tried: 0 },
            device: Device::default(),
            models: Vec::new(),
            reasons: Vec::new(),
            fallback: None,
        }
    }

    /// The registers to read next; `None` when there is nothing more to know.
    #[must_use]
    pub fn ask(&self) -> Option<Block> {
        match &self.state {
            State::Marker { tried } => Some(registers(BASES[*tried], 4)),
            State::Common => Some(registers(self.common(), COMMON_LENGTHS[0] + 2)),
            State::Header { address } => Some(registers(*address, 2)),
            State::Meter { candidates } => candidates.front().map(|&meter| body(meter)),
            State::Found(_) | State::Failed(_) => None,
        }
    }

    /// Takes the answer to [`Self::ask`]; `None` where the device has no such registers.
    ///
    /// No answer at all is nothing to be told here: the caller asks again or gives up.
    pub fn answer(&mut self, words: Option<&[u16]>) {
        let Some(asked) = self.ask() else {
            return;
        };
        let words = words.filter(|words| words.len() == usize::from(asked.count));
        self.state = match std::mem::replace(&mut self.state, State::Failed(NoMeter::NoMarker)) {
            State::Marker { tried } => self.marker(tried, words),
            State::Common => self.names(words),
            State::Header { address } => self.header(address, words),
            State::Meter { candidates } => self.meter(candidates, asked, words),
            ended @ (State::Found(_) | State::Failed(_)) => ended,
        };
    }

    /// The device's meter, and everything else it has.
    ///
    /// # Errors
    /// [`NoMeter`] tells why there is none.
    pub fn finish(self) -> Result<Layout, NoMeter> {
        match self.state {
            State::Found(meter) => Ok(Layout {
                map: self.device.map(meter),
                meter,
                models: self.models,
            }),
            State::Failed(no_meter) => Err(no_meter),
            _ => Err(NoMeter::Unfinished),
        }
    }

    fn common(&self) -> u16 {
        self.device.base + 2
    }

    fn marker(&mut self, tried: usize, words: Option<&[u16]>) -> State {
        let (id, length) = match words {
            Some(&[first, second, id, length]) if [first, second] == MARKER => (id, length),
            _ if tried + 1 < BASES.len() => return State::Marker { tried: tried + 1 },
            _ => return State::Failed(NoMeter::NoMarker),
        };
        let base = BASES[tried];
        if id != COMMON || !COMMON_LENGTHS.contains(&length) {
            return State::Failed(NoMeter::NoCommonModel { base, id, length });
        }
        self.device.base = base;
        self.models.push(ModelHeader {
            id,
            address: base + 2,
            length,
        });
        State::Common
    }

    fn names(&mut self, words: Option<&[u16]>) -> State {
        let name = |field| {
            let label = text(0, field);
            let Place::Text(block) = label.place else {
                return None;
            };
            let start = usize::from(block.start);
            label.read(words?.get(start..start + usize::from(block.count))?)
        };
        let unnamed = || "unnamed".to_owned();
        self.device.manufacturer = name(MANUFACTURER).unwrap_or_else(unnamed);
        self.device.model = name(MODEL).unwrap_or_else(unnamed);
        self.next_header()
    }

    /// The header behind the newest model, or the end of what can be listed.
    fn next_header(&mut self) -> State {
        let last = self.models.last().copied();
        let behind = last.and_then(|last| last.address.checked_add(2)?.checked_add(last.length));
        match behind.filter(|&address| address < u16::MAX) {
            Some(address) if self.models.len() < MAX_MODELS => State::Header { address },
            _ => self.end_of_list(),
        }
    }

    fn header(&mut self, address: u16, words: Option<&[u16]>) -> State {
        match words {
            Some(&[id, length]) if id != END => {
                self.models.push(ModelHeader {
                    id,
                    address,
                    length,
                });
                self.next_header()
            }
            // Some devices leave out the end marker, and refuse what is behind their last model.
            _ => self.end_of_list(),
        }
    }

    /// Meters by integers first: their count is exact, where a float in Wh coarsens.
    fn end_of_list(&mut self) -> State {
        let of = |family| {
            let models = self.models.iter().copied();
            models.filter(move |model| Family::of(model.id) == Some(family))
        };
        let meters: Vec<_> = of(Family::Integer).chain(of(Family::Float)).collect();
        if meters.is_empty() {
            let models = self.models.iter().map(|model| model.id).collect();
            return State::Failed(NoMeter::NoMeterModel { models });
        }
        let (whole, short): (Vec<_>, Vec<_>) = meters.into_iter().partition(is_whole);
        let too_short = short.into_iter().map(|meter| (meter, Reason::TooShort));
        self.reasons.extend(too_short);
        self.next_meter(whole.into())
    }

    fn next_meter(&mut self, candidates: VecDeque<ModelHeader>) -> State {
        if !candidates.is_empty() {
            return State::Meter { candidates };
        }
        match self.fallback {
            Some(meter) => State::Found(meter),
            None => State::Failed(NoMeter::Implausible {
                reasons: std::mem::take(&mut self.reasons),
            }),
        }
    }

    fn meter(
        &mut self,
        mut candidates: VecDeque<ModelHeader>,
        asked: Block,
        words: Option<&[u16]>,
    ) -> State {
        let Some(meter) = candidates.pop_front() else {
            return self.next_meter(candidates);
        };
        match words.ok_or(Reason::NotAnswered).and_then(|words| {
            let family = Family::of(meter.id).ok_or(Reason::TooShort)?;
            check(&family.quantities(meter.address), asked, words)
        }) {
            Ok(()) => return State::Found(meter),
            // A new meter that has counted nothing looks as one that never counts.
            Err(Reason::Energy(NoNumber::NoValue)) if self.fallback.is_none() => {
                self.fallback = Some(meter);
            }
            Err(reason) => self.reasons.push((meter, reason)),
        }
        self.next_meter(candidates)
    }
}

impl Layout {
    /// The register map of the meter.
    #[must_use]
    pub fn map(&self) -> &RegisterMap {
        &self.map
    }

    /// The register map of the meter.
    #[must_use]
    pub fn into_map(self) -> RegisterMap {
        self.map
    }

    /// The model that the map reads.
    #[must_use]
    pub fn meter(&self) -> ModelHeader {
        self.meter
    }

    /// All models, in the device's order.
    #[must_use]
    pub fn models(&self) -> &[ModelHeader] {
        &self.models
    }
}

impl Device {
    fn map(self, meter: ModelHeader) -> RegisterMap {
        let common = self.base + 2;
        let quantities = Family::of(meter.id)
            .map(|family| family.quantities(meter.address))
            .unwrap_or_default();
        RegisterMap {
            id: "sunspec".to_owned(),
            vendor: self.manufacturer,
            model: self.model,
            sources: vec![format!("SunSpec models 1 and {}", meter.id)],
            replaces_builtin: false,
            rollover: None,
            not_billable: None,
            max_power: None,
            max_registers_per_read: 125,
            readable: vec![body(meter)],
            connection: Connection::default(),
            quantities,
            serial_number: Some(text(common, SERIAL)),
            firmware: Some(text(common, VERSION)),
            probes: vec![
                probe(
                    self.base,
                    ValueType::U32,
                    u64::from(MARKER[0]) << 16 | u64::from(MARKER[1]),
                    "the SunSpec marker",
                ),
                probe(
                    meter.address,
                    ValueType::U16,
                    meter.id.into(),
                    "the id of its SunSpec meter model",
                ),
            ],
        }
    }
}

fn probe(address: u16, value_type: ValueType, expect: u64, meaning: &str) -> Probe {
    Probe {
        place: Place::Number(holding(address, value_type)),
        accept: Accept::Numbers(vec![expect]),
        meaning: meaning.to_owned(),
        remedy: "discover the device anew: its models have moved".to_owned(),
        names_model: false,
    }
}

fn text(common: u16, (offset, count): (u16, u16)) -> Label {
    Label {
        place: Place::Text(registers(common + offset, count)),
        hexadecimal: false,
    }
}

fn registers(start: u16, count: u16) -> Block {
    Block {
        space: RegisterSpace::Holding,
        start,
        count,
    }
}

/// The registers of a meter model behind its header; no more than one request may ask for.
fn body(meter: ModelHeader) -> Block {
    let length = Family::of(meter.id).map_or(meter.length, Family::length);
    registers(meter.address + 2, length)
}

/// Whether a meter model is as long as its points need, and ends where addresses do.
fn is_whole(meter: &ModelHeader) -> bool {
    Family::of(meter.id).is_some_and(|family| {
        meter.length >= family.length()
            && u32::from(meter.address) + 2 + u32::from(family.length()) <= 0x1_0000
    })
}

/// Whether a meter model shows what a meter measures.
fn check(quantities: &[Quantity], block: Block, words: &[u16]) -> Result<(), Reason> {
    let find = |measurand| quantities.iter().find(|q| q.measurand == measurand);
    // Not every meter has a frequency; one that has tells its encoding by it.
    if let Some(Ok(frequency)) = find(Measurand::Frequency).map(|q| q.exact(block, words)) {
        let is_plausible = frequency.is_zero()
            || frequency
                .thousandths()
                .is_ok_and(|millihertz| (40_000..=70_000).contains(&millihertz));
        if !is_plausible {
            return Err(Reason::Frequency);
        }
    }
    let energy = find(Measurand::EnergyImport).ok_or(Reason::TooShort)?;
    match energy.energy(block, words) {
        Ok(_) => Ok(()),
        Err(no_number) => Err(Reason::Energy(no_number)),
    }
}

fn shown(reasons: &[(ModelHeader, Reason)]) -> String {
    let shown: Vec<_> = reasons
        .iter()
        .map(|(model, reason)| format!("model {} at {}: {reason}", model.id, model.address))
        .collect();
    shown.join("; ")
}

#[cfg(test)]
mod tests;
