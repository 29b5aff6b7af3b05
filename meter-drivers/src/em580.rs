//! A signed charge of a Carlo Gavazzi EM580: who charges goes in, an OCMF record of both ends comes out.
//!
//! The meter signs a session: it is told who charges and that it begins, later that it ends, and then
//! has one record of both ends in its registers. [`Em580Session`] is the order in which that is asked;
//! it reads and writes nothing itself. Whoever drives it carries out each [`Em580Step`] and tells it
//! the answer; [`Em580`] does so over a bus. A record stays in the meter until it is confirmed, so [`Em580Step::Keep`] comes before
//! the confirmation: what was kept by then is not lost in a restart.
//!
//! ```
//! use meter_drivers::em580::{Em580Session, Em580Step};
//!
//! # fn main() -> Result<(), meter_drivers::em580::Em580Error> {
//! let mut session = Em580Session::end();
//! assert_eq!(session.next(), Em580Step::Write { address: 0x7040, words: vec![0x45] });
//! session.answered(&[])?;
//! assert_eq!(session.next(), Em580Step::Read { address: 0x7100, count: 1 });
//! # Ok(())
//! # }
//! ```
//!
//! # Source
//! Registers, values and order: EVerest, module CarloGavazzi_EM580 (`helper.hpp` and
//! `powermeterImpl.cpp`), which names the tables of the vendor's Modbus document. Numbers of several
//! words have the lowest first, texts the first letter in the upper byte and a NUL behind the last.

mod driver;

use std::collections::VecDeque;
use std::time::Duration;

use protocol::UnixSeconds;

pub use driver::{Em580, Em580Config, Em580Failure};

const STATE: u16 = 0x7100;
const SIZE: u16 = 0x7101;
const FILE: u16 = 0x7110;
const COMMAND: u16 = 0x7040;
const IDENTIFICATION_STATUS: u16 = 0x7000;
const IDENTIFICATION_TYPE: u16 = 0x7006;
const IDENTIFICATION_DATA: u16 = 0x7007;
const CHARGE_POINT_TYPE: u16 = 0x701B;
const CHARGE_POINT: u16 = 0x701C;
const TIME_ZONE_OFFSET: u16 = 0x7031;
const UTC_TIME: u16 = 0x7032;
const SESSION_MODALITY: u16 = 0x7036;
const TARIFF_TEXT: u16 = 0x6900;

const NOT_READY: u16 = 0;
const RUNNING: u16 = 1;
const READY: u16 = 2;

const BEGIN: u16 = 0x42;
const END: u16 = 0x45;

/// `EVSEID`.
const IS_EVSE_ID: u16 = 0;
/// Energy flows into a vehicle.
const CHARGING: u16 = 0;

/// Words of the file at most.
const MOST_FILE_WORDS: u16 = 2_031;
/// Words of one read.
const CHUNK: u16 = 125;
/// Bytes of an identification, without the NUL.
const MOST_NAME_BYTES: usize = 39;
/// Bytes of the tariff's text that fit one write of 123 words, with the NUL.
const MOST_TARIFF_BYTES: usize = 245;

const BETWEEN_POLLS: Duration = Duration::from_millis(100);
/// Signing takes the meter about a second.
const MOST_POLLS: u8 = 50;

/// Who charges where, as the meter is to sign it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Em580Facts {
    /// `ID`: at most 39 bytes.
    pub identification: String,
    /// `IT`.
    pub identification_type: Em580IdentificationType,
    /// `CI`: at most 39 bytes.
    pub charge_point: String,
    /// `TT`: at most 245 bytes.
    pub tariff_text: String,
    /// The time that the meter's clock is set to.
    pub utc: UnixSeconds,
    /// Local time minus UTC.
    pub offset_min: i16,
}

/// What an identification is.
///
/// # Source
/// EVerest, module CarloGavazzi_EM580, `helper.hpp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Em580IdentificationType {
    /// `UNDEFINED`.
    Undefined = 2,
    /// `ISO14443`: the number of an RFID card.
    Iso14443 = 10,
    /// `CENTRAL`: given by a central system.
    Central = 60,
    /// `LOCAL`: given by the charger or gateway.
    Local = 70,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Em580Step {
    /// Read input registers (function code 4), and tell the words.
    Read {
        /// Address of the first.
        address: u16,
        /// How many, at most 125.
        count: u16,
    },
    /// Write holding registers (function code 16), and tell that it was answered, with no words.
    Write {
        /// Address of the first.
        address: u16,
        /// At most 123.
        words: Vec<u16>,
    },
    /// Wait, then tell so with no words.
    Wait(Duration),
    /// Make this record durable, byte for byte as the meter wrote it, then tell so with no words: the
    /// meter forgets it next.
    Keep(String),
    /// There is nothing to do any more.
    Done,
}

