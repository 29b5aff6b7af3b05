//! People who plug in and out, and the part of a gateway's shell that they meet: a charge that runs
//! is stored before it begins, and goes from there into the outbox in one sync.

use std::collections::BTreeMap;

use ledger::node::{self, Decision, MeasuredCharge};
use ledger::store::{Table, Write};
use protocol::{EnergyWh, PowerW, UnixSeconds};

use super::{Event, Item, Who, World};
use crate::process::Done;
use crate::scenario::{PlannedCharge, Scenario};

/// Charges that run, by number.
const RUNNING: Table = Table("running");
/// How often somebody presents the idTag before they leave.
const PATIENCE: u32 = 4;

/// How far a charge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody is there.
    Away,
    /// The idTag was presented so many times.
    Asking(u32),
    /// It begins once that is stored.
    Beginning,
    /// The meter counts.
    Charging,
    /// The meter has counted it; the gateway may not have stored that yet.
    Ended,
    /// The gateway has told the charger that it has it.
    Saved,
    /// The meter counts, for a gateway whose disk knows nothing of it any more.
    Forgotten,
}

/// A charge: what was planned, and what the meter counted.
#[derive(Clone, Debug)]
pub(crate) struct Charging {
    pub(crate) planned: PlannedCharge,
    pub(crate) phase: Phase,
    pub(crate) start: UnixSeconds,
    pub(crate) end: UnixSeconds,
    pub(crate) register_start: EnergyWh,
    /// Its gateway's disk was lost since it began: it may be in no block and no outbox.
    pub(crate) is_on_lost_disk: bool,
}

impl Charging {
    /// Whether the meter has counted it to its end.
    pub(crate) fn is_metered(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Saved)
    }
}

/// Everyone who charges.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) charges: Vec<Charging>,
    // Registers by site and outlet.
    registers: BTreeMap<(usize, usize), u64>,
    // Who is at an outlet.
    at_outlet: BTreeMap<(usize, usize), usize>,
    // Meters that were exchanged, and their gateways have not confirmed it.
    swapped: BTreeMap<(usize, usize), Swapped>,
}

/// An exchanged meter's registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swapped {
    pub(super) last: u64,
    pub(super) first: u64,
}

/// The name a gateway gives a charge.
pub(crate) fn charge_id(charge: usize) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&charge.to_le_bytes());
    id
}

/// What the meter at an outlet shows when a run begins: at each outlet of a site something else, as
/// the sums at the end tell charges by it.
fn first_register((_, outlet): (usize, usize)) -> u64 {
    100_000 + 10_000_000 * u64::try_from(outlet).expect("few outlets")
}

impl People {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let charging = |planned: &PlannedCharge| Charging {
            planned: planned.clone(),
            phase: Phase::Away,
            start: UnixSeconds(0),
            end: UnixSeconds(0),
            register_start: EnergyWh(0),
            is_on_lost_disk: false,
        };
        Self {
            charges: scenario.charges.iter().map(charging).collect(),
            registers: BTreeMap::new(),
            at_outlet: BTreeMap::new(),
            swapped: BTreeMap::new(),
        }
    }

    /// What the meter at an outlet shows, and what another one would.
    pub(super) fn new_meter(&self, place: (usize, usize)) -> Swapped {
        let (base, step) = (first_register(place), 1_000_000);
        let last = self.registers.get(&place).copied().unwrap_or(base);
        let first = match last.is_multiple_of(3) {
            // It was in use elsewhere.
            true => (last / step + 1) * step,
            // It is new.
            false => base - 100_000 + last % 50_000,
        };
        Swapped { last, first }
    }

    /// Puts a new meter in where nobody charges; `false` where somebody does, or somebody else is
    /// at it. Nobody charges there until the gateway knows.
    pub(super) fn swap_meter(&mut self, place: (usize, usize), swapped: Swapped) -> bool {
        if self.at_outlet.contains_key(&place) || self.swapped.contains_key(&place) {
            return false;
        }
        self.registers.insert(place, swapped.first);
        self.swapped.insert(place, swapped);
        true
    }

    /// The exchanges at a site that its gateway has not confirmed, by outlet.
    pub(super) fn swapped_at(&self, site: usize) -> Vec<(usize, Swapped)> {
        let all = self.swapped.range((site, 0)..=(site, usize::MAX));
        all.map(|((_, outlet), swapped)| (*outlet, *swapped))
            .collect()
    }

    fn place(&self, charge: usize) -> (usize, usize) {
        let planned = &self.charges[charge].planned;
        (planned.site, planned.outlet)
    }

    fn leave(&mut self, charge: usize) {
        self.charges[charge].phase = Phase::Away;
        self.free(charge);
    }

    fn free(&mut self, charge: usize) {
        let place = self.place(charge);
        if self.at_outlet.get(&place) == Some(&charge) {
            self.at_outlet.remove(&place);
        }
    }
}

