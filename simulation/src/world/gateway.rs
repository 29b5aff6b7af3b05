//! What gateways want done, carried out.

use ledger::frame::Frame;
use ledger::node::{self, Effect, Event as NodeEvent};
use ledger::provider as rules;
use ledger::store::Store;
use protocol::message::{Request, Response};

use super::links::CALL_MS;
use super::{Event, Item, Who, World};
use crate::describe::{describe_call, describe_frame};
use crate::process::BEGIN;

impl World {
    /// Gives a gateway something to take in, soon.
    pub(super) fn post_gateway(&mut self, index: usize, item: Item<node::Input>) {
        let process = &mut self.gateways[index].process;
        if !process.is_up() {
            return;
        }
        process.inbox.push(item);
        if !process.is_scheduled {
            process.is_scheduled = true;
            let (life, slow_ms) = (process.life, process.slow_ms);
            let at = self.now + 1 + self.random.below(3) + self.random.below(slow_ms);
            self.queue.push(at, Event::Run(Who::Gateway(index), life));
        }
    }

    pub(super) fn run_gateway(&mut self, index: usize) {
        let waiting = self.gateways[index].process.inbox.len();
        let count = self.batch_size(waiting);
        let process = &mut self.gateways[index].process;
        process.is_scheduled = false;
        let Some(ran) = process.run(self.now, count) else {
            self.tally.count("crash before or in a sync");
            self.crash_gateway(index);
            return;
        };
        let gateway = &self.gateways[index];
        if self.scenario.sites[index].is_honest() {
            let machine = gateway.process.machine.as_ref().expect("it has just run");
            self.checks
                .gateway_ran(index, machine, &gateway.process.store);
        }
        let lives_on = ran.dies_after.is_none();
        let carried_out = ran.dies_after.unwrap_or(ran.effects.len());
        if lives_on || carried_out > 0 {
            for done in ran.done {
                self.shell_done(index, done);
            }
        }
        for effect in ran.effects.into_iter().take(carried_out) {
            self.gateway_effect(index, effect);
        }
        if !lives_on {
            self.tally.count(match carried_out {
                0 => "crash after a sync",
                _ => "crash between effects",
            });
            self.crash_gateway(index);
        } else if count < waiting {
            let life = self.gateways[index].process.life;
            self.gateways[index].process.is_scheduled = true;
            self.queue
                .push(self.now + 1, Event::Run(Who::Gateway(index), life));
        }
    }

