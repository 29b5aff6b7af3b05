//! The bill of each group, from the blocks.

use protocol::message::{ChargeInfo, ChargeInfoLine, CreditLine, Request};
use protocol::{EnergyWh, GroupId, IdTag, MinorUnits};

use super::Provider;
use crate::block::{Block, ChargeLine};

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
            self.add_to_bill(&mut info, group, block);
            let parent = self.state.groups.get(&group).map(|account| account.parent);
            if let (false, Some(parent)) =
                (info.lines.is_empty() && info.credits.is_empty(), parent)
            {
                self.tell(parent, Request::ChargeInfo(info));
            }
        }
    }

    /// Adds what `block` bills and credits to the bill of `group`.
    pub fn add_to_bill(&self, info: &mut ChargeInfo, group: GroupId, block: &Block) {
        for line in &block.body.charges {
            info.lines.extend(self.owed(group, block, line));
            info.credits.extend(self.credited(group, block, line));
        }
    }

    /// What `group` owes for a charge of `block`; `None` where another group pays.
    fn owed(&self, group: GroupId, block: &Block, line: &ChargeLine) -> Option<ChargeInfoLine> {
        let body = &line.profile.body;
        let charger = self.registry.charger(body.charger)?;
        (body.payer == group).then(|| ChargeInfoLine {
            id_tag: charger.id_tag.clone(),
            supply_point: body.supply_point,
            start: body.start,
            end: body.end(),
            energy_wh: EnergyWh(body.energy_wh.into()),
            amount: MinorUnits(line.amount.into()),
            is_final: self.is_final(block),
            height: block.header.body.height,
            header: block.header.hash(),
        })
    }

    /// What `group` gets for a charge of `block`; `None` where the outlet is another group's.
    fn credited(&self, group: GroupId, block: &Block, line: &ChargeLine) -> Option<CreditLine> {
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
            is_final: self.is_final(block),
            height: block.header.body.height,
            header: block.header.hash(),
        })
    }

    fn is_final(&self, block: &Block) -> bool {
        block.header.body.height <= self.state.final_height
    }
}
