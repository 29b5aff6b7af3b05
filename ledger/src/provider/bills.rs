//! The bill of each group, from the blocks.

use std::collections::BTreeMap;

use protocol::message::{ChargeInfo, ChargeInfoLine, CreditLine, Finality, Request};
use protocol::{EnergyWh, GroupId, Hash, MinorUnits, UnixSeconds};

use super::Provider;
use crate::block::{Block, ChargeLine};

/// The header that proves the lines of a block, and how far it is.
struct Proof {
    finality: Finality,
    height: u64,
    header: Hash,
}

impl Provider {
    /// Sends every group's parent what a final block bills and credits.
    pub(super) fn send_bills(&mut self, block: &Block) {
        for (group, info) in self.bills(block) {
            let parent = self.state.groups.get(&group).map(|account| account.parent);
            if let Some(parent) = parent {
                self.tell(parent, Request::ChargeInfo(info));
            }
        }
    }

    /// What a block bills and credits each group that it says something about.
    fn bills(&self, block: &Block) -> BTreeMap<GroupId, ChargeInfo> {
        let proof = self.proof(block, self.state.time);
        let mut bills = BTreeMap::new();
        for line in &block.body.charges {
            if let Some(owed) = self.owed(line, &proof)
                && let Some(bill) = self.bill_of(&mut bills, line.profile.body.payer)
            {
                bill.lines.push(owed);
            }
            if let Some((owner, credit)) = self.credited(line, &proof)
                && let Some(bill) = self.bill_of(&mut bills, owner)
            {
                bill.credits.push(credit);
            }
        }
        bills
    }

    /// The bill of `group` among `bills`, begun where there is none yet.
    fn bill_of<'a>(
        &self,
        bills: &'a mut BTreeMap<GroupId, ChargeInfo>,
        group: GroupId,
    ) -> Option<&'a mut ChargeInfo> {
        let group_id = self.registry.group_id(group)?;
        Some(bills.entry(group).or_insert_with(|| ChargeInfo {
            group_id: group_id.clone(),
            currency: self.state.genesis.currency.clone(),
            lines: Vec::new(),
            credits: Vec::new(),
        }))
    }

    fn proof(&self, block: &Block, now: UnixSeconds) -> Proof {
        Proof {
            finality: self.state.finality(&block.header.body, now),
            height: block.header.body.height,
            header: block.header.hash(),
        }
    }

    /// Adds what `block` bills and credits to the bill of `group`, as it is at `now`.
    pub fn add_to_bill(
        &self,
        info: &mut ChargeInfo,
        group: GroupId,
        block: &Block,
        now: UnixSeconds,
    ) {
        let proof = self.proof(block, now);
        for line in &block.body.charges {
            if line.profile.body.payer == group {
                info.lines.extend(self.owed(line, &proof));
            }
            let credited = self.credited(line, &proof);
            let ours = credited.filter(|(owner, _)| *owner == group);
            info.credits.extend(ours.map(|(_, credit)| credit));
        }
    }

    /// What the payer owes for a charge.
    fn owed(&self, line: &ChargeLine, proof: &Proof) -> Option<ChargeInfoLine> {
        let body = &line.profile.body;
        let charger = self.registry.charger(body.charger)?;
        Some(ChargeInfoLine {
            id_tag: charger.id_tag.clone(),
            supply_point: body.supply_point,
            start: body.start,
            end: body.end(),
            energy_wh: EnergyWh(body.energy_wh.into()),
            amount: MinorUnits(line.amount.into()),
            finality: proof.finality,
            height: proof.height,
            header: proof.header,
        })
    }

    /// What the outlet's owner gets for a charge.
    fn credited(&self, line: &ChargeLine, proof: &Proof) -> Option<(GroupId, CreditLine)> {
        let body = &line.profile.body;
        let outlet = self.registry.outlet(body.supply_point)?;
        let owner = self.registry.group(&outlet.owner)?;
        let credit = CreditLine {
            supply_point: outlet.supply_point,
            outlet: outlet.name.clone(),
            start: body.start,
            end: body.end(),
            energy_wh: EnergyWh(body.energy_wh.into()),
            credit: MinorUnits(line.credit.into()),
            finality: proof.finality,
            height: proof.height,
            header: proof.header,
        };
        Some((owner, credit))
    }
}