    fn gateway_effect(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::Send(frame) => self.gateway_sends(index, *frame),
            Effect::Call(request) => self.gateway_calls(index, request),
            Effect::Reply { call, response } => self.gateway_replies(index, call, response),
            Effect::Decided { question, decision } => {
                let charge = usize::try_from(question).expect("a charge's number");
                self.decided(index, charge, decision);
            }
            Effect::WakeAt(at) => {
                let process = &self.gateways[index].process;
                let true_ms = at.0.saturating_add_signed(-process.skew_ms);
                let moment = true_ms.saturating_sub(BEGIN.millis().0).max(self.now);
                let alarm = Event::Alarm(Who::Gateway(index), process.life);
                self.queue.push(moment, alarm);
            }
            Effect::Neighbour(wanted) => self.neighbour_effect(index, wanted),
            Effect::SendBlocks { from, count } => {
                let mut frames = Vec::new();
                let store = &self.gateways[index].process.store;
                let take = |block| frames.push(Frame::Block(Box::new(block)));
                node::stored_blocks(store, from, count, take).expect("memory is whole");
                for frame in frames {
                    self.gateway_sends(index, frame);
                }
            }
            Effect::Notify(event) => self.gateway_tells(index, &event),
        }
    }

    fn gateway_sends(&mut self, index: usize, frame: Frame) {
        for frame in self.lied_by_gateway(index, frame) {
            self.note(Who::Gateway(index), || {
                format!("sends {}", describe_frame(&frame))
            });
            let Some(link) = self.gateways[index].link else {
                return;
            };
            let frame = Box::new(frame);
            self.send_to_provider(link, rules::Input::Frame { link, frame });
        }
    }

    fn gateway_calls(&mut self, index: usize, request: Request) {
        self.note(Who::Gateway(index), || {
            format!("calls {}", describe_call(&request))
        });
        let Some(link) = self.gateways[index].link else {
            let answer = node::Input::Answer(request, None);
            self.post_gateway(index, Item::input(answer));
            return;
        };
        let call = self.next_call;
        self.next_call += 1;
        self.gateways[index]
            .calls
            .insert(call, (link, request.clone()));
        self.queue
            .push(self.now + CALL_MS, Event::CallLost(index, call));
        let asked = rules::Input::Asked {
            link,
            call,
            request,
        };
        self.send_to_provider(link, asked);
    }

    fn gateway_replies(&mut self, index: usize, call: u64, response: Option<Response>) {
        let response = self.lied_reply(index, response);
        if let Some(link) = self.gateways[index].link {
            self.send_to_provider(link, rules::Input::Answer { call, response });
        }
    }

    fn gateway_tells(&mut self, index: usize, event: &NodeEvent) {
        let name = event_name(event);
        self.note(Who::Gateway(index), || format!("tells: {name}"));
        self.count_finding(event);
        if self.scenario.sites[index].is_honest() {
            self.checks.gateway_tells(index, event);
        }
    }

    fn count_finding(&mut self, event: &NodeEvent) {
        let found = match event {
            NodeEvent::TwoHeaders {
                neighbour: Some(_), ..
            } => "found: two headers, by neighbours",
            NodeEvent::EvidenceShown { .. } => "found: evidence, shown by neighbours",
            NodeEvent::FalseEvidence { .. } => "refused: a neighbour's false evidence",
            NodeEvent::ForeignHeader { .. } => "refused: a neighbour's foreign header",
            NodeEvent::InvalidBlock { .. } => "found: an invalid block",
            NodeEvent::BrokenReceipt { .. } => "found: a broken receipt",
            NodeEvent::TwoHeaders { .. } => "found: two headers for a height",
            NodeEvent::Convicted { .. } => "found: a conviction in a block",
            NodeEvent::Held { .. } => "charge held",
            NodeEvent::Final { .. } => "charge final, with its receipt file",
            _ => return,
        };
        self.tally.count(found);
    }

    /// A gateway's box is replaced. The key was kept elsewhere; what its disk held is as old as its
    /// backup, or gone.
    pub(super) fn replace_gateway(&mut self, index: usize) {
        let gateway = &self.gateways[index];
        let has_begun = gateway.process.life > 0 && !gateway.has_left;
        if !has_begun || !self.scenario.sites[index].is_honest() {
            return;
        }
        let backup = gateway.backup.as_ref().and_then(Store::copy);
        self.tally.count(match &backup {
            Some(_) => "gateway replaced, from a backup",
            None => "gateway replaced, its disk empty",
        });
        self.crash_gateway(index);
        self.gateways[index].process.store = backup.unwrap_or_else(Store::simulated);
        self.note(Who::Gateway(index), || "is replaced".to_owned());
        self.checks.gateway_replaced(index);
        self.people_lose_disk(index);
    }

    pub(super) fn crash_gateway(&mut self, index: usize) {
        let gateway = &mut self.gateways[index];
        if !gateway.process.is_up() {
            return;
        }
        gateway.process.kill();
        gateway.calls.clear();
        let link = gateway.link.take();
        self.note(Who::Gateway(index), || "crashes".to_owned());
        if let Some(link) = link {
            self.break_link(link);
        }
        self.part(index);
        self.checks.branches.interrupt(index);
        self.people_lose(index);
        let later = self.now + self.random.between(200, 15_000);
        self.queue.push(later, Event::Start(Who::Gateway(index)));
    }
}

fn event_name(event: &NodeEvent) -> String {
    match event {
        NodeEvent::Final { seq, .. } => format!("charge {seq} is final"),
        NodeEvent::Held { reason, .. } => format!("a charge is held: {reason}"),
        NodeEvent::Refused { seq, reason } => format!("charge {seq} is refused: {reason}"),
        NodeEvent::InvalidBlock { height, reason, .. } => {
            format!("block {height} is invalid: {reason}")
        }
        NodeEvent::Convicted { node, offence } => format!("node {node} is convicted: {offence}"),
        NodeEvent::BrokenReceipt { height, .. } => format!("block {height} breaks a receipt"),
        NodeEvent::TwoHeaders { height, .. } => format!("two headers for block {height}"),
        NodeEvent::EvidenceShown { height, .. } => {
            format!("a neighbour's evidence about block {height}")
        }
        NodeEvent::FalseEvidence { reason, .. } => format!("false evidence: {reason}"),
        NodeEvent::ForeignHeader { .. } => "a foreign header".to_owned(),
        NodeEvent::Billed(info) => format!("a bill of {} lines", info.lines.len()),
        other => format!("{other:?}").chars().take(40).collect(),
    }
}
