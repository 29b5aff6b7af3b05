//! What the charge point knows, and what it says next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use protocol::{IdTag, UnixMillis};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::configuration::Configuration;
use super::handle::Input;
use super::queue::{Entry, Queue};
use super::{
    AskError, ChargePointConfig, ChargePointHost, ConfigurationError, Journal, JournalError,
    SessionEvent,
};
use crate::session::{Authorization, ConnectorStatus, Observation};

/// Authorize requests that may wait; a gateway has few readers.
const ASKS_MAX: usize = 16;

/// What the central system has said to our boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registration {
    /// Nothing yet.
    None,
    Pending,
    Rejected,
    Accepted,
}

/// What the central system wants to hear at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    Boot,
    Heartbeat,
    Status(u32),
    Meter(u32),
}

/// What a call of ours is about; its outcome is settled by it.
pub(super) enum Purpose {
    Boot,
    Heartbeat,
    Status(u32),
    /// A triggered meter value of a connector: sent once, not kept.
    Meter(u32),
    /// The head of the queue.
    Transaction,
    Authorize(IdTag, oneshot::Sender<Result<Authorization, AskError>>),
}

#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) status: ConnectorStatus,
    pub(super) fault: Option<String>,
    pub(super) at: UnixMillis,
}

pub(super) struct Face<H, J> {
    pub(super) config: ChargePointConfig,
    pub(super) host: Arc<H>,
    pub(super) configuration: Configuration,
    pub(super) registration: Registration,
    pub(super) next_boot: Instant,
    pub(super) last_heartbeat: Instant,
    /// By connector, 0 included.
    pub(super) statuses: BTreeMap<u32, Status>,
    /// Connectors whose status the central system has not confirmed.
    pub(super) unsaid: BTreeSet<u32>,
    /// The newest reading by connector.
    pub(super) readings: BTreeMap<u32, Observation>,
    // Invariant: without repetitions, so bounded by the number of connectors.
    pub(super) triggers: VecDeque<Trigger>,
    pub(super) asks: VecDeque<(IdTag, oneshot::Sender<Result<Authorization, AskError>>)>,
    pub(super) queue: Queue<J>,
    /// Attempts at the head of the queue.
    pub(super) attempts: u32,
    pub(super) retry_at: Instant,
    /// Until when a reset waits for charges to end.
    pub(super) reset_by: Option<Instant>,
}

impl<H: ChargePointHost, J: Journal> Face<H, J> {
    pub(super) fn new(
        config: ChargePointConfig,
        host: Arc<H>,
        queue: Queue<J>,
    ) -> Result<Self, ConfigurationError> {
        let configuration = Configuration::new(config.connectors, &config.configuration)?;
        let at = host.now();
        let free = Status {
            status: ConnectorStatus::Available,
            fault: None,
            at,
        };
        let now = Instant::now();
        Ok(Self {
            statuses: (0..=config.connectors)
                .map(|connector| (connector, free.clone()))
                .collect(),
            unsaid: BTreeSet::new(),
            readings: BTreeMap::new(),
            triggers: VecDeque::new(),
            asks: VecDeque::new(),
            registration: Registration::None,
            next_boot: now,
            last_heartbeat: now,
            queue,
            attempts: 0,
            retry_at: now,
            reset_by: None,
            config,
            host,
            configuration,
        })
    }

    /// Takes in what the gateway says, link or no link.
    pub(super) async fn take_in(&mut self, input: Input, online: bool) -> Result<(), JournalError> {
        match input {
            Input::Report(event, kept) => {
                self.report(event).await?;
                // A reporter that has gone away does not need to know.
                let _ = kept.send(());
            }
            Input::Authorize(id_tag, reply) => {
                let can_ask = online && self.registration == Registration::Accepted;
                if can_ask && self.asks.len() < ASKS_MAX {
                    self.asks.push_back((id_tag, reply));
                } else {
                    let _ = reply.send(Err(AskError::Offline));
                }
            }
        }
        Ok(())
    }

    async fn report(&mut self, event: SessionEvent) -> Result<(), JournalError> {
        match event {
            SessionEvent::Began {
                charge,
                connector,
                id_tag,
                at,
                register,
            } => {
                let start = Entry::Start {
                    charge,
                    connector,
                    id_tag,
                    at,
                    register,
                };
                self.queue.push(start).await
            }
            SessionEvent::Observed {
                connector,
                observation,
            } => self.observed(connector, observation).await,
            SessionEvent::Ended {
                charge,
                id_tag,
                at,
                register,
                reason,
                detail,
            } => {
                let stop = Entry::Stop {
                    charge,
                    id_tag,
                    at,
                    register,
                    reason,
                    detail,
                };
                self.queue.push(stop).await
            }
            SessionEvent::Status {
                connector,
                status,
                fault,
                at,
            } => {
                self.status_changed(connector, Status { status, fault, at });
                Ok(())
            }
        }
    }

