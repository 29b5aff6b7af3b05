use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::reading::MeterSerial;

/// A device's registers.
#[derive(Clone, Default)]
struct Registers(BTreeMap<u16, u16>);

impl Registers {
    fn put(&mut self, address: u16, words: &[u16]) -> &mut Self {
        for (address, &word) in (address..).zip(words) {
            self.0.insert(address, word);
        }
        self
    }

    fn remove(&mut self, address: u16) -> &mut Self {
        self.0.remove(&address);
        self
    }

    fn put_text(&mut self, address: u16, text: &str) -> &mut Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        let words: Vec<u16> = bytes
            .chunks(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect();
        self.put(address, &words)
    }

    fn put_float(&mut self, address: u16, value: f32) -> &mut Self {
        let [a, b, c, d] = value.to_be_bytes();
        self.put(
            address,
            &[u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])],
        )
    }

    fn read(&self, block: Block) -> Option<Vec<u16>> {
        (0..block.count)
            .map(|offset| self.0.get(&block.start.checked_add(offset)?).copied())
            .collect()
    }

    fn discover(&self) -> Result<Layout, NoMeter> {
        let mut discovery = Discovery::new();
        while let Some(block) = discovery.ask() {
            assert!(block.count <= 125);
            discovery.answer(self.read(block).as_deref());
        }
        discovery.finish()
    }
}

/// Marker and common model at `base`; what comes next is at `base` + 70.
fn device(base: u16) -> Registers {
    let mut device = Registers::default();
    device
        .put(base, &[0x5375, 0x6E53, 1, 66])
        .put(base + 4, &[0; 66])
        .put_text(base + 4, "Acme")
        .put_text(base + 20, "Meter 3")
        .put_text(base + 44, "1.02")
        .put_text(base + 52, "A-0815");
    device
}

fn end(device: &mut Registers, address: u16) {
    device.put(address, &[0xFFFF, 0]);
}

/// A model 203 at `address`: 230.5 V, 6.1 A, 50.01 Hz, 1,405 W, 98.5 %, imports and exports.
fn put_203(device: &mut Registers, address: u16) {
    device
        .put(address, &[203, 105])
        .put(address + 2, &[0x8000; 105])
        .put(address + 2, &[61, 21, 20, 20, 0xFFFF])
        .put(address + 8, &[2_305, 2_306, 2_304])
        .put(address + 15, &[0xFFFF, 5_001, 0xFFFE])
        .put(address + 18, &[1_405, 470, 468, 467, 0])
        .put(address + 33, &[985, 0x8000, 0x8000, 0x8000, 0xFFFF])
        .put(address + 38, &[0, 0])
        .put(address + 46, &[0x0012, 0xD687])
        .put(address + 54, &[1]);
}

/// A model 213 at `address` with the same values.
fn put_213(device: &mut Registers, address: u16) {
    device
        .put(address, &[213, 124])
        .put(address + 2, &[0x7FC0; 124])
        .put_float(address + 26, 50.01)
        .put_float(address + 28, 1_405.0)
        .put_float(address + 12, 230.5)
        .put_float(address + 52, 0.985)
        .put_float(address + 60, 0.0)
        .put_float(address + 68, 12_345_670.0);
}

fn reading(device: &Registers, map: &RegisterMap, measurand: Measurand) -> Result<i64, NoNumber> {
    let quantity = map.quantity(measurand).expect("measured");
    let words = device.read(quantity.block()).expect("there");
    quantity.thousandths(quantity.block(), &words)
}

#[track_caller]
fn check_reading(device: &Registers) {
    let layout = device.discover().expect("a meter");
    let map = layout.map();
    assert_eq!((map.vendor(), map.model()), ("Acme", "Meter 3"));
    let label = |label: Option<Label>| {
        let label = label.expect("named");
        label.read(&device.read(label.place.block()).expect("there"))
    };
    assert_eq!(label(map.serial_number()).as_deref(), Some("A-0815"));
    assert_eq!(label(map.firmware()).as_deref(), Some("1.02"));
    for probe in map.probes() {
        assert!(probe.holds(&device.read(probe.place.block()).expect("there")));
    }
    let is = |measurand| reading(device, map, measurand);
    assert_eq!(is(Measurand::EnergyImport), Ok(12_345_670_000));
    assert_eq!(is(Measurand::Power), Ok(1_405_000));
    assert_eq!(is(Measurand::VoltageL1), Ok(230_500));
    assert_eq!(is(Measurand::Frequency), Ok(50_010));
    assert_eq!(is(Measurand::PowerFactor), Ok(985));
    assert_eq!(map.requests(&Measurand::ALL).len(), 1);
}

