//! The open line: one request goes out, its own answer comes back, or it is said why not.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::{Ask, Epoch, Fault};
use crate::transport::command::Shape;
use crate::transport::pace::Pace;
use crate::transport::pdu::{self, Answer, Content};
use crate::transport::{Framing, Wire, mbap, rtu};

/// After bytes that nobody asked for the line must be silent for so long; USB adapters hand on what
/// they received every 16 ms.
const DRAINED_AFTER: Duration = Duration::from_millis(20);
/// A line that does not fall silent for so long never will.
const NEVER_SILENT_AFTER: Duration = Duration::from_millis(500);
/// Room for more than the longest frame.
const BUFFER_BYTES: usize = 512;

/// Registers, and when they arrived.
pub(super) struct Arrived {
    pub(super) words: Vec<u16>,
    pub(super) at: Instant,
}

/// An open line.
pub(super) struct Line {
    wire: Box<dyn Wire>,
    framing: Framing,
    pace: Pace,
    pub(super) epoch: Epoch,
    /// When bytes last went either way.
    active: Instant,
    /// Silence that the last unit's model wants after its answer.
    pause: Duration,
    /// Received and not judged yet.
    buffer: Vec<u8>,
    /// Where in the buffer bytes began that were received together.
    seams: Vec<usize>,
    /// Transactions of this connection whose answer may still come.
    owed: BTreeSet<u16>,
    /// Units whose last request was answered.
    answering: BTreeSet<u8>,
}

impl Line {
    pub(super) fn new(wire: Box<dyn Wire>, framing: Framing, pace: Pace, epoch: Epoch) -> Self {
        Self {
            wire,
            framing,
            pace,
            epoch,
            active: Instant::now(),
            pause: Duration::ZERO,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            seams: Vec::new(),
            owed: BTreeSet::new(),
            answering: BTreeSet::new(),
        }
    }

    /// Notes whether a unit answered its last request.
    pub(super) fn note(&mut self, unit_id: u8, answers: bool) {
        if answers {
            self.answering.insert(unit_id);
        } else {
            self.answering.remove(&unit_id);
        }
    }

    /// Whether any unit answered its last request.
    pub(super) fn is_alive(&self) -> bool {
        !self.answering.is_empty()
    }

    /// Listens while nobody asks; returns when the line has ended.
    pub(super) async fn idle(&mut self) -> io::Error {
        loop {
            if let Err(error) = self.receive().await {
                return error;
            }
            if self.framing == Framing::Rtu {
                // Nothing was asked, so nothing of it is an answer.
                self.buffer.clear();
            } else if self.buffer.len() > BUFFER_BYTES {
                return io::Error::new(io::ErrorKind::InvalidData, "bytes that nobody asked for");
            }
        }
    }

    /// Asks, and waits for the answer. `is_owed` is told of answers that are not ours: it says whether
    /// they are late ones of another request.
    pub(super) async fn exchange(
        &mut self,
        ask: &Ask,
        transaction: u16,
        is_owed: impl Fn(u8, Shape) -> bool,
    ) -> Result<Arrived, Fault> {
        let pause = self.pause.max(ask.pause);
        self.pause = ask.pause;
        match self.framing {
            Framing::Tcp => {
                // A timer takes a millisecond also where its time is over.
                if self.active + pause > Instant::now() {
                    tokio::time::sleep_until(self.active + pause).await;
                }
                self.exchange_tcp(ask, transaction).await
            }
            Framing::Rtu => {
                self.fall_silent(pause.max(self.pace.gap)).await?;
                let result = self.exchange_rtu(ask, is_owed).await;
                if matches!(&result, Err(fault) if fault.leaves_an_answer_owed()) {
                    self.drain().await;
                }
                result
            }
        }
    }

