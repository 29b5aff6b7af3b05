use super::*;

const MINUTE: u64 = 60_000;
/// A full quarter of an hour.
const START: u64 = 1_700_000_100_000 - 1_700_000_100_000 % QUARTER_MS;

fn charge() -> RunningCharge {
    let tag = IdTag::parse("TAG-1").expect("printable ASCII");
    RunningCharge::begin(7, "CP-1".to_owned(), 1, tag, at(0), EnergyWh(1_000))
}

fn at(minute: u64) -> UnixMillis {
    UnixMillis(START + minute * MINUTE)
}

fn reading(minute: u64, register: u64) -> Observation {
    Observation {
        at: at(minute),
        register: Some(EnergyWh(register)),
        power: None,
    }
}

/// Feeds `(minute, register)` and returns what was noted of each.
fn feed(charge: &mut RunningCharge, readings: &[(u64, u64)]) -> Vec<Noted> {
    readings
        .iter()
        .map(|&(minute, register)| charge.observe(&reading(minute, register)))
        .collect()
}

fn detail(charge: &RunningCharge) -> Vec<(u64, u64)> {
    charge
        .detail
        .iter()
        .map(|point| ((point.at.0 - START) / MINUTE, point.register.0))
        .collect()
}

#[test]
fn the_first_reading_of_each_quarter_is_kept() {
    let mut charge = charge();
    let noted = feed(
        &mut charge,
        &[(5, 1_100), (16, 1_300), (20, 1_400), (30, 1_500)],
    );
    assert_eq!(noted, [Noted::Applied; 4]);
    assert_eq!(detail(&charge), [(16, 1_300), (30, 1_500)]);
}

#[test]
fn any_order_gives_the_same_charge() {
    let readings = [
        (5, 1_100),
        (16, 1_300),
        (20, 1_400),
        (31, 1_500),
        (50, 1_900),
    ];
    let mut ordered = charge();
    feed(&mut ordered, &readings);
    for rotation in 0..readings.len() {
        let mut shuffled = readings;
        shuffled.rotate_left(rotation);
        let mut other = charge();
        feed(&mut other, &shuffled);
        feed(&mut other, &shuffled);
        assert_eq!(other, ordered, "{shuffled:?}");
    }
}

#[test]
fn a_register_that_falls_is_noted_and_not_applied() {
    let mut charge = charge();
    let noted = feed(&mut charge, &[(5, 1_100), (6, 900), (7, 1_200)]);
    assert_eq!(noted, [Noted::Applied, Noted::NotApplied, Noted::Applied]);
    let ended = charge.end(at(10), EnergyWh(1_250), StopReason::Local);
    assert_eq!(ended.energy, EnergyWh(250));
    let fall = Anomaly::WentBackwards {
        at: at(6),
        before: EnergyWh(1_100),
        after: EnergyWh(900),
    };
    assert_eq!(ended.anomalies, [fall]);
}

#[test]
fn a_late_reading_that_fits_nowhere_is_noted() {
    let mut charge = charge();
    let noted = feed(
        &mut charge,
        &[(20, 1_200), (40, 1_300), (30, 1_500), (10, 900)],
    );
    assert_eq!(noted[2..], [Noted::NotApplied; 2]);
    assert_eq!(charge.anomalies.len(), 2);
    assert_eq!(detail(&charge), [(20, 1_200), (40, 1_300)]);
}

#[test]
fn what_was_read_before_the_start_does_not_count() {
    let mut charge = charge();
    let early = Observation {
        at: UnixMillis(START - 1),
        register: Some(EnergyWh(2_000)),
        power: Some(PowerW(9_000)),
    };
    assert_eq!(charge.observe(&early), Noted::NotApplied);
    assert_eq!(
        (charge.last.register, charge.max_power),
        (EnergyWh(1_000), None)
    );
}

#[test]
fn an_end_below_the_last_register_ends_at_the_last_register() {
    let mut charge = charge();
    feed(&mut charge, &[(5, 1_100)]);
    let ended = charge.end(at(4), EnergyWh(1_050), StopReason::PowerLoss);
    assert_eq!(
        (ended.register_end, ended.ended_at),
        (EnergyWh(1_100), at(5))
    );
    assert_eq!(ended.anomalies.len(), 2);
}

#[test]
fn the_highest_power_is_kept_and_the_average_stands_in() {
    let mut measured = charge();
    for power in [3_000, 11_000, 4_000] {
        measured.observe(&Observation {
            power: Some(PowerW(power)),
            ..reading(5, 1_001)
        });
    }
    let ended = measured.end(at(60), EnergyWh(2_000), StopReason::Local);
    assert_eq!(
        (ended.max_power, ended.power_measured),
        (PowerW(11_000), true)
    );

    let ended = charge().end(at(7), EnergyWh(2_000), StopReason::Local);
    assert_eq!(
        (ended.max_power, ended.power_measured),
        (PowerW(8_572), false)
    );
}

#[test]
fn detail_and_anomalies_are_bounded() {
    let mut charge = charge();
    for quarter in 1..=u64::try_from(MAX_DETAIL_POINTS).expect("small") + 9 {
        charge.observe(&reading(quarter * 15, 1_000 + quarter));
    }
    for n in 0..100 {
        charge.observe(&reading(10_000_000 + n, n));
    }
    assert_eq!(charge.detail.len(), MAX_DETAIL_POINTS);
    assert_eq!(charge.anomalies.len(), MAX_ANOMALIES);
    assert_eq!(charge.anomalies[0], Anomaly::DetailFull);
}

#[test]
fn a_saved_charge_is_read_back_whole() {
    let mut charge = charge();
    feed(&mut charge, &[(16, 1_300), (17, 900)]);
    let saved = serde_json::to_string(&charge).expect("plain data");
    let read: RunningCharge = serde_json::from_str(&saved).expect("our own");
    assert_eq!(read, charge);
}
