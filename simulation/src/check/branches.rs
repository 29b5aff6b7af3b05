//! Nodes that can talk to each other do not stay on different branches, nor keep evidence to
//! themselves: within two rounds both hold what convicts the provider.

use std::collections::BTreeMap;

use ledger::Node;
use ledger::node::stored_evidence;
use protocol::Hash;

use crate::world::World;

/// What a neighbour's answer takes, and the steps from it to evidence on both sides, ms.
const SLACK_MS: u64 = 5_000;

/// Since when two gateways that can talk to each other owe it to have evidence.
#[derive(Debug, Default)]
pub(crate) struct Branches {
    due_since: BTreeMap<(usize, usize), u64>,
}

impl Branches {
    /// Something keeps a gateway from talking.
    pub(crate) fn interrupt(&mut self, index: usize) {
        self.due_since
            .retain(|(one, other), _| *one != index && *other != index);
    }
}

/// Looks at every pair of honest gateways.
pub(crate) fn look_at_branches(world: &mut World) {
    let count = world.gateways.len();
    let patience = 2 * world.scenario.genesis.interval_ms() + SLACK_MS;
    for one in 0..count {
        for other in one + 1..count {
            let pair = (one, other);
            if !is_due(world, one, other) {
                world.checks.branches.due_since.remove(&pair);
                continue;
            }
            let now = world.now;
            let due_since = &mut world.checks.branches.due_since;
            let since = *due_since.entry(pair).or_insert(now);
            if now - since > patience {
                let words = format!(
                    "gateways {one} and {other} can talk to each other since {since} ms, and not \
                     both hold what convicts the provider"
                );
                let invariant = "nodes that talk do not stay on different branches";
                world.checks.violated(invariant, &words);
            }
        }
    }
}

fn is_due(world: &World, one: usize, other: usize) -> bool {
    let can_talk = [one, other]
        .into_iter()
        .all(|index| world.scenario.sites[index].is_honest() && world.is_brisk(index))
        && world.can_reach(one, other)
        && world.are_acquainted(one, other);
    if !can_talk {
        return false;
    }
    let node = |index: usize| world.gateways[index].process.machine.as_ref();
    let (Some(first), Some(second)) = (node(one), node(other)) else {
        return false;
    };
    // Whoever goes on with what the voters picked shows no evidence any more.
    let has_resumed = world.checks.has_resumed(one) || world.checks.has_resumed(other);
    match (holds_evidence(world, one), holds_evidence(world, other)) {
        (true, true) => false,
        (false, false) => are_parted(first, second),
        _ => !has_resumed || are_parted(first, second),
    }
}

/// Whether a gateway holds what convicts the provider, or what the voters made of it.
fn holds_evidence(world: &World, index: usize) -> bool {
    let mut is_there = world.checks.has_resumed(index);
    let store = &world.gateways[index].process.store;
    stored_evidence(store, |_, _| is_there = true).expect("memory is whole");
    is_there
}

/// Whether the newest header of the lower one is not in the chain of the other.
fn are_parted(first: &Node, second: &Node) -> bool {
    let (Some(one), Some(other)) = (head(first), head(second)) else {
        return false;
    };
    let ((height, tip), high) = match one.0 <= other.0 {
        true => (one, second),
        false => (other, first),
    };
    height > 0 && !high.holds(height, &tip)
}

/// Height and hash of the newest header. Of a full node from its state: `progress` hashes all of it.
fn head(node: &Node) -> Option<(u64, Hash)> {
    match node.state() {
        Some(state) => Some((state.height, state.tip)),
        None => {
            let progress = node.progress()?;
            Some((progress.height, progress.tip))
        }
    }
}
