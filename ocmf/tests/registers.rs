//! Which of several registers is billed.

mod bench;

use bench::{payload, reading, verified};
use ocmf::{Charge, Refusal, Register};

#[track_caller]
fn charge(readings: &[String]) -> Result<Charge, Refusal> {
    Charge::of(&[verified(&payload("T8", readings))], None)
}

fn of(register: &str, minute: u32, reason: &str, kwh: &str) -> String {
    reading(minute, reason, kwh).replace("1-0:1.8.0", register)
}

#[test]
fn of_several_registers_that_of_the_vehicle_is_billed() {
    let readings = [
        of("1-0:1.8.0", 0, "B", "10"),
        of("1-0:2.8.0", 0, "B", "0"),
        of("01-00:98.08.00.FF", 0, "B", "0"),
        of("1-0:1.8.0", 30, "E", "15"),
        of("1-0:2.8.0", 30, "E", "4"),
        of("01-00:98.08.00.FF", 30, "E", "4.9"),
    ];
    let all = charge(&readings).expect("a charge");
    assert_eq!(
        (all.counts, all.energy_wh.to_string().as_str()),
        (Register::Compensated, "4900")
    );
    // One with a single end cannot be billed by; the other can.
    let total = charge(&readings[..5]).expect("a charge");
    assert_eq!(
        (total.counts, total.energy_wh.to_string().as_str()),
        (Register::Total, "5000")
    );
    // Export is never taken off, nor billed.
    let refusal = charge(&[readings[1].clone(), readings[4].clone()]);
    assert!(matches!(refusal, Err(Refusal::NoImportRegister { .. })));
}

/// Rates and channels in groups E and B: 1.8.0 counts what 1.8.1 and 1.8.2 count together.
#[test]
fn of_several_rates_their_total_is_billed() {
    let readings = [
        of("1-0:1.8.1", 0, "B", "6"),
        of("1-0:1.8.2", 0, "B", "4"),
        of("1-0:1.8.0", 0, "B", "10"),
        of("1-0:1.8.1", 30, "E", "8"),
        of("1-0:1.8.2", 30, "E", "7"),
        of("1-0:1.8.0", 30, "E", "15"),
    ];
    let all = charge(&readings).expect("a charge");
    assert_eq!(
        (all.register.as_str(), all.energy_wh.to_string().as_str()),
        ("1-0:1.8.0", "5000")
    );
    // The only one there is counts all that is told.
    let one = [readings[0].clone(), readings[3].clone()];
    let one = charge(&one).expect("a charge");
    assert_eq!(one.energy_wh.to_string(), "2000");
    // One of two rates, or of two channels, would be a part of the charge.
    let without_total = [0, 1, 3, 4].map(|index: usize| readings[index].clone());
    let found = "1-0:1.8.1, 1-0:1.8.2".to_owned();
    assert_eq!(
        charge(&without_total),
        Err(Refusal::SeveralRegisters { found })
    );
    let channels = without_total.map(|it| {
        it.replace("1-0:1.8.1", "1-1:1.8.0")
            .replace("1-0:1.8.2", "1-2:1.8.0")
    });
    let found = "1-1:1.8.0, 1-2:1.8.0".to_owned();
    assert_eq!(charge(&channels), Err(Refusal::SeveralRegisters { found }));
}
