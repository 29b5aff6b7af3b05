//! Meter values: samples in, observations out, and back.

use protocol::{EnergyWh, PowerW, UnixMillis};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use super::schema::{SchemaError, Violation};
use crate::session::{Observation, SignedContext, SignedData, SignedMeterValue};

const IMPORT_REGISTER: &str = "Energy.Active.Import.Register";
const IMPORT_POWER: &str = "Power.Active.Import";

/// MeterValue of the standard.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MeterValue {
    timestamp: String,
    sampled_value: Vec<SampledValue>,
}

/// SampledValue of the standard; the table of fields has checked the names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct SampledValue {
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measurand: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

/// What the samples say about register and power; those that say neither are left out.
pub(super) fn observations(values: &[MeterValue]) -> Result<Vec<Observation>, SchemaError> {
    let mut found = Vec::new();
    for value in values {
        let at = value.at()?;
        let samples = || {
            value
                .sampled_value
                .iter()
                .filter(|sample| sample.is_total())
        };
        let register = samples().find_map(SampledValue::register);
        let power = samples().find_map(SampledValue::power);
        if register.is_some() || power.is_some() {
            found.push(Observation {
                at,
                register,
                power,
            });
        }
    }
    Ok(found)
}

/// The signed samples, byte for byte: `format` says which they are.
///
/// # Source
/// OCPP 1.6, section 7.45 (ValueFormat).
pub(super) fn signed_values(values: &[MeterValue]) -> Result<Vec<SignedMeterValue>, SchemaError> {
    let mut found = Vec::new();
    for value in values {
        let at = value.at()?;
        let signed = value.sampled_value.iter().filter(|it| it.is_signed());
        found.extend(signed.map(|sample| SignedMeterValue {
            at,
            context: match sample.context.as_deref() {
                Some("Transaction.Begin") => SignedContext::Begin,
                Some("Transaction.End") => SignedContext::End,
                _ => SignedContext::Other,
            },
            data: SignedData::Text(sample.value.clone()),
        }));
    }
    Ok(found)
}

impl MeterValue {
    fn at(&self) -> Result<UnixMillis, SchemaError> {
        UnixMillis::parse_rfc3339(&self.timestamp)
            .map_err(|_| SchemaError::new("timestamp", Violation::NotATime))
    }
}

impl SampledValue {
    /// Signed data. Chargers also send a record where a number belongs, without saying what it is.
    fn is_signed(&self) -> bool {
        match self.format.as_deref() {
            Some("SignedData") => true,
            _ => self.value.trim_start().starts_with("OCMF|"),
        }
    }

    /// A plain number for the whole outlet: not one phase, not signed, not another place.
    fn is_total(&self) -> bool {
        self.phase.is_none()
            && self.format.as_deref().is_none_or(|format| format == "Raw")
            && self
                .location
                .as_deref()
                .is_none_or(|place| place == "Outlet")
    }

    fn register(&self) -> Option<EnergyWh> {
        let measurand = self.measurand.as_deref().unwrap_or(IMPORT_REGISTER);
        let factor = match (measurand, self.unit.as_deref()) {
            (IMPORT_REGISTER, None | Some("Wh")) => 1,
            (IMPORT_REGISTER, Some("kWh")) => 1_000,
            _ => return None,
        };
        whole(&self.value, factor)?.to_u64().map(EnergyWh)
    }

    fn power(&self) -> Option<PowerW> {
        let factor = match (self.measurand.as_deref()?, self.unit.as_deref()) {
            (IMPORT_POWER, None | Some("W")) => 1,
            (IMPORT_POWER, Some("kW")) => 1_000,
            _ => return None,
        };
        whole(&self.value, factor)?.to_u32().map(PowerW)
    }
}

/// `text` × `factor`, exactly, then rounded down once: a fraction of a Wh is counted when it is
/// whole. `None` for what is no number or too large for one.
fn whole(text: &str, factor: u32) -> Option<Decimal> {
    let text = text.trim();
    let number = Decimal::from_str_exact(text)
        .or_else(|_| Decimal::from_scientific(text))
        .ok()?;
    Some(number.checked_mul(Decimal::from(factor))?.floor())
}