#[test]
fn a_meter_is_found_at_each_base() {
    for base in BASES {
        let mut device = device(base);
        put_203(&mut device, base + 70);
        end(&mut device, base + 70 + 107);
        check_reading(&device);
    }
}

#[test]
fn a_meter_by_floats_reads_the_same() {
    let mut device = device(40_000);
    put_213(&mut device, 40_070);
    end(&mut device, 40_070 + 126);
    check_reading(&device);
    let layout = device.discover().expect("a meter");
    let export = reading(&device, layout.map(), Measurand::EnergyExport);
    assert_eq!(export, Ok(0));
    let phase = reading(&device, layout.map(), Measurand::PowerL2);
    assert_eq!(phase, Err(NoNumber::NotANumber));
}

#[test]
fn other_models_are_stepped_over_and_a_missing_end_is_one() {
    let mut device = device(40_000);
    device.put(40_070, &[64_900, 18]);
    put_203(&mut device, 40_090);
    check_reading(&device);
    let layout = device.discover().expect("a meter");
    let ids: Vec<_> = layout.models().iter().map(|model| model.id).collect();
    assert_eq!(ids, [1, 64_900, 203]);
    assert_eq!(layout.meter().address, 40_090);
}

#[test]
fn an_accumulator_wraps_with_its_scale() {
    let mut device = device(40_000);
    put_203(&mut device, 40_070);
    let layout = device.discover().expect("a meter");
    let energy = layout.map().energy_import().expect("billable");
    let words = device.read(energy.block()).expect("there");
    let energy = energy.energy(energy.block(), &words).expect("a count");
    assert_eq!(energy.resolution_mwh, 10_000);
    assert_eq!(energy.rollover_wh, Some(42_949_672_960));
}

#[test]
fn what_is_not_implemented_is_no_number() {
    let mut device = device(40_000);
    put_203(&mut device, 40_070);
    let layout = device.discover().expect("a meter");
    let is = |device: &Registers, measurand| reading(device, layout.map(), measurand);
    assert_eq!(is(&device, Measurand::EnergyExport), Err(NoNumber::NoValue));
    device.put(40_070 + 18, &[0x8000]);
    assert_eq!(is(&device, Measurand::Power), Err(NoNumber::NoValue));
    device.put(40_070 + 54, &[0x8000]);
    assert_eq!(is(&device, Measurand::EnergyImport), Err(NoNumber::NoScale));
}

/// The model that is chosen of a 203 and a 213, after `change`.
#[track_caller]
fn check_choice(change: fn(&mut Registers) -> &mut Registers, expected: u16) {
    let mut device = device(40_000);
    put_213(&mut device, 40_070);
    put_203(&mut device, 40_196);
    change(&mut device);
    let layout = device.discover().expect("a meter");
    assert_eq!(layout.meter().id, expected);
}

#[test]
fn integers_are_preferred_as_long_as_they_make_sense() {
    check_choice(|device| device, 203);
    // Not accumulated; no scale; 5,001 Hz; shorter than the model is.
    check_choice(|device| device.put(40_196 + 46, &[0, 0]), 213);
    check_choice(|device| device.put(40_196 + 54, &[0x8000]), 213);
    check_choice(|device| device.put(40_196 + 17, &[0]), 213);
    check_choice(|device| device.put(40_196 + 1, &[104]), 213);
    check_choice(|device| device.put_float(40_070 + 26, 1.0e-41), 203);
    // No grid to count the waves of.
    check_choice(|device| device.put(40_196 + 16, &[0]), 203);
    // A new meter has counted nothing, and the floats are broken.
    check_choice(
        |device| {
            device
                .put_float(40_070 + 26, 1.0e-41)
                .put(40_196 + 46, &[0, 0])
        },
        203,
    );
}

