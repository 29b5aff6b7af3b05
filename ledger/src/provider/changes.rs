//! What changes after an enrolment: a charger's group, a parent's deputy, an outlet's meter.

use protocol::message::{
    ExchangeMeter, ExchangeMeterAck, NameDeputy, NameDeputyAck, Registration, Response,
};
use protocol::{Hash, IdTag, NodeId, SignedProfile};

use super::enrol::MAX_NAME_BYTES;
use super::registry::GroupEntry;
use super::{Provider, disk};
use crate::block::Record;

impl Provider {
    /// Whether `node` may take a charger to another group: it is the charger's home.
    pub(super) fn may_move(&self, node: NodeId, id_tag: &IdTag) -> bool {
        let charger = self.registry.charger_of(id_tag);
        charger.is_some_and(|charger| charger.home == node)
    }

    /// Puts a charger into a group; one that is new joins with it.
    pub(super) fn put_into(
        &mut self,
        home: NodeId,
        id_tag: IdTag,
        group: &GroupEntry,
    ) -> Registration {
        let Some(mut charger) = self.registry.charger_of(&id_tag).cloned() else {
            return self.add_charger(home, id_tag, group);
        };
        charger.group_id = group.group_id.clone();
        charger.group = group.group;
        self.persist(disk::charger(&charger));
        self.record(Record::MoveCharger {
            charger: charger.charger,
            group: charger.group,
        });
        self.registry.put_charger(charger.clone());
        self.registration(home, &charger)
    }

    /// A parent names its deputy. Charges under grants of the one before may still come.
    pub(super) fn name_deputy(&mut self, node: NodeId, asked: NameDeputy) -> Option<Response> {
        let group = asked.deputy.body.group;
        let account = self.preview.groups.get(&group);
        if account.is_none_or(|account| account.parent != node) {
            return None;
        }
        self.record(Record::Deputy(asked.deputy));
        let number = self.preview.groups.get(&group)?.deputies;
        Some(Response::NameDeputy(NameDeputyAck { number }))
    }

    /// A node exchanged an outlet's meter. Not while a charge by the old one waits, which would
    /// come after this word: the node asks again.
    pub(super) fn exchange_meter(
        &mut self,
        node: NodeId,
        asked: ExchangeMeter,
    ) -> Option<Response> {
        let body = &asked.exchange.body;
        let supply_point = body.supply_point;
        let account = self.preview.supply_points.get(&supply_point)?;
        let is_named = body.meter == Hash::of(asked.meter.as_bytes());
        if account.node != node || !is_named || asked.meter.len() > MAX_NAME_BYTES {
            return None;
        }
        let (number, is_new) = (body.number, account.exchanges < body.number);
        let waiting = self.rounds.of_node(node);
        let waits = waiting.filter(|received| received.profile.body.supply_point == supply_point);
        // What was promised of the new meter rests on this exchange, and cannot come before it.
        let is_before = |profile: &SignedProfile| {
            let charge = &profile.body;
            charge.supply_point == supply_point && charge.register_start >= account.register
        };
        let waits = waits.count() > 0 || self.is_promised(is_before);
        if !waits && is_new {
            self.record(Record::MeterExchange(asked.exchange));
            let exchanges = self.preview.supply_points.get(&supply_point)?.exchanges;
            if exchanges == number
                && let Some(mut outlet) = self.registry.outlet(supply_point).cloned()
            {
                outlet.meter = asked.meter;
                self.persist(disk::outlet(&outlet));
                self.registry.put_outlet(outlet);
            }
        }
        let number = self.preview.supply_points.get(&supply_point)?.exchanges;
        Some(Response::ExchangeMeter(ExchangeMeterAck { number }))
    }
}
