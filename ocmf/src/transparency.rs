//! The file with which a driver checks his bill: records and keys for the transparency software.

use std::fmt::Write;

use crate::reading::Reason;
use crate::verify::SignedRecord;

/// Why records cannot be exported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// XML 1.0 has no form for a character.
    #[error(
        "the record has the character U+{character:04X}, which XML cannot hold; keep it as text"
    )]
    Character {
        /// The character's number.
        character: u32,
    },
}

/// Writes the records of one charge, each with the key it was verified with, as the XML that the
/// transparency software of S.A.F.E. e.V. opens.
///
/// Each record is there byte for byte. The software pairs those of the same `transaction_id`, one with
/// the context `Transaction.Begin` and one with `Transaction.End`; a record with both ends stands for
/// itself and has neither. Keys are in hex, as they are in the files of meter makers; a record that is
/// carried only has none, and the driver takes it from the meter.
///
/// # Errors
/// `Character` where a record holds what XML cannot.
///
/// # Source
/// Files that the transparency software is tested with; OCMF 1.3.1, section "Relation of Serial Numbers,
/// Charge Point and Public Key".
pub fn to_xml(records: &[SignedRecord], transaction_id: u64) -> Result<String, ExportError> {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<values>\n");
    for record in records {
        let context = match context(record) {
            Some(context) => format!(" transactionId=\"{transaction_id}\" context=\"{context}\""),
            None => String::new(),
        };
        let text = escaped(record.record().sections())?;
        write!(
            xml,
            "  <value{context}>\n    <signedData format=\"OCMF\" encoding=\"plain\">{text}</signedData>\n"
        )
        .expect("a String takes everything");
        if let Some(key) = record.key() {
            let key = hex::encode_upper(key.to_der());
            writeln!(xml, "    <publicKey encoding=\"hex\">{key}</publicKey>")
                .expect("a String takes everything");
        }
        xml.push_str("  </value>\n");
    }
    xml.push_str("</values>\n");
    Ok(xml)
}

/// The context of a record with one end of a charge; `None` with both or neither.
fn context(record: &SignedRecord) -> Option<&'static str> {
    let reasons = || {
        let readings = &record.record().payload().readings;
        readings.iter().filter_map(|reading| reading.reason)
    };
    let begins = reasons().any(|reason| reason == Reason::Begin);
    match (begins, reasons().any(Reason::is_end)) {
        (true, false) => Some("Transaction.Begin"),
        (false, true) => Some("Transaction.End"),
        _ => None,
    }
}

/// `text` as the content of an element that reads back the same.
fn escaped(text: &str) -> Result<String, ExportError> {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // A reader would make a line feed of it, and the signature void.
            '\r' => escaped.push_str("&#13;"),
            '\u{0}'..='\u{8}'
            | '\u{B}'
            | '\u{C}'
            | '\u{E}'..='\u{1F}'
            | '\u{FFFE}'
            | '\u{FFFF}' => {
                return Err(ExportError::Character {
                    character: character.into(),
                });
            }
            _ => escaped.push(character),
        }
    }
    Ok(escaped)
}
