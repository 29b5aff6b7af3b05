//! What the provider wants done, carried out.

use ledger::frame::Frame;
use ledger::node;
use ledger::provider::{self as rules, Effect, LinkId, stored_blocks, stored_proofs};
use ledger::store::Store;
use protocol::message::JoinAck;

use super::links::CALL_MS;
use super::{Event, Item, Who, World};
use crate::describe::describe_frame;
use crate::process::BEGIN;

impl World {
    /// Gives the provider something to take in, soon.
    pub(super) fn post_provider(&mut self, branch: usize, input: rules::Input) {
        let process = &mut self.branches[branch].process;
        if !process.is_up() {
            return;
        }
        process.inbox.push(Item::input(input));
        if !process.is_scheduled {
            process.is_scheduled = true;
            let (life, slow_ms) = (process.life, process.slow_ms);
            let at = self.now + 1 + self.random.below(3) + self.random.below(slow_ms);
            self.queue.push(at, Event::Run(Who::Provider(branch), life));
        }
    }

    pub(super) fn run_provider(&mut self, branch: usize) {
        let waiting = self.branches[branch].process.inbox.len();
        let count = self.batch_size(waiting);
        if branch == 0 {
            self.note_told(count);
        }
        let process = &mut self.branches[branch].process;
        process.is_scheduled = false;
        let Some(ran) = process.run(self.now, count) else {
            self.tally.count("crash before or in a sync");
            self.crash_provider(branch);
            return;
        };
        let lives_on = ran.dies_after.is_none();
        let carried_out = ran.dies_after.unwrap_or(ran.effects.len());
        for effect in ran.effects.into_iter().take(carried_out) {
            self.provider_effect(branch, effect);
        }
        if !lives_on {
            self.tally.count(match carried_out {
                0 => "crash after a sync",
                _ => "crash between effects",
            });
            self.crash_provider(branch);
        } else if count < waiting {
            let life = self.branches[branch].process.life;
            self.branches[branch].process.is_scheduled = true;
            self.queue
                .push(self.now + 1, Event::Run(Who::Provider(branch), life));
        }
    }

    fn provider_effect(&mut self, branch: usize, effect: Effect) {
        match effect {
            Effect::Joined { link, result } => self.joined(link, result),
            Effect::Close { link } => self.break_link(link),
            Effect::Reply {
                link,
                call,
                response,
            } => {
                let gateway = self.wire(link).map(|wire| wire.gateway);
                let response = match gateway {
                    Some(gateway) => self.lied_names(gateway, response),
                    None => response,
                };
                self.send_reply(link, call, response);
            }
            Effect::Ask {
                link,
                call,
                request,
            } => {
                self.branches[branch].asks.insert(call);
                self.queue
                    .push(self.now + CALL_MS, Event::AskLost(branch, call));
                self.send_to_gateway(link, node::Input::Asked { call, request });
            }
            Effect::Send { link, frame } => self.provider_sends(link, *frame),
            Effect::SendBlocks { link, from, count } => {
                for frame in self.blocks(branch, from, count) {
                    self.provider_sends(link, frame);
                }
            }
            Effect::SendHeaders { link, from, count } => {
                for frame in self.headers(branch, from, count) {
                    self.provider_sends(link, frame);
                }
            }
            Effect::SendProofs {
                link,
                node,
                after,
                count,
            } => {
                let mut frames = Vec::new();
                let store = &self.branches[branch].process.store;
                let take = |file: ledger::ReceiptFile| frames.push(Frame::Proof(file.to_bytes()));
                stored_proofs(store, node, after, count, take).expect("the store is whole");
                for frame in frames {
                    self.provider_sends(link, frame);
                }
            }
            Effect::WakeAt(at) => {
                let process = &self.branches[branch].process;
                let true_ms = at.0.saturating_add_signed(-process.skew_ms);
                let moment = true_ms.saturating_sub(BEGIN.millis().0).max(self.now);
                let alarm = Event::Alarm(Who::Provider(branch), process.life);
                self.queue.push(moment, alarm);
            }
            Effect::Notify(event) => self.provider_tells(branch, &event),
        }
    }

    /// The provider's blocks from a height on.
    pub(super) fn read_blocks(&self, from: u64, count: u64) -> Vec<ledger::Block> {
        let mut blocks = Vec::new();
        let store = &self.branches[0].process.store;
        let take = |block| blocks.push(block);
        stored_blocks(store, from.max(1), count, take).expect("the store is whole");
        blocks
    }

    fn blocks(&self, branch: usize, from: u64, count: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        let store = &self.branches[branch].process.store;
        let take = |block| frames.push(Frame::Block(Box::new(block)));
        stored_blocks(store, from, count, take).expect("the store is whole");
        frames
    }

