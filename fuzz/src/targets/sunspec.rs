//! Registers of a device that may speak SunSpec.
//!
//! An input is a byte that tells where they begin (40000, 50000 or 0), and then the registers.

use meter_drivers::map::Measurand;
use meter_drivers::sunspec::{Discovery, Layout};
use meter_drivers::{Block, Energy, NoNumber};

use super::{Corpus, numbered};

const BASES: [u16; 3] = [40_000, 50_000, 0];
/// Bases, names, headers and meter models.
const MOST_QUESTIONS: usize = 3 + 1 + 2 * 100;

pub(super) fn check(bytes: &[u8]) {
    let Some((&place, bytes)) = bytes.split_first() else {
        return;
    };
    let base = BASES[usize::from(place) % BASES.len()];
    let words: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    let read = |block: Block| {
        let start = usize::from(block.start.checked_sub(base)?);
        words.get(start..start + usize::from(block.count))
    };
    let mut discovery = Discovery::new();
    let mut questions = 0;
    while let Some(block) = discovery.ask() {
        questions += 1;
        assert!(questions <= MOST_QUESTIONS);
        assert!((1..=125).contains(&block.count));
        discovery.answer(read(block));
    }
    match discovery.finish() {
        Ok(layout) => check_layout(&layout, read),
        Err(no_meter) => assert!(!no_meter.to_string().is_empty()),
    }
}

/// The meter that was found can be read, and has counted or is new.
fn check_layout<'a>(layout: &Layout, read: impl Fn(Block) -> Option<&'a [u16]>) {
    let map = layout.map();
    for request in map.requests(&Measurand::ALL) {
        let words = read(request.block).expect("read before");
        for quantity in map.quantities() {
            let _ = quantity.thousandths(request.block, words);
        }
    }
    assert!(map.probes().iter().all(|probe| {
        let words = read(probe.place.block()).expect("read before");
        probe.holds(words)
    }));
    let energy = map.energy_import().expect("a meter");
    let words = read(energy.block()).expect("read before");
    match energy.energy(energy.block(), words) {
        Ok(Energy { .. }) | Err(NoNumber::NoValue) => {}
        Err(no_number) => panic!("a meter with {no_number}"),
    }
}

/// Marker, common model, a meter model and the end.
fn device(id: u16, length: u16, points: &[(usize, &[u16])]) -> Vec<u16> {
    let mut words = vec![0x5375, 0x6E53, 1, 66];
    words.resize(4 + 66, 0);
    let header = words.len();
    words.extend([id, length]);
    words.resize(header + 2 + usize::from(length), 0x8000);
    for (offset, point) in points {
        words[header + offset..][..point.len()].copy_from_slice(point);
    }
    words.extend([0xFFFF, 0]);
    words
}

pub(super) fn corpus() -> Corpus {
    let integers = device(
        203,
        105,
        &[(16, &[5_001, 0xFFFE]), (46, &[1, 2]), (54, &[0])],
    );
    let floats = device(213, 124, &[(26, &[0x4248, 0]), (68, &[0x4996, 0xB438])]);
    let new = device(201, 105, &[(46, &[0, 0]), (54, &[0])]);
    let inputs = [(0, integers), (1, floats), (2, new)];
    numbered(inputs.map(|(place, words)| {
        let words = words.iter().flat_map(|word| word.to_be_bytes());
        std::iter::once(place).chain(words).collect()
    }))
}
