//! An outlet's meter is exchanged: the provider takes in the charges by the old one first, then it
//! records the exchange, and only then do charges by the new one get their numbers.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::message::{ExchangeMeter, Request};
use protocol::{EnergyWh, Hash, MeterExchange, Signed, SupplyPointId};

use super::{Event, Node, Pending, disk};

/// The newest exchange at an outlet.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Exchange {
    pub(super) outlet: String,
    // Charges with lower numbers in the outbox were measured by the old meter.
    pub(super) first_charge: u64,
    pub(super) meter: String,
    pub(super) last_register: EnergyWh,
    pub(super) first_register: EnergyWh,
    // Counts the outlet's exchanges; guessed until the provider told.
    pub(super) number: u32,
    pub(super) is_recorded: bool,
}

impl Exchange {
    fn is(&self, meter: &str, registers: (EnergyWh, EnergyWh)) -> bool {
        self.meter == meter && (self.last_register, self.first_register) == registers
    }
}

/// Why an exchange cannot be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeRefusal {
    /// No such outlet.
    #[error("no outlet of this name is configured")]
    Outlet,
    /// The one before is not recorded yet.
    #[error("the meter exchange before this one is not recorded yet; try again later")]
    Busy,
    /// Below what was billed already.
    #[error("the old meter's register is below the end of the outlet's last charge")]
    Register,
}

impl Node {
    /// Whether a meter exchange with the old meter's last and the new meter's first register can be
    /// taken in, or has been.
    ///
    /// # Errors
    /// `ExchangeRefusal`, with what stands against it.
    pub fn check_exchange(
        &self,
        outlet: &str,
        meter: &str,
        (last_register, first_register): (EnergyWh, EnergyWh),
    ) -> Result<(), ExchangeRefusal> {
        let mut outlets = self.config.outlets.iter();
        if !outlets.any(|configured| configured.name == outlet) {
            return Err(ExchangeRefusal::Outlet);
        }
        let newest = self.exchanges.get(outlet);
        if newest.is_some_and(|e| e.is(meter, (last_register, first_register))) {
            // Told again, by somebody who did not hear that it was taken in.
            return Ok(());
        }
        if self.exchanges.get(outlet).is_some_and(|e| !e.is_recorded) {
            return Err(ExchangeRefusal::Busy);
        }
        let in_chain = self
            .outlets
            .get(outlet)
            .map(|known| self.last_register(*known));
        let first = self.exchanges.get(outlet).map_or(0, |e| e.first_charge);
        let waiting = self.outbox.last_register(outlet, first);
        if last_register < waiting.max(in_chain.unwrap_or_default()) {
            return Err(ExchangeRefusal::Register);
        }
        Ok(())
    }

    /// Somebody exchanged an outlet's meter.
    pub(super) fn exchange(
        &mut self,
        outlet: String,
        meter: String,
        (last_register, first_register): (EnergyWh, EnergyWh),
    ) {
        let registers = (last_register, first_register);
        let newest = self.exchanges.get(&outlet);
        let is_known = newest.is_some_and(|e| e.is(&meter, registers));
        if is_known || self.check_exchange(&outlet, &meter, registers).is_err() {
            return;
        }
        let before = newest.map_or(0, |e| e.number);
        let exchange = Exchange {
            first_charge: self.outbox.next_number(),
            meter,
            last_register,
            first_register,
            number: before.saturating_add(1),
            is_recorded: false,
            outlet,
        };
        self.put_exchange(exchange);
        self.report_exchanges();
    }

    fn put_exchange(&mut self, exchange: Exchange) {
        self.persist(disk::exchange(&exchange));
        self.exchanges.insert(exchange.outlet.clone(), exchange);
    }

    /// Whether a charge must wait for its outlet's exchange to be recorded.
    pub(super) fn waits_for_exchange(&self, outlet: &str, number: u64) -> bool {
        let exchange = self.exchanges.get(outlet);
        exchange.is_some_and(|e| !e.is_recorded && number >= e.first_charge)
    }

    /// Whether a charge was measured by a meter that is gone by the chain's word.
    pub(super) fn is_by_old_meter(&self, outlet: &str, number: u64) -> bool {
        let exchange = self.exchanges.get(outlet);
        exchange.is_some_and(|e| e.is_recorded && number < e.first_charge)
    }

