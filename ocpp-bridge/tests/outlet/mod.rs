//! An outlet without OCPP: our northbound face with a host that writes down what it hears.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ocpp_bridge::session::{Authorization, Observation, StopReason};
use ocpp_bridge::v16::charge_point::{
    self, AvailabilityAnswer, ChargeKey, ChargePointConfig, ChargePointHandle, ChargePointHost,
    MemoryJournal, RemoteStart, ResetKind, RunError, SessionEvent, UnlockAnswer,
};
use protocol::{EnergyWh, IdTag, PowerW, UnixMillis};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

pub(crate) fn at(minute: u64) -> UnixMillis {
    UnixMillis(1_700_000_000_000 + minute * 60_000)
}

pub(crate) fn tag(text: &str) -> IdTag {
    IdTag::parse(text).expect("printable ASCII")
}

pub(crate) fn began(charge: u64, register: u64) -> SessionEvent {
    began_by("TAG-1", charge, register)
}

pub(crate) fn began_by(id_tag: &str, charge: u64, register: u64) -> SessionEvent {
    SessionEvent::Began {
        charge: ChargeKey(charge),
        connector: 1,
        id_tag: tag(id_tag),
        at: at(0),
        register: EnergyWh(register),
    }
}

pub(crate) fn observed(minute: u64, register: u64) -> SessionEvent {
    SessionEvent::Observed {
        connector: 1,
        observation: Observation {
            at: at(minute),
            register: Some(EnergyWh(register)),
            power: Some(PowerW(7_000)),
        },
    }
}

pub(crate) fn ended(charge: u64, minute: u64, register: u64) -> SessionEvent {
    ended_by(StopReason::EvDisconnected, charge, minute, register)
}

pub(crate) fn ended_by(
    reason: StopReason,
    charge: u64,
    minute: u64,
    register: u64,
) -> SessionEvent {
    SessionEvent::Ended {
        charge: ChargeKey(charge),
        id_tag: None,
        at: at(minute),
        register: EnergyWh(register),
        reason,
        detail: Vec::new(),
    }
}

pub(crate) struct Outlet {
    pub(crate) handle: ChargePointHandle,
    pub(crate) host: Arc<Host>,
    journal: MemoryJournal,
    running: JoinHandle<Result<(), RunError>>,
}

impl Outlet {
    pub(crate) fn start(url: &str) -> Self {
        Self::with_keys(url, &[])
    }

    pub(crate) fn with_keys(url: &str, keys: &[(&str, &str)]) -> Self {
        Self::with_journal(url, MemoryJournal::default(), keys)
    }

    /// Boots again 20 ms after a boot that failed; a reset waits 200 ms.
    pub(crate) fn impatient(url: &str, keys: &[(&str, &str)]) -> Self {
        Self::run(
            url,
            MemoryJournal::default(),
            keys,
            Duration::from_millis(20),
        )
    }

    pub(crate) fn with_journal(url: &str, journal: MemoryJournal, keys: &[(&str, &str)]) -> Self {
        Self::run(url, journal, keys, Duration::from_secs(60))
    }

    fn run(url: &str, journal: MemoryJournal, keys: &[(&str, &str)], boot_retry: Duration) -> Self {
        let mut config = ChargePointConfig::new(url, "CP 1/ä", "Acme", "Outlet");
        config.boot_retry = boot_retry;
        config.reset_timeout = boot_retry * 10;
        config.backoff_first = Duration::from_millis(20);
        config.backoff_max = Duration::from_millis(50);
        config.configuration = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let host = Arc::new(Host::default());
        let (handle, inbox) = charge_point::channel();
        let face = charge_point::run(config, Arc::clone(&host), journal.clone(), inbox);
        Self {
            handle,
            host,
            journal,
            running: tokio::spawn(face),
        }
    }

    pub(crate) async fn report(&self, event: SessionEvent) {
        self.handle.report(event).await.expect("the face runs");
    }

    /// Stops the face in good order and keeps what a disk would keep.
    pub(crate) async fn stop(self) -> MemoryJournal {
        drop(self.handle);
        self.running.await.expect("no panic").expect("no error");
        self.journal
    }

    pub(crate) async fn journal_empties(&self) {
        self.journal_has(0).await;
    }

    pub(crate) async fn journal_has(&self, entries: usize) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.journal.len() != entries {
            assert!(
                Instant::now() < deadline,
                "{} entries wait",
                self.journal.len()
            );
            sleep(Duration::from_millis(5)).await;
        }
    }
}

#[derive(Default)]
pub(crate) struct Host {
    heard: Mutex<Vec<String>>,
    started: Mutex<Vec<(u64, i32, bool)>>,
    handle: Mutex<Option<ChargePointHandle>>,
}

impl Host {
    fn hear(&self, what: String) {
        self.heard.lock().expect("no panic").push(what);
    }

    /// From now on remote starts are authorized with the central system.
    pub(crate) fn ask_through(&self, handle: &ChargePointHandle) {
        *self.handle.lock().expect("no panic") = Some(handle.clone());
    }

    pub(crate) fn started(&self) -> Vec<(u64, i32, bool)> {
        self.started.lock().expect("no panic").clone()
    }

    pub(crate) async fn heard(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let heard = self.heard.lock().expect("no panic").clone();
            if heard.iter().any(|line| line == what) {
                return;
            }
            assert!(Instant::now() < deadline, "{what} not among {heard:#?}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl ChargePointHost for Host {
    fn now(&self) -> UnixMillis {
        at(0)
    }

    async fn remote_start(&self, start: RemoteStart) -> bool {
        self.hear(format!(
            "remote start {:?} {} authorize {}",
            start.connector,
            start.id_tag.as_str(),
            start.authorize_first
        ));
        let handle = self.handle.lock().expect("no panic").clone();
        match handle {
            Some(handle) => {
                let answer = handle.ask_authorize(&start.id_tag).await;
                answer.expect("asked").is_accepted()
            }
            None => true,
        }
    }

    async fn remote_stop(&self, charge: ChargeKey) -> bool {
        self.hear(format!("remote stop {}", charge.0));
        true
    }

    async fn reset(&self, kind: ResetKind) {
        self.hear(format!("reset {kind:?}"));
    }

    async fn set_available(&self, connector: u32, available: bool) -> AvailabilityAnswer {
        self.hear(format!("available {connector} {available}"));
        AvailabilityAnswer::Scheduled
    }

    async fn unlock(&self, _: u32) -> UnlockAnswer {
        UnlockAnswer::NotSupported
    }

    async fn started(&self, charge: ChargeKey, transaction_id: i32, answer: Authorization) {
        let accepted = answer.is_accepted();
        self.hear(format!("started {} {transaction_id} {accepted}", charge.0));
        let mut started = self.started.lock().expect("no panic");
        started.push((charge.0, transaction_id, accepted));
    }

    async fn configuration_changed(&self, key: &str, value: &str) {
        self.hear(format!("configuration {key}={value}"));
    }
}
