//! How many requests a reading takes, beside the fewest that any reader could do with.

use std::collections::BTreeMap;

use bench_report::{Effort, Row};
use meter_drivers::map::{Measurand, RegisterMap, RegisterSpace};

pub(crate) fn run(_: Effort) -> Vec<Row> {
    let bill = [Measurand::EnergyImport, Measurand::Power];
    let mut rows = Vec::new();
    for (what, measurands) in [
        ("energy and power", &bill[..]),
        ("everything", &Measurand::ALL),
    ] {
        let (mut asked, mut fewest) = (0, 0);
        for id in RegisterMap::builtin_ids() {
            let map = RegisterMap::builtin(id).expect("it is listed");
            asked += map.requests(measurands).len();
            fewest += fewest_of(&map, measurands);
        }
        let (asked, fewest) = (count(asked), count(fewest));
        let what = format!("requests for {what}, all models, beside no gaps");
        rows.push(Row::beside(what, asked, fewest, ""));
    }
    rows
}

/// As if all registers stood side by side, which they do not: no reader can do with fewer.
fn fewest_of(map: &RegisterMap, measurands: &[Measurand]) -> usize {
    let mut registers: BTreeMap<RegisterSpace, usize> = BTreeMap::new();
    let quantities = measurands.iter().filter_map(|&m| map.quantity(m));
    for register in quantities.flat_map(|quantity| quantity.registers()) {
        *registers.entry(register.space).or_default() += usize::from(register.value_type.width());
    }
    let most = usize::from(map.max_registers_per_read());
    registers.values().map(|count| count.div_ceil(most)).sum()
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("few"))
}
