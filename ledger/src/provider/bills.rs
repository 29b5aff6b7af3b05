//! The bill of each group, from the blocks.

use protocol::message::{ChargeInfo, ChargeInfoLine, CreditLine, Request};
use protocol::{EnergyWh, GroupId, IdTag, MinorUnits};

use super::{OutletEntry, Provider};
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
        let height = block.header.body.height;
        for line in &block.body.charges {
            let body = &line.profile.body;
            let charger = self.registry.charger(body.charger);
            if let (true, Some(charger)) = (body.payer == group, charger) {
                info.lines.push(ChargeInfoLine {
                    id_tag: charger.id_tag.clone(),
                    supply_point: body.supply_point,
                    start: body.start,
                    end: body.end(),
                    energy_wh: EnergyWh(body.energy_wh.into()),
                    amount: MinorUnits(line.amount.into()),
                    is_final: height <= self.state.final_height,
                    height,
                    header: block.header.hash(),
                });
            }
            let mut outlets = self.registry.outlets();
            let outlet = outlets.find(|outlet| outlet.supply_point == body.supply_point);
            if let Some(outlet) = outlet.filter(|o| self.registry.group(&o.owner) == Some(group)) {
                add_credit(info, outlet, line);
            }
        }
    }
}

fn add_credit(info: &mut ChargeInfo, outlet: &OutletEntry, line: &ChargeLine) {
    let (energy, credit) = (line.profile.body.energy_wh, line.credit);
    let known = info
        .credits
        .iter()
        .position(|credit| credit.supply_point == outlet.supply_point);
    let index = known.unwrap_or_else(|| {
        info.credits.push(CreditLine {
            supply_point: outlet.supply_point,
            outlet: outlet.name.clone(),
            energy_wh: EnergyWh(0),
            credit: MinorUnits(0),
        });
        info.credits.len() - 1
    });
    let entry = &mut info.credits[index];
    entry.energy_wh.0 = entry.energy_wh.0.saturating_add(energy.into());
    entry.credit.0 = entry.credit.0.saturating_add(credit.into());
}
