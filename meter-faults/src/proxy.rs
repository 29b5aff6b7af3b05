//! The proxy: requests go through to the peer, its answers come back as faults will have it.
//!
//! It keeps to what can happen. A unit answers in the order it was asked, so a late answer never
//! overtakes an earlier one of its unit; none comes later than `LATEST`. Forged answers are never
//! such that the protocol has no field to tell them by: an old one of the very transaction id in
//! flight, or on RTU of the very unit, function and length.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use meter_drivers::transport::{Dialled, Wire};
use meter_drivers::{Dial, Framing};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::fault::Fault;
use crate::frame::Frame;
use crate::random::Random;

/// The latest an answer comes after its request: before the driver believes that none can.
const LATEST: Duration = meter_drivers::bus::LATEST_ANSWER;
/// A peer that works answers within this.
const ANSWERED_WITHIN: Duration = Duration::from_millis(100);
/// Less than the silence that ends a frame at 9,600 baud.
const BETWEEN_CRUMBS: Duration = Duration::from_micros(500);
/// Old answers that are kept to come again.
const KEPT: usize = 4_096;
/// Requests in a hundred that something happens to.
const FAULTY_PERCENT: usize = 35;

/// The driver's side: each dial is a new connection to the proxy.
pub struct Door {
    clients: mpsc::UnboundedSender<DuplexStream>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("proxy")
    }
}

impl Dial for Door {
    fn dial(&self) -> Dialled<'_> {
        let (ours, theirs) = duplex(4_096);
        let sent = self.clients.send(theirs);
        Box::pin(async move {
            sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(ours) as Box<dyn Wire>)
        })
    }
}

/// What the proxy is told and tells while it runs.
#[derive(Debug)]
pub struct Control {
    /// Faults that are still to be injected.
    pub to_inject: AtomicUsize,
    /// How often each was injected.
    pub injected: std::sync::Mutex<BTreeMap<Fault, usize>>,
    /// Set when all were.
    pub is_done: AtomicBool,
}

impl Control {
    /// For so many faults.
    #[must_use]
    pub fn new(faults: usize) -> Arc<Self> {
        Arc::new(Self {
            to_inject: AtomicUsize::new(faults),
            injected: std::sync::Mutex::default(),
            is_done: AtomicBool::new(faults == 0),
        })
    }

    fn draw(&self, framing: Framing, random: &mut Random) -> Option<Fault> {
        if !random.chance(FAULTY_PERCENT) {
            return None;
        }
        let draw = |left: usize| left.checked_sub(1);
        let before = self
            .to_inject
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, draw)
            .ok()?;
        self.is_done.fetch_or(before == 1, Ordering::Relaxed);
        let fault = Fault::any(framing, random);
        let mut injected = self.injected.lock().expect("no holder panics");
        *injected.entry(fault).or_default() += 1;
        Some(fault)
    }
}

/// The proxy between a driver and `peer`.
pub struct Proxy<P> {
    framing: Framing,
    /// How long the driver waits for an answer.
    timeout: Duration,
    peer: P,
    control: Arc<Control>,
    random: Random,
    clients: mpsc::UnboundedReceiver<DuplexStream>,
    client: Option<DuplexStream>,
    from_client: Vec<u8>,
    from_peer: Vec<u8>,
    /// Requests that the peer has, with what is to happen to their answers.
    asked: VecDeque<(Frame, Option<Fault>)>,
    /// What is to be sent to the driver, by time and then by order.
    due: BTreeMap<(Instant, u64), Delivery>,
    deliveries: u64,
    /// When the last answer of a unit is due.
    last_due: BTreeMap<u8, Instant>,
    /// An answer that a gateway keeps for the unit's next request, and until when.
    mixed_up: BTreeMap<u8, (Frame, Instant)>,
    /// For the next connection.
    for_next: Vec<u8>,
    old: Vec<Frame>,
}

enum Delivery {
    Bytes(Vec<u8>),
    /// Byte by byte, nothing in between: whoever sends a frame sends it whole.
    Crumbs(Vec<u8>),
    Disconnect {
        for_next: Vec<u8>,
    },
}

