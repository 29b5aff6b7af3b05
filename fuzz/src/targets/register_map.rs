//! Register maps of meters.

use meter_drivers::RegisterMap;

use super::{Corpus, texts};

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match RegisterMap::parse("meter.toml", text) {
        Ok(map) => {
            let registers = [Some(map.energy_import().0), map.serial_number()];
            for register in registers.into_iter().flatten() {
                assert!(register.address.checked_add(register.width()).is_some());
            }
        }
        Err(error) => assert!(error.to_string().contains("meter.toml")),
    }
}

pub(super) fn corpus() -> Corpus {
    texts([include_str!(
        "../../../meter-drivers/models/eastron-sdm630.toml"
    )])
}
