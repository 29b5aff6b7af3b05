//! Faults strike, and heal.

use super::{Event, Who, World};
use crate::faults::Fault;

/// How far a clock may still be off after everything has healed, ms.
const HEALED_SKEW_MS: i64 = 2_000;

impl World {
    pub(super) fn strike(&mut self, fault: Fault) {
        let now = self.now;
        match fault {
            Fault::Crash(Who::Provider(branch)) => {
                self.tally.count("crash between batches");
                self.crash_provider(branch);
            }
            Fault::Crash(Who::Gateway(index)) => {
                self.tally.count("crash between batches");
                self.crash_gateway(index);
            }
            Fault::CrashAt(Who::Provider(branch), doom) => {
                self.branches[branch].process.doom = Some(doom);
            }
            Fault::CrashAt(Who::Gateway(index), doom) => {
                self.gateways[index].process.doom = Some(doom);
            }
            Fault::LinkBreak(index) => {
                self.break_link_of(index);
                self.interrupt(index);
            }
            Fault::Partition(cut, lasts) => {
                self.tally.count("partition");
                for index in cut {
                    self.weather.cut(index, now + lasts);
                    self.break_link_of(index);
                    self.interrupt(index);
                }
            }
            Fault::SlowLink(index, most, lasts) => {
                self.tally.count("slow link");
                self.weather.slow_down(index, most, now + lasts);
            }
            Fault::Hostile(index, lasts) => self.weather.make_hostile(index, now + lasts),
            Fault::ClockStep(who, off) => {
                self.tally.count("clock set wrong");
                *self.skew_of(who) = off;
                if let Who::Gateway(index) = who {
                    self.checks.branches.interrupt(index);
                }
                if matches!(who, Who::Provider(_)) {
                    self.ahead_ms = self.ahead_ms.max(off.unsigned_abs());
                }
            }
            Fault::SlowDisk(who, ms) => {
                self.tally.count("slow disk");
                match who {
                    Who::Provider(branch) => self.branches[branch].process.slow_ms = ms,
                    Who::Gateway(index) => self.gateways[index].process.slow_ms = ms,
                }
            }
            Fault::BackUp => self.back_up_provider(),
            Fault::Restore => self.restore_provider(),
            Fault::BackUpGateway(index) => {
                let gateway = &mut self.gateways[index];
                gateway.backup = gateway.process.store.copy();
            }
            Fault::Replace(index) => self.replace_gateway(index),
            Fault::Leave(index) => {
                self.tally.count("gateway left for good");
                self.gateways[index].has_left = true;
                self.crash_gateway(index);
            }
        }
    }

    /// The links of a gateway with others break, too.
    fn interrupt(&mut self, index: usize) {
        self.part(index);
        self.checks.branches.interrupt(index);
    }

    fn break_link_of(&mut self, index: usize) {
        if let Some(link) = self.gateways[index].link {
            self.tally.count("link broken");
            self.break_link(link);
        }
    }

    fn skew_of(&mut self, who: Who) -> &mut i64 {
        match who {
            Who::Provider(branch) => &mut self.branches[branch].process.skew_ms,
            Who::Gateway(index) => &mut self.gateways[index].process.skew_ms,
        }
    }

    /// From now on nothing breaks any more; liars go on.
    pub(super) fn heal(&mut self) {
        for index in self.weather.heal() {
            // What was lost within a link is sent again on the next one only.
            self.break_link_of(index);
        }
        for branch in &mut self.branches {
            branch.process.doom = None;
            branch.process.slow_ms = 0;
            let skew = &mut branch.process.skew_ms;
            *skew = (*skew).clamp(-HEALED_SKEW_MS, HEALED_SKEW_MS);
        }
        for index in 0..self.gateways.len() {
            self.checks.branches.interrupt(index);
        }
        for gateway in &mut self.gateways {
            gateway.process.doom = None;
            gateway.process.slow_ms = 0;
            let skew = &mut gateway.process.skew_ms;
            *skew = (*skew).clamp(-HEALED_SKEW_MS, HEALED_SKEW_MS);
        }
        // The last process to crash is up again by then.
        self.queue.push(self.now + 30_000, Event::Look);
    }
}
