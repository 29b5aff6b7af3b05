//! The outbox: every measured charge, until its block is final.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    ChargeProfile, EnergyWh, Hash, Signed, SignedGrant, SignedProfile, SignedReceipt,
    SupplyPointId, UnixMillis,
};

use super::authorize::KnownCharger;
use super::hold::unbillable;
use super::kept::Kept;
use super::{Event, MeasuredCharge, Node, disk};
use crate::frame::{Frame, Submission, Witnessed};

/// Names of final charges kept. One older than all of them, reported again, is held because its
/// outlet's register has passed it.
const MAX_TAKEN: usize = 1_024;

/// A charge in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Charge {
    /// Counts charges in the order they were measured.
    pub number: u64,
    /// What was measured.
    pub measured: MeasuredCharge,
    /// How far it is.
    pub stage: Stage,
}

/// How far a charge is on its way into a final block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Stage {
    /// Measured, not signed yet.
    Measured,
    /// Not to be billed before somebody looked at it.
    Held {
        /// Why.
        reason: String,
    },
    /// Signed; the number is taken for ever.
    Signed {
        /// The profile.
        profile: Box<SignedProfile>,
        /// The grant it rests on.
        grant: Box<SignedGrant>,
        /// The provider's promise, once it came.
        receipt: Option<Box<SignedReceipt>>,
    },
}

impl Charge {
    fn profile(&self) -> Option<&SignedProfile> {
        match &self.stage {
            Stage::Signed { profile, .. } => Some(profile),
            Stage::Measured | Stage::Held { .. } => None,
        }
    }
}

/// Charges on their way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) charges: BTreeMap<u64, Charge>,
    next_number: u64,
    // The highest profile number sent over the present link; later ones go out in order.
    sent: u32,
    // A refused profile stops those behind it until somebody acts.
    refused: Option<u32>,
    // Block heights of charges that are in the chain and not final.
    heights: BTreeMap<u32, u64>,
    // Names of the newest charges that are final: one of them reported again is not taken again.
    taken: BTreeMap<u64, [u8; 16]>,
    // The same charges with their blocks' heights, in case the voters give that story up.
    released: BTreeMap<u64, (u64, Charge)>,
}

impl Outbox {
    pub(super) fn restore(
        charges: Vec<Charge>,
        taken: Vec<(u64, [u8; 16])>,
        released: Vec<(u64, Charge)>,
    ) -> Self {
        let charges: BTreeMap<_, _> = charges.into_iter().map(|c| (c.number, c)).collect();
        let released = released.into_iter();
        let released = released
            .map(|(height, charge)| (charge.number, (height, charge)))
            .collect();
        let taken: BTreeMap<_, _> = taken.into_iter().collect();
        let newest = charges.last_key_value().map(|(number, _)| *number);
        let newest = newest.max(taken.last_key_value().map(|(number, _)| *number));
        Self {
            charges,
            taken,
            released,
            next_number: newest.map_or(0, |number| number + 1),
            ..Self::default()
        }
    }

