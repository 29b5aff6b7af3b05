//! From an ended charge to what the outbox takes: the measured charge, its detail, and whether it
//! must be looked at first.

use borsh::{BorshDeserialize, BorshSerialize};
use ledger::node::MeasuredCharge;
use ocpp_bridge::session::{Anomaly, EndedCharge};
use protocol::{EnergyWh, PowerW, UnixMillis, canonical};

use super::{Record, Source};
use crate::signed::{Judged, SignedDetail};

/// A charge of fewer steps of its register than this is marked in its detail.
const FEW_STEPS: u64 = 100;
/// What a register may run ahead of maximum power × time: its own resolution and rounding.
const SLACK_WH: u64 = 100;

/// What a profile's detail hash covers; node and provider keep it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChargeDetail {
    /// 2.
    pub version: u8,
    /// Names the charge; makes two equal charges differ.
    pub id: [u8; 16],
    /// Model of the meter; empty where the charger's own register is billed.
    pub meter_model: String,
    /// Serial number of the meter, where it tells one.
    pub meter_serial: String,
    /// Step of the register, in thousandths of a Wh.
    pub resolution_mwh: u64,
    /// Fewer than 100 steps of the register: the energy is coarse.
    pub is_coarse: bool,
    /// The highest power was not measured, it is the average.
    pub is_average_power: bool,
    /// Why the charge ended.
    pub reason: String,
    /// The register at each quarter of an hour.
    pub quarters: Vec<(UnixMillis, EnergyWh)>,
    /// What the meter signed of it.
    pub signed: SignedDetail,
}

pub(super) fn measured(
    record: &Record,
    ended: &EndedCharge,
    max_power: Option<PowerW>,
    judged: &Judged,
) -> MeasuredCharge {
    let hold = record
        .hold
        .clone()
        .or_else(|| ended.anomalies.first().map(in_words))
        .or_else(|| too_much(ended, max_power));
    // Whoever looks at the charge has to know both.
    let hold = match (hold, &judged.hold) {
        (Some(one), Some(other)) => Some(format!("{one}; {other}")),
        (one, other) => one.or_else(|| other.clone()),
    };
    let start = ended.started_at.seconds();
    MeasuredCharge {
        id: record.id,
        id_tag: ended.id_tag.clone(),
        outlet: record.outlet.clone(),
        start,
        end: ended.ended_at.seconds().max(start),
        register_start: ended.register_start,
        energy: ended.energy,
        max_power: ended.max_power,
        detail: canonical(&detail(record, ended, judged.detail.clone())),
        hold,
    }
}

/// Step of what is billed, in thousandths of a Wh. A reading is whole Wh, however fine the register
/// is.
pub(super) fn resolution_mwh(source: &Source) -> u64 {
    match source {
        Source::Charger => 1_000,
        Source::Meter { resolution_mwh, .. } => (*resolution_mwh).max(1_000),
    }
}

fn detail(record: &Record, ended: &EndedCharge, signed: SignedDetail) -> ChargeDetail {
    let resolution_mwh = resolution_mwh(&record.source);
    let (meter_model, meter_serial) = match &record.source {
        Source::Charger => (String::new(), String::new()),
        Source::Meter { model, serial, .. } => {
            let serial = serial.clone().unwrap_or_default();
            (model.clone(), serial)
        }
    };
    ChargeDetail {
        version: 2,
        id: record.id,
        meter_model,
        meter_serial,
        resolution_mwh,
        is_coarse: ended.energy.0.saturating_mul(1_000) < resolution_mwh.saturating_mul(FEW_STEPS),
        is_average_power: !ended.power_measured,
        reason: format!("{:?}", ended.reason),
        quarters: ended
            .detail
            .iter()
            .map(|point| (point.at, point.register))
            .collect(),
        signed,
    }
}

fn in_words(anomaly: &Anomaly) -> String {
    match anomaly {
        Anomaly::WentBackwards { before, after, .. } => {
            format!("the register fell from {before} to {after}; inspect the meter")
        }
        Anomaly::OutOfLine { register, .. } => {
            format!("a late reading of {register} does not lie between its neighbours")
        }
        Anomaly::EndsTooEarly { .. } => "it was still observed after its reported end".to_owned(),
        Anomaly::DetailFull => "it lasted longer than a month".to_owned(),
    }
}

/// More energy than the outlet can give in that time.
fn too_much(ended: &EndedCharge, max_power: Option<PowerW>) -> Option<String> {
    let max_power = max_power?;
    let duration_ms = ended.ended_at.since_ms(ended.started_at);
    let most = u128::from(max_power.0) * u128::from(duration_ms) / 3_600_000 + u128::from(SLACK_WH);
    (u128::from(ended.energy.0) > most).then(|| {
        let seconds = duration_ms / 1000;
        format!(
            "{} in {seconds} s are more than {max_power} allow; inspect the meter",
            ended.energy
        )
    })
}

#[cfg(test)]
mod tests {
    use ocpp_bridge::session::{Observation, StopReason};
    use protocol::IdTag;

    use super::*;
    use crate::charges::Begin;

    fn check(duration_ms: u64, energy: u64, expected_hold: Option<&str>) -> MeasuredCharge {
        let begin = Begin {
            charge_point: "CP-1".to_owned(),
            connector: 1,
            id_tag: IdTag::parse("TAG").expect("printable"),
            register: Some(EnergyWh(1_000)),
            at: UnixMillis(1_000_000),
        };
        let mut record = Record::new(&begin, "garage".to_owned(), Source::Charger, None);
        let at = UnixMillis(1_000_000 + duration_ms);
        record.charge.observe(&Observation {
            at,
            register: Some(EnergyWh(1_000 + energy)),
            power: None,
        });
        let ended = record
            .charge
            .clone()
            .end(at, EnergyWh(1_000 + energy), StopReason::Local);
        let judged = crate::charges::signed::unsigned(&record, &ended);
        let measured = measured(&record, &ended, Some(PowerW(11_000)), &judged);
        assert_eq!(measured.hold.as_deref(), expected_hold);
        measured
    }

    #[test]
    fn a_charge_within_the_outlets_power_is_billed() {
        let measured = check(3_600_000, 11_000, None);
        assert_eq!(measured.energy, EnergyWh(11_000));
        assert_eq!(measured.end.0 - measured.start.0, 3_600);
    }

    #[test]
    fn a_charge_beyond_the_outlets_power_is_held() {
        check(
            3_600_000,
            11_101,
            Some("11101 Wh in 3600 s are more than 11000 W allow; inspect the meter"),
        );
    }

    #[test]
    fn a_charge_of_few_steps_is_marked() {
        let detail = |energy| {
            let measured = check(3_600_000, energy, None);
            protocol::decode::<ChargeDetail>(&measured.detail).expect("canonical")
        };
        assert!(detail(99).is_coarse);
        assert!(!detail(100).is_coarse);
    }
}