#[track_caller]
fn check_failure(change: fn(&mut Registers) -> &mut Registers, expected: &NoMeter) {
    let mut device = device(40_000);
    put_213(&mut device, 40_070);
    change(&mut device);
    assert_eq!(device.discover().err().as_ref(), Some(expected));
}

#[test]
fn a_device_without_a_trustworthy_meter_is_told_why() {
    check_failure(|device| device.remove(40_000), &NoMeter::NoMarker);
    check_failure(
        |device| device.put(40_002, &[103]),
        &NoMeter::NoCommonModel {
            base: 40_000,
            id: 103,
            length: 66,
        },
    );
    check_failure(
        |device| device.put(40_070, &[113]),
        &NoMeter::NoMeterModel {
            models: vec![1, 113],
        },
    );
    let meter = ModelHeader {
        id: 213,
        address: 40_070,
        length: 124,
    };
    let implausible = |reason| NoMeter::Implausible {
        reasons: vec![(meter, reason)],
    };
    check_failure(
        |device| device.put_float(40_070 + 68, f32::NAN),
        &implausible(Reason::Energy(NoNumber::NotANumber)),
    );
    check_failure(
        |device| device.put_float(40_070 + 68, -1.0),
        &implausible(Reason::Energy(NoNumber::Negative)),
    );
    check_failure(
        |device| device.put_float(40_070 + 26, 5_001.0),
        &implausible(Reason::Frequency),
    );
    check_failure(
        |device| device.remove(40_070 + 60),
        &implausible(Reason::NotAnswered),
    );
}

#[test]
fn a_list_without_end_is_left() {
    let mut device = device(0);
    // Models of no length, one behind the other.
    for address in (70..1_000).step_by(2) {
        device.put(address, &[7, 0]);
    }
    let Err(NoMeter::NoMeterModel { models }) = device.discover() else {
        panic!("there is no meter");
    };
    assert_eq!(models.len(), MAX_MODELS);
    // A model that reaches past the last address is the last.
    device.put(70, &[7, 0xFFFE]);
    let Err(NoMeter::NoMeterModel { models }) = device.discover() else {
        panic!("there is no meter");
    };
    assert_eq!(models, [1, 7]);
}

#[test]
fn a_discovery_that_is_left_early_has_found_nothing() {
    let discovery = Discovery::new();
    assert_eq!(discovery.finish().err(), Some(NoMeter::Unfinished));
}

proptest! {
    #[test]
    fn any_answers_end_in_a_map_or_a_reason(
        answers in prop::collection::vec(prop::collection::vec(any::<u16>(), 0..126), 0..40),
        ids in prop::collection::vec((200..216_u16, 0..130_u16), 0..20),
    ) {
        let mut discovery = Discovery::new();
        let (mut answers, mut ids) = (answers.into_iter(), ids.into_iter());
        let mut asked = 0;
        while let Some(block) = discovery.ask() {
            asked += 1;
            prop_assert!(asked < 3 * MAX_MODELS);
            prop_assert!((1..=125).contains(&block.count));
            let words = match block.count {
                4 => Some(vec![0x5375, 0x6E53, 1, 65]),
                2 => ids.next().map(|(id, length)| vec![id, length]),
                _ => answers.next().map(|mut words| {
                    words.resize(block.count.into(), 0);
                    words
                }),
            };
            discovery.answer(words.as_deref());
        }
        if let Ok(layout) = discovery.finish() {
            for request in layout.map().requests(&Measurand::ALL) {
                prop_assert!(layout.map().is_readable(request.block));
            }
        }
    }
}

/// A serial number is what a charge's two ends are compared by.
#[test]
fn the_serial_number_of_the_common_model_identifies_the_meter() {
    let mut device = device(40_000);
    put_203(&mut device, 40_070);
    let layout = device.discover().expect("a meter");
    let label = layout.map().serial_number().expect("in model 1");
    let words = device.read(label.place.block()).expect("there");
    let serial = MeterSerial::read(label, &words).expect("set");
    assert_eq!(serial.as_str(), "A-0815");
}