    pub(super) fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.charges.values()
    }

    /// After a new link everything without a receipt goes out again.
    pub(super) fn forget_sending(&mut self) {
        self.sent = 0;
        self.refused = None;
    }

    /// The blocks that charges were found in are given up.
    pub(super) fn forget_blocks(&mut self) {
        self.heights.clear();
        self.sent = 0;
    }

    fn by_seq(&mut self, seq: u32) -> Option<&mut Charge> {
        self.charges
            .values_mut()
            .find(|charge| charge.profile().is_some_and(|p| p.body.seq == seq))
    }

    /// The lowest number of a charge that may be in a block by now: its promised round is `round`
    /// or earlier, or the promise never arrived and the provider knows numbers up to `taken_in`.
    pub(super) fn oldest_unproven(&self, round: u64, taken_in: u32) -> Option<u32> {
        let unproven = self
            .charges
            .values()
            .filter_map(|charge| match &charge.stage {
                Stage::Signed {
                    profile, receipt, ..
                } => {
                    let seq = profile.body.seq;
                    let may_be_sealed = match receipt {
                        Some(receipt) => receipt.body.round <= round,
                        None => seq <= taken_in,
                    };
                    may_be_sealed.then_some(seq)
                }
                Stage::Measured | Stage::Held { .. } => None,
            });
        unproven.min()
    }

    pub(super) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// The highest register at the end of a charge at `outlet` that is not held, from charge number
    /// `first` on.
    pub(super) fn last_register(&self, outlet: &str, first: u64) -> EnergyWh {
        let charges = self.charges.range(first..).map(|(_, charge)| charge);
        let charges = charges.filter(|charge| !matches!(charge.stage, Stage::Held { .. }));
        let here = charges.filter(|charge| charge.measured.outlet == outlet);
        let ends = here.filter_map(|c| c.measured.register_start.checked_add(c.measured.energy));
        ends.max().unwrap_or_default()
    }

    /// Whether the provider has yet to take in a charge at `outlet` with a number in the outbox
    /// below `end`; it knows profile numbers up to `taken_in`. What is held is not on its way.
    pub(super) fn is_under_way(&self, outlet: &str, end: u64, taken_in: u32) -> bool {
        let charges = self.charges.range(..end).map(|(_, charge)| charge);
        let mut here = charges.filter(|charge| charge.measured.outlet == outlet);
        here.any(|charge| match &charge.stage {
            Stage::Held { .. } => false,
            Stage::Measured => true,
            Stage::Signed {
                profile, receipt, ..
            } => {
                let seq = profile.body.seq;
                let is_in_block = self.heights.contains_key(&seq);
                receipt.is_none() && !is_in_block && taken_in < seq
            }
        })
    }

    fn last_signed(&self) -> Option<&SignedProfile> {
        self.charges
            .values()
            .filter_map(Charge::profile)
            .max_by_key(|profile| profile.body.seq)
    }

    /// Whether `block` holds a charge that waits here.
    pub(super) fn is_in(&self, block: &crate::block::Block) -> bool {
        let mut waiting = self.charges.values().filter_map(Charge::profile);
        waiting.any(|profile| {
            block
                .body
                .charges
                .iter()
                .any(|line| line.profile == *profile)
        })
    }

    fn knows(&self, id: &[u8; 16]) -> bool {
        self.charges.values().any(|c| c.measured.id == *id)
            || self.taken.values().any(|taken| taken == id)
    }

    /// The charges that are signed.
    pub(super) fn signed(&self) -> Vec<u64> {
        let signed = |charge: &&Charge| charge.profile().is_some();
        let charges = self.charges.values().filter(signed);
        charges.map(|charge| charge.number).collect()
    }

    pub(super) fn is_waiting(&self, number: u64) -> bool {
        let charge = self.charges.get(&number);
        charge.is_some_and(|c| c.stage == Stage::Measured)
    }
}

impl Node {
    /// Takes a finished charge in. It is durable when the effects of this input are carried out.
    pub(super) fn ended(&mut self, now: UnixMillis, measured: MeasuredCharge) {
        if self.outbox.knows(&measured.id) {
            return;
        }
        let stage = match measured.hold.clone().or_else(|| unbillable(&measured)) {
            Some(reason) => Stage::Held { reason },
            None => Stage::Measured,
        };
        let charge = Charge {
            number: self.outbox.next_number,
            measured,
            stage,
        };
        self.outbox.next_number += 1;
        self.persist(disk::charge(&charge));
        if let Stage::Held { reason } = &charge.stage {
            let (outlet, reason) = (charge.measured.outlet.clone(), reason.clone());
            self.notify(Event::Held { outlet, reason });
        }
        self.outbox.charges.insert(charge.number, charge);
        self.submit(now);
    }

    /// Signs what can be signed and sends what has no receipt, in order. A node that has proof
    /// against its provider keeps what it measures.
    pub(super) fn submit(&mut self, now: UnixMillis) {
        if !self.is_linked || self.stopped.is_some() || self.outbox.refused.is_some() {
            return;
        }
        // Charges at one outlet keep their order: a register only rises.
        let mut stalled = BTreeSet::new();
        for number in self.outbox.charges.keys().copied().collect::<Vec<_>>() {
            let outlet = self.outbox.charges[&number].measured.outlet.clone();
            let is_next = self.outbox.is_waiting(number) && !stalled.contains(&outlet);
            if is_next && !self.sign(now, number) {
                stalled.insert(outlet);
            }
        }
        self.send_signed();
    }