impl<P: Wire> Proxy<P> {
    /// A proxy before `peer` and the door to it.
    pub fn new(
        framing: Framing,
        timeout: Duration,
        peer: P,
        control: Arc<Control>,
        seed: u64,
    ) -> (Self, Door) {
        let (sender, clients) = mpsc::unbounded_channel();
        let proxy = Self {
            framing,
            timeout,
            peer,
            control,
            random: Random::new(seed),
            clients,
            client: None,
            from_client: Vec::new(),
            from_peer: Vec::new(),
            asked: VecDeque::new(),
            due: BTreeMap::new(),
            deliveries: 0,
            last_due: BTreeMap::new(),
            mixed_up: BTreeMap::new(),
            for_next: Vec::new(),
            old: Vec::new(),
        };
        (proxy, Door { clients: sender })
    }

    /// Passes on until driver or peer are gone.
    ///
    /// # Errors
    /// What reading from the peer or writing to it ended with.
    pub async fn run(mut self) -> io::Result<()> {
        loop {
            let next = self.due.keys().next().map(|&(moment, _)| moment);
            tokio::select! {
                // Whatever is due comes before what it could answer.
                biased;
                () = until(next) => self.deliver().await,
                client = self.clients.recv() => match client {
                    Some(client) => self.welcome(client).await,
                    None => return Ok(()),
                },
                read = self.peer.read_buf(&mut self.from_peer) => match read? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                    _ => self.answered(),
                },
                read = read_from(&mut self.client, &mut self.from_client) => match read {
                    Ok(count) if count > 0 => self.requested().await?,
                    _ => self.client = None,
                },
            }
        }
    }

    async fn welcome(&mut self, client: DuplexStream) {
        self.client = Some(client);
        self.from_client.clear();
        let late = std::mem::take(&mut self.for_next);
        self.send(&late).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        if let Some(client) = &mut self.client
            && client.write_all(bytes).await.is_err()
        {
            self.client = None;
        }
    }

    async fn deliver(&mut self) {
        match self.due.pop_first() {
            Some((_, Delivery::Bytes(bytes))) => self.send(&bytes).await,
            Some((_, Delivery::Crumbs(bytes))) => {
                for byte in bytes {
                    self.send(&[byte]).await;
                    sleep(BETWEEN_CRUMBS).await;
                }
            }
            Some((_, Delivery::Disconnect { for_next })) => {
                self.client = None;
                self.for_next = for_next;
            }
            None => (),
        }
    }

    async fn requested(&mut self) -> io::Result<()> {
        while let Some(request) = Frame::take_request(self.framing, &mut self.from_client) {
            let fault = self.control.draw(self.framing, &mut self.random);
            let kept = self.mixed_up.remove(&request.unit_id());
            let kept = kept.filter(|&(_, until)| until > Instant::now());
            if let (Some((mut kept, _)), Some(transaction)) = (kept, request.transaction()) {
                kept.set_transaction(transaction);
                self.after(request.unit_id(), Duration::ZERO, kept.bytes);
                // The answer to this request would be the next one's, and so on: a gateway that
                // does not catch up is dealt with by the driver's quarantine alone.
                continue;
            }
            if fault == Some(Fault::RequestLost) {
                continue;
            }
            self.peer.write_all(&request.bytes).await?;
            self.asked.push_back((request, fault));
        }
        Ok(())
    }

    fn answered(&mut self) {
        while let Some(answer) = Frame::take_answer(self.framing, &mut self.from_peer) {
            let asked = self.asked.pop_front();
            let (request, fault) = asked.expect("the peer answers what it was asked");
            self.spoil(&request, answer.clone(), fault);
            if self.old.len() == KEPT {
                let at = self.random.below(KEPT);
                self.old.swap_remove(at);
            }
            self.old.push(answer);
        }
    }

    fn spoil(&mut self, request: &Frame, answer: Frame, fault: Option<Fault>) {
        let unit_id = request.unit_id();
        let mut bytes = answer.bytes.clone();
        let now = Duration::ZERO;
        match fault {
            None => self.after(unit_id, now, bytes),
            Some(Fault::RequestLost) => unreachable!("the peer was not asked"),
            Some(Fault::AnswerLost) => (),
            Some(Fault::Late) => {
                let latest = usize::try_from((LATEST - ANSWERED_WITHIN).as_millis());
                let latest = latest.expect("seconds");
                let half = usize::try_from(self.timeout.as_millis()).expect("seconds") / 2;
                let late = self.random.between(half, latest);
                self.after(unit_id, milliseconds(late), bytes);
            }
            Some(Fault::Twice) => {
                self.after(unit_id, now, bytes.clone());
                self.after(unit_id, now, bytes);
            }
            Some(Fault::Noise) => {
                let noise = self.noise();
                self.after(unit_id, now, noise);
            }
            Some(Fault::NoiseBefore) => {
                let noise = self.noise();
                self.after(unit_id, now, [noise, bytes].concat());
            }
            Some(Fault::NoiseAfter) => {
                let noise = self.noise();
                self.after(unit_id, now, [bytes, noise].concat());
            }
            Some(Fault::Bits) => {
                for _ in 0..self.random.between(1, 3) {
                    let at = self.random.below(answer.guarded());
                    let bit = 1 << self.random.below(8);
                    // The same bit twice would be none.
                    bytes[at] = answer.bytes[at] ^ bit;
                }
                self.after(unit_id, now, bytes);
            }
            Some(Fault::CutShort) => {
                bytes.truncate(self.random.between(1, answer.bytes.len() - 1));
                self.after(unit_id, now, bytes);
            }
            Some(Fault::OtherUnit) => {
                let mut other = answer;
                other.set_unit_id(unit_id % 4 + 1);
                self.at_once(other.bytes);
            }
            Some(Fault::FewerRegisters) => {
                let shorter = answer.shortened().unwrap_or(answer);
                self.after(unit_id, now, shorter.bytes);
            }
            Some(Fault::Disconnected | Fault::DisconnectedLate) => {
                let half = self.random.below(bytes.len());
                self.after(unit_id, now, bytes[..half].to_vec());
                let for_next = match fault {
                    Some(Fault::DisconnectedLate) => bytes,
                    _ => Vec::new(),
                };
                self.push(unit_id, now, Delivery::Disconnect { for_next });
            }
            Some(Fault::VeryOld) => {
                let old = self.old_for(request).unwrap_or_default();
                self.at_once(old);
                if self.random.chance(50) {
                    self.after(unit_id, now, bytes);
                }
            }
            Some(Fault::MixedUp) => {
                // Counted from the request: an answer took less than this already.
                let until = Instant::now() + LATEST - ANSWERED_WITHIN;
                self.mixed_up.insert(unit_id, (answer, until));
            }
            Some(Fault::Crumbs) => self.push(unit_id, now, Delivery::Crumbs(bytes)),
        }
    }

    /// An answer from long ago that the protocol can tell from the one to `request`.
    fn old_for(&mut self, request: &Frame) -> Option<Vec<u8>> {
        let is_told = |old: &Frame| match self.framing {
            Framing::Tcp => old.transaction() != request.transaction(),
            Framing::Rtu => old.looks() != request.answer_looks(),
        };
        let told: Vec<&Frame> = self.old.iter().filter(|old| is_told(old)).collect();
        let at = self.random.below(told.len());
        told.get(at).map(|old| old.bytes.clone())
    }

    fn noise(&mut self) -> Vec<u8> {
        let count = self.random.between(1, 40);
        self.random.bytes(count)
    }

    fn after(&mut self, unit_id: u8, delay: Duration, bytes: Vec<u8>) {
        self.push(unit_id, delay, Delivery::Bytes(bytes));
    }

    /// Forged for the request in flight: later it could be just what is asked for then.
    fn at_once(&mut self, bytes: Vec<u8>) {
        self.deliveries += 1;
        let key = (Instant::now(), self.deliveries);
        self.due.insert(key, Delivery::Bytes(bytes));
    }

    fn push(&mut self, unit_id: u8, delay: Duration, delivery: Delivery) {
        let now = Instant::now();
        let last = self.last_due.get(&unit_id).copied().unwrap_or(now);
        let moment = last.max(now + delay);
        self.last_due.insert(unit_id, moment);
        self.deliveries += 1;
        self.due.insert((moment, self.deliveries), delivery);
    }
}

fn milliseconds(count: usize) -> Duration {
    Duration::from_millis(u64::try_from(count).expect("few"))
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn read_from(client: &mut Option<DuplexStream>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    match client {
        Some(client) => client.read_buf(buffer).await,
        None => std::future::pending().await,
    }
}
