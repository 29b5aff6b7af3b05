//! Carries what the engine decides to the links: the only module that knows how it gets there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::provider::{Effect, Event, Input, JoinRefusal, LinkId};
use ledger::store::{Store, Surroundings};
use ledger::{Frame, Provider};
use protocol::message::{JoinAck, Request, Response};
use protocol::{NodeId, UnixMillis};
use tokio::sync::{mpsc, oneshot};

/// What may wait for one link. One more, and the link is closed: its node catches up when it is
/// back, the others never wait for it.
const OUTBOX: usize = 1_024;

/// Something for one link, in the order the engine decided it.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Joined(Box<Result<JoinAck, JoinRefusal>>),
    Reply {
        call: u64,
        response: Box<Option<Response>>,
    },
    Ask {
        call: u64,
        request: Box<Request>,
    },
    Frame(Box<Frame>),
    /// Blocks travel as their heights and are read when their turn comes: a slow link holds none
    /// in memory.
    Blocks {
        from: u64,
        count: u64,
    },
    /// Headers, in the same way.
    Headers {
        from: u64,
        count: u64,
    },
    /// Receipt files of a node's charges, in the same way.
    Proofs {
        node: NodeId,
        after: u32,
        count: u32,
    },
}

/// The end of a link that the engine writes to.
#[derive(Debug)]
struct Outbox {
    sender: mpsc::Sender<Outgoing>,
    /// Dropped with the outbox, it tells the link to close at once.
    _closes: oneshot::Sender<()>,
}

/// The end of a link that sends.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// What to send.
    pub(crate) outgoing: mpsc::Receiver<Outgoing>,
    /// Ready when the link is to close.
    pub(crate) closed: oneshot::Receiver<()>,
}

/// All links, by number.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    links: Mutex<HashMap<LinkId, Outbox>>,
}

impl Fanout {
    /// Opens an outbox for `link`.
    pub(crate) fn add(&self, link: LinkId) -> Outlet {
        let (sender, outgoing) = mpsc::channel(OUTBOX);
        let (closes, closed) = oneshot::channel();
        let outbox = Outbox {
            sender,
            _closes: closes,
        };
        self.links().insert(link, outbox);
        Outlet { outgoing, closed }
    }

    /// Closes the link, where it is still open.
    pub(crate) fn remove(&self, link: LinkId) {
        self.links().remove(&link);
    }

    fn push(&self, link: LinkId, outgoing: Outgoing) {
        let mut links = self.links();
        // A link that is gone has told the engine, or is about to.
        let Some(outbox) = links.get(&link) else {
            return;
        };
        if outbox.sender.try_send(outgoing).is_err() {
            tracing::warn!(link, "closing a link that does not read what it is sent");
            links.remove(&link);
        }
    }

    fn links(&self) -> MutexGuard<'_, HashMap<LinkId, Outbox>> {
        // No operation on the map leaves it half done.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine's surroundings: the clock and the links.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) fanout: Arc<Fanout>,
}

impl Surroundings<Provider> for Shell {
    fn now(&self) -> UnixMillis {
        now()
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

    fn carry_out(&mut self, _store: &Store, effect: Effect) {
        let (link, outgoing) = match effect {
            Effect::Joined { link, result } => (link, Outgoing::Joined(Box::new(result))),
            Effect::Reply {
                link,
                call,
                response,
            } => {
                let response = Box::new(response);
                (link, Outgoing::Reply { call, response })
            }
            Effect::Ask {
                link,
                call,
                request,
            } => {
                let request = Box::new(request);
                (link, Outgoing::Ask { call, request })
            }
            Effect::Send { link, frame } => (link, Outgoing::Frame(frame)),
            Effect::SendBlocks { link, from, count } => (link, Outgoing::Blocks { from, count }),
            Effect::SendHeaders { link, from, count } => (link, Outgoing::Headers { from, count }),
            Effect::SendProofs {
                link,
                node,
                after,
                count,
            } => (link, Outgoing::Proofs { node, after, count }),
            Effect::Close { link } => return self.fanout.remove(link),
            Effect::Notify(event) => return tell(&event),
            // The engine keeps its alarm itself.
            Effect::WakeAt(_) => return,
        };
        self.fanout.push(link, outgoing);
    }
}

/// The wall clock; 1970 where it is set before that.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    UnixMillis(u64::try_from(ms).unwrap_or(u64::MAX))
}

fn tell(event: &Event) {
    match event {
        Event::Sealed {
            height,
            round,
            charges,
            final_height,
        } => tracing::info!(height, round, charges, final_height, "block sealed"),
        Event::Listening { voters } => tracing::info!(
            voters,
            "nothing is promised or sealed before enough gateways have told what they know"
        ),
        Event::Resumed { voters, heard } => tracing::info!(voters, heard, "heard enough; going on"),
        Event::Adopted { height } => {
            tracing::warn!(
                height,
                "this state directory is older than the chain; a gateway gave a block back"
            );
        }
        Event::TwoHeaders { height } => tracing::error!(
            height,
            "a gateway shows a second header of this provider's for a block; it is convicted and seals nothing any more. was it started twice, or told to seal without reports?"
        ),
        Event::MissingCharge { node, seq, round } => tracing::error!(
            %node,
            seq,
            round,
            "a charge that was promised for this round is not here; it is not sealed before that charge's gateway is back"
        ),
        Event::Enrolled { node } => tracing::info!(%node, "node enrolled"),
        Event::GroupBlockRefused { group, reason } => {
            tracing::warn!(%group, reason, "group block refused; its charges are billed all the same");
        }
        Event::Convicted { node, offence } => {
            tracing::warn!(%node, %offence, "evidence is in the chain");
        }
        Event::ProfilePutOff { node, seq, reason } => tracing::warn!(
            %node,
            seq,
            reason,
            "charge put off until its enrolment is here again"
        ),
        Event::ProfileRefused { node, seq, reason } => {
            tracing::warn!(%node, seq, reason, "charge refused");
        }
        event => tracing::info!(?event, "event"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(from: u64) -> Outgoing {
        Outgoing::Blocks { from, count: 1 }
    }

    #[test]
    fn a_link_gets_its_outgoing_in_order() {
        let fanout = Fanout::default();
        let mut outlet = fanout.add(1);
        fanout.add(2);
        fanout.push(1, blocks(1));
        fanout.push(2, blocks(7));
        fanout.push(1, blocks(2));
        for expected in [1, 2] {
            let next = outlet.outgoing.try_recv().expect("it was pushed");
            assert!(matches!(next, Outgoing::Blocks { from, .. } if from == expected));
        }
        assert!(outlet.outgoing.try_recv().is_err());
    }

    #[test]
    fn a_link_that_reads_nothing_is_closed_and_the_others_stay() {
        let fanout = Fanout::default();
        let mut slow = fanout.add(1);
        let mut other = fanout.add(2);
        for height in 0..=OUTBOX as u64 {
            assert!(slow.closed.try_recv() == Err(oneshot::error::TryRecvError::Empty));
            fanout.push(1, blocks(height));
        }
        assert_eq!(
            slow.closed.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        );
        assert_eq!(
            other.closed.try_recv(),
            Err(oneshot::error::TryRecvError::Empty)
        );
    }
}