/// What `observation` looks like in a message of ours: measurand, unit and context always written.
pub(super) fn meter_value(observation: &Observation, context: &str) -> MeterValue {
    let sample = |value: String, measurand: &str, unit: &str| SampledValue {
        value,
        context: Some(context.to_owned()),
        measurand: Some(measurand.to_owned()),
        unit: Some(unit.to_owned()),
        ..SampledValue::default()
    };
    let register = observation
        .register
        .map(|register| sample(register.0.to_string(), IMPORT_REGISTER, "Wh"));
    let power = observation
        .power
        .map(|power| sample(power.0.to_string(), IMPORT_POWER, "W"));
    MeterValue {
        timestamp: observation.at.to_string(),
        sampled_value: register.into_iter().chain(power).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(samples: Value, expected: Option<(Option<u64>, Option<u32>)>) {
        let message = json!([{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": samples}]);
        let values: Vec<MeterValue> = serde_json::from_value(message).expect("samples");
        let found = observations(&values).expect("a time");
        let found = found
            .first()
            .map(|o| (o.register.map(|wh| wh.0), o.power.map(|w| w.0)));
        assert_eq!(found, expected, "{samples}");
    }

    #[test]
    fn the_register_is_found_and_converted_exactly() {
        let wh = |n| Some((Some(n), None));
        check(json!([{"value": "1234"}]), wh(1234));
        check(json!([{"value": "1234.999", "unit": "Wh"}]), wh(1234));
        check(json!([{"value": "0.29", "unit": "kWh"}]), wh(290));
        check(json!([{"value": "4.35", "unit": "kWh"}]), wh(4350));
        check(json!([{"value": "1.5e3"}]), wh(1500));
        check(
            json!([{"value": " 7 ", "measurand": IMPORT_REGISTER}]),
            wh(7),
        );
        check(
            json!([{"value": "9", "phase": "L1"}, {"value": "9", "location": "Inlet"}, {"value": "8"}]),
            wh(8),
        );
        check(
            json!([{"value": "4294967296", "location": "Outlet", "format": "Raw"}]),
            wh(4_294_967_296),
        );
    }

    #[test]
    fn power_comes_with_or_without_the_register() {
        let kilowatts = json!({"value": "7.4", "measurand": IMPORT_POWER, "unit": "kW"});
        check(json!([kilowatts]), Some((None, Some(7400))));
        check(
            json!([{"value": "5"}, {"value": "230.9", "measurand": IMPORT_POWER}]),
            Some((Some(5), Some(230))),
        );
    }

    #[test]
    fn what_is_no_total_is_left_out() {
        check(json!([{"value": "-5"}]), None);
        check(json!([{"value": "NaN"}]), None);
        check(json!([{"value": "1e40"}]), None);
        check(json!([{"value": "5", "unit": "varh"}]), None);
        check(
            json!([{"value": "5", "measurand": "Voltage", "unit": "V"}]),
            None,
        );
        check(json!([{"value": "OCMF|{}", "format": "SignedData"}]), None);
        check(
            json!([{"value": "5", "measurand": "Energy.Active.Import.Interval"}]),
            None,
        );
    }

    proptest::proptest! {
        #[test]
        fn no_value_makes_the_reader_panic(
            number in "[-+]?[0-9]{0,35}[.]?[0-9]{0,35}([eE][-+]?[0-9]{1,12})?",
            text in ".{0,20}",
        ) {
            for value in [number, text] {
                let _ = whole(&value, 1_000);
            }
        }

        #[test]
        fn kilowatt_hours_are_exact(wh in 0..1_000_000_000_000_u64) {
            let value = format!("{}.{:03}", wh / 1_000, wh % 1_000);
            let sample = SampledValue {
                value,
                unit: Some("kWh".to_owned()),
                ..SampledValue::default()
            };
            proptest::prop_assert_eq!(sample.register(), Some(EnergyWh(wh)));
        }
    }

    #[test]
    fn signed_data_is_taken_byte_for_byte() {
        let record = " OCMF|{\"PG\": \"T1\"}|{\"SD\":\"00\"}\n";
        let samples = json!([
            {"value": "5"},
            {"value": record, "format": "SignedData", "context": "Transaction.Begin"},
            {"value": record, "context": "Transaction.End"},
            {"value": "4f43", "format": "SignedData"},
            {"value": "7", "format": "Raw"},
        ]);
        let message = json!([{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": samples}]);
        let values: Vec<MeterValue> = serde_json::from_value(message).expect("samples");
        let found = signed_values(&values).expect("a time");
        let told: Vec<_> = found.iter().map(|it| (it.context, &it.data)).collect();
        let text = |text: &str| SignedData::Text(text.to_owned());
        let expected = [
            (SignedContext::Begin, &text(record)),
            (SignedContext::End, &text(record)),
            (SignedContext::Other, &text("4f43")),
        ];
        assert_eq!(told, expected);
        assert_eq!(observations(&values).expect("a time").len(), 1);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let observation = Observation {
            at: UnixMillis(1_700_000_000_500),
            register: Some(EnergyWh(12_345)),
            power: Some(PowerW(7_000)),
        };
        let written = meter_value(&observation, "Sample.Periodic");
        assert_eq!(observations(&[written]), Ok(vec![observation]));
    }
}
