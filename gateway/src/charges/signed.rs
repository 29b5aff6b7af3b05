//! What a charge's meter signed: kept with the charge as it came, judged when it ends.

use std::fmt::Write as _;

use ledger::store::Write;
use ocpp_bridge::session::{EndedCharge, SignedData, SignedMeterValue};
use protocol::Hash;

use super::detail::resolution_mwh;
use super::{ChargeError, Charges, ORPHANS, Record, Running, put};
use crate::config::OutletConfig;
use crate::signed::{Billed, Judged, PAGES, judge, kept_for_export};

/// Signed values kept of one charge. A begin, an end and what is sent between; a charger that signs
/// every minute sends more than a bill needs.
const MAX_SIGNED_VALUES: usize = 64;
/// Their bytes, as they came. The detail, which has 64 KiB, holds them beside a fortnight of
/// quarters of an hour.
const MAX_SIGNED_BYTES: usize = 40 << 10;

impl Charges {
    /// Keeps signed values with their charge; durable when it returns. Repeating them changes
    /// nothing.
    pub(crate) async fn carry_signed(
        &self,
        charge_point: &str,
        connector: u32,
        transaction: Option<i32>,
        values: &[SignedMeterValue],
    ) -> Result<(), ChargeError> {
        if values.is_empty() {
            return Ok(());
        }
        let stored = self.with(|running| {
            let is_meant = |record: &&mut Record| {
                let charge = &record.charge;
                record.ended.is_none()
                    && charge.charge_point == charge_point
                    && transaction.map_or(charge.connector == connector, |transaction| {
                        charge.transaction_id == transaction
                    })
            };
            let writes = match running.records.values_mut().find(is_meant) {
                Some(record) => {
                    for value in values {
                        record.carry_signed(value);
                    }
                    vec![put(record)]
                }
                None => orphans(charge_point, transaction, values),
            };
            self.queue(writes, Vec::new())
        });
        stored?.wait().await
    }
}

impl Record {
    fn carry_signed(&mut self, value: &SignedMeterValue) {
        if self.signed.iter().any(|kept| kept.data == value.data) {
            return;
        }
        let bytes: usize = self.signed.iter().map(|kept| kept.data.len()).sum();
        let is_full =
            self.signed.len() >= MAX_SIGNED_VALUES || bytes + value.data.len() > MAX_SIGNED_BYTES;
        if !is_full {
            self.signed.push(value.clone());
            return;
        }
        let mut why = String::new();
        let _ = write!(
            why,
            "a signed value of {} bytes, SHA-256 {}, is beyond the {MAX_SIGNED_VALUES} values and \
             {MAX_SIGNED_BYTES} bytes that are kept of a charge",
            value.data.len(),
            hash_of(&value.data)
        );
        tracing::warn!(transaction = self.charge.transaction_id, why, "not kept");
        self.hold_for(&why);
    }
}

/// Signed values of a charge that is over, or never began here: kept for somebody to look at.
fn orphans(
    charge_point: &str,
    transaction: Option<i32>,
    values: &[SignedMeterValue],
) -> Vec<Write> {
    let keep = |value: &SignedMeterValue| {
        let hash = hash_of(&value.data);
        tracing::warn!(
            charge_point,
            transaction,
            sha256 = %hash,
            "signed value of no charge that is going on; it is kept, not judged"
        );
        let data = serde_json::to_string(value).expect("plain structs");
        let text = format!("{charge_point}, transaction {transaction:?}: {data}");
        Write::put(ORPHANS, Hash::of(text.as_bytes()).0, &text)
    };
    values.iter().map(keep).collect()
}

fn hash_of(data: &SignedData) -> Hash {
    match data {
        SignedData::Text(text) => Hash::of(text.as_bytes()),
        SignedData::Fields { data, .. } => Hash::of(data.as_bytes()),
    }
}

/// Judges what a charge's meter signed. Called when it ends, under the lock.
pub(super) fn judged(
    running: &Running,
    record: &Record,
    ended: &EndedCharge,
    outlet: Option<&OutletConfig>,
) -> Judged {
    let key = outlet.and_then(|outlet| outlet.signed_meter_key.as_ref());
    judge(&record.signed, key, billed(record, ended), |meter| {
        running.pages.get(meter).copied()
    })
}

/// Of energy that no charge's records can be about.
pub(super) fn unsigned(record: &Record, ended: &EndedCharge) -> Judged {
    judge(&[], None, billed(record, ended), |_| None)
}

fn billed(record: &Record, ended: &EndedCharge) -> Billed {
    Billed {
        transaction: ended.transaction_id,
        energy: ended.energy,
        resolution_mwh: resolution_mwh(&record.source),
    }
}

/// What becomes durable with the end: the page that is used up, and the detail for its files.
pub(super) fn kept(running: &mut Running, detail: &[u8], judged: &Judged) -> Vec<Write> {
    let mut writes = Vec::new();
    writes.extend(kept_for_export(detail, &judged.detail));
    if let Some((meter, page)) = judged.page {
        running.pages.insert(meter, page);
        writes.push(Write::put(PAGES, meter.0, &page));
    }
    writes
}
