//! Between the node's rules and the world: carries out what the engine's machine wants.

use ledger::Frame;
use ledger::node::{Effect, Event, Input, Node, ToNeighbour, stored_blocks};
use ledger::store::{Store, Surroundings};
use ledger::tariff::in_words;
use protocol::UnixMillis;
use tokio::sync::mpsc;

use crate::authorizer::Authorizer;
use crate::clock::Clock;
use crate::uplink::Outgoing;
use crate::{evidence, receipts};

/// What surrounds the node's machine.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) clock: Clock,
    pub(crate) authorizer: Authorizer,
    pub(crate) uplink: mpsc::Sender<Outgoing>,
    pub(crate) neighbours: mpsc::Sender<ToNeighbour>,
    pub(crate) receipts: receipts::Writer,
    pub(crate) evidence: evidence::Files,
}

impl Surroundings<Node> for Shell {
    fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    fn tick(&self) -> Input {
        Input::Tick
    }

    fn wake_at(&self, effect: &Effect) -> Option<UnixMillis> {
        match effect {
            Effect::WakeAt(at) => Some(*at),
            _ => None,
        }
    }

    fn carry_out(&mut self, store: &Store, effect: Effect) {
        match effect {
            Effect::Send(frame) => self.queue(Outgoing::Frame(frame)),
            Effect::Call(request) => self.queue(Outgoing::Call(request)),
            Effect::Reply { call, response } => self.queue(Outgoing::Reply { call, response }),
            Effect::Decided { question, decision } => self.authorizer.decided(question, decision),
            Effect::SendBlocks { from, count } => self.give_blocks(store, from, count),
            Effect::Notify(event) => self.notify(event),
            Effect::Neighbour(wanted) => {
                // What does not fit is lost, as on a lost link: the next round asks again.
                if self.neighbours.try_send(wanted).is_err() {
                    tracing::warn!("too much waits for other gateways");
                }
            }
            // The engine sets its own alarm.
            Effect::WakeAt(_) => {}
        }
    }
}

impl Shell {
    /// A full queue means a provider slower than its charges: the uplink then begins a new link,
    /// and everything that still matters is sent again.
    fn queue(&self, outgoing: Outgoing) {
        if self.uplink.try_send(outgoing).is_err() {
            tracing::warn!("the provider is too slow; the link begins anew");
        }
    }

    /// The provider has lost these blocks: few at a time, so that nothing waits for them long.
    fn give_blocks(&self, store: &Store, from: u64, count: u64) {
        let give = |block| {
            let frame = Box::new(Frame::Block(Box::new(block)));
            self.queue(Outgoing::Frame(frame));
        };
        if let Err(error) = stored_blocks(store, from, count, give) {
            tracing::error!(%error, from, "cannot read the blocks that the provider asks for");
        }
    }

    fn keep_evidence(&self, height: u64, evidence: Option<Vec<u8>>) {
        if let Some(file) = evidence {
            self.evidence.keep(height, &file);
        }
    }

    fn notify(&self, event: Event) {
        match event {
            Event::Final { seq, receipt } => {
                tracing::info!(seq, "charge is final");
                self.receipts.keep(seq, receipt);
            }
            Event::Held { outlet, reason } => {
                tracing::warn!(
                    outlet,
                    reason,
                    "charge held; it is not billed until it is released (local API)"
                );
            }
            Event::Resumed { height } => {
                tracing::warn!(
                    height,
                    "the voters picked a header; this gateway goes on with it"
                );
            }
            Event::MeterExchanged { outlet } => {
                tracing::info!(
                    outlet,
                    "meter exchange recorded; charges by the new one are billed"
                );
            }
            Event::Released { outlet } => tracing::info!(outlet, "held charge released"),
            Event::Refused { seq, reason } => {
                tracing::error!(
                    seq,
                    reason,
                    "the provider refuses a charge; it and those after it wait"
                );
            }
            Event::InvalidBlock {
                height,
                reason,
                evidence,
            } => {
                tracing::error!(
                    height,
                    reason,
                    "the provider sealed an invalid block; it is kept as proof"
                );
                self.keep_evidence(height, evidence);
            }
            Event::Convicted { node, offence } => {
                tracing::warn!(%node, %offence, "evidence is in the chain");
            }
            Event::BrokenReceipt {
                height,
                profile,
                evidence,
            } => {
                tracing::error!(height, %profile, "the provider left out a charge it gave a receipt for");
                self.keep_evidence(height, evidence);
            }
            Event::TwoHeaders {
                height,
                evidence,
                neighbour,
            } => {
                let neighbour = neighbour.map(|key| key.to_string());
                tracing::error!(
                    height,
                    neighbour,
                    "the provider signed two headers for one block"
                );
                self.keep_evidence(height, evidence);
            }
            Event::EvidenceShown {
                height,
                from,
                evidence,
            } => {
                tracing::error!(height, neighbour = %from, "another gateway has proof against the provider");
                self.keep_evidence(height, Some(evidence));
            }
            Event::FalseEvidence { from, reason } => {
                tracing::warn!(neighbour = %from, reason, "another gateway shows evidence that proves nothing");
            }
            Event::ForeignHeader { from } => {
                tracing::warn!(neighbour = %from, "another gateway shows a header that the provider did not sign");
            }
            Event::Restored { provider, here } => {
                tracing::error!(
                    provider,
                    here,
                    "this state directory is older than what the provider has from this node; \
                     charges in it are held"
                );
            }
            Event::Billed(bill) => {
                let energy_wh: u64 = bill.lines.iter().map(|line| line.energy_wh.0).sum();
                let amount: u64 = bill.lines.iter().map(|line| line.amount.0).sum();
                let credit: u64 = bill.credits.iter().map(|credit| credit.credit.0).sum();
                // One block's lines: all are final by the same votes.
                let finality = bill.lines.first().map(|line| line.finality);
                let finality = finality.or(bill.credits.first().map(|line| line.finality));
                tracing::info!(
                    energy_wh,
                    amount = in_words(amount, &bill.currency),
                    credit = in_words(credit, &bill.currency),
                    ?finality,
                    "billed"
                );
            }
            Event::FalseBill => {
                tracing::error!(
                    "the provider bills what is not in the chain; compare the bill with receipts"
                );
            }
            Event::NotRegistered { status } => {
                tracing::warn!(?status, "the provider did not let a configured idTag in");
            }
            other => tracing::warn!(?other, "the node reports"),
        }
    }
}
