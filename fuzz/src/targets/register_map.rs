//! Register maps of meters.

use meter_drivers::map::Measurand;
use meter_drivers::{NoNumber, RegisterMap};

use super::{Corpus, texts};

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match RegisterMap::parse("meter.toml", text) {
        Ok(map) => check_map(&map),
        Err(error) => assert!(error.to_string().contains("meter.toml")),
    }
}

/// What a map may ask for is within Modbus, and decodes whatever is answered.
fn check_map(map: &RegisterMap) {
    let requests = map.requests(&Measurand::ALL);
    for request in &requests {
        let block = request.block;
        assert!((1..=125).contains(&block.count));
        assert!(u32::from(block.start) + u32::from(block.count) <= 0x1_0000);
        assert!(request.optional || map.is_readable(block));
    }
    for quantity in map.quantities() {
        let request = requests
            .iter()
            .find(|request| request.block.holds(quantity.block()))
            .expect("each quantity is read as a whole");
        for word in [0, 0x4248, 0x7FFF, 0xFFFF] {
            let words = vec![word; request.block.count.into()];
            let energy = quantity.energy(request.block, &words);
            assert_ne!(energy.err(), Some(NoNumber::NotAnswered));
            let _ = quantity.thousandths(request.block, &words);
        }
    }
    for probe in map.probes() {
        let count = probe.place.block().count;
        assert!((1..=125).contains(&count));
        let _ = probe.holds(&vec![0x4131; count.into()]);
    }
}

pub(super) fn corpus() -> Corpus {
    texts([
        include_str!("../../../meter-drivers/models/eastron-sdm630.toml"),
        include_str!("../../../meter-drivers/models/siemens-pac2200-pac3200.toml"),
        include_str!("../../../meter-drivers/models/bauer-bsm-ws36a.toml"),
        include_str!("../../../meter-drivers/models/abb-b23-b24.toml"),
    ])
}
