//! A crowd of enrolled nodes that never says yes, and shouts "no" at each block by every means the
//! protocol has. It has none that says no.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use ledger::frame::SealedGroup;
use ledger::node::NodeConfig;
use ledger::{Ballot, Frame, GroupBlock, State};
use protocol::link::{CallFailure, Link};
use protocol::rpc::to_json;
use protocol::{GroupId, Hash, IdTag, NodeId, Signed, canonical};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::arguments::Arguments;
use super::node::{AttackingNode, registration};
use super::say;

/// Shouts that may wait to be counted.
const QUEUE: usize = 1_024;

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (url, file) = (arguments.get("--url")?, arguments.get("--tokens")?);
    let lines = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let mut crowd = Vec::new();
    for line in lines.lines() {
        let (group, token) = line.split_once(' ').context("a line is: group token")?;
        crowd.push(Sybil::enrol(url, group, token).await?);
    }
    say(&json!({"event": "joined", "count": crowd.len()}));
    shout_together(crowd).await
}

async fn shout_together(crowd: Vec<Sybil>) -> anyhow::Result<()> {
    let count = crowd.len();
    let ids: Arc<BTreeSet<NodeId>> = Arc::new(crowd.iter().map(|sybil| sybil.node.id()).collect());
    let mut newest = 0;
    for sybil in &crowd {
        newest = sybil.node.state()?.height.max(newest);
    }
    let (shouts, heard) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    for sybil in crowd {
        tasks.spawn(sybil.shout_above(newest, Arc::clone(&ids), shouts.clone()));
    }
    drop(shouts);
    tokio::select! {
        () = tell(count, heard) => Ok(()),
        Some(ended) = tasks.join_next() => ended?,
    }
}

/// An enrolled node with a vote.
struct Sybil {
    node: AttackingNode,
    group: GroupId,
}

impl Sybil {
    /// Enrols a node and registers its group's first charger: that makes it the group's parent,
    /// and so a voter.
    async fn enrol(url: &str, group: &str, token: &str) -> anyhow::Result<Self> {
        let id_tag = IdTag::parse(&format!("{group}-CAR"))?;
        let config = NodeConfig {
            chargers: BTreeMap::from([(id_tag, Some(IdTag::parse(group)?))]),
            ..NodeConfig::default()
        };
        let mut node = AttackingNode::enrol(url, token, config).await?;
        let mut registered = None;
        loop {
            let step = node.step().await?;
            if let Some(registration) = registration(&step.input)? {
                registered = Some(registration.group);
            }
            if let Some(group) = registered.filter(|_| node.has_caught_up()) {
                return Ok(Self { node, group });
            }
        }
    }

    /// Shouts at each block above `newest`, which nobody here has seen yet: so all shout at the
    /// same blocks.
    async fn shout_above(
        mut self,
        mut newest: u64,
        sybils: Arc<BTreeSet<NodeId>>,
        shouts: mpsc::Sender<Shouts>,
    ) -> anyhow::Result<()> {
        loop {
            // What an honest node would send, its ballots first of all, stays unsent.
            self.node.step().await?;
            let height = self.node.state()?.height;
            if height > newest {
                newest = height;
                self.shout(&sybils, &shouts).await?;
            }
        }
    }

    async fn shout(
        &self,
        sybils: &BTreeSet<NodeId>,
        shouts: &mpsc::Sender<Shouts>,
    ) -> anyhow::Result<()> {
        let state = self.node.state()?;
        let frames = self.frames(state, sybils);
        let link = self.node.link();
        let unanswered = frames.len();
        for bytes in frames {
            link.send_binary(bytes).await?;
        }
        let (height, header) = (state.height, state.tip);
        let (link, shouts) = (link.clone(), shouts.clone());
        // In a task of its own: what is awaited here must not keep the link's events waiting.
        tokio::spawn(async move {
            let mut heard = Shouts {
                height,
                sent: unanswered + 1,
                refused: 0,
                unanswered,
            };
            match reject(&link, height, header).await {
                Ok(()) => {}
                Err(CallFailure::Refused(_)) => heard.refused += 1,
                Err(_) => heard.unanswered += 1,
            }
            // The crowd may have ended.
            let _ = shouts.send(heard).await;
        });
        Ok(())
    }

    /// What a binary frame can say against the newest block. None of it gets an answer.
    fn frames(&self, state: &State, sybils: &BTreeSet<NodeId>) -> Vec<Vec<u8>> {
        let made_up = self.ballot(self.group, state.height, Hash::of(&state.tip.0));
        let mut frames = vec![canonical(&made_up), b"this block is invalid".to_vec()];
        let mut groups = state.groups.iter();
        let honest = groups.find(|(_, account)| !sybils.contains(&account.parent));
        if let Some((group, account)) = honest {
            let stolen = self.ballot(*group, state.height, state.tip);
            let foreign = self.group_block(*group, state.round + 1, account.last_group_block);
            frames.extend([canonical(&stolen), canonical(&foreign)]);
        }
        frames
    }

    fn ballot(&self, voter: GroupId, height: u64, header: Hash) -> Frame {
        let ballot = Ballot {
            voter,
            height,
            header,
        };
        let (key, chain_id) = (self.node.key(), self.node.chain_id());
        Frame::Ballot(Signed::new(ballot, key, &chain_id))
    }

    fn group_block(&self, group: GroupId, round: u64, previous: Hash) -> Frame {
        let block = GroupBlock::over(group, round, previous, [].iter());
        let (key, chain_id) = (self.node.key(), self.node.chain_id());
        Frame::GroupBlock(SealedGroup {
            block: Signed::new(block, key, &chain_id),
            profiles: Vec::new(),
        })
    }
}

/// The call that a crowd would need, and that no version of the protocol has.
async fn reject(link: &Link, height: u64, header: Hash) -> Result<(), CallFailure> {
    let payload = json!({"height": height, "header": header});
    link.call("Reject", to_json(&payload)).await.map(|_| ())
}

/// What was shouted at one block, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shouts {
    height: u64,
    sent: usize,
    refused: usize,
    unanswered: usize,
}

/// Tells of each block when all `count` Sybils have shouted at it.
async fn tell(count: usize, mut heard: mpsc::Receiver<Shouts>) {
    let mut open: BTreeMap<u64, Vec<Shouts>> = BTreeMap::new();
    while let Some(shouts) = heard.recv().await {
        let height = shouts.height;
        let at_block = open.entry(height).or_default();
        at_block.push(shouts);
        if at_block.len() == count {
            let sum = |of: fn(&Shouts) -> usize| at_block.iter().map(of).sum::<usize>();
            say(&json!({
                "event": "shouted",
                "height": height,
                "sent": sum(|s| s.sent),
                "refused": sum(|s| s.refused),
                "unanswered": sum(|s| s.unanswered),
            }));
            open.remove(&height);
        }
    }
}
