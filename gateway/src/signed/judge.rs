//! What signed values say of an ended charge, and whether it must be looked at before it is billed.
//!
//! Where a key is configured, only what is verified with it and agrees with the bill goes through.
//! Without a key the values are carried; what contradicts itself or the bill is held all the same.

use ocmf::{Charge, Decimal, PublicKey, Reason, Record, SignedRecord, SignedValue, VerifyError};
use ocpp_bridge::session::{SignedData, SignedMeterValue};
use protocol::{EnergyWh, Hash};

use super::{Carried, SignedDetail, SignedMeterKey, Standing};

/// What a charge is billed by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Billed {
    pub(crate) transaction: i32,
    pub(crate) energy: EnergyWh,
    /// Step of the register, in thousandths of a Wh; at least a whole Wh.
    pub(crate) resolution_mwh: u64,
}

/// The outcome.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) detail: SignedDetail,
    /// Why the charge must not be billed before somebody looked at it.
    pub(crate) hold: Option<String>,
    /// The meter's key, hashed, and the page that is used up now.
    pub(crate) page: Option<(Hash, u64)>,
}

/// Judges the signed values of a charge. `last_page` gives the last page that was billed of the
/// meter with a key of this hash.
pub(crate) fn judge(
    values: &[SignedMeterValue],
    key: Option<&SignedMeterKey>,
    billed: Billed,
    last_page: impl Fn(&Hash) -> Option<u64>,
) -> Judged {
    let mut values: Vec<Value> = values.iter().map(Value::read).collect();
    // Charge points replay in any order; the meter numbers its records.
    values.sort_by_key(Value::page);
    let (standing, page) = match key {
        None => (carried(&values, billed), None),
        Some(key) => verified(&values, key, billed, last_page),
    };
    let hold = match &standing {
        Standing::Refused { why } => Some(format!("signed meter data: {why}")),
        _ => None,
    };
    let detail = SignedDetail {
        standing,
        transaction: billed.transaction.unsigned_abs(),
        values: values.into_iter().map(|value| value.carried).collect(),
    };
    Judged { detail, hold, page }
}

/// A value, and the record in it where there is one.
struct Value {
    carried: Carried,
    record: Option<Record>,
    claimed_key: Option<Vec<u8>>,
}

impl Value {
    fn read(value: &SignedMeterValue) -> Self {
        let unread = |why: String| Self {
            carried: Carried::Unread {
                sent: as_sent(&value.data),
                why,
            },
            record: None,
            claimed_key: None,
        };
        let taken = match &value.data {
            SignedData::Text(text) => SignedValue::from_ocpp16(text),
            SignedData::Fields {
                data,
                encoding_method,
                public_key,
                ..
            } => SignedValue::from_ocpp2(data, encoding_method, public_key),
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => return unread(error.to_string()),
        };
        match Record::parse(&taken.text) {
            Ok(record) => Self {
                carried: Carried::Record {
                    text: taken.text,
                    payload: record.payload_hash(),
                    claimed_key: taken.claimed_key.clone(),
                },
                record: Some(record),
                claimed_key: taken.claimed_key,
            },
            Err(error) => unread(error.to_string()),
        }
    }

    fn page(&self) -> Option<u64> {
        let pagination = self.record.as_ref()?.payload().pagination?;
        Some(pagination.number)
    }
}

/// What came, in one text.
fn as_sent(data: &SignedData) -> String {
    match data {
        SignedData::Text(text) => text.clone(),
        SignedData::Fields {
            data,
            signing_method,
            encoding_method,
            public_key,
        } => serde_json::json!({
            "signedMeterData": data,
            "signingMethod": signing_method,
            "encodingMethod": encoding_method,
            "publicKey": public_key,
        })
        .to_string(),
    }
}

fn refused(why: impl ToString) -> Standing {
    Standing::Refused {
        why: why.to_string(),
    }
}

fn not_verified(why: impl ToString) -> Standing {
    Standing::NotVerified {
        why: why.to_string(),
    }
}

/// Nobody knows the key: only what contradicts itself or the bill is refused.
fn carried(values: &[Value], billed: Billed) -> Standing {
    if values.is_empty() {
        return Standing::Unsigned;
    }
    for value in values {
        if let Some(Err(error)) = by_its_own_key(value)
            && error == VerifyError::DoesNotVerify
        {
            return refused("the key that came with a record did not sign it");
        }
    }
    if let Some(why) = values.iter().find_map(unread_because) {
        return not_verified(why);
    }
    let records = values.iter().filter_map(|value| value.record.clone());
    let records: Vec<_> = records.map(SignedRecord::carried).collect();
    match charge_of(&records, None, billed) {
        Ok(_) => not_verified("no key is configured"),
        Err(why) => refused(why),
    }
}

