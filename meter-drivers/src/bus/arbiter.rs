//! Whose turn it is, and what an answer or its absence means for the next one.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info};

use super::debts::{Debts, Passage};
use super::fault::again;
use super::line::{Arrived, Line};
use super::queue::{Queues, Verdict};
use super::silence::{Silence, Turn};
use super::{Answered, Ask, Epoch, Fault, Request};
use crate::retry::Retry;
use crate::transport::Endpoint;
use crate::transport::command::Command;

/// The task that owns the line.
pub(super) struct Arbiter {
    endpoint: Endpoint,
    queues: Arc<Queues>,
    line: Option<Line>,
    /// When the line may be opened again.
    retry: Retry,
    openings: u64,
    units: BTreeMap<u8, Unit>,
    /// The unit served last.
    last: u8,
}

#[derive(Default)]
struct Unit {
    silence: Silence,
    debts: Debts,
}

/// What is left to do when nothing can be sent yet.
struct Idle {
    /// When something can.
    until: Option<Instant>,
}

impl Arbiter {
    pub(super) fn new(endpoint: Endpoint, queues: Arc<Queues>) -> Self {
        Self {
            endpoint,
            queues,
            line: None,
            retry: Retry::default(),
            openings: 0,
            units: BTreeMap::new(),
            last: 0,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.next() {
                Ok((request, barrier)) => self.serve(request, barrier).await,
                Err(idle) => self.wait(idle).await,
            }
        }
    }

    /// The next request, with what to ask for before it.
    fn next(&mut self) -> Result<(Request, Option<Command>), Idle> {
        let now = Instant::now();
        if self.line.is_none()
            && let Some(moment) = self.retry.not_before().filter(|moment| *moment > now)
        {
            return Err(Idle {
                until: Some(moment),
            });
        }
        let (queues, units, last) = (&self.queues, &mut self.units, self.last);
        let mut until: Option<Instant> = None;
        let next = queues.next(last, |request| {
            let ask = &request.ask;
            let unit = units.entry(ask.unit_id).or_default();
            let mut later = |moment| {
                until = Some(until.map_or(moment, |until| until.min(moment)));
                Verdict::Later
            };
            match unit.silence.turn(now) {
                Turn::At(moment) => return later(moment),
                Turn::NotSoon { silent_for } => {
                    return Verdict::Refuse(Fault::Silent { waited: silent_for });
                }
                Turn::Now => (),
            }
            match unit.debts.passage(&ask.command, &ask.known, now) {
                Passage::NotBefore(moment) => later(moment),
                Passage::After(barrier) => Verdict::Take(Some(barrier)),
                Passage::Free => Verdict::Take(None),
            }
        });
        next.ok_or(Idle { until })
    }