impl World {
    pub(super) fn plug_in(&mut self, charge: usize) {
        let planned = self.people.charges[charge].planned.clone();
        let place = (planned.site, planned.outlet);
        let phase = self.people.charges[charge].phase;
        let is_free = match self.people.at_outlet.get(&place) {
            None => !self.people.swapped.contains_key(&place),
            Some(other) => *other == charge,
        };
        if !is_free || !self.gateways[planned.site].process.is_up() {
            self.people.leave(charge);
            return;
        }
        self.people.at_outlet.insert(place, charge);
        if !planned.asks {
            self.begin(charge);
            return;
        }
        let times = match phase {
            Phase::Asking(times) => times,
            _ => 0,
        };
        self.people.charges[charge].phase = Phase::Asking(times + 1);
        let question = u64::try_from(charge).expect("small");
        let id_tag = planned.id_tag;
        let presented = node::Input::Presented { question, id_tag };
        self.post_gateway(planned.site, Item::input(presented));
    }

    pub(super) fn decided(&mut self, index: usize, charge: usize, decision: Decision) {
        let Phase::Asking(times) = self.people.charges[charge].phase else {
            return;
        };
        self.note(Who::Gateway(index), || {
            format!("decides about charge {charge}: {decision:?}")
        });
        match decision {
            Decision::Accepted { .. } => self.begin(charge),
            Decision::Refused(_) if times < PATIENCE => {
                self.queue.push(self.now + 4_000, Event::PlugIn(charge));
            }
            Decision::Refused(_) => self.people.leave(charge),
        }
    }

    fn begin(&mut self, charge: usize) {
        self.people.charges[charge].phase = Phase::Beginning;
        let number = u64::try_from(charge).expect("small");
        let item = Item {
            input: None,
            writes: vec![Write::put(RUNNING, number.to_be_bytes(), &number)],
            done: Some(Done::Begun(charge)),
        };
        let site = self.people.charges[charge].planned.site;
        self.post_gateway(site, item);
    }

    pub(super) fn shell_done(&mut self, index: usize, done: Done) {
        match done {
            Done::Begun(charge) => self.begun(index, charge),
            Done::Saved(charge) => {
                self.people.charges[charge].phase = Phase::Saved;
            }
            Done::Exchanged(outlet) => {
                self.people.swapped.remove(&(index, outlet));
            }
        }
    }

    fn begun(&mut self, index: usize, charge: usize) {
        let start = self.gateways[index].process.clock(self.now).seconds();
        let place = self.people.place(charge);
        let registers = &mut self.people.registers;
        let register = *registers.entry(place).or_insert(first_register(place));
        let charging = &mut self.people.charges[charge];
        charging.phase = Phase::Charging;
        charging.start = start;
        charging.register_start = EnergyWh(register);
        let ends = self.now + charging.planned.lasts_ms;
        self.note(Who::Gateway(index), || format!("charge {charge} begins"));
        self.queue.push(ends, Event::PlugOut(charge));
    }