    async fn exchange_tcp(&mut self, ask: &Ask, transaction: u16) -> Result<Arrived, Fault> {
        self.send(&mbap::request(transaction, ask.unit_id, &ask.command), ask)
            .await?;
        let deadline = self.active + ask.timeout;
        loop {
            match mbap::front(&self.buffer) {
                mbap::Front::Incomplete => self.await_more(ask, transaction, deadline).await?,
                mbap::Front::NoFrame(spoilt) => return Err(Fault::Garbled(spoilt.to_string())),
                mbap::Front::Frame {
                    transaction: other,
                    length,
                    ..
                } if self.owed.remove(&other) => {
                    self.take(length);
                }
                mbap::Front::Frame {
                    transaction: found,
                    unit_id,
                    pdu,
                    length,
                } => {
                    let result = judge_header(ask, transaction, found, unit_id)
                        .and_then(|()| judge_pdu(ask, pdu));
                    let is_two = self.holds_another_frame(length);
                    self.take(length);
                    let at = self.active;
                    // Nothing else was asked. A frame that was cut short looks whole where the next
                    // one's bytes stand in for its last.
                    let is_answer = matches!(result, Ok(_) | Err(Fault::Exception(_)));
                    if is_answer && !self.buffer.is_empty() {
                        return Err(surplus(self.buffer.len()));
                    }
                    if is_answer && is_two {
                        return Err(Fault::Garbled("another frame begins in it".to_owned()));
                    }
                    let words = result?;
                    return Ok(Arrived { words, at });
                }
            }
        }
    }

    /// Whether, within the first `length` bytes, bytes that came later begin as a frame does.
    fn holds_another_frame(&self, length: usize) -> bool {
        let frame = &self.buffer[..length];
        let mut seams = self.seams.iter().filter(|&&seam| 0 < seam && seam < length);
        seams.any(|&seam| mbap::begins(&frame[seam..]))
    }

    /// Takes the first `length` bytes out of the buffer.
    fn take(&mut self, length: usize) {
        self.buffer.drain(..length);
        self.seams.clear();
    }

    async fn await_more(
        &mut self,
        ask: &Ask,
        transaction: u16,
        deadline: Instant,
    ) -> Result<(), Fault> {
        match timeout_at(deadline, self.receive()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Fault::Lost(error)),
            Err(_) if self.buffer.is_empty() => {
                self.owed.insert(transaction);
                Err(Fault::Silent {
                    waited: ask.timeout,
                })
            }
            Err(_) => Err(cut_short(self.buffer.len())),
        }
    }

    async fn exchange_rtu(
        &mut self,
        ask: &Ask,
        is_owed: impl Fn(u8, Shape) -> bool,
    ) -> Result<Arrived, Fault> {
        self.buffer.clear();
        let request = rtu::request(ask.unit_id, &ask.command);
        self.send(&request, ask).await?;
        let on_the_line = request.len() + rtu::answer_frame_bytes(ask.command.shape());
        let deadline = self.active + ask.timeout + self.pace.time_of(on_the_line);
        loop {
            match rtu::front(&self.buffer) {
                rtu::Front::Incomplete => {
                    match timeout_at(deadline, self.receive()).await {
                        Ok(received) => received.map_err(Fault::Lost)?,
                        Err(_) if self.buffer.is_empty() => {
                            return Err(Fault::Silent {
                                waited: ask.timeout,
                            });
                        }
                        Err(_) => return Err(cut_short(self.buffer.len())),
                    };
                }
                rtu::Front::NoFrame(spoilt) => return Err(Fault::Garbled(spoilt.to_string())),
                rtu::Front::Frame {
                    unit_id,
                    pdu,
                    length,
                } => {
                    let result = judge_unit(ask, unit_id).and_then(|()| judge_pdu(ask, pdu));
                    let is_late =
                        result.is_err() && shape(pdu).is_some_and(|shape| is_owed(unit_id, shape));
                    self.buffer.drain(..length);
                    if is_late {
                        continue;
                    }
                    let words = result?;
                    let at = self.active;
                    self.nothing_follows().await?;
                    return Ok(Arrived { words, at });
                }
            }
        }
    }

    /// Whoever talks on after the answer is another one, and perhaps it was before, too.
    async fn nothing_follows(&mut self) -> Result<(), Fault> {
        if self.buffer.is_empty() {
            match timeout_at(self.active + self.pace.gap, self.receive()).await {
                Err(_) => return Ok(()),
                // The line's end does not spoil what came before it; the next request meets it.
                Ok(Err(_)) => return Ok(()),
                Ok(Ok(())) => (),
            }
        }
        Err(surplus(self.buffer.len()))
    }

    async fn send(&mut self, frame: &[u8], ask: &Ask) -> Result<(), Fault> {
        let deadline = Instant::now() + ask.timeout;
        let sent = async {
            self.wire.write_all(frame).await?;
            self.wire.flush().await
        };
        let sent = timeout_at(deadline, sent).await;
        self.active = Instant::now();
        sent.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
            .map_err(Fault::Lost)
    }

    /// Waits until the line was silent for `gap`, and throws away what comes before.
    async fn fall_silent(&mut self, gap: Duration) -> Result<(), Fault> {
        let limit = Instant::now() + NEVER_SILENT_AFTER.max(gap * 2);
        let mut gap = gap;
        loop {
            match self.receive_until(self.active + gap).await {
                None => return Ok(()),
                Some(Err(error)) => return Err(Fault::Lost(error)),
                Some(Ok(())) if Instant::now() > limit => {
                    return Err(Fault::Garbled("the line is never silent".to_owned()));
                }
                Some(Ok(())) => {
                    self.buffer.clear();
                    gap = gap.max(DRAINED_AFTER);
                }
            }
        }
    }

    async fn drain(&mut self) {
        self.active = Instant::now();
        // A line that is never silent, or has ended, fails the next request, too.
        let _ = self.fall_silent(self.pace.gap.max(DRAINED_AFTER)).await;
        self.buffer.clear();
    }

    /// Waits for bytes until `moment`; where it is over already, one look is taken at what has arrived.
    async fn receive_until(&mut self, moment: Instant) -> Option<io::Result<()>> {
        if moment > Instant::now() {
            return timeout_at(moment, self.receive()).await.ok();
        }
        // A timer takes a millisecond also where its time is over.
        tokio::select! {
            biased;
            received = self.receive() => Some(received),
            () = std::future::ready(()) => None,
        }
    }

    /// Waits for bytes and adds them to the buffer.
    async fn receive(&mut self) -> io::Result<()> {
        let seam = self.buffer.len();
        match self.wire.read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => {
                self.active = Instant::now();
                if self.framing == Framing::Tcp {
                    self.seams.push(seam);
                }
                Ok(())
            }
        }
    }
}