    /// The newest exchange at a supply point that is recorded.
    pub(super) fn exchanged(&self, supply_point: SupplyPointId) -> Option<&Exchange> {
        let mut exchanges = self.exchanges.values().filter(|e| e.is_recorded);
        exchanges.find(|e| self.outlets.get(&e.outlet) == Some(&supply_point))
    }

    /// Tells the provider of exchanges whose outlet has no charge by the old meter on its way. It
    /// records one when those that it has taken in are in blocks.
    pub(super) fn report_exchanges(&mut self) {
        let Some(chain_id) = self.chain_id() else {
            return;
        };
        let due = self.exchanges.values().filter(|exchange| {
            let outlet = &exchange.outlet;
            let (first, taken_in) = (exchange.first_charge, self.provider_last.0);
            !exchange.is_recorded && !self.outbox.is_under_way(outlet, first, taken_in)
        });
        let due: Vec<Exchange> = due.cloned().collect();
        for exchange in due {
            let Some(supply_point) = self.outlets.get(&exchange.outlet).copied() else {
                continue;
            };
            let word = MeterExchange {
                supply_point,
                number: exchange.number,
                last_register: exchange.last_register,
                meter: Hash::of(exchange.meter.as_bytes()),
                first_register: exchange.first_register,
            };
            let request = Request::ExchangeMeter(ExchangeMeter {
                exchange: Signed::new(word, &self.key, &chain_id),
                meter: exchange.meter,
            });
            self.call(Pending::Exchange(exchange.outlet), request);
        }
    }

    /// The provider has recorded an exchange, or will not yet.
    pub(super) fn exchange_reported(&mut self, asked: &ExchangeMeter, number: Option<u32>) {
        let word = &asked.exchange.body;
        let mut outlets = self.outlets.iter();
        let found = outlets.find(|(_, supply_point)| **supply_point == word.supply_point);
        let Some(outlet) = found.map(|(name, _)| name.clone()) else {
            return;
        };
        self.called(
            Pending::Exchange(outlet.clone()),
            number == Some(word.number),
        );
        let waiting = self.exchanges.get(&outlet);
        let waiting = waiting.filter(|e| !e.is_recorded && e.number == word.number);
        let (Some(mut exchange), Some(number)) = (waiting.cloned(), number) else {
            return;
        };
        if number < exchange.number && self.is_passed(&exchange) {
            // A restored provider has lost it, and has charges of the new meter: the chain will
            // never hold it, and does not need it.
            exchange.is_recorded = true;
            self.put_exchange(exchange);
        } else if number == exchange.number {
            exchange.is_recorded = true;
            if let Some(headers) = self.kept.headers_mut() {
                headers.restore_register(word.supply_point, exchange.first_register);
                self.persist(disk::register(word.supply_point, exchange.first_register));
            }
            self.put_exchange(exchange);
            self.notify(Event::MeterExchanged { outlet });
        } else if number > exchange.number {
            // Exchanges that this node forgot with its state directory.
            exchange.number = number.saturating_add(1);
            self.put_exchange(exchange);
            self.report_exchanges();
        } else if number.saturating_add(1) < exchange.number {
            // Exchanges that a restored provider has lost; the newest says where the meter is now.
            exchange.number = number.saturating_add(1);
            self.put_exchange(exchange);
        }
    }

    /// Whether the chain's register at an exchange's outlet has passed the old meter's last one.
    fn is_passed(&self, exchange: &Exchange) -> bool {
        let register = self.outlets.get(&exchange.outlet).and_then(|outlet| {
            let in_chain = self
                .state()
                .and_then(|state| state.supply_points.get(outlet));
            let proven = self
                .kept
                .headers()
                .and_then(|headers| headers.register(*outlet));
            in_chain.map(|account| account.register).or(proven)
        });
        register.is_some_and(|register| register > exchange.last_register)
    }

    /// A provider that was restored may have lost what it had recorded.
    pub(super) fn repeat_exchanges(&mut self) {
        let recorded = self.exchanges.values().filter(|e| e.is_recorded);
        let lost = recorded.filter(|exchange| {
            let outlet = self.outlets.get(&exchange.outlet);
            let state = self.state();
            let account = state.and_then(|state| state.supply_points.get(outlet?));
            account.is_none_or(|account| account.exchanges < exchange.number)
        });
        for mut exchange in lost.cloned().collect::<Vec<_>>() {
            exchange.is_recorded = false;
            self.put_exchange(exchange);
        }
    }
}
