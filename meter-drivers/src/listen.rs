//! Asks one unit for one block and keeps whatever comes back: for looking at a line, not for bills.
//!
//! A [`Bus`](crate::Bus) hands out the one answer that counts and throws the rest away. Whoever looks
//! for meters, or for what is wrong with a line, wants the rest: a second answer tells of two units
//! with one id, a wrong checksum of noise, bytes that are no Modbus of another baud rate. A
//! [`Listener`] asks, listens for as long as it is told, and says what it [`Heard`].
//!
//! What it heard is never a reading. It has no barrier against late answers, which the bus has.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::block::Block;
use crate::transport::command::Command;
use crate::transport::pace::Pace;
use crate::transport::pdu::{self, Content};
use crate::transport::{Endpoint, Framing, Wire, mbap, rtu};

/// The most bytes that are kept of what comes back: seven of the longest frames.
const MOST_BYTES: usize = 2_048;
/// A line that goes on talking is listened to for so long beyond the wait for an answer.
const NEVER_SILENT_AFTER: Duration = Duration::from_millis(500);

/// An open line that one program has to itself.
pub struct Listener {
    wire: Box<dyn Wire>,
    framing: Framing,
    pace: Pace,
    transaction: u16,
}

/// How long to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The longest wait for the answer, beyond the time its bytes take on the line.
    pub answer_within: Duration,
    /// Silence that must follow what was heard: a second unit with the same id answers in it.
    pub then_silence: Duration,
}

/// What followed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What it was.
    pub heard: Heard,
    /// Bytes that came before anything was asked.
    pub unasked: usize,
    /// From the end of the request to the last byte heard.
    pub took: Duration,
}

/// What a unit, or somebody in its place, said to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The registers asked for.
    Answer(Vec<u16>),
    /// A refusal, with its Modbus exception code.
    Exception(u8),
    /// Nothing.
    Silence,
    /// Two whole answers of the unit.
    Twice,
    /// A whole answer, and so many bytes behind it.
    Surplus(usize),
    /// A whole frame of another unit.
    Foreign(u8),
    /// A whole frame of the unit that answers something else: another function, another length.
    Unfitting,
    /// A frame of the right length whose checksum is wrong.
    Checksum,
    /// The beginning of an answer.
    CutShort(usize),
    /// So many bytes that are no Modbus.
    Garbled(usize),
    /// Our own request: the adapter repeats what it sends.
    OwnRequest,
}

impl Heard {
    /// Whether a unit said something whole and clean.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::Answer(_) | Self::Exception(_))
    }

    /// The registers, where they are the ones asked for.
    #[must_use]
    pub fn words(&self) -> Option<&[u16]> {
        match self {
            Self::Answer(words) => Some(words),
            _ => None,
        }
    }
}