/// Why the meter signs no charge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Em580Error {
    /// A text that the meter has no room for. It is refused, not cut: the meter would sign another.
    #[error("{field} has {bytes} bytes; the EM580 takes {most}, none of them NUL")]
    TooLong {
        /// Which text.
        field: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest.
        most: usize,
    },
    /// The answer is not what was asked for.
    #[error("the EM580 answered {found} words where {expected} were asked for")]
    WrongLength {
        /// Words asked for.
        expected: usize,
        /// Words there.
        found: usize,
    },
    /// The meter says that its record is corrupted, or a state that it does not have.
    #[error("the EM580 is in state {state}; its record cannot be used, inspect the meter")]
    Unusable {
        /// The state.
        state: u16,
    },
    /// The meter did not become what it was told to in time.
    #[error("the EM580 stayed in state {state}; it did not carry the command out")]
    Stuck {
        /// The state it stayed in.
        state: u16,
    },
    /// No record has this many words.
    #[error("the EM580 has a record of {words} words; 1 to {MOST_FILE_WORDS} can be")]
    Size {
        /// What it says.
        words: u16,
    },
    /// The record is no text.
    #[error("the EM580's record is not UTF-8")]
    NotText,
}

/// One begin or one end.
#[derive(Clone, Debug)]
pub struct Em580Session {
    steps: VecDeque<Doing>,
    polls: u8,
    file: Vec<u16>,
}

#[derive(Clone, Debug)]
enum Doing {
    /// Nothing is under way, or what is has to be taken out of the meter first.
    LookWhatIs,
    Tell(u16, Vec<u16>),
    Pause,
    AwaitState(u16),
    ReadSize,
    ReadFile {
        address: u16,
        count: u16,
    },
    Keep(String),
}

impl Em580Session {
    /// Begins a charge.
    ///
    /// A record that an earlier charge left in the meter, or a session that a restart left running, is
    /// ended and handed out first.
    ///
    /// # Errors
    /// `TooLong`.
    pub fn begin(facts: &Em580Facts) -> Result<Self, Em580Error> {
        let name = |field, text: &str| words_of(field, text, MOST_NAME_BYTES);
        let identification = name("identification", &facts.identification)?;
        let charge_point = name("charge_point", &facts.charge_point)?;
        let tariff = words_of("tariff_text", &facts.tariff_text, MOST_TARIFF_BYTES)?;
        // Assigned; no level and no flags are claimed: the meter cannot know what they are worth.
        let assigned = vec![1, 0, 0, 0, 0, 0];
        let steps = [
            Doing::LookWhatIs,
            Doing::Tell(UTC_TIME, words_of_time(facts.utc)),
            Doing::Tell(TIME_ZONE_OFFSET, vec![facts.offset_min.cast_unsigned()]),
            Doing::Tell(IDENTIFICATION_STATUS, assigned),
            Doing::Tell(IDENTIFICATION_TYPE, vec![facts.identification_type as u16]),
            Doing::Tell(IDENTIFICATION_DATA, identification),
            Doing::Tell(CHARGE_POINT_TYPE, vec![IS_EVSE_ID]),
            Doing::Tell(CHARGE_POINT, charge_point),
            Doing::Tell(TARIFF_TEXT, tariff),
            Doing::Tell(SESSION_MODALITY, vec![CHARGING]),
            Doing::Tell(COMMAND, vec![BEGIN]),
            Doing::AwaitState(RUNNING),
        ];
        Ok(Self::with(steps))
    }

    /// Ends the charge that is going on, and takes its record.
    #[must_use]
    pub fn end() -> Self {
        Self::with([Doing::Tell(COMMAND, vec![END]), Doing::AwaitState(READY)])
    }

    fn with(steps: impl Into<VecDeque<Doing>>) -> Self {
        Self {
            steps: steps.into(),
            polls: 0,
            file: Vec::new(),
        }
    }

    /// What to do next; the same until it is answered.
    #[must_use]
    pub fn next(&self) -> Em580Step {
        let read = |address, count| Em580Step::Read { address, count };
        match self.steps.front() {
            None => Em580Step::Done,
            Some(Doing::Tell(address, words)) => Em580Step::Write {
                address: *address,
                words: words.clone(),
            },
            Some(Doing::LookWhatIs | Doing::AwaitState(_)) => read(STATE, 1),
            Some(Doing::Pause) => Em580Step::Wait(BETWEEN_POLLS),
            Some(Doing::ReadSize) => read(SIZE, 1),
            Some(Doing::ReadFile { address, count }) => read(*address, *count),
            Some(Doing::Keep(record)) => Em580Step::Keep(record.clone()),
        }
    }

