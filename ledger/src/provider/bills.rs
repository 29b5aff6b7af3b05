//! The bill of each group, from the blocks.

use protocol::message::{ChargeInfo, ChargeInfoLine, CreditLine, Finality, Request};
use protocol::{EnergyWh, GroupId, Hash, IdTag, MinorUnits, UnixSeconds};

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
        let groups: Vec<(IdTag, GroupId)> = self
            .registry
            .groups()
            .map(|(name, group)| (name.clone(), group))
            .collect();
        for (group_id, group) in groups {
            let mut info = ChargeInfo {
                group_id,
                currency: self.state.genesis.currency.clone(),
                lines: Vec::new(),
                credits: Vec::new(),
            };
            self.add_to_bill(&mut info, group, block, self.state.time);
            let parent = self.state.groups.get(&group).map(|account| account.parent);
            if let (false, Some(parent)) =
                (info.lines.is_empty() && info.credits.is_empty(), parent)
            {
                self.tell(parent, Request::ChargeInfo(info));
            }
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
        let proof = Proof {
            finality: self.state.finality(&block.header.body, now),
            height: block.header.body.height,
            header: block.header.hash(),
        };
        for line in &block.body.charges {
            info.lines.extend(self.owed(group, line, &proof));
            info.credits.extend(self.credited(group, line, &proof));
        }
    }

    /// What `group` owes for a charge; `None` where another group pays.
    fn owed(&self, group: GroupId, line: &ChargeLine, proof: &Proof) -> Option<ChargeInfoLine> {
        let body = &line.profile.body;
        let charger = self.registry.charger(body.charger)?;
        (body.payer == group).then(|| ChargeInfoLine {
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

    /// What `group` gets for a charge; `None` where the outlet is another group's.
    fn credited(&self, group: GroupId, line: &ChargeLine, proof: &Proof) -> Option<CreditLine> {
        let body = &line.profile.body;
        let mut outlets = self.registry.outlets();
        let outlet = outlets.find(|outlet| outlet.supply_point == body.supply_point)?;
        (self.registry.group(&outlet.owner) == Some(group)).then(|| CreditLine {
            supply_point: outlet.supply_point,
            outlet: outlet.name.clone(),
            start: body.start,
            end: body.end(),
            energy_wh: EnergyWh(body.energy_wh.into()),
            credit: MinorUnits(line.credit.into()),
            finality: proof.finality,
            height: proof.height,
            header: proof.header,
        })
    }
}