impl Listener {
    /// Opens the line; it takes at most `within`.
    ///
    /// # Errors
    /// What opening it ended with.
    pub async fn open(endpoint: &Endpoint, within: Duration) -> io::Result<Self> {
        let wire = match timeout(within, endpoint.open()).await {
            Ok(wire) => wire?,
            Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        Ok(Self {
            wire,
            framing: endpoint.framing(),
            pace: endpoint.pace(),
            transaction: 0,
        })
    }

    /// Asks `unit_id` for `block`, and listens.
    ///
    /// # Errors
    /// How the line ended, where it did before anything was heard.
    pub async fn ask(
        &mut self,
        unit_id: u8,
        block: Block,
        patience: Patience,
    ) -> io::Result<Exchange> {
        let unasked = self.fall_silent().await?;
        self.transaction = self.transaction.wrapping_add(1);
        let asked = Asked {
            framing: self.framing,
            transaction: self.transaction,
            unit_id,
            command: Command::Read(block),
        };
        let frame = asked.frame();
        let bytes_on_the_line = frame.len() + rtu::answer_frame_bytes(asked.command.shape());
        let within = patience.answer_within + self.pace.time_of(bytes_on_the_line);
        timeout(within, self.wire.write_all(&frame)).await??;
        timeout(within, self.wire.flush()).await??;
        let sent = Instant::now();
        let (bytes, last) = self.listen(&asked, sent + within, patience).await?;
        Ok(Exchange {
            heard: asked.heard(&bytes),
            unasked,
            took: last.saturating_duration_since(sent),
        })
    }

    async fn listen(
        &mut self,
        asked: &Asked,
        deadline: Instant,
        patience: Patience,
    ) -> io::Result<(Vec<u8>, Instant)> {
        let (mut bytes, mut last) = (Vec::new(), deadline);
        let never_silent = deadline + NEVER_SILENT_AFTER;
        loop {
            let silence = patience.then_silence.max(self.pace.gap);
            let until = match asked.awaits_more(&bytes) {
                true => deadline,
                false => (last + silence).min(never_silent),
            };
            match timeout_at(until, self.wire.read_buf(&mut bytes)).await {
                Err(_) => return Ok((bytes, last)),
                Ok(Ok(0)) if bytes.is_empty() => {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
                Ok(Ok(0)) => return Ok((bytes, last)),
                Ok(received) => received?,
            };
            last = Instant::now();
            if bytes.len() > MOST_BYTES {
                return Ok((bytes, last));
            }
        }
    }

    /// Waits for the silence between frames, and counts the bytes that come before it.
    async fn fall_silent(&mut self) -> io::Result<usize> {
        let mut bytes = Vec::new();
        let limit = Instant::now() + NEVER_SILENT_AFTER;
        loop {
            let until = (Instant::now() + self.pace.gap).min(limit);
            match timeout_at(until, self.wire.read_buf(&mut bytes)).await {
                Err(_) => return Ok(bytes.len()),
                Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                Ok(received) => received?,
            };
            if Instant::now() >= limit || bytes.len() > MOST_BYTES {
                return Ok(bytes.len());
            }
        }
    }
}

/// A request that was sent.
struct Asked {
    framing: Framing,
    transaction: u16,
    unit_id: u8,
    command: Command,
}

impl Asked {
    fn frame(&self) -> Vec<u8> {
        match self.framing {
            Framing::Tcp => mbap::request(self.transaction, self.unit_id, &self.command),
            Framing::Rtu => rtu::request(self.unit_id, &self.command),
        }
    }

    /// Whether `bytes` may become an answer, or have not even begun.
    fn awaits_more(&self, bytes: &[u8]) -> bool {
        match self.framing {
            Framing::Tcp => match mbap::front(bytes) {
                mbap::Front::Incomplete => true,
                mbap::Front::NoFrame(_) => false,
                mbap::Front::Frame {
                    transaction,
                    length,
                    ..
                } => transaction != self.transaction && self.awaits_more(&bytes[length..]),
            },
            Framing::Rtu => matches!(rtu::front(bytes), rtu::Front::Incomplete),
        }
    }

    fn heard(&self, bytes: &[u8]) -> Heard {
        match self.framing {
            _ if bytes.is_empty() => Heard::Silence,
            _ if bytes.starts_with(&self.frame()) => Heard::OwnRequest,
            Framing::Tcp => self.heard_over_tcp(bytes),
            Framing::Rtu => self.heard_in_rtu(bytes),
        }
    }

    fn heard_over_tcp(&self, bytes: &[u8]) -> Heard {
        match mbap::front(bytes) {
            mbap::Front::NoFrame(_) => Heard::Garbled(bytes.len()),
            mbap::Front::Incomplete => Heard::CutShort(bytes.len()),
            mbap::Front::Frame {
                transaction,
                unit_id,
                pdu,
                length,
            } => {
                let rest = &bytes[length..];
                match transaction == self.transaction {
                    true => self.judge(unit_id, pdu, rest),
                    // Of a request before this one.
                    false if rest.is_empty() => Heard::Silence,
                    false => self.heard_over_tcp(rest),
                }
            }
        }
    }

    fn heard_in_rtu(&self, bytes: &[u8]) -> Heard {
        let function = self.command.function();
        match rtu::front(bytes) {
            rtu::Front::NoFrame(rtu::Spoilt::Checksum) => Heard::Checksum,
            rtu::Front::NoFrame(_) => Heard::Garbled(bytes.len()),
            // Noise may look like a long answer's first bytes, but rarely like those of ours.
            rtu::Front::Incomplete => match *bytes {
                [unit, code, ..] if unit == self.unit_id && code & 0x7F == function => {
                    Heard::CutShort(bytes.len())
                }
                _ => Heard::Garbled(bytes.len()),
            },
            rtu::Front::Frame {
                unit_id,
                pdu,
                length,
            } => self.judge(unit_id, pdu, &bytes[length..]),
        }
    }

    /// What a whole frame is, with `rest` behind it.
    fn judge(&self, unit_id: u8, pdu: &[u8], rest: &[u8]) -> Heard {
        if unit_id != self.unit_id {
            return Heard::Foreign(unit_id);
        }
        let heard = match pdu::answer(pdu) {
            Some(answer) if answer.function == self.command.function() => match answer.content {
                Content::Exception(code) => Heard::Exception(code),
                Content::Registers(bytes) if answer.shape() == Some(self.command.shape()) => {
                    Heard::Answer(pdu::words(bytes))
                }
                _ => Heard::Unfitting,
            },
            _ => Heard::Unfitting,
        };
        if rest.is_empty() {
            return heard;
        }
        let second = match self.framing {
            Framing::Tcp => match mbap::front(rest) {
                mbap::Front::Frame { unit_id, .. } => Some(unit_id),
                _ => None,
            },
            Framing::Rtu => match rtu::front(rest) {
                rtu::Front::Frame { unit_id, .. } => Some(unit_id),
                _ => None,
            },
        };
        match second {
            Some(unit_id) if unit_id == self.unit_id => Heard::Twice,
            Some(unit_id) => Heard::Foreign(unit_id),
            None => Heard::Surplus(rest.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::RegisterSpace;

    const VOLTAGE: Block = Block {
        space: RegisterSpace::Input,
        start: 0,
        count: 2,
    };
    const PDU: [u8; 6] = [4, 4, 0x43, 0x66, 0x2B, 0x85];

    fn asked(framing: Framing) -> Asked {
        Asked {
            framing,
            transaction: 7,
            unit_id: 9,
            command: Command::Read(VOLTAGE),
        }
    }

    #[track_caller]
    fn check_rtu(bytes: &[u8], expected: Heard) {
        assert_eq!(asked(Framing::Rtu).heard(bytes), expected);
    }

    #[test]
    fn what_comes_back_on_a_line_is_told_apart() {
        let answer = rtu::frame(9, &PDU);
        check_rtu(&[], Heard::Silence);
        check_rtu(&answer, Heard::Answer(vec![0x4366, 0x2B85]));
        check_rtu(&rtu::frame(9, &[0x84, 2]), Heard::Exception(2));
        check_rtu(&[&answer[..], &answer[..]].concat(), Heard::Twice);
        check_rtu(&[&answer[..], &[0xFF, 0]].concat(), Heard::Surplus(2));
        check_rtu(&rtu::frame(8, &PDU), Heard::Foreign(8));
        let neighbour = rtu::frame(8, &PDU);
        check_rtu(&[&answer[..], &neighbour[..]].concat(), Heard::Foreign(8));
        check_rtu(&rtu::frame(9, &[3, 2, 0, 0]), Heard::Unfitting);
        check_rtu(&rtu::frame(9, &[4, 2, 0, 0]), Heard::Unfitting);
        check_rtu(&answer[..5], Heard::CutShort(5));
        let mut spoilt = answer;
        spoilt[4] ^= 1;
        check_rtu(&spoilt, Heard::Checksum);
        check_rtu(&[0x55; 9], Heard::Garbled(9));
        check_rtu(&rtu::request(9, &Command::Read(VOLTAGE)), Heard::OwnRequest);
    }

    fn tcp(transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
        let length = u16::try_from(pdu.len() + 1).expect("short").to_be_bytes();
        let head = [&transaction.to_be_bytes()[..], &[0, 0], &length, &[unit]].concat();
        [&head[..], pdu].concat()
    }

    #[track_caller]
    fn check_tcp(bytes: &[u8], expected: Heard) {
        assert_eq!(asked(Framing::Tcp).heard(bytes), expected);
    }

    #[test]
    fn an_answer_to_an_earlier_request_is_passed_over() {
        let (late, own) = (tcp(6, 9, &PDU), tcp(7, 9, &PDU));
        check_tcp(&late, Heard::Silence);
        assert!(asked(Framing::Tcp).awaits_more(&late));
        let words = vec![0x4366, 0x2B85];
        check_tcp(&[late, own.clone()].concat(), Heard::Answer(words));
        assert!(!asked(Framing::Tcp).awaits_more(&own));
        check_tcp(&tcp(7, 8, &PDU), Heard::Foreign(8));
        check_tcp(&[own.clone(), own].concat(), Heard::Twice);
        check_tcp(b"HTTP/1.1 400 Bad Request", Heard::Garbled(24));
    }
}