fn cut_short(received: usize) -> Fault {
    Fault::Garbled(format!("an answer ends after {received} bytes"))
}

fn surplus(count: usize) -> Fault {
    Fault::Garbled(format!("{count} bytes follow the answer"))
}

fn shape(pdu: &[u8]) -> Option<Shape> {
    pdu::answer(pdu).and_then(Answer::shape)
}

fn judge_header(ask: &Ask, transaction: u16, found: u16, unit_id: u8) -> Result<(), Fault> {
    if found != transaction {
        return Err(Fault::Foreign(format!(
            "transaction {found} instead of {transaction}"
        )));
    }
    judge_unit(ask, unit_id)
}

fn judge_unit(ask: &Ask, unit_id: u8) -> Result<(), Fault> {
    if unit_id != ask.unit_id {
        return Err(Fault::Foreign(format!("unit {unit_id}")));
    }
    Ok(())
}

fn judge_pdu(ask: &Ask, pdu: &[u8]) -> Result<Vec<u16>, Fault> {
    let wanted = ask.command.shape();
    let Some(answer) = pdu::answer(pdu) else {
        return Err(Fault::Garbled("no answer to what was asked".to_owned()));
    };
    if answer.function != wanted.function() {
        return Err(Fault::Foreign(format!("function {}", answer.function)));
    }
    let words = match answer.content {
        Content::Exception(code) => return Err(Fault::Exception(code)),
        Content::Registers(bytes) => pdu::words(bytes),
        // One coil is asked for; what the other bits of its byte are is nobody's concern.
        Content::Coils(bytes) => bytes.iter().map(|byte| u16::from(byte & 1)).collect(),
        Content::Echo(words) if answer.shape() != Some(wanted) => {
            let [address, value] = words;
            return Err(Fault::Foreign(format!(
                "a write of {value:#06x} to {address:#06x}"
            )));
        }
        Content::Echo(_) => Vec::new(),
    };
    if answer.shape() != Some(wanted) {
        return Err(Fault::WrongLength {
            received: words.len(),
        });
    }
    Ok(words)
}
