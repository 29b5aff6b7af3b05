//! What the tests' tariff makes of energy, computed here once more and by hand: a bill is not
//! judged by the code that wrote it.

/// Cents for `energy_wh` at 0.40 EUR per kWh, half a cent upwards.
#[must_use]
pub fn amount(energy_wh: u64) -> u64 {
    (energy_wh * 40 + 500) / 1000
}

/// Cents for `energy_wh` at 0.30 EUR per kWh, half a cent upwards.
#[must_use]
pub fn credit(energy_wh: u64) -> u64 {
    (energy_wh * 30 + 500) / 1000
}