    fn headers(&self, branch: usize, from: u64, count: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        let store = &self.branches[branch].process.store;
        let take = |block: ledger::Block| frames.push(Frame::Header(Box::new(block.header)));
        stored_blocks(store, from, count, take).expect("the store is whole");
        frames
    }

    pub(crate) fn provider_sends(&mut self, link: LinkId, frame: Frame) {
        let Some((gateway, branch)) = self.wire(link).map(|wire| (wire.gateway, wire.branch))
        else {
            return;
        };
        for frame in self.lied_by_provider(branch, gateway, frame) {
            self.note(Who::Provider(branch), || {
                format!("sends {} to {gateway}", describe_frame(&frame))
            });
            self.send_to_gateway(link, node::Input::Frame(Box::new(frame)));
        }
    }

    fn joined(&mut self, link: LinkId, result: Result<JoinAck, rules::JoinRefusal>) {
        match result {
            Ok(ack) => {
                let genesis = self.scenario.genesis.clone();
                self.send_to_gateway(link, node::Input::LinkUp { genesis, ack });
            }
            Err(rules::JoinRefusal::Listening) => {
                self.tally.count("join put off by a provider that listens");
                self.break_link(link);
            }
            Err(refusal) => {
                let words = format!("a node with a token is not let in: {refusal}");
                self.checks.violated("enrolment", &words);
            }
        }
    }

    fn provider_tells(&mut self, branch: usize, event: &rules::Event) {
        let words = match event {
            rules::Event::Sealed {
                height,
                round,
                charges,
                final_height,
            } => {
                if branch == 0 {
                    self.note_sealed(*height);
                }
                format!("sealed {height}, round {round}: {charges} charges, final {final_height}")
            }
            rules::Event::Adopted { .. } => {
                self.tally.count("restored provider takes a block back");
                format!("{event:?}")
            }
            rules::Event::MissingCharge { .. } => {
                self.tally
                    .count("round held up: a promised charge is not here");
                format!("{event:?}")
            }
            rules::Event::TwoHeaders { .. } => {
                self.tally.count("found by the provider: its two headers");
                format!("{event:?}")
            }
            rules::Event::Convicted { node, offence } => {
                self.tally.count("conviction recorded by the provider");
                format!("node {node} is convicted: {offence}")
            }
            other => format!("{other:?}").chars().take(120).collect(),
        };
        self.note(Who::Provider(branch), || format!("tells: {words}"));
    }

    /// The operator copies the provider's disk. Not before there are voters: who has none to listen
    /// to cannot know what was promised after the copy was made.
    pub(super) fn back_up_provider(&mut self) {
        let process = &self.branches[0].process;
        let provider = process.machine.as_ref();
        if provider.is_some_and(|provider| !provider.state().groups.is_empty()) {
            self.backup = process.store.copy();
        }
    }

    /// The provider's disk is lost; it begins again from the newest backup.
    pub(super) fn restore_provider(&mut self) {
        let Some(backup) = self.backup.as_ref().and_then(Store::copy) else {
            return;
        };
        self.tally.count("provider restored from a backup");
        self.crash_provider(0);
        self.branches[0].process.store = backup;
        self.known.was_restored = true;
        self.note(Who::Provider(0), || "is restored from a backup".to_owned());
    }

    /// The operator of a provider that waits for somebody who is gone for good has it go on.
    pub(super) fn operate(&mut self) {
        let Some(provider) = &self.branches[0].process.machine else {
            return;
        };
        let now = self.branches[0].process.clock(self.now);
        let standing = provider.standing(now);
        let waits = !standing.goes_on || provider.missing().next().is_some();
        if waits && !self.known.is_overridden && crate::check::waits_for_the_gone(self, provider) {
            self.tally.count("operator has it go on unheard");
            self.known.is_overridden = true;
            if standing.behind.is_some() {
                // Somebody has a header in place of which it will sign another.
                self.checks.excuse_provider();
            }
            self.post_provider(0, rules::Input::SealWithoutReports);
        }
    }

    pub(super) fn crash_provider(&mut self, branch: usize) {
        let process = &mut self.branches[branch].process;
        if !process.is_up() {
            return;
        }
        process.kill();
        self.branches[branch].asks.clear();
        self.note(Who::Provider(branch), || "crashes".to_owned());
        for link in self.links_of_branch(branch) {
            self.break_link(link);
        }
        let later = self.now + self.random.between(200, 15_000);
        self.queue.push(later, Event::Start(Who::Provider(branch)));
    }
}