    /// Signs one charge; `false` where something it needs is not known yet.
    fn sign(&mut self, now: UnixMillis, number: u64) -> bool {
        let measured = self.outbox.charges[&number].measured.clone();
        if self.waits_for_exchange(&measured.outlet, number) {
            return false;
        }
        if self.is_by_old_meter(&measured.outlet, number) {
            let reason = "its meter was exchanged before it was billed; compare with the bill";
            self.hold(number, reason.to_owned());
            return true;
        }
        let Some(supply_point) = self.outlets.get(&measured.outlet).copied() else {
            return self.wait_for_outlet(number, &measured);
        };
        if measured.register_start < self.last_register(supply_point) {
            self.hold(
                number,
                "the meter's register is below the last charge's end".to_owned(),
            );
            return true;
        }
        let Some((charger, grant)) = self.grant_for_charge(now, &measured) else {
            return false;
        };
        let (Some(id), Some((last_seq, previous))) = (self.id, self.last_profile()) else {
            return false;
        };
        if last_seq < self.provider_last.0 {
            // Our chain is behind; the number may be taken.
            return false;
        }
        if let Err(reason) = self.check_grant_for(&measured, &charger, &grant) {
            self.hold(number, reason.to_owned());
            return true;
        }
        let Some((energy_wh, duration_s, seq)) = numbers(&measured, last_seq) else {
            return false;
        };
        let profile = ChargeProfile {
            charger: charger.charger,
            payer: grant.body.group,
            node: id,
            seq,
            previous,
            supply_point,
            start: measured.start,
            duration_s,
            register_start: measured.register_start,
            energy_wh,
            max_power: measured.max_power,
            grant: grant.body.id(),
            detail: Hash::of(&measured.detail),
        };
        let Some(chain_id) = self.chain_id() else {
            return false;
        };
        let profile = Signed::new(profile, &self.key, &chain_id);
        self.signed_last = (seq, profile.hash());
        let stage = Stage::Signed {
            profile: Box::new(profile),
            grant: Box::new(grant),
            receipt: None,
        };
        self.set_stage(number, stage);
        true
    }

