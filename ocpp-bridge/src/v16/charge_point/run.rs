//! The face's task: connects, reconnects, and says what there is to say.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use protocol::link::{self, CallFailure, Connection, Event, LinkOptions};
use protocol::rpc::Json;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::Instrument;

use super::face::{Face, Purpose};
use super::queue::Queue;
use super::{ChargePointConfig, ChargePointHost, ConfigurationError, Inbox, Journal, JournalError};
use crate::v16::SUBPROTOCOL;

/// A link that held this long was a good one: the next reconnect starts with the shortest wait.
const GOOD_LINK: Duration = Duration::from_secs(60);

/// Why the face stopped before its last handle was dropped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The journal failed: going on would lose charges.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The configuration cannot be.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
}

/// How a link ended.
enum End {
    Lost,
    /// By ourselves, to come back as after switching on.
    Reset,
    /// Nobody reports any more.
    Done,
}

/// Our outstanding call.
type Outstanding = (
    Purpose,
    Pin<Box<dyn Future<Output = Result<Json, CallFailure>> + Send>>,
);

/// Is a charge point until the last handle to `inbox` is dropped.
///
/// # Errors
/// `RunError`; all that was reported is in the journal, so it may be started again.
pub async fn run<H: ChargePointHost, J: Journal>(
    config: ChargePointConfig,
    host: Arc<H>,
    journal: J,
    inbox: Inbox,
) -> Result<(), RunError> {
    let span = tracing::info_span!("northbound", charge_point = %config.charge_point_id);
    run_inside(config, host, journal, inbox)
        .instrument(span)
        .await
}

async fn run_inside<H: ChargePointHost, J: Journal>(
    config: ChargePointConfig,
    host: Arc<H>,
    journal: J,
    mut inbox: Inbox,
) -> Result<(), RunError> {
    let queue = Queue::load(journal).await?;
    let mut face = Face::new(config, host, queue)?;
    let mut backoff = face.config.backoff_first;
    loop {
        let Some(connection) = face.open(&mut inbox, &mut backoff).await? else {
            return Ok(());
        };
        let opened = Instant::now();
        let link = connection.link.clone();
        let end = face.converse(connection, &mut inbox).await?;
        face.link_lost();
        link.close().await;
        match end {
            End::Done => return Ok(()),
            End::Reset => face.restart(Instant::now()),
            End::Lost => {
                if opened.elapsed() >= GOOD_LINK {
                    backoff = face.config.backoff_first;
                }
                if face
                    .wait(&mut inbox, grow(&mut backoff, &face.config))
                    .await?
                    .is_none()
                {
                    return Ok(());
                }
            }
        }
    }
}

impl<H: ChargePointHost, J: Journal> Face<H, J> {
    /// Tries until there is a link; `None` where nobody reports any more.
    async fn open(
        &mut self,
        inbox: &mut Inbox,
        backoff: &mut Duration,
    ) -> Result<Option<Connection>, JournalError> {
        let url = url(&self.config);
        let options = LinkOptions {
            ping_interval: self.configuration.ping_interval(),
            ..self.config.link.clone()
        };
        loop {
            let connecting = link::connect(&url, &[SUBPROTOCOL], &options);
            let Some(outcome) = self.meanwhile(inbox, connecting).await? else {
                return Ok(None);
            };
            match outcome {
                Ok(connection) => {
                    tracing::info!("link opened");
                    return Ok(Some(connection));
                }
                Err(error) => tracing::warn!(%error, "cannot reach the central system"),
            }
            if self
                .wait(inbox, grow(backoff, &self.config))
                .await?
                .is_none()
            {
                return Ok(None);
            }
        }
    }

    async fn wait(
        &mut self,
        inbox: &mut Inbox,
        duration: Duration,
    ) -> Result<Option<()>, JournalError> {
        self.meanwhile(inbox, sleep(duration)).await
    }

    /// Waits for `future` without a link, taking in what is reported; `None` where nobody reports
    /// any more.
    async fn meanwhile<T>(
        &mut self,
        inbox: &mut Inbox,
        future: impl Future<Output = T>,
    ) -> Result<Option<T>, JournalError> {
        tokio::pin!(future);
        loop {
            tokio::select! {
                outcome = &mut future => return Ok(Some(outcome)),
                input = inbox.0.recv() => match input {
                    Some(input) => self.take_in(input, false).await?,
                    None => return Ok(None),
                },
            }
        }
    }

