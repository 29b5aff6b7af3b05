//! Raw registers in a file: what a meter sent, to look at or to serve again.
//!
//! One line for each answer: when it arrived (milliseconds since 1970), unit id, table, address of the
//! first register on the wire, and the registers in hexadecimal, separated by blanks. What follows `#`
//! is for people.
//!
//! ```text
//! # yard, eastron-sdm630
//! 1795435200000 1 input 0x0048 4640 E6B8
//! 1795435201000 1 holding 0xFC00 0141 81BA
//! ```

use std::fmt;

use protocol::UnixMillis;

use crate::map::RegisterSpace;

/// The most registers one answer holds.
const MOST_REGISTERS: usize = 125;

/// Answers in the order of their time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    entries: Vec<Recorded>,
}

/// Registers that one answer held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When the answer arrived.
    pub at: UnixMillis,
    /// Unit that answered.
    pub unit_id: u8,
    /// Table the registers are in.
    pub space: RegisterSpace,
    /// Address of the first, counted from 0.
    pub start: u16,
    /// What they held.
    pub words: Vec<u16>,
}

/// Why a file is no recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {field} must be {accepted}")]
pub struct RecordingError {
    /// File the text came from.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub field: &'static str,
    /// What would be right.
    pub accepted: &'static str,
}

impl Recording {
    /// Reads a recording; `file` is what errors call it.
    ///
    /// # Errors
    /// The line, the field and what is accepted there.
    pub fn parse(file: &str, text: &str) -> Result<Self, RecordingError> {
        let mut recording = Self::default();
        for (index, line) in text.lines().enumerate() {
            let facts = line.split('#').next().unwrap_or_default();
            let fields: Vec<&str> = facts.split_whitespace().collect();
            if fields.is_empty() {
                continue;
            }
            let entry = recorded(&fields).and_then(|entry| recording.in_order(entry));
            let entry = entry.map_err(|(field, accepted)| RecordingError {
                file: file.to_owned(),
                line: index + 1,
                field,
                accepted,
            })?;
            recording.entries.push(entry);
        }
        Ok(recording)
    }

    /// Adds an answer; one that is older than the last is given the last one's time.
    pub fn push(&mut self, mut entry: Recorded) {
        if let Some(last) = self.entries.last() {
            entry.at = entry.at.max(last.at);
        }
        self.entries.push(entry);
    }

    /// The answers, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Recorded] {
        &self.entries
    }

    fn in_order(&self, entry: Recorded) -> Result<Recorded, Refused> {
        match self.entries.last() {
            Some(last) if entry.at < last.at => Err(("time", "no earlier than the line before")),
            _ => Ok(entry),
        }
    }
}

type Refused = (&'static str, &'static str);

fn recorded(fields: &[&str]) -> Result<Recorded, Refused> {
    let [at, unit_id, space, start, words @ ..] = fields else {
        return Err(("line", "time, unit, table, address and registers"));
    };
    let at = at
        .parse()
        .map_err(|_| ("time", "milliseconds since 1970"))?;
    let unit_id = unit_id.parse().map_err(|_| ("unit", "0 to 255"))?;
    let space = match *space {
        "input" => RegisterSpace::Input,
        "holding" => RegisterSpace::Holding,
        _ => return Err(("table", "\"input\" or \"holding\"")),
    };
    let start = start
        .strip_prefix("0x")
        .and_then(hexadecimal)
        .ok_or(("address", "0x0000 to 0xFFFF"))?;
    let count = words.len();
    let ends_within = usize::from(start) + count <= usize::from(u16::MAX);
    if !(1..=MOST_REGISTERS).contains(&count) || !ends_within {
        return Err(("registers", "1 to 125 that end below address 0xFFFF"));
    }
    let words: Option<Vec<u16>> = words.iter().map(|word| hexadecimal(word)).collect();
    Ok(Recorded {
        at: UnixMillis(at),
        unit_id,
        space,
        start,
        words: words.ok_or(("registers", "0000 to FFFF each"))?,
    })
}

/// Four hexadecimal digits, no sign.
fn hexadecimal(digits: &str) -> Option<u16> {
    let is_plain = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_plain.then(|| u16::from_str_radix(digits, 16).ok())?
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            writeln!(f, "{entry}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = match self.space {
            RegisterSpace::Input => "input",
            RegisterSpace::Holding => "holding",
        };
        write!(
            f,
            "{} {} {space} {:#06X}",
            self.at.0, self.unit_id, self.start
        )?;
        for word in &self.words {
            write!(f, " {word:04X}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "1795435200000 1 input 0x0048 4640 E6B8\n\
                        1795435201000 247 holding 0xFC00 0141 81BA\n";

    #[test]
    fn what_is_written_is_read_again() {
        let recording = Recording::parse("x", TEXT).expect("it is one");
        assert_eq!(recording.entries().len(), 2);
        assert_eq!(recording.entries()[0].words, [0x4640, 0xE6B8]);
        assert_eq!(recording.to_string().to_lowercase(), TEXT.to_lowercase());
        let again = Recording::parse("x", &recording.to_string());
        assert_eq!(again, Ok(recording));
    }

    #[test]
    fn what_people_write_beside_it_is_left_out() {
        let text = format!("# a meter\n\n  {TEXT}");
        assert_eq!(Recording::parse("x", &text), Recording::parse("x", TEXT));
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let text = format!("{TEXT}{line}\n");
        let error = Recording::parse("x", &text).expect_err("it is wrong");
        assert_eq!((error.field, error.line), (expected, 3));
    }

    #[test]
    fn a_wrong_field_is_named() {
        check("1795435201000 1 input", "line");
        check("noon 1 input 0x0048 0000", "time");
        check("1795435200999 1 input 0x0048 0000", "time");
        check("1795435201000 256 input 0x0048 0000", "unit");
        check("1795435201000 1 coil 0x0048 0000", "table");
        check("1795435201000 1 input 72 0000", "address");
        check("1795435201000 1 input 0x10048 0000", "address");
        check("1795435201000 1 input 0x0048", "registers");
        check("1795435201000 1 input 0x0048 +000", "registers");
        check("1795435201000 1 input 0xFFFF 0000", "registers");
    }
}