    pub(super) fn plug_out(&mut self, charge: usize) {
        let (site, outlet) = self.people.place(charge);
        let end = self.gateways[site].process.clock(self.now).seconds();
        let charging = &mut self.people.charges[charge];
        let is_forgotten = charging.phase == Phase::Forgotten;
        charging.phase = Phase::Ended;
        self.tally.count("charge metered");
        // A clock that was set back in between gives a charge of no length, never a negative one.
        charging.end = end.max(charging.start);
        let energy = charging.planned.energy_wh;
        *self
            .people
            .registers
            .entry((site, outlet))
            .or_insert(first_register((site, outlet))) += energy;
        self.people.free(charge);
        if is_forgotten {
            self.people.charges[charge].phase = Phase::Away;
            return;
        }
        self.note(Who::Gateway(site), || {
            format!("charge {charge} ends with {energy} Wh")
        });
        self.save(charge);
    }

    /// Moves a charge from the running ones into the outbox.
    fn save(&mut self, charge: usize) {
        let measured = self.measured(charge);
        let number = u64::try_from(charge).expect("small");
        let item = Item {
            input: Some(node::Input::Ended(measured)),
            writes: vec![Write::delete(RUNNING, number.to_be_bytes())],
            done: Some(Done::Saved(charge)),
        };
        let site = self.people.charges[charge].planned.site;
        self.post_gateway(site, item);
    }

    fn measured(&self, charge: usize) -> MeasuredCharge {
        let charging = &self.people.charges[charge];
        let planned = &charging.planned;
        let outlets = &self.scenario.sites[planned.site].config.outlets;
        MeasuredCharge {
            id: charge_id(charge),
            id_tag: planned.id_tag.clone(),
            outlet: outlets[planned.outlet].name.clone(),
            start: charging.start,
            end: charging.end,
            register_start: charging.register_start,
            energy: EnergyWh(planned.energy_wh),
            max_power: PowerW(11_000),
            detail: b"register at each quarter of an hour".to_vec(),
            hold: None,
        }
    }

    /// A gateway that starts finds the charges that ran when it died. The meter counted on; where
    /// the charge has ended since, it is taken in now.
    pub(super) fn read_running(&mut self, index: usize) {
        let store = &self.gateways[index].process.store;
        let running: Vec<u64> = store.all(RUNNING).expect("memory is whole");
        for number in &running {
            let charge = usize::try_from(*number).expect("small");
            match self.people.charges[charge].phase {
                Phase::Ended => self.save(charge),
                // A backup has it running, and it ended since.
                Phase::Saved => self.save(charge),
                Phase::Charging | Phase::Forgotten => {}
                // Stored, but nobody was told to begin.
                _ => {
                    let item = Item {
                        input: None,
                        writes: vec![Write::delete(RUNNING, number.to_be_bytes())],
                        done: None,
                    };
                    self.post_gateway(index, item);
                }
            }
        }
        for charge in 0..self.people.charges.len() {
            let charging = &mut self.people.charges[charge];
            let is_stored = running.iter().any(|n| usize::try_from(*n) == Ok(charge));
            if charging.planned.site == index && charging.phase == Phase::Ended && !is_stored {
                charging.phase = Phase::Saved;
            }
        }
    }

    /// A gateway's disk was lost, and with it what was not in a backup.
    pub(super) fn people_lose_disk(&mut self, index: usize) {
        let charges = self.people.charges.iter_mut();
        for charging in charges.filter(|charging| charging.planned.site == index) {
            match charging.phase {
                Phase::Charging => charging.phase = Phase::Forgotten,
                Phase::Ended | Phase::Saved => {
                    charging.phase = Phase::Saved;
                    charging.is_on_lost_disk = true;
                }
                _ => {}
            }
        }
    }

    /// A gateway died: who waited for it leaves.
    pub(super) fn people_lose(&mut self, index: usize) {
        for charge in 0..self.people.charges.len() {
            let charging = &self.people.charges[charge];
            let waits = matches!(charging.phase, Phase::Asking(_) | Phase::Beginning);
            if charging.planned.site == index && waits {
                self.people.leave(charge);
            }
        }
    }
}
