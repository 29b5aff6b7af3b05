//! Who speaks for this node's groups while it is away.

use protocol::message::{NameDeputy, Request};
use protocol::{Deputy, GroupId, NodeId, PublicKey, Signed};

use super::{Node, Pending};

impl Node {
    /// Tells the provider of each deputy that the configuration names and the chain does not.
    pub(super) fn name_deputies(&mut self) {
        for (group, deputy) in self.unnamed_deputies() {
            let Some(chain_id) = self.chain_id() else {
                return;
            };
            let deputy = Signed::new(deputy, &self.key, &chain_id);
            self.call(
                Pending::Deputy(group),
                Request::NameDeputy(NameDeputy { deputy }),
            );
        }
    }

    fn unnamed_deputies(&self) -> Vec<(GroupId, Deputy)> {
        let (Some(state), Some(id)) = (self.state(), self.id) else {
            return Vec::new();
        };
        let known = self.known.groups();
        known
            .filter_map(|(group_id, group)| {
                let account = state.groups.get(&group)?;
                let wanted = self.config.deputies.get(group_id);
                // One that is not enrolled yet is named when it is.
                let node = match wanted {
                    Some(key) => Some(self.node_of(key)?),
                    None => None,
                };
                let number = account.deputies.checked_add(1)?;
                let is_told = self.told_deputies.get(&group) == Some(&number);
                let is_due = account.parent == id && account.deputy != node && !is_told;
                let deputy = Deputy {
                    group,
                    number,
                    node,
                };
                is_due.then_some((group, deputy))
            })
            .collect()
    }

    fn node_of(&self, key: &PublicKey) -> Option<NodeId> {
        let mut nodes = self.state()?.nodes.iter();
        let found = nodes.find(|(_, account)| account.key == *key);
        found.map(|(node, _)| *node)
    }

    /// The provider took a deputy, or will not yet.
    pub(super) fn deputy_named(&mut self, deputy: &Deputy, number: Option<u32>) {
        let is_taken = number == Some(deputy.number);
        self.called(Pending::Deputy(deputy.group), is_taken);
        if is_taken {
            self.told_deputies.insert(deputy.group, deputy.number);
        }
    }
}
