//! Which node is at the other end of which link.

use std::collections::BTreeMap;

use protocol::NodeId;

use super::LinkId;

/// All links that are up; a node has one at most.
#[derive(Debug, Default)]
pub(super) struct Links {
    nodes: BTreeMap<LinkId, NodeId>,
    // Invariant: the same pairs the other way round.
    links: BTreeMap<NodeId, LinkId>,
}

impl Links {
    /// Puts `node` on `link` and tells the older link that it leaves.
    pub(super) fn put(&mut self, link: LinkId, node: NodeId) -> Option<LinkId> {
        self.remove(link);
        let older = self.links.insert(node, link);
        if let Some(older) = older {
            self.nodes.remove(&older);
        }
        self.nodes.insert(link, node);
        older
    }

    pub(super) fn remove(&mut self, link: LinkId) {
        if let Some(node) = self.nodes.remove(&link) {
            self.links.remove(&node);
        }
    }

    pub(super) fn node(&self, link: LinkId) -> Option<NodeId> {
        self.nodes.get(&link).copied()
    }

    pub(super) fn of(&self, node: NodeId) -> Option<LinkId> {
        self.links.get(&node).copied()
    }

    /// All links, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, NodeId)> {
        self.nodes.iter().map(|(link, node)| (*link, *node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_comes_back_leaves_its_older_link() {
        let mut links = Links::default();
        assert_eq!(links.put(1, NodeId(7)), None);
        assert_eq!(links.put(2, NodeId(7)), Some(1));
        assert_eq!((links.node(1), links.of(NodeId(7))), (None, Some(2)));
        // The end of the older link is told late.
        links.remove(1);
        assert_eq!(links.of(NodeId(7)), Some(2));
    }

    #[test]
    fn a_link_that_changes_hands_is_nobody_elses_any_more() {
        let mut links = Links::default();
        links.put(1, NodeId(7));
        links.put(1, NodeId(8));
        assert_eq!((links.of(NodeId(7)), links.of(NodeId(8))), (None, Some(1)));
        assert_eq!(links.iter().collect::<Vec<_>>(), [(1, NodeId(8))]);
    }
}
