//! The files of a final charge with signed data, beside its receipt.

use std::path::Path;

use ledger::receipt_file::ReceiptFile;
use ledger::store::{Store, StoreError, Write};
use protocol::Hash;

use super::{DETAILS, SignedDetail, Standing};
use crate::charges::ChargeDetail;
use crate::files::write_whole;

/// Keeps a detail for the files, if it has signed values.
pub(crate) fn kept_for_export(detail: &[u8], signed: &SignedDetail) -> Option<Write> {
    (!signed.values.is_empty()).then(|| Write::put(DETAILS, Hash::of(detail).0, &detail.to_vec()))
}

/// Writes what belongs beside the receipt file `name`: the detail, whose hash is in the receipt, and
/// the records for the transparency software. Gives what can be forgotten then.
pub(crate) fn export(
    directory: &Path,
    name: &str,
    receipt: &[u8],
    store: &Store,
) -> std::io::Result<Option<Write>> {
    let Ok(file) = ReceiptFile::from_bytes(receipt) else {
        return Ok(None);
    };
    let hash = file.line.profile.body.detail;
    let detail: Option<Vec<u8>> = store
        .get(DETAILS, &hash.0)
        .map_err(|error: StoreError| std::io::Error::other(error))?;
    let Some(detail) = detail else {
        return Ok(None);
    };
    write_whole(directory, &format!("{name}.detail"), &detail)?;
    if let Ok(read) = protocol::decode::<ChargeDetail>(&detail) {
        write_records(directory, name, &read.signed)?;
    }
    Ok(Some(Write::delete(DETAILS, hash.0)))
}

fn write_records(directory: &Path, name: &str, signed: &SignedDetail) -> std::io::Result<()> {
    let records = signed.records();
    if records.is_empty() {
        return Ok(());
    }
    if let Standing::Refused { why } = &signed.standing {
        tracing::warn!(name, why, "signed data of a charge that was released");
    }
    match ocmf::to_xml(&records, signed.transaction.into()) {
        Ok(xml) => write_whole(directory, &format!("{name}.xml"), xml.as_bytes()),
        Err(error) => {
            tracing::warn!(name, %error, "no file for the transparency software; the records are in the detail");
            Ok(())
        }
    }
}