    /// Takes the answer to the step under way: the words read, or none.
    ///
    /// # Errors
    /// Why there is no going on. What the meter was told until then stays told: the next
    /// [`begin`](Self::begin) clears it.
    pub fn answered(&mut self, words: &[u16]) -> Result<(), Em580Error> {
        let expected = match self.next() {
            Em580Step::Read { count, .. } => usize::from(count),
            _ => 0,
        };
        if words.len() != expected {
            return Err(Em580Error::WrongLength {
                expected,
                found: words.len(),
            });
        }
        let Some(done) = self.steps.pop_front() else {
            return Ok(());
        };
        match done {
            Doing::Tell(..) | Doing::Pause | Doing::Keep(_) => Ok(()),
            Doing::LookWhatIs => self.clear(words[0]),
            Doing::AwaitState(wanted) => self.await_state(wanted, words[0]),
            Doing::ReadSize => self.read_file(words[0]),
            Doing::ReadFile { .. } => {
                self.file.extend_from_slice(words);
                self.hand_out()
            }
        }
    }

    /// Before a begin the meter has to be idle.
    fn clear(&mut self, state: u16) -> Result<(), Em580Error> {
        match state {
            NOT_READY => Ok(()),
            READY => {
                self.first([Doing::ReadSize]);
                Ok(())
            }
            RUNNING => {
                self.first([Doing::Tell(COMMAND, vec![END]), Doing::AwaitState(READY)]);
                Ok(())
            }
            state => Err(Em580Error::Unusable { state }),
        }
    }

    fn await_state(&mut self, wanted: u16, state: u16) -> Result<(), Em580Error> {
        if state == wanted {
            self.polls = 0;
            if wanted == READY {
                self.first([Doing::ReadSize]);
            }
            return Ok(());
        }
        if ![NOT_READY, RUNNING, READY].contains(&state) {
            return Err(Em580Error::Unusable { state });
        }
        self.polls += 1;
        if self.polls >= MOST_POLLS {
            return Err(Em580Error::Stuck { state });
        }
        self.first([Doing::Pause, Doing::AwaitState(wanted)]);
        Ok(())
    }

    fn read_file(&mut self, words: u16) -> Result<(), Em580Error> {
        if words == 0 || words > MOST_FILE_WORDS {
            return Err(Em580Error::Size { words });
        }
        self.file.clear();
        let starts = (0..words).step_by(usize::from(CHUNK));
        let chunks: Vec<_> = starts
            .map(|start| Doing::ReadFile {
                address: FILE + start,
                count: CHUNK.min(words - start),
            })
            .collect();
        self.first(chunks);
        Ok(())
    }

    /// The whole file is there once no chunk is left.
    fn hand_out(&mut self) -> Result<(), Em580Error> {
        if matches!(self.steps.front(), Some(Doing::ReadFile { .. })) {
            return Ok(());
        }
        let mut bytes: Vec<u8> = self.file.iter().flat_map(|it| it.to_be_bytes()).collect();
        // The last word is filled up.
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        let record = String::from_utf8(bytes).map_err(|_| Em580Error::NotText)?;
        self.first([Doing::Keep(record), Doing::Tell(STATE, vec![NOT_READY])]);
        Ok(())
    }

    fn first(&mut self, steps: impl IntoIterator<Item = Doing, IntoIter: DoubleEndedIterator>) {
        for step in steps.into_iter().rev() {
            self.steps.push_front(step);
        }
    }
}

/// A text, and a NUL behind it.
fn words_of(field: &'static str, text: &str, most: usize) -> Result<Vec<u16>, Em580Error> {
    let bytes = text.as_bytes();
    if bytes.len() > most || bytes.contains(&0) {
        return Err(Em580Error::TooLong {
            field,
            bytes: bytes.len(),
            most,
        });
    }
    let ended = [bytes, &[0]].concat();
    let words = ended.chunks(2);
    let words = words.map(|pair| u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    Ok(words.collect())
}

/// Seconds, the lowest word first.
fn words_of_time(utc: UnixSeconds) -> Vec<u16> {
    let bytes = utc.0.to_be_bytes();
    let words = bytes.rchunks(2);
    words
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

#[cfg(test)]
mod tests;
