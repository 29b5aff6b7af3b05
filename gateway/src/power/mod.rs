//! Power at a charger without OCPP: its relay, its current limit, and a task that keeps both as they
//! are wanted.
//!
//! The task is the only one that writes. It begins with "off", whatever the relay was before: no charge
//! of a charger without OCPP goes on over a restart. While a charge has power it confirms that at least
//! every third of the dead-man time, and writes it anew, so that the device's own watchdog does not
//! run out. While none has, it looks as often whether it still is off. What cannot be switched off is
//! tried again until it is, at the latest every half minute.

mod keeper;
mod switches;

use std::time::Duration;

use meter_drivers::ActuatorError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::ModbusChargerConfig;
use crate::lines::Lines;
use keeper::Keeper;
use switches::Switches;

/// Orders that may wait.
const ORDERS: usize = 16;
/// How long an order is waited for; the task goes on by itself after that.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);

/// What is known of the power at a charger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PowerState {
    /// Whether a charge is to have power.
    pub(crate) is_wanted: bool,
    /// As it was read last; `None` before that, and where nothing clear was read.
    pub(crate) is_on: Option<bool>,
    /// The current limit read back last, where there is one.
    pub(crate) limit_ma: Option<u32>,
    /// Why it is not known to be as it is wanted.
    pub(crate) fault: Option<String>,
    /// Why a charge lost the power that it had; until another one gets some.
    pub(crate) lost: Option<String>,
}

impl PowerState {
    /// Whether it is known to be off, so that a charge may begin.
    pub(crate) fn is_off(&self) -> bool {
        !self.is_wanted && self.is_on == Some(false) && self.fault.is_none()
    }
}

/// An order to the task.
#[derive(Debug)]
enum Order {
    On(Reply),
    Off(Reply),
    Limit { limit_ma: u32, reply: Reply },
}

type Reply = oneshot::Sender<Result<(), String>>;

/// The current limits that a charge may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) minimum_ma: u32,
    pub(crate) maximum_ma: u32,
}

/// The power at one charger.
#[derive(Clone, Debug)]
pub(crate) struct Power {
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<PowerState>,
    limits: Option<Limits>,
}

impl Power {
    /// Starts the task, which switches off; `None` where nothing is configured to switch or limit.
    pub(crate) fn start(
        charger: &str,
        config: &ModbusChargerConfig,
        lines: &mut Lines,
    ) -> Result<Option<Self>, ActuatorError> {
        let Some(switches) = Switches::new(charger, config, lines)? else {
            return Ok(None);
        };
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (publish, state) = watch::channel(PowerState::default());
        let limit = config.current_limit.as_ref();
        let limits = limit.map(|limit| Limits {
            minimum_ma: limit.minimum_ma,
            maximum_ma: limit.maximum_ma,
        });
        tokio::spawn(Keeper::new(charger, switches, publish).run(inbox));
        Ok(Some(Self {
            orders,
            state,
            limits,
        }))
    }

    /// What is known now.
    pub(crate) fn state(&self) -> PowerState {
        self.state.borrow().clone()
    }

    /// Follows what is known.
    pub(crate) fn follow(&self) -> watch::Receiver<PowerState> {
        self.state.clone()
    }

    /// What a charge's current may be limited to, where it can be.
    pub(crate) fn limits(&self) -> Option<Limits> {
        self.limits
    }

    /// Gives power, at the highest current allowed; it was read back as on when this succeeds, and it
    /// is being switched off otherwise.
    ///
    /// # Errors
    /// Why it is not on, in words.
    pub(crate) async fn on(&self) -> Result<(), String> {
        self.order(Order::On).await
    }

    /// Takes power away; it was read back as off when this succeeds. Otherwise that is tried again
    /// until it is.
    ///
    /// # Errors
    /// Why it is not known to be off, in words.
    pub(crate) async fn off(&self) -> Result<(), String> {
        self.order(Order::Off).await
    }

    /// Limits the current of a charge that has power.
    ///
    /// # Errors
    /// Why the limit before it holds on, in words.
    pub(crate) async fn limit(&self, limit_ma: u32) -> Result<(), String> {
        self.order(|reply| Order::Limit { limit_ma, reply }).await
    }

    /// Waits until it is known to be off.
    pub(crate) async fn until_off(&self) {
        // An error means that the task has ended, as when the process does.
        let _ = self.state.clone().wait_for(PowerState::is_off).await;
    }

    async fn order(&self, order: impl FnOnce(Reply) -> Order) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let ended = || "the gateway is stopping".to_owned();
        let sent = self.orders.send(order(reply)).await;
        sent.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}