    /// Whether a grant carries a charge. The provider refuses one that does not, and a refused
    /// profile would stop all charges behind it.
    fn check_grant_for(
        &self,
        measured: &MeasuredCharge,
        charger: &KnownCharger,
        grant: &SignedGrant,
    ) -> Result<(), &'static str> {
        let limit = u64::from(grant.body.energy_limit_wh);
        if !self.is_grant_for(charger, grant) || !grant.body.covers(measured.start) {
            return Err("no valid grant of its group covers its start");
        }
        if limit > 0 && measured.energy.0 > limit {
            return Err("it took more than its group allowed");
        }
        Ok(())
    }

    fn wait_for_outlet(&mut self, number: u64, measured: &MeasuredCharge) -> bool {
        let configured = |outlet: &super::Outlet| outlet.name == measured.outlet;
        if self.config.outlets.iter().any(configured) {
            self.register_configured();
            return false;
        }
        let reason = format!(
            "outlet {} is no longer in the configuration",
            measured.outlet
        );
        self.hold(number, reason);
        true
    }

    /// Number and hash of this node's newest profile. `None` before there is a chain.
    fn last_profile(&self) -> Option<(u32, Hash)> {
        let own = self.own_last_profile();
        match &self.kept {
            Kept::Nothing => None,
            // What the provider told on this link has to do; a false answer costs this node's
            // charges their place in the chain, and nobody else anything.
            Kept::Headers(_) => Some(later(self.provider_last, own)),
            Kept::Blocks(_) => Some(own),
        }
    }

    /// The same, as far as this node knows by itself.
    pub(super) fn own_last_profile(&self) -> (u32, Hash) {
        let account = self.state().and_then(|state| state.nodes.get(&self.id?));
        let in_chain = account.map(|node| (node.last_seq, node.last_profile));
        let waiting = self.outbox.last_signed();
        let waiting = waiting.map(|profile| (profile.body.seq, profile.hash()));
        let known = in_chain.into_iter().chain(waiting);
        known.fold(self.signed_last, later)
    }

    /// The register at the end of the newest charge at `supply_point`.
    pub(super) fn last_register(&self, supply_point: SupplyPointId) -> EnergyWh {
        let exchanged = self.exchanged(supply_point);
        let first = exchanged.map_or(0, |exchange| exchange.first_charge);
        let known = match &self.kept {
            Kept::Nothing => None,
            Kept::Headers(headers) => headers.register(supply_point),
            Kept::Blocks(blocks) => {
                let account = blocks.state.supply_points.get(&supply_point);
                let exchanges = account.map_or(0, |account| account.exchanges);
                match exchanged.filter(|exchange| exchange.number > exchanges) {
                    None => account.map(|account| account.register),
                    // The block that records it is not here yet.
                    Some(exchange) => Some(exchange.first_register),
                }
            }
        };
        let since = self.outbox.charges.range(first..).map(|(_, charge)| charge);
        let signed = since.filter_map(Charge::profile);
        signed
            .filter(|profile| profile.body.supply_point == supply_point)
            .filter_map(|profile| profile.body.register_end())
            .chain(known)
            .max()
            .unwrap_or_default()
    }

    fn send_signed(&mut self) {
        let sent = self.outbox.sent;
        let mut frames = Vec::new();
        for charge in self.outbox.charges.values() {
            if let Stage::Signed {
                profile,
                grant,
                receipt: None,
            } = &charge.stage
                && profile.body.seq > sent
            {
                frames.push(Submission {
                    profile: (**profile).clone(),
                    grant: (**grant).clone(),
                    detail: charge.measured.detail.clone(),
                });
            }
        }
        frames.sort_by_key(|submission| submission.profile.body.seq);
        for submission in frames {
            self.outbox.sent = submission.profile.body.seq;
            self.send(Frame::Profile(submission));
        }
    }

    pub(super) fn receipt(&mut self, receipt: SignedReceipt) {
        let Some(genesis) = self.kept.genesis() else {
            return;
        };
        let provider = genesis.provider_key;
        if receipt.verify(&provider, &genesis.chain_id()).is_err() {
            return;
        }
        let Some(charge) = self.outbox.by_seq(receipt.body.seq) else {
            return;
        };
        let number = charge.number;
        if let Stage::Signed {
            profile,
            grant,
            receipt: None,
        } = charge.stage.clone()
            && profile.hash() == receipt.body.profile
        {
            let promised = Witnessed {
                profile: (*profile).clone(),
                receipt: receipt.clone(),
                grant: (*grant).clone(),
            };
            let receipt = Some(Box::new(receipt));
            let stage = Stage::Signed {
                profile,
                grant,
                receipt,
            };
            self.set_stage(number, stage);
            self.watch_own_receipts();
            if !self.outbox.heights.contains_key(&promised.receipt.body.seq) {
                self.compare_with_sealed(&promised);
            }
        }
    }

    /// Who holds a promise looks whether it is kept, witness or not. A node that keeps no blocks
    /// cannot look: it waits for proof.
    pub(super) fn watch_own_receipts(&mut self) {
        let Some(round) = self.state().map(|state| state.round) else {
            return;
        };
        for charge in self.outbox.charges.values() {
            if let Stage::Signed {
                profile,
                grant,
                receipt: Some(receipt),
            } = &charge.stage
                && receipt.body.round > round
            {
                self.rounds.watch(Witnessed {
                    profile: (**profile).clone(),
                    receipt: (**receipt).clone(),
                    grant: (**grant).clone(),
                });
            }
        }
    }

    pub(super) fn refused(&mut self, seq: u32, reason: String) {
        // What the provider has promised to seal it cannot refuse any more.
        let is_open =
            |charge: &mut Charge| matches!(charge.stage, Stage::Signed { receipt: None, .. });
        if self.outbox.by_seq(seq).is_some_and(is_open) {
            self.outbox.refused = Some(seq);
            self.notify(Event::Refused { seq, reason });
        }
    }

    pub(super) fn set_stage(&mut self, number: u64, stage: Stage) {
        if let Some(charge) = self.outbox.charges.get_mut(&number) {
            charge.stage = stage;
            let write = disk::charge(charge);
            self.persist(write);
        }
    }

    /// Notes that the block at `height` holds this node's profile. A charge that was signed with
    /// the same number by an older copy of this node's state can never follow: it is held.
    pub(super) fn charge_in_block(&mut self, profile: &SignedProfile, height: u64) {
        let seq = profile.body.seq;
        let Some(charge) = self.outbox.by_seq(seq) else {
            return;
        };
        if charge.profile() == Some(profile) {
            self.outbox.heights.insert(seq, height);
        } else {
            let number = charge.number;
            let reason = "another charge of this node has its number in the chain; compare with \
                          the bill before releasing";
            self.hold(number, reason.to_owned());
        }
    }

    /// Numbers of our charges in blocks up to `height`.
    pub(super) fn charges_up_to(&self, height: u64) -> Vec<(u32, u64)> {
        let heights = self.outbox.heights.iter();
        heights
            .filter(|(_, at)| **at <= height)
            .map(|(seq, at)| (*seq, *at))
            .collect()
    }

    /// Lets a charge go: it is final, and `receipt` proves it.
    pub(super) fn charge_final(&mut self, seq: u32, height: u64, receipt: Vec<u8>) {
        let number = self.outbox.by_seq(seq).map(|charge| charge.number);
        let Some(charge) = number.and_then(|number| self.outbox.charges.remove(&number)) else {
            return;
        };
        self.persist(disk::receipt(seq, &receipt));
        self.persist(disk::forget_charge(charge.number));
        self.outbox.heights.remove(&seq);
        self.remember_taken(height, charge);
        self.notify(Event::Final { seq, receipt });
    }

    fn remember_taken(&mut self, height: u64, charge: Charge) {
        let (number, id) = (charge.number, charge.measured.id);
        self.persist(disk::taken(number, id));
        self.persist(disk::released(height, &charge));
        self.outbox.taken.insert(number, id);
        self.outbox.released.insert(number, (height, charge));
        if self.outbox.taken.len() > MAX_TAKEN
            && let Some((oldest, _)) = self.outbox.taken.pop_first()
        {
            self.outbox.released.remove(&oldest);
            self.persist(disk::forget_taken(oldest));
            self.persist(disk::forget_released(oldest));
        }
    }

    /// Takes back the charges that were final in blocks from `height` on: the voters have given
    /// these up. They are submitted again with the same bytes, as their numbers are taken.
    pub(super) fn take_back(&mut self, height: u64) {
        let released = self.outbox.released.iter();
        let given_up = released.filter(|(_, (at, _))| *at >= height);
        for number in given_up.map(|(number, _)| *number).collect::<Vec<_>>() {
            if let Some((_, charge)) = self.outbox.released.remove(&number) {
                self.outbox.taken.remove(&number);
                self.persist(disk::forget_taken(number));
                self.persist(disk::forget_released(number));
                self.persist(disk::charge(&charge));
                self.outbox.charges.insert(number, charge);
            }
        }
    }

    /// Whether a charge of ours waits in a block for finality.
    pub(super) fn awaits_finality(&self) -> Option<u64> {
        self.outbox.heights.values().min().copied()
    }
}

/// The one with the higher number; the second where they have the same.
pub(super) fn later(first: (u32, Hash), second: (u32, Hash)) -> (u32, Hash) {
    match first.0 > second.0 {
        true => first,
        false => second,
    }
}

/// The numbers of a profile; `None` where one does not fit (such charges are held before).
pub(super) fn numbers(measured: &MeasuredCharge, last_seq: u32) -> Option<(u32, u32, u32)> {
    let energy = u32::try_from(measured.energy.0).ok()?;
    let duration = measured.end.0.checked_sub(measured.start.0)?;
    Some((
        energy,
        u32::try_from(duration).ok()?,
        last_seq.checked_add(1)?,
    ))
}