    /// Speaks over one link until it ends.
    async fn converse(
        &mut self,
        mut connection: Connection,
        inbox: &mut Inbox,
    ) -> Result<End, JournalError> {
        let link = connection.link.clone();
        let mut ping_interval = self.configuration.ping_interval();
        let mut outstanding: Option<Outstanding> = None;
        let end = loop {
            let now = Instant::now();
            if self.is_reset_due(now) {
                break End::Reset;
            }
            if outstanding.is_none()
                && let Some((purpose, action, payload)) = self.next_call(now).await?
            {
                let link = link.clone();
                let call = async move { link.call(action, payload).await };
                outstanding = Some((purpose, Box::pin(call)));
            }
            let deadline = self.next_deadline(now, outstanding.is_some());
            tokio::select! {
                outcome = answered(&mut outstanding) => {
                    if let Some((purpose, _)) = outstanding.take() {
                        self.settle(purpose, outcome, Instant::now()).await?;
                    }
                }
                event = connection.events.recv() => match event {
                    Some(Event::Call(call)) => self.answer(*call),
                    Some(Event::Binary(_)) => {}
                    Some(Event::Closed { reason }) => {
                        tracing::info!(?reason, "link closed");
                        break End::Lost;
                    }
                    None => break End::Lost,
                },
                input = inbox.0.recv() => match input {
                    Some(input) => self.take_in(input, true).await?,
                    None => break End::Done,
                },
                () = sleep_until(deadline) => {}
            }
            let wanted = self.configuration.ping_interval();
            if wanted != ping_interval {
                ping_interval = wanted;
                link.set_ping_interval(wanted).await;
            }
        };
        if let Some((purpose, _)) = outstanding {
            // What it was about is said again over the next link.
            let lost = Err(CallFailure::LinkLost);
            self.settle(purpose, lost, Instant::now()).await?;
        }
        Ok(end)
    }

    /// The next call that has something to say.
    async fn next_call(
        &mut self,
        now: Instant,
    ) -> Result<Option<(Purpose, &'static str, Json)>, JournalError> {
        while let Some(purpose) = self.next_purpose(now) {
            if let Some((action, payload)) = self.call_for(&purpose) {
                return Ok(Some((purpose, action, payload)));
            }
            if matches!(purpose, Purpose::Transaction) {
                tracing::error!(
                    "the central system never opened this transaction; its message is dropped"
                );
                self.queue.drop_head().await?;
            }
        }
        Ok(None)
    }
}

async fn answered(outstanding: &mut Option<Outstanding>) -> Result<Json, CallFailure> {
    match outstanding {
        Some((_, call)) => call.await,
        None => std::future::pending().await,
    }
}

fn url(config: &ChargePointConfig) -> String {
    let mut url = config.url.trim_end_matches('/').to_owned();
    url.push('/');
    for byte in config.charge_point_id.bytes() {
        // The unreserved characters of RFC 3986, section 2.3.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// The next wait: half of it certain, half of it chance, so that many charge points do not come
/// back at once.
fn grow(backoff: &mut Duration, config: &ChargePointConfig) -> Duration {
    let half = *backoff / 2;
    *backoff = (*backoff * 2).min(config.backoff_max);
    // Without a source of chance the wait is merely predictable.
    let chance = getrandom::u32().unwrap_or(u32::MAX);
    half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_percent_encoded() {
        let config = ChargePointConfig::new("ws://host/ocpp/", "R&D é", "v", "m");
        assert_eq!(url(&config), "ws://host/ocpp/R%26D%20%C3%A9");
        let path = url(&config).replace("ws://host", "");
        assert_eq!(link::identity(&path, "/ocpp/").as_deref(), Some("R&D é"));
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let config = ChargePointConfig::new("ws://host", "id", "v", "m");
        let mut backoff = config.backoff_first;
        for expected in [1, 2, 4, 8, 16, 32, 64, 120, 120] {
            let expected = Duration::from_secs(expected);
            let wait = grow(&mut backoff, &config);
            assert!(
                wait >= expected / 2 && wait <= expected,
                "{wait:?} {expected:?}"
            );
        }
    }
}