    async fn observed(
        &mut self,
        connector: u32,
        observation: Observation,
    ) -> Result<(), JournalError> {
        if connector > self.config.connectors {
            return Ok(());
        }
        self.readings.insert(connector, observation);
        let Some(interval) = self.configuration.sample_interval() else {
            return Ok(());
        };
        let sample = self.selected(observation);
        if sample.register.is_none() && sample.power.is_none() {
            return Ok(());
        }
        let interval_ms = interval.as_secs().saturating_mul(1_000);
        self.queue.sample(connector, sample, interval_ms).await
    }

    /// What MeterValuesSampledData asks for.
    pub(super) fn selected(&self, observation: Observation) -> Observation {
        let wants = |measurand| self.configuration.samples(measurand);
        Observation {
            at: observation.at,
            register: observation
                .register
                .filter(|_| wants("Energy.Active.Import.Register")),
            power: observation.power.filter(|_| wants("Power.Active.Import")),
        }
    }

    fn status_changed(&mut self, connector: u32, status: Status) {
        let Some(known) = self.statuses.get_mut(&connector) else {
            tracing::warn!(connector, "status of a connector that is not configured");
            return;
        };
        if known.status != status.status || known.fault != status.fault {
            self.unsaid.insert(connector);
        }
        *known = status;
    }

    /// What to say next, if anything.
    pub(super) fn next_purpose(&mut self, now: Instant) -> Option<Purpose> {
        if self.registration != Registration::Accepted && now >= self.next_boot {
            self.triggers.retain(|trigger| *trigger != Trigger::Boot);
            return Some(Purpose::Boot);
        }
        // A charge point that is not accepted says what it is told to say, nothing else.
        let may_say_triggered = matches!(
            self.registration,
            Registration::Pending | Registration::Accepted
        );
        if may_say_triggered && let Some(purpose) = self.next_triggered() {
            return Some(purpose);
        }
        if self.registration != Registration::Accepted {
            return None;
        }
        if let Some((id_tag, reply)) = self.asks.pop_front() {
            return Some(Purpose::Authorize(id_tag, reply));
        }
        // Put back if it does not arrive.
        if let Some(connector) = self.unsaid.pop_first() {
            return Some(Purpose::Status(connector));
        }
        if now >= self.retry_at && self.queue.head().is_some() {
            return Some(Purpose::Transaction);
        }
        let heartbeat_due = self.heartbeat_at().is_some_and(|due| now >= due);
        heartbeat_due.then_some(Purpose::Heartbeat)
    }

    fn next_triggered(&mut self) -> Option<Purpose> {
        Some(match self.triggers.pop_front()? {
            Trigger::Boot => Purpose::Boot,
            Trigger::Heartbeat => Purpose::Heartbeat,
            Trigger::Status(connector) => Purpose::Status(connector),
            Trigger::Meter(connector) => Purpose::Meter(connector),
        })
    }

    fn heartbeat_at(&self) -> Option<Instant> {
        let interval = self.configuration.heartbeat_interval()?;
        Some(self.last_heartbeat + interval)
    }

    /// When to look again although nothing has happened.
    ///
    /// While a call is outstanding nothing else can be said, so only a reset is due.
    pub(super) fn next_deadline(&self, now: Instant, is_calling: bool) -> Instant {
        let idle = now + Duration::from_secs(3600);
        if is_calling {
            return self.reset_by.map_or(idle, |by| by.min(idle));
        }
        let accepted = self.registration == Registration::Accepted;
        let boot = (!accepted).then_some(self.next_boot);
        let heartbeat = self.heartbeat_at().filter(|_| accepted);
        let retry = Some(self.retry_at).filter(|at| accepted && *at > now);
        [boot, heartbeat, retry, self.reset_by]
            .into_iter()
            .flatten()
            .fold(idle, Instant::min)
    }

    /// True once a reset need not wait any longer.
    pub(super) fn is_reset_due(&self, now: Instant) -> bool {
        self.reset_by
            .is_some_and(|by| now >= by || self.queue.is_idle())
    }

    /// As after switching on; what is queued stays.
    pub(super) fn restart(&mut self, now: Instant) {
        self.reset_by = None;
        self.registration = Registration::None;
        self.next_boot = now;
        self.triggers.clear();
    }

    /// The link is gone: who waits for an answer gets none.
    pub(super) fn link_lost(&mut self) {
        for (_, reply) in self.asks.drain(..) {
            let _ = reply.send(Err(AskError::Offline));
        }
        self.triggers.clear();
    }
}
