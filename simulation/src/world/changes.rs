//! People change something.

use ledger::node;
use protocol::EnergyWh;

use super::people::Swapped;
use super::{Item, Who, World};
use crate::changes::{Change, Edit};
use crate::process::Done;

impl World {
    pub(super) fn change(&mut self, change: Change) {
        match change {
            Change::Configure(name, edits) => {
                self.tally.count(name);
                for Edit { site, what } in edits {
                    self.scenario.sites[site].edit(&what);
                    self.note(Who::Gateway(site), || {
                        format!("is configured anew: {what:?}")
                    });
                    if self.gateways[site].process.is_up() {
                        self.crash_gateway(site);
                    }
                }
            }
            Change::ExchangeMeter(site, outlet) => self.exchange_meter(site, outlet),
        }
    }

    /// Somebody takes the meter of a free outlet out, puts a new one in, and tells the gateway. Not
    /// where the gateway says that it must wait for the exchange before.
    fn exchange_meter(&mut self, site: usize, outlet: usize) {
        let Some(node) = &self.gateways[site].process.machine else {
            return;
        };
        let swapped = self.people.new_meter((site, outlet));
        let name = &self.scenario.sites[site].config.outlets[outlet].name;
        let registers = (EnergyWh(swapped.last), EnergyWh(swapped.first));
        let can_be = node
            .check_exchange(name, &meter(name, swapped), registers)
            .is_ok();
        if can_be && self.people.swap_meter((site, outlet), swapped) {
            self.tally.count("meter exchanged");
            self.tell_of_exchanges(site);
        }
    }

    /// Tells a gateway of the exchanges that it has not confirmed.
    pub(super) fn tell_of_exchanges(&mut self, site: usize) {
        for (outlet, swapped) in self.people.swapped_at(site) {
            let name = self.scenario.sites[site].config.outlets[outlet]
                .name
                .clone();
            let input = node::Input::ExchangeMeter {
                meter: meter(&name, swapped),
                outlet: name,
                last_register: EnergyWh(swapped.last),
                first_register: EnergyWh(swapped.first),
            };
            let item = Item {
                input: Some(input),
                writes: Vec::new(),
                done: Some(Done::Exchanged(outlet)),
            };
            self.post_gateway(site, item);
        }
    }
}

fn meter(outlet: &str, swapped: Swapped) -> String {
    format!("meter of {outlet} that begins at {}", swapped.first)
}
