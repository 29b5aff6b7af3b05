//! What files of signed meter data prove, in words a driver understands.

use std::path::Path;

use anyhow::{Context, bail};
use ledger::frame::MAX_DETAIL_BYTES;
use ocmf::{Charge, PublicKey, Record, SignedRecord, SignedValue, TimeQuality};
use protocol::Hash;

use super::SignedMeterKey;
use crate::charges::ChargeDetail;
use crate::files::read_bounded;

/// The longest file of records that is read.
const MAX_FILE_BYTES: usize = 1 << 20;

/// A record out of a file, and the key that the file has for it.
struct Entry {
    record: Record,
    key: Option<String>,
}

/// Checks a file of records, XML of the transparency software or one record's text, and says what
/// it proves.
///
/// # Errors
/// Why it proves nothing, in one line.
pub(crate) fn verify_file(path: &Path, key: Option<&SignedMeterKey>) -> anyhow::Result<String> {
    let bytes = read_bounded(path, MAX_FILE_BYTES, "a file of signed meter data")?;
    let text = String::from_utf8(bytes).context("it is not UTF-8")?;
    let entries = match text.trim_start().starts_with('<') {
        true => read_xml(&text)?,
        false => vec![entry(&text, None)?],
    };
    if entries.is_empty() {
        bail!("there is no record in it");
    }
    let mut records = Vec::new();
    for (number, entry) in (1..).zip(entries) {
        let verified = verify(entry, key);
        records.push(verified.with_context(|| format!("record {number}"))?);
    }
    let charge = Charge::of(&super::judge::of_the_charge(&records), None)
        .context("the meter signed it, but it is no charge to be billed")?;
    Ok(tell(&charge, records.len(), key.is_some()))
}

fn verify(entry: Entry, key: Option<&SignedMeterKey>) -> anyhow::Result<SignedRecord> {
    let curve = entry.record.algorithm()?.curve;
    let key = match (key, &entry.key) {
        (Some(key), _) => key.on(curve)?,
        (None, Some(text)) => PublicKey::parse(text, Some(curve))?,
        (None, None) => {
            bail!("there is no key with it; give the one printed on the meter with --key")
        }
    };
    Ok(SignedRecord::verified(entry.record, key)?)
}

fn entry(text: &str, key: Option<String>) -> anyhow::Result<Entry> {
    let text = SignedValue::from_ocpp16(text)?.text;
    let record = Record::parse(&text)?;
    let key = key.or_else(|| record.appended_key().map(str::to_owned));
    Ok(Entry { record, key })
}

/// # Source
/// Files that the transparency software is tested with: `values`, in it each `value` with
/// `signedData` and `publicKey`.
fn read_xml(text: &str) -> anyhow::Result<Vec<Entry>> {
    let document = roxmltree::Document::parse(text).context("it is no XML")?;
    let values = document.descendants();
    let values = values.filter(|node| node.has_tag_name("value"));
    let entries = values.map(|value| {
        let text_of = |name: &str| {
            let mut children = value.children();
            let child = children.find(|child| child.has_tag_name(name))?;
            child.text().map(str::to_owned)
        };
        let Some(signed) = text_of("signedData") else {
            bail!("a value without signedData");
        };
        entry(&signed, text_of("publicKey"))
    });
    entries.collect()
}

fn tell(charge: &Charge, records: usize, is_pinned: bool) -> String {
    let key = charge.key.as_ref().map(PublicKey::to_der);
    let key = hex::encode_upper(key.unwrap_or_default());
    let (claim, whose) = match is_pinned {
        true => (
            "VERIFIED: the meter with this key signed this charge, and no byte was changed since.",
            "the one you gave",
        ),
        false => (
            "SIGNED: whoever holds this key signed this charge. Whose key it is, the file cannot \
             prove: compare it with the one printed on the meter.",
            "out of the file",
        ),
    };
    let serial = charge
        .meter_serial
        .as_ref()
        .or(charge.gateway_serial.as_ref());
    let times = match charge.time_quality {
        TimeQuality::Synchronized => "the meter's clock was synchronized",
        TimeQuality::Relative => "the duration is exact, the time of day informative",
        TimeQuality::Informative => "informative, the meter's clock was not synchronized",
        TimeQuality::NotUsable => "not to be relied on",
    };
    format!(
        "{claim}\n\
         \n\
         energy        {} Wh, to {} Wh\n\
         from          {}\n\
         to            {}\n\
         times         {times}\n\
         register      {}: {} Wh, then {} Wh\n\
         meter         {}\n\
         records       {records}, pages {} to {}\n\
         key           {key} ({whose})\n",
        charge.energy_wh,
        charge.resolution_wh,
        charge.begin.time.text,
        charge.end.time.text,
        charge.register,
        charge.begin.exact_wh,
        charge.end.exact_wh,
        serial.map_or("without a serial number", String::as_str),
        charge.first_page,
        charge.last_page,
    )
}

/// What the detail beside a receipt file says of signed data; `None` where there is no detail.
///
/// # Errors
/// Where it is not the detail of the charge, whose hash is `expected`.
pub(crate) fn with_detail(receipt: &Path, expected: Hash) -> anyhow::Result<Option<String>> {
    let path = receipt.with_extension("detail");
    if !path.exists() {
        return Ok(None);
    }
    let detail = read_bounded(&path, MAX_DETAIL_BYTES, "a charge's detail")?;
    if Hash::of(&detail) != expected {
        bail!(
            "{} is not the detail of this charge: its hash is another one",
            path.display()
        );
    }
    let read: ChargeDetail = protocol::decode(&detail)
        .with_context(|| format!("{} is of another version", path.display()))?;
    Ok(Some(read.signed.standing.in_words()))
}
