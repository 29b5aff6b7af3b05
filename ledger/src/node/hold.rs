//! Charges that wait for somebody to look at them, and why.

use protocol::{IdTag, UnixMillis};

use super::outbox::{Charge, Stage, numbers};
use super::{Event, MeasuredCharge, Node};
use crate::frame::MAX_DETAIL_BYTES;

impl Node {
    /// A node restored from a backup would sign old numbers again and bill old charges twice.
    pub(super) fn compare_last_seq(&mut self, provider: u32) {
        let (here, _) = self.own_last_profile();
        if provider <= here {
            return;
        }
        self.notify(Event::Restored { provider, here });
        let numbers: Vec<u64> = self.outbox.charges.keys().copied().collect();
        for number in numbers {
            if self.outbox.is_waiting(number) {
                let reason = "the state directory is older than what the provider has from this \
                              node; compare with the bill before releasing"
                    .to_owned();
                self.hold(number, reason);
            }
        }
    }

    /// Somebody looked at a held charge, and lets it be billed as it was measured. It gets its number
    /// now; a rule of the chain that it breaks holds it again.
    pub(super) fn release(&mut self, now: UnixMillis, number: u64) {
        let Some(charge) = self.outbox.charges.get(&number) else {
            return;
        };
        let is_held = matches!(charge.stage, Stage::Held { .. });
        if !is_held || unbillable(&charge.measured).is_some() {
            return;
        }
        let outlet = charge.measured.outlet.clone();
        self.set_stage(number, Stage::Measured);
        self.notify(Event::Released { outlet });
        self.submit(now);
    }

    /// Sets a charge aside until somebody looked at it.
    pub(super) fn hold(&mut self, number: u64, reason: String) {
        let outlet = self.outbox.charges[&number].measured.outlet.clone();
        let stage = Stage::Held {
            reason: reason.clone(),
        };
        self.set_stage(number, stage);
        self.notify(Event::Held { outlet, reason });
    }

    /// Holds the charges of `id_tag` that are not signed and for which `is_concerned` holds.
    pub(super) fn hold_charges(
        &mut self,
        id_tag: &IdTag,
        reason: &str,
        is_concerned: impl Fn(&MeasuredCharge) -> bool,
    ) {
        let of_tag = |charge: &&Charge| {
            charge.stage == Stage::Measured
                && charge.measured.id_tag == *id_tag
                && is_concerned(&charge.measured)
        };
        let charges = self.outbox.charges.values().filter(of_tag);
        for number in charges.map(|charge| charge.number).collect::<Vec<_>>() {
            self.hold(number, reason.to_owned());
        }
    }
}

/// Why no charge profile can hold this charge; `None` where one can.
pub(super) fn unbillable(measured: &MeasuredCharge) -> Option<String> {
    if numbers(measured, 0).is_none() {
        return Some(format!(
            "{} from {} to {} do not fit a charge profile",
            measured.energy, measured.start, measured.end
        ));
    }
    let end = measured.register_start.checked_add(measured.energy);
    if end.is_none() {
        return Some("the register does not fit".to_owned());
    }
    (measured.detail.len() > MAX_DETAIL_BYTES).then(|| "the charge's detail is too long".to_owned())
}
