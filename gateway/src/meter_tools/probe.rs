//! Asks one unit what it is.

use std::cell::RefCell;
use std::collections::BTreeMap;

use meter_drivers::map::RegisterSpace;
use meter_drivers::sunspec::{Discovery, Layout, NoMeter};
use meter_drivers::{Block, Recorded, RegisterMap, RegisterMaps};

use super::identify::{Candidate, by_probes, by_values, probe_blocks, value_blocks};
use super::line::Line;
use crate::clock::Clock;

/// Blocks in a row that a unit leaves unanswered before it is asked for no more of them: refusing is
/// quick, silence is not.
const MOST_UNANSWERED: u32 = 8;

/// What a unit is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The models it may be, the surest first.
    pub(crate) candidates: Vec<Candidate>,
    /// The SunSpec meter it describes itself as.
    pub(crate) sunspec: Option<RegisterMap>,
    pub(crate) serial: Option<String>,
}

/// Answers by block; `None` where there was none.
type Answers = BTreeMap<(RegisterSpace, u16, u16), Option<Vec<u16>>>;

/// Asks `unit` for what tells the models of `maps` apart, then whether it speaks SunSpec, and only then
/// for values that would be plausible.
pub(crate) async fn tell(line: &mut Line, unit: u8, maps: &RegisterMaps) -> Told {
    let answers = RefCell::new(Answers::new());
    let answer = |block: Block| {
        let key = (block.space, block.start, block.count);
        answers.borrow().get(&key).cloned().flatten()
    };
    ask_all(line, unit, &probe_blocks(maps), &answers).await;
    let mut told = Told {
        candidates: by_probes(maps, &answer),
        ..Told::default()
    };
    let (layout, _) = discover(line, unit).await;
    told.sunspec = layout.ok().map(Layout::into_map);
    if told.candidates.is_empty() && told.sunspec.is_none() {
        ask_all(line, unit, &value_blocks(maps), &answers).await;
        told.candidates = by_values(maps, &answer);
    }
    let first = told.candidates.first().map(|candidate| &*candidate.map);
    if let Some(label) = first
        .or(told.sunspec.as_ref())
        .and_then(RegisterMap::serial_number)
    {
        let words = line.words(unit, label.place.block()).await;
        told.serial = words.and_then(|words| label.read(&words));
    }
    told
}

async fn ask_all(line: &mut Line, unit: u8, blocks: &[Block], answers: &RefCell<Answers>) {
    let mut unanswered = 0;
    for &block in blocks {
        let key = (block.space, block.start, block.count);
        if answers.borrow().contains_key(&key) {
            continue;
        }
        let heard = line.ask(unit, block).await.map(|exchange| exchange.heard);
        let is_clean = heard.as_ref().is_ok_and(|heard| heard.is_clean());
        unanswered = if is_clean { 0 } else { unanswered + 1 };
        let words = match heard {
            Ok(heard) if heard.is_clean() => heard.words().map(<[u16]>::to_vec),
            // A frame lost once is not an answer.
            _ if unanswered < MOST_UNANSWERED => line.words(unit, block).await,
            _ => None,
        };
        answers.borrow_mut().insert(key, words);
        if unanswered >= MOST_UNANSWERED {
            return;
        }
    }
}

/// Discovers a SunSpec meter, with the registers by which it was.
pub(crate) async fn discover(
    line: &mut Line,
    unit_id: u8,
) -> (Result<Layout, NoMeter>, Vec<Recorded>) {
    let (mut discovery, mut recorded) = (Discovery::new(), Vec::new());
    let clock = Clock::default();
    while let Some(block) = discovery.ask() {
        let words = line.words(unit_id, block).await;
        discovery.answer(words.as_deref());
        recorded.extend(words.map(|words| Recorded {
            at: clock.now(),
            unit_id,
            space: block.space,
            start: block.start,
            words,
        }));
    }
    (discovery.finish(), recorded)
}