fn unread_because(value: &Value) -> Option<&str> {
    match &value.carried {
        Carried::Unread { why, .. } => Some(why),
        Carried::Record { .. } => None,
    }
}

/// Verifies a record with the key that came with it; `None` where there is none to be read.
fn by_its_own_key(value: &Value) -> Option<Result<(), VerifyError>> {
    let record = value.record.as_ref()?;
    let curve = record.algorithm().ok()?.curve;
    let key = match (&value.claimed_key, record.appended_key()) {
        (Some(bytes), _) => PublicKey::from_bytes(bytes, Some(curve)),
        (None, Some(text)) => PublicKey::parse(text, Some(curve)),
        (None, None) => return None,
    };
    Some(record.verify(&key.ok()?))
}

/// The key is known: it has to have signed every value.
fn verified(
    values: &[Value],
    key: &SignedMeterKey,
    billed: Billed,
    last_page: impl Fn(&Hash) -> Option<u64>,
) -> (Standing, Option<(Hash, u64)>) {
    if values.is_empty() {
        // A charge of nothing has nothing to be signed.
        return match billed.energy.0 {
            0 => (Standing::Unsigned, None),
            _ => (
                refused("none came, although the meter's key is configured"),
                None,
            ),
        };
    }
    let records: Result<Vec<_>, String> = values.iter().map(|it| vouched_for(it, key)).collect();
    let records = match records {
        Ok(records) => records,
        Err(why) => return (refused(why), None),
    };
    let der = records.iter().find_map(SignedRecord::key);
    let der = der.map(PublicKey::to_der).unwrap_or_default();
    let meter = Hash::of(&der);
    match charge_of(&records, last_page(&meter), billed) {
        Ok(page) => (Standing::Verified { key: der }, Some((meter, page))),
        Err(why) => (refused(why), None),
    }
}

fn vouched_for(value: &Value, key: &SignedMeterKey) -> Result<SignedRecord, String> {
    let Some(record) = &value.record else {
        return Err(unread_because(value).unwrap_or_default().to_owned());
    };
    let curve = record.algorithm().map_err(|error| error.to_string())?.curve;
    let key = key
        .on(curve)
        .map_err(|error| format!("the configured key does not fit: {error}"))?;
    SignedRecord::verified(record.clone(), key).map_err(|error| error.to_string())
}

/// Checks that the records are this charge; gives the last page it used.
fn charge_of(
    records: &[SignedRecord],
    after_page: Option<u64>,
    billed: Billed,
) -> Result<u64, String> {
    let charge = Charge::of(&of_the_charge(records), after_page);
    let charge = charge.map_err(|refusal| refusal.to_string())?;
    agrees(&charge, billed)?;
    Ok(charge.last_page)
}

/// The records that tell the charge. A meter that signs both ends in its last record often signs
/// the begin before, alone: that one says nothing more.
pub(super) fn of_the_charge(records: &[SignedRecord]) -> Vec<SignedRecord> {
    let mut seen = Vec::new();
    let mut once = Vec::new();
    for record in records {
        let payload = record.record().payload_hash();
        if !seen.contains(&payload) {
            seen.push(payload);
            once.push(record.clone());
        }
    }
    let mut whole = once.iter().filter(|record| has_both_ends(record));
    match (whole.next(), whole.next()) {
        (Some(one), None) => vec![one.clone()],
        _ => once,
    }
}

fn has_both_ends(record: &SignedRecord) -> bool {
    let readings = &record.record().payload().readings;
    let has = |is_meant: fn(Reason) -> bool| {
        let mut reasons = readings.iter().filter_map(|reading| reading.reason);
        reasons.any(is_meant)
    };
    has(|reason| reason == Reason::Begin) && has(Reason::is_end)
}

/// The signed energy is the billed one, to the coarser of their steps.
fn agrees(charge: &Charge, billed: Billed) -> Result<(), String> {
    let differs = || {
        format!(
            "the meter signed {} Wh, the registers to be billed say {}",
            charge.energy_wh, billed.energy
        )
    };
    let decimal = |value: u64, decimals| {
        let value = i64::try_from(value).ok();
        value.and_then(|value| Decimal::new(value, decimals))
    };
    let energy = decimal(billed.energy.0, 0).ok_or_else(differs)?;
    let step = decimal(billed.resolution_mwh, 3).ok_or_else(differs)?;
    let tolerance = step.max(charge.resolution_wh);
    let more = charge.energy_wh.minus(energy);
    let less = energy.minus(charge.energy_wh);
    match more.max(less) > tolerance {
        true => Err(differs()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