    async fn wait(&mut self, idle: Idle) {
        let turn = async {
            match idle.until {
                Some(moment) => sleep_until(moment).await,
                None => pending().await,
            }
        };
        let end = async {
            match &mut self.line {
                Some(line) => line.idle().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.queues.added() => (),
            () = turn => (),
            error = end => {
                debug!(at = %self.endpoint, %error, "line ended, to be opened at the next request");
                self.line = None;
            }
        }
    }

    async fn serve(&mut self, request: Request, barrier: Option<Command>) {
        self.last = request.ask.unit_id;
        let was_open = self.line.is_some();
        if let Err(fault) = self.open(&request.ask).await {
            request.answer(Err(fault));
            return;
        }
        let mut result = self.ask_behind(&request.ask, barrier).await;
        // Modbus gateways end idle connections; reading or setting a value may be repeated without
        // harm, as long as the answer to the first cannot be taken for the second's.
        if was_open && request.ask.on.is_none() && matches!(result, Err(Fault::Lost(_))) {
            result = match self.passage(&request.ask) {
                Passage::Free => self.reopen_and_ask(&request.ask, None).await,
                Passage::After(barrier) => self.reopen_and_ask(&request.ask, Some(barrier)).await,
                Passage::NotBefore(_) => result,
            };
        }
        request.answer(result);
    }

    fn passage(&mut self, ask: &Ask) -> Passage {
        let unit = self.units.entry(ask.unit_id).or_default();
        unit.debts.passage(&ask.command, &ask.known, Instant::now())
    }

    async fn reopen_and_ask(
        &mut self,
        ask: &Ask,
        barrier: Option<Command>,
    ) -> Result<Answered, Fault> {
        self.open(ask).await?;
        self.ask_behind(ask, barrier).await
    }

    /// Opens the line if it is not; whoever waits for it is told where it cannot be.
    async fn open(&mut self, ask: &Ask) -> Result<(), Fault> {
        if self.line.is_some() {
            return Ok(());
        }
        // Counts as failed until an answer says otherwise.
        self.retry.failed();
        let opened = match timeout(ask.timeout.max(LEAST_TO_OPEN), self.endpoint.open()).await {
            Ok(opened) => opened,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut)),
        };
        match opened {
            Ok(wire) => {
                self.openings += 1;
                info!(at = %self.endpoint, "line opened");
                let (framing, pace) = (self.endpoint.framing(), self.endpoint.pace());
                self.line = Some(Line::new(wire, framing, pace, Epoch(self.openings)));
                Ok(())
            }
            Err(error) => {
                self.queues.refuse_all(|| Fault::Unreachable(again(&error)));
                Err(Fault::Unreachable(error))
            }
        }
    }

    /// Asks for `barrier` first, where there is one, and throws its answer away.
    async fn ask_behind(&mut self, ask: &Ask, barrier: Option<Command>) -> Result<Answered, Fault> {
        if let Some(command) = barrier {
            let before = Ask {
                command,
                ..ask.clone()
            };
            match self.ask(&before).await {
                // A refusal is an answer, too.
                Ok(_) | Err(Fault::Exception(_)) => (),
                Err(fault) => return Err(fault),
            }
        }
        self.ask(ask).await
    }

    async fn ask(&mut self, ask: &Ask) -> Result<Answered, Fault> {
        let Some(line) = &mut self.line else {
            return Err(Fault::Reopened);
        };
        let epoch = line.epoch;
        if ask.on.is_some_and(|on| on != epoch) {
            return Err(Fault::Reopened);
        }
        let began = Instant::now();
        let units = &self.units;
        let is_owed = |unit_id: u8, shape| {
            units
                .get(&unit_id)
                .is_some_and(|unit| unit.debts.owes(shape))
        };
        let result = line.exchange(ask, next_transaction(), is_owed).await;
        self.settle(ask, began, result).map(|arrived| Answered {
            words: arrived.words,
            arrived: arrived.at,
            epoch,
        })
    }

    /// Draws the conclusions from an attempt that began at `began`.
    fn settle(
        &mut self,
        ask: &Ask,
        began: Instant,
        result: Result<Arrived, Fault>,
    ) -> Result<Arrived, Fault> {
        let now = Instant::now();
        let has_neighbours = self.queues.units() > 1;
        let unit = self.units.entry(ask.unit_id).or_default();
        let shape = ask.command.shape();
        let result = match result {
            // It may refuse an earlier request of the same function.
            Err(Fault::Exception(code)) if unit.debts.owes_refusal_of(shape.function()) => Err(
                Fault::Foreign(format!("exception {code} may refuse an earlier request")),
            ),
            result => result,
        };
        let fault = result.as_ref().err();
        if fault.is_some_and(Fault::leaves_an_answer_owed) {
            unit.debts.owe(shape, ask.timeout, now);
            unit.silence.failed(began, now, has_neighbours);
        } else {
            unit.debts.clear();
            unit.silence.answered();
            self.retry = Retry::default();
        }
        if let Some(fault) = fault {
            debug!(at = %self.endpoint, unit_id = ask.unit_id, ?fault, "no answer");
        }
        self.keep_or_close(ask.unit_id, fault);
        result
    }

    fn keep_or_close(&mut self, unit_id: u8, fault: Option<&Fault>) {
        let Some(line) = &mut self.line else { return };
        let answers = !fault.is_some_and(Fault::leaves_an_answer_owed);
        line.note(unit_id, answers);
        let closes = match fault {
            Some(Fault::Lost(_)) => true,
            // Where frames have a length, what follows a spoilt one cannot be trusted.
            Some(Fault::Foreign(_) | Fault::WrongLength { .. } | Fault::Garbled(_)) => {
                self.endpoint.framing() == crate::transport::Framing::Tcp
            }
            // Late answers end with the connection. It is kept only for the sake of others.
            Some(Fault::Silent { .. } | Fault::Exception(_)) if !answers => {
                self.endpoint.is_connection() && !line.is_alive()
            }
            _ => false,
        };
        if closes {
            self.line = None;
        }
    }
}

/// Opening may take longer than an answer: a name is looked up, a port's settings are applied.
const LEAST_TO_OPEN: Duration = Duration::from_millis(500);

impl Request {
    /// Hands out the answer; whoever asked may have given up.
    pub(super) fn answer(self, result: Result<Answered, Fault>) {
        let _ = self.reply.send(result);
    }
}

/// The next transaction id of this process, whatever the line: a device that answers over the wrong
/// connection, or after our restart, finds none that fits.
fn next_transaction() -> u16 {
    static NEXT: std::sync::LazyLock<AtomicU16> = std::sync::LazyLock::new(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanoseconds = since_epoch.map_or(0, |since| since.subsec_nanos());
        let start = nanoseconds % u32::from(u16::MAX);
        AtomicU16::new(u16::try_from(start).expect("below 65,535"))
    });
    NEXT.fetch_add(1, Ordering::Relaxed)
}
