//! One line, many meters: whoever wants to ask waits for its turn at the line's arbiter.
//!
//! A [`Bus`] is a task that owns a serial port or a connection. Drivers queue their requests; the
//! arbiter takes them unit by unit, in turn, one at a time.
//!
//! # Fairness
//!
//! Units are served round robin, one request each, whatever the length of their queues, so that a
//! unit that is asked often delays another by one exchange. A queue holds [`QUEUE`] requests; one
//! more is refused. A request whose caller gave up is not sent; one that is under way is waited
//! for, and its answer thrown away.
//!
//! # What a silent unit costs the others
//!
//! The line stands still for as long as a unit is waited for, so what a silent one costs is the sum of
//! its timeouts. After the first it is asked again at 250 ms (a single frame is easily lost), then at
//! 2 s, as long as all of them together stay below 1.9 s; after that it waits 40 times what its last
//! attempt cost, at most 60 s. At the usual 500 ms and 9,600 baud an attempt takes 0.55 s, with the time
//! of the bytes and the drain: three attempts, **1.6 s in all and never more than 0.55 s at a time**,
//! then one every 22 s, which is 2.4 % of the line. A unit alone on its line costs
//! nobody anything and waits 8 s at most. What is known to be silent for more than another 8 s is
//! answered for at once instead of keeping its caller. See `silence.rs`.
//!
//! # Whose answer it is
//!
//! Modbus TCP has transaction ids. Ours go on from one connection to the next and begin anywhere, so
//! that an old answer fits with a chance of 1 in 65,536 even where a device kept it for the next
//! connection.
//!
//! RTU has none: an answer names its unit, its function and its number of registers, together its
//! *shape*, and nothing else. After a timeout the answer may still come, and it looks like the answer to
//! any later request of the same shape, of other registers even. Two things keep it out:
//!
//! - **A barrier.** A unit answers in the order it was asked, and neither a wire nor a connection
//!   reorders bytes. So once it has answered a request of *another* shape, no answer to the one
//!   before can come any more. Until then none of the owed shape is sent: the arbiter asks for
//!   another block of the same meter first, and throws that answer away. Most register maps have two
//!   shapes, since identity and energy differ in function code or length.
//! - **Quarantine.** Where a map has only one shape, the unit is left alone until no answer can come:
//!   for [`LATEST_ANSWER`], or twice its timeout if that is longer. This relies on a bound that the
//!   standard does not give; the barrier relies on nothing but order.
//!
//! The same holds behind Modbus TCP: a gateway to a serial line has this problem on its other
//! side, and gives the late answer the new transaction id.
//!
//! A late answer that arrives while another unit is asked is recognised as owed and set aside; the
//! neighbour's own answer is still waited for. Everything else that is not the answer (another
//! unit's, another function's, another length, a wrong checksum, bytes before or after it) fails the
//! request, the line is drained until it was silent for 20 ms, and the answer counts as owed.
//!
//! What cannot be known on RTU: whether a second master on the line asked the same unit for as many
//! registers just then. Nothing in the frame tells. One line, one master.
//!
//! # Writes
//!
//! A write is a request like any other: it waits for its turn, and its answer must repeat the address
//! and the value, or the number of registers, that were written. That is its shape. A late answer to
//! "on" is therefore never taken for the answer to "off", and "off" need not wait for it. Only writes
//! that set a value are sent here, which may be repeated, and are, where a connection that had been
//! idle turns out to be gone. An answer says that a unit received something; what it did is for a
//! read to tell, see [`actuator`](crate::actuator).
//!
//! Unit 0 is never asked or told: it is the broadcast address, which everybody obeys and nobody
//! answers.

mod arbiter;
mod debts;
mod fault;
mod line;
mod queue;
mod silence;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::transport::Endpoint;
use crate::transport::command::Command;
use arbiter::Arbiter;
use queue::Queues;

pub use queue::QUEUE;

pub(crate) use fault::{Fault, GATEWAY_TARGET_FAILED};

/// The longest that an answer is believed to be under way; see [the module](self).
pub const LATEST_ANSWER: Duration = Duration::from_secs(3);

/// A line with meters on it. Clones share it; the line is closed with the last of them.
#[derive(Clone, Debug)]
pub struct Bus {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    queues: Arc<Queues>,
    arbiter: JoinHandle<()>,
}

/// Which opening of the line an answer came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// A request to one unit.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) unit_id: u8,
    pub(crate) command: Command,
    /// The longest wait for the answer, beyond the time its bytes take on the line.
    pub(crate) timeout: Duration,
    /// Silence that the model wants before a request and after its answer.
    pub(crate) pause: Duration,
    /// Refused on any other opening of the line, unsent.
    pub(crate) on: Option<Epoch>,
    /// Reads that the unit is known to answer: one of another shape is the barrier after a timeout.
    pub(crate) known: Arc<[Command]>,
}

/// The registers asked for, exactly as many; a coil is a word of 0 or 1, and a write has none.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) words: Vec<u16>,
    /// When the last byte of the answer was received.
    pub(crate) arrived: Instant,
    pub(crate) epoch: Epoch,
}

/// An [`Ask`] with whoever waits for it.
#[derive(Debug)]
struct Request {
    ask: Ask,
    reply: oneshot::Sender<Result<Answered, Fault>>,
}

impl Bus {
    /// A bus at `endpoint`, opened at the first request. Call it within a tokio runtime.
    #[must_use]
    pub fn start(endpoint: Endpoint) -> Self {
        let queues = Arc::<Queues>::default();
        let arbiter = Arbiter::new(endpoint.clone(), Arc::clone(&queues));
        Self {
            inner: Arc::new(Inner {
                endpoint,
                queues,
                arbiter: tokio::spawn(arbiter.run()),
            }),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    /// Waits for a turn and asks. It may be cancelled at any time.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answered, Fault> {
        let (reply, answer) = oneshot::channel();
        self.inner.queues.add(Request { ask, reply })?;
        answer
            .await
            .expect("the arbiter runs as long as there is a bus, and answers each request")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.arbiter.abort();
    }
}
