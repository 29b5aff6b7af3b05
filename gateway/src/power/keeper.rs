//! The task that keeps power as it is wanted.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::switches::{SwitchError, Switches};
use super::{ORDER_TIMEOUT, Order, PowerState, Reply};

/// The wait after a first failure; it doubles with every further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// A charge's power is confirmed this often within its dead-man time: once more than is promised, so
/// that a single lost frame changes nothing.
const CONFIRMATIONS: u32 = 4;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Off,
    On { limit_ma: Option<u32> },
}

pub(super) struct Keeper {
    charger: String,
    switches: Switches,
    publish: watch::Sender<PowerState>,
    wanted: Wanted,
    /// Attempts that failed in a row.
    failures: u32,
    /// When power was last known to be on.
    confirmed: Instant,
}

impl Keeper {
    pub(super) fn new(
        charger: &str,
        switches: Switches,
        publish: watch::Sender<PowerState>,
    ) -> Self {
        Self {
            charger: charger.to_owned(),
            switches,
            publish,
            wanted: Wanted::Off,
            failures: 0,
            confirmed: Instant::now(),
        }
    }

    /// Runs as long as anybody may give an order.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        // Before anything else: it may be on since before the last stop.
        let mut next = Instant::now();
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                () = sleep_until(next) => self.keep().await,
            }
            next = Instant::now() + self.pause();
        }
    }

    async fn obey(&mut self, order: Order) {
        let (reply, result): (Reply, _) = match order {
            Order::On(reply) => (reply, self.switch_on().await),
            Order::Off(reply) => (reply, self.switch_off().await),
            Order::Limit { limit_ma, reply } => (reply, self.limit(limit_ma).await),
        };
        // Whoever gave the order may be gone.
        let _ = reply.send(result.map_err(|error| error.to_string()));
    }

    async fn switch_on(&mut self) -> Result<(), SwitchError> {
        let limit_ma = self.switches.maximum_ma();
        self.wanted = Wanted::On { limit_ma };
        self.publish.send_modify(|state| {
            state.is_wanted = true;
            state.lost = None;
        });
        let result = in_time(self.switches.close(limit_ma, false)).await;
        match &result {
            Ok(()) => self.is_on(limit_ma),
            Err(error) => {
                tracing::error!(charger = self.charger, %error, "no power for the charge");
                // What was not confirmed may be on all the same.
                let _ = self.switch_off().await;
            }
        }
        result
    }

    async fn switch_off(&mut self) -> Result<(), SwitchError> {
        self.wanted = Wanted::Off;
        self.failures = 0;
        self.publish.send_modify(|state| state.is_wanted = false);
        self.open().await
    }

    /// A limit that the device does not take is not insisted on: the one before it is set again.
    async fn limit(&mut self, limit_ma: u32) -> Result<(), SwitchError> {
        let Wanted::On { limit_ma: before } = self.wanted else {
            // Nobody charges; the next one begins with the highest.
            return Ok(());
        };
        let result = in_time(self.switches.set_limit(limit_ma)).await;
        match &result {
            Ok(()) => {
                self.wanted = Wanted::On {
                    limit_ma: Some(limit_ma),
                };
                self.publish
                    .send_modify(|state| state.limit_ma = Some(limit_ma));
            }
            Err(error) => {
                tracing::warn!(charger = self.charger, limit_ma, %error, "current not limited");
                if let Some(before) = before {
                    // Where this fails as well, the next confirmation finds it.
                    let _ = in_time(self.switches.set_limit(before)).await;
                }
            }
        }
        result
    }

    /// Sees to it that what is wanted is so.
    async fn keep(&mut self) {
        let Wanted::On { limit_ma } = self.wanted else {
            // What became of it is published.
            let _ = self.open().await;
            return;
        };
        match in_time(self.switches.close(limit_ma, true)).await {
            Ok(()) => self.is_on(limit_ma),
            Err(error) => self.is_not_confirmed(&error).await,
        }
    }

    async fn open(&mut self) -> Result<(), SwitchError> {
        let is_known = self.publish.borrow().is_off();
        let result = in_time(self.switches.open(is_known)).await;
        match &result {
            Ok(was_set) => {
                if is_known && *was_set {
                    tracing::warn!(
                        charger = self.charger,
                        "switched on by somebody else, and off again"
                    );
                } else if !is_known {
                    tracing::info!(charger = self.charger, "power is off");
                }
                self.failures = 0;
                self.publish.send_modify(|state| {
                    state.is_on = Some(false);
                    state.limit_ma = None;
                    state.fault = None;
                });
            }
            Err(error) => {
                // Once, however often it is tried again.
                if self.failures == 0 {
                    tracing::error!(charger = self.charger, %error, "power is not known to be off");
                }
                let is_on = error.is_certain().then_some(true);
                self.failed(error, is_on);
            }
        }
        result.map(|_| ())
    }

    fn is_on(&mut self, limit_ma: Option<u32>) {
        self.failures = 0;
        self.confirmed = Instant::now();
        if self.publish.borrow().is_on != Some(true) {
            tracing::info!(charger = self.charger, "power is on");
        }
        self.publish.send_modify(|state| {
            state.is_on = Some(true);
            state.limit_ma = limit_ma;
            state.fault = None;
        });
    }

    /// A device that says that it is off is believed at once; one that says nothing is asked again
    /// until its dead-man time is over, when it has switched off by itself, or should have.
    async fn is_not_confirmed(&mut self, error: &SwitchError) {
        tracing::warn!(charger = self.charger, %error, "power is not confirmed");
        let is_over = self.confirmed.elapsed() >= self.switches.dead_man();
        if error.is_certain() || is_over {
            let lost = error.to_string();
            self.publish.send_modify(|state| state.lost = Some(lost));
            // Tried again until it is known.
            let _ = self.switch_off().await;
        } else {
            let is_on = self.publish.borrow().is_on;
            self.failed(error, is_on);
        }
    }

    fn failed(&mut self, error: &SwitchError, is_on: Option<bool>) {
        self.failures = self.failures.saturating_add(1);
        self.publish.send_modify(|state| {
            state.is_on = is_on;
            state.fault = Some(error.to_string());
        });
    }

    /// How long what is so may go unlooked at.
    fn pause(&self) -> Duration {
        let usual = self.switches.dead_man() / CONFIRMATIONS;
        match self.failures {
            0 => usual,
            failures => retry_delay(failures - 1).min(usual.max(FIRST_RETRY)),
        }
    }
}

/// The delay after a failure that `earlier` others went before.
fn retry_delay(earlier: u32) -> Duration {
    FIRST_RETRY
        .saturating_mul(1_u32.checked_shl(earlier).unwrap_or(u32::MAX))
        .min(LONGEST_RETRY)
}

/// An attempt that takes too long is given up; what it had asked for is waited for by the bus.
async fn in_time<T>(
    attempt: impl Future<Output = Result<T, SwitchError>>,
) -> Result<T, SwitchError> {
    let done = timeout(ORDER_TIMEOUT, attempt).await;
    done.unwrap_or(Err(SwitchError::TooLong(ORDER_TIMEOUT.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(earlier: u32, expected_s: u64) {
        assert_eq!(retry_delay(earlier), Duration::from_secs(expected_s));
    }

    #[test]
    fn the_delay_doubles_up_to_half_a_minute() {
        check(0, 1);
        check(1, 2);
        check(4, 16);
        check(5, 30);
        check(31, 30);
        check(u32::MAX, 30);
    }
}
