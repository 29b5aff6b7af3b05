//! The devices behind [`Power`](super::Power): what is written where, and in which order.

use std::time::Duration;

use meter_drivers::{Actuator, ActuatorConfig, ActuatorError, Target};

use crate::config::{CurrentLimitConfig, ModbusChargerConfig, PlaceConfig, RelayConfig};
use crate::lines::Lines;

/// The relay, the current limit and the watchdogs of one charger.
#[derive(Debug)]
pub(super) struct Switches {
    relay: Option<(Actuator, RelayConfig)>,
    limit: Option<(Actuator, CurrentLimitConfig)>,
    /// Each with the number that stands for its dead-man time.
    watchdogs: Vec<(Actuator, u32)>,
    dead_man: Duration,
}

/// Why power is not as it is wanted.
#[derive(Debug, thiserror::Error)]
pub(super) enum SwitchError {
    /// The relay opened by itself, or somebody else opened it.
    #[error(
        "{relay} reads {found} in the middle of a charge and is not closed again; find out what opened it"
    )]
    Opened { relay: String, found: u32 },
    /// A device does not do what it is told, or not as far as is known.
    #[error(transparent)]
    Actuator(#[from] ActuatorError),
    /// It took too long.
    #[error("it is not known to be done within {0} s")]
    TooLong(u64),
}

impl SwitchError {
    /// Whether the device itself said that it is otherwise, so that no waiting helps.
    pub(super) fn is_certain(&self) -> bool {
        let not_taken = matches!(self, Self::Actuator(ActuatorError::NotTaken { .. }));
        not_taken || matches!(self, Self::Opened { .. })
    }
}

impl Switches {
    /// `None` where there are none.
    pub(super) fn new(
        charger: &str,
        config: &ModbusChargerConfig,
        lines: &mut Lines,
    ) -> Result<Option<Self>, ActuatorError> {
        let mut dead_men = Vec::new();
        let mut watchdogs = Vec::new();
        let mut relay = None;
        if let Some(config) = &config.relay {
            let name = format!("the relay of {charger}");
            let actuator = actuator(&name, &config.place, config.place.target, lines)?;
            relay = Some((actuator, config.clone()));
            dead_men.push((&config.place, &config.dead_man));
        }
        let mut limit = None;
        if let Some(config) = &config.current_limit {
            let name = format!("the current limit of {charger}");
            let actuator = actuator(&name, &config.place, config.place.target, lines)?;
            limit = Some((actuator, config.clone()));
            dead_men.push((&config.place, &config.dead_man));
        }
        for (place, dead_man) in &dead_men {
            if let Some((target, value)) = dead_man.register {
                let name = format!("the watchdog of {charger}");
                watchdogs.push((actuator(&name, place, target, lines)?, value));
            }
        }
        let shortest = dead_men.iter().map(|(_, dead_man)| dead_man.after).min();
        Ok(shortest.map(|dead_man| Self {
            relay,
            limit,
            watchdogs,
            dead_man,
        }))
    }

    /// How long what is on may go unconfirmed.
    pub(super) fn dead_man(&self) -> Duration {
        self.dead_man
    }

    /// What a charge begins with.
    pub(super) fn maximum_ma(&self) -> Option<u32> {
        self.limit.as_ref().map(|(_, config)| config.maximum_ma)
    }

    /// Gives power: the limit first, and the relay last. It is given already where `is_held`, and a
    /// relay that is open nevertheless stays so: what opened it had a reason.
    pub(super) async fn close(
        &mut self,
        limit_ma: Option<u32>,
        is_held: bool,
    ) -> Result<(), SwitchError> {
        if let Some((relay, config)) = self.relay.as_mut().filter(|_| is_held) {
            let found = relay.get().await?;
            if found != config.on {
                return Err(SwitchError::Opened {
                    relay: relay.name().to_owned(),
                    found,
                });
            }
        }
        if let Some(limit_ma) = limit_ma {
            self.set_limit(limit_ma).await?;
        }
        for (watchdog, value) in &mut self.watchdogs {
            watchdog.set(*value).await?;
        }
        if let Some((relay, config)) = &mut self.relay {
            relay.set(config.on).await?;
        }
        Ok(())
    }

    /// Takes power away: the relay first. Where it is away already, as far as `is_known`, what is so is
    /// not written again. Gives whether it had to be.
    pub(super) async fn open(&mut self, is_known: bool) -> Result<bool, SwitchError> {
        let relay = match &mut self.relay {
            Some((relay, config)) => make(relay, config.off, is_known).await,
            None => Ok(false),
        };
        // Also where the relay stays closed: less current is better than more.
        let limit = match &mut self.limit {
            Some((limit, config)) => make(limit, config.idle_ma / config.step_ma, is_known).await,
            None => Ok(false),
        };
        Ok(relay? | limit?)
    }

    /// Limits the current, rounded down to a step of the register.
    pub(super) async fn set_limit(&mut self, limit_ma: u32) -> Result<(), SwitchError> {
        if let Some((limit, config)) = &mut self.limit {
            limit.set(limit_ma / config.step_ma).await?;
        }
        Ok(())
    }
}

/// Sets a value, unless it is to be looked at first and is there already: registers that are written
/// although nothing changes wear out in devices that keep them in flash. Gives whether it was set.
async fn make(
    actuator: &mut Actuator,
    value: u32,
    looks_first: bool,
) -> Result<bool, ActuatorError> {
    if looks_first && actuator.get().await? == value {
        return Ok(false);
    }
    actuator.set(value).await?;
    Ok(true)
}

fn actuator(
    name: &str,
    place: &PlaceConfig,
    target: Target,
    lines: &mut Lines,
) -> Result<Actuator, ActuatorError> {
    let config = ActuatorConfig {
        name: name.to_owned(),
        unit_id: place.unit_id,
        timeout: place.timeout,
        pause: Duration::ZERO,
        target,
    };
    Actuator::new(config, &lines.of_control(&place.line))
}
