//! The lines of a configuration, each opened once: meters, relays and current limits share them.

use std::collections::BTreeMap;

use meter_drivers::{Bus, Endpoint};

use crate::config::{Config, MeterLine};

/// Every line that was started.
#[derive(Debug)]
pub(crate) struct Lines {
    /// By the name of the `[[bus]]`.
    buses: BTreeMap<String, Bus>,
    /// By host and port, for devices with a connection of their own.
    own: BTreeMap<String, Bus>,
}

impl Lines {
    /// Starts a task for each bus. Call it within a tokio runtime.
    pub(crate) fn start(config: &Config) -> Self {
        let buses = config.buses.iter();
        Self {
            buses: buses
                .map(|(name, endpoint)| (name.clone(), Bus::start(endpoint.clone())))
                .collect(),
            own: BTreeMap::new(),
        }
    }

    /// The line of a meter: its bus, or a connection that no other meter has.
    pub(crate) fn of_meter(&mut self, line: &MeterLine) -> Bus {
        match line {
            MeterLine::Bus(bus) => self.buses[bus].clone(),
            MeterLine::Own(address) => {
                let bus = connection(address);
                self.own
                    .entry(address.clone())
                    .or_insert_with(|| bus.clone());
                bus
            }
        }
    }

    /// The line of a relay or current limit. Where a meter has a connection to the same address, that
    /// one: many devices take no second, and two would have no order.
    pub(crate) fn of_control(&mut self, line: &MeterLine) -> Bus {
        match line {
            MeterLine::Bus(bus) => self.buses[bus].clone(),
            MeterLine::Own(address) => {
                let own = self.own.entry(address.clone());
                own.or_insert_with(|| connection(address)).clone()
            }
        }
    }
}

fn connection(address: &str) -> Bus {
    Bus::start(Endpoint::Tcp {
        address: address.to_owned(),
    })
}
