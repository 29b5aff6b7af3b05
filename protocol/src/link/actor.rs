//! The task that owns a link's socket.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::socket::{Socket, Turn};
use super::{
    BinaryFrames, CallFailure, CloseReason, Connection, Counters, Event, IncomingCall, Link,
    LinkOptions, Responder, count,
};
use crate::rpc::{CallError, CallErrorCode, Frame, Json, MessageId};

/// Commands in flight between handles and task; a handle waits while it is full.
const COMMAND_QUEUE: usize = 16;

/// Wakes a link without any deadline, so that one `select!` serves all.
const FAR_AWAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub(super) enum Command {
    Call(Box<QueuedCall>),
    Binary(Vec<u8>),
    PingInterval(Option<Duration>),
    /// The sender is dropped when the socket is closed.
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(super) struct QueuedCall {
    pub(super) action: String,
    pub(super) payload: Json,
    pub(super) reply: oneshot::Sender<Result<Json, CallFailure>>,
    /// Held until the call is over: it bounds the queue.
    pub(super) slot: OwnedSemaphorePermit,
}

struct Outstanding {
    id: MessageId,
    reply: oneshot::Sender<Result<Json, CallFailure>>,
    deadline: Instant,
    _slot: OwnedSemaphorePermit,
}

struct Actor<S> {
    socket: Socket<S>,
    options: LinkOptions,
    commands: mpsc::Receiver<Command>,
    // Boxed: a channel sets aside room for 32 at once, for every idle link.
    answers: mpsc::Receiver<Box<Frame>>,
    answer_places: mpsc::Sender<Box<Frame>>,
    events: mpsc::Sender<Event>,
    outstanding: Option<Outstanding>,
    waiting: VecDeque<QueuedCall>,
    last_id: u64,
    /// A binary message that found the events full; nothing is read before it is delivered.
    undelivered: Option<Vec<u8>>,
    last_received: Instant,
    last_ping: Instant,
    closer: Option<oneshot::Sender<()>>,
    counters: Arc<Counters>,
}

/// Starts the task behind a fresh WebSocket.
pub(super) fn start<S>(
    stream: WebSocketStream<S>,
    options: &LinkOptions,
    subprotocol: String,
) -> Connection
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
    let (answer_places, answers) = mpsc::channel(options.incoming_calls.max(1));
    // One place more than there can be open calls: it is kept for `Closed`.
    let (events, event_receiver) = mpsc::channel(options.incoming_calls.max(1) + 1);
    let last_place = events.clone().try_reserve_owned();
    let counters = Arc::new(Counters::default());
    let now = Instant::now();
    let actor = Actor {
        socket: Socket::new(stream),
        options: options.clone(),
        commands,
        answers,
        answer_places,
        events,
        outstanding: None,
        waiting: VecDeque::new(),
        last_id: 0,
        undelivered: None,
        last_received: now,
        last_ping: now,
        closer: None,
        counters: Arc::clone(&counters),
    };
    tokio::spawn(async move {
        let last_place = last_place.expect("a new channel has room");
        actor.run(last_place).await;
    });
    Connection {
        link: Link {
            commands: command_sender,
            call_slots: Arc::new(Semaphore::new(options.call_queue + 1)),
            counters,
        },
        events: event_receiver,
        subprotocol,
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Actor<S> {
    async fn run(mut self, last_place: mpsc::OwnedPermit<Event>) {
        let reason = loop {
            if let Err(reason) = self.step().await {
                break reason;
            }
        };
        tracing::debug!(?reason, "link closed");
        let frame = close_frame(&reason);
        last_place.send(Event::Closed { reason });
        let Self {
            mut socket,
            mut commands,
            mut answers,
            closer,
            outstanding,
            waiting,
            events,
            ..
        } = self;
        // Everybody learns of the loss now, not after the goodbye.
        drop((outstanding, waiting, events));
        commands.close();
        while let Ok(command) = commands.try_recv() {
            drop(command);
        }
        // What was answered is said, whoever wants the link closed.
        while let Ok(answer) = answers.try_recv() {
            socket.push(Message::text(answer.to_string()));
        }
        socket.finish(frame).await;
        drop(closer);
    }

    async fn step(&mut self) -> Result<(), CloseReason> {
        let takes_in = !self.socket.is_full();
        let reads = self.undelivered.is_none();
        let deadline = self.next_deadline();
        tokio::select! {
            // In order: an answer goes out before the calls it promises (TriggerMessage), and
            // neither peer's haste delays a deadline. Taking in stops where the outbox is full.
            biased;
            () = self.events.closed() => Err(CloseReason::ByUs),
            () = sleep_until(deadline) => self.tick(Instant::now()),
            Some(answer) = self.answers.recv(), if takes_in => {
                self.socket.push(Message::text(answer.to_string()));
                Ok(())
            }
            Some(command) = self.commands.recv(), if takes_in => self.obey(command),
            turn = self.socket.turn(reads) => match turn {
                Turn::Received(message) => self.receive(message),
                Turn::Room => Ok(()),
                Turn::Ended(error) => Err(self.ended(error)),
            },
            () = has_room(&self.events), if !reads => {
                if let Some(bytes) = self.undelivered.take() {
                    self.receive_binary(bytes);
                }
                self.last_received = Instant::now();
                Ok(())
            }
        }
    }

    fn next_deadline(&self) -> Instant {
        let call = self.outstanding.as_ref().map(|call| call.deadline);
        let stall = self
            .socket
            .blocked_since()
            .map(|since| since + self.options.write_timeout);
        let ping = self.options.ping_interval.map(|interval| {
            let silence = self.last_received + interval * 2;
            let ping = self.last_ping + interval;
            // While we do not read, silence is ours.
            if self.undelivered.is_some() {
                ping
            } else {
                ping.min(silence)
            }
        });
        [call, stall, ping]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + FAR_AWAY)
    }

    fn tick(&mut self, now: Instant) -> Result<(), CloseReason> {
        if let Some(since) = self.socket.blocked_since()
            && now >= since + self.options.write_timeout
        {
            return Err(CloseReason::Stalled);
        }
        if let Some(interval) = self.options.ping_interval {
            if self.undelivered.is_none() && now >= self.last_received + interval * 2 {
                return Err(CloseReason::Silent);
            }
            if now >= self.last_ping + interval {
                self.last_ping = now;
                self.socket.push(Message::Ping(Vec::new().into()));
            }
        }
        if let Some(call) = self.outstanding.take_if(|call| now >= call.deadline) {
            count(&self.counters.timeouts);
            let _ = call.reply.send(Err(CallFailure::TimedOut));
            self.send_next_call();
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> Result<(), CloseReason> {
        match command {
            Command::Call(call) => {
                self.waiting.push_back(*call);
                self.send_next_call();
            }
            Command::Binary(bytes) => self.socket.push(Message::binary(bytes)),
            Command::PingInterval(interval) => {
                self.options.ping_interval = interval;
                self.last_ping = Instant::now();
            }
            Command::Close(closer) => {
                self.closer = Some(closer);
                return Err(CloseReason::ByUs);
            }
        }
        Ok(())
    }

    fn send_next_call(&mut self) {
        while self.outstanding.is_none() {
            let Some(call) = self.waiting.pop_front() else {
                return;
            };
            if call.reply.is_closed() {
                continue;
            }
            self.last_id += 1;
            let id = MessageId::from(self.last_id);
            let frame = Frame::Call {
                id: id.clone(),
                action: call.action,
                payload: call.payload,
            };
            self.socket.push(Message::text(frame.to_string()));
            self.outstanding = Some(Outstanding {
                id,
                reply: call.reply,
                deadline: Instant::now() + self.options.call_timeout,
                _slot: call.slot,
            });
        }
    }

    fn receive(&mut self, message: Message) -> Result<(), CloseReason> {
        self.last_received = Instant::now();
        match message {
            Message::Text(text) => self.receive_text(&text),
            Message::Binary(bytes) => self.receive_binary(bytes.into()),
            Message::Close(frame) => {
                return Err(CloseReason::ByPeer {
                    code: frame.as_ref().map(|frame| frame.code.into()),
                    reason: frame.map_or_else(String::new, |frame| frame.reason.to_string()),
                });
            }
            // Pongs are written by tungstenite; raw frames never come out of a stream.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
        Ok(())
    }

    fn receive_text(&mut self, text: &str) {
        match Frame::parse(text, &self.options.limits) {
            Ok(Frame::Call {
                id,
                action,
                payload,
            }) => self.deliver_call(id, action, payload),
            Ok(Frame::CallResult { id, payload }) => self.settle(&id, Ok(payload)),
            Ok(Frame::CallError { id, error }) => {
                self.settle(&id, Err(CallFailure::Refused(error)));
            }
            Err(malformed) => {
                count(&self.counters.malformed);
                tracing::warn!(reason = %malformed.reason, "malformed frame");
                if let Some(answer) = malformed.answer() {
                    self.socket.push(Message::text(answer.to_string()));
                }
            }
        }
    }

    fn deliver_call(&mut self, id: MessageId, action: String, payload: Json) {
        let answer_place = self.answer_places.clone().try_reserve_owned();
        let (Ok(answer_place), Ok(event_place)) = (answer_place, self.events.try_reserve()) else {
            count(&self.counters.calls_refused);
            self.refuse(id, CallErrorCode::InternalError, "too many calls at once");
            return;
        };
        event_place.send(Event::Call(Box::new(IncomingCall {
            action,
            payload,
            responder: Responder::new(id, answer_place),
        })));
    }

    fn settle(&mut self, id: &MessageId, outcome: Result<Json, CallFailure>) {
        let Some(call) = self.outstanding.take_if(|call| call.id == *id) else {
            count(&self.counters.stray_answers);
            return;
        };
        // The caller may have gone away; that is its choice.
        let _ = call.reply.send(outcome);
        self.send_next_call();
    }

    fn receive_binary(&mut self, bytes: Vec<u8>) {
        match self.options.binary {
            BinaryFrames::Refuse => {
                count(&self.counters.binary_refused);
                self.refuse(
                    MessageId::unreadable(),
                    CallErrorCode::FormationViolation,
                    "frames are text on this link, not binary",
                );
            }
            BinaryFrames::Deliver => match self.events.try_reserve() {
                Ok(place) => place.send(Event::Binary(bytes)),
                Err(_) => self.undelivered = Some(bytes),
            },
        }
    }

    fn refuse(&mut self, id: MessageId, code: CallErrorCode, description: &str) {
        let error = CallError::new(code, description);
        let frame = Frame::CallError { id, error };
        self.socket.push(Message::text(frame.to_string()));
    }

    fn ended(&mut self, error: Option<WsError>) -> CloseReason {
        match error {
            Some(WsError::Capacity(_)) => {
                let text = format!(
                    "a message has at most {} bytes",
                    self.options.max_message_bytes
                );
                self.refuse(MessageId::unreadable(), CallErrorCode::GenericError, &text);
                CloseReason::TooLarge
            }
            Some(error) => CloseReason::Broken {
                error: error.to_string(),
            },
            None => CloseReason::Broken {
                error: "the connection ended without a close frame".to_owned(),
            },
        }
    }
}

/// Waits for room; this task alone fills the queue, so the room stays.
async fn has_room(events: &mpsc::Sender<Event>) {
    // A closed queue is noticed by whoever waits for that.
    drop(events.reserve().await);
}

fn close_frame(reason: &CloseReason) -> Option<CloseFrame> {
    let (code, text) = match reason {
        CloseReason::ByUs => (CloseCode::Normal, ""),
        CloseReason::Silent => (CloseCode::Away, "no traffic for two ping intervals"),
        CloseReason::Stalled => (CloseCode::Away, "nothing was read for too long"),
        CloseReason::TooLarge => (CloseCode::Size, "message over the size limit"),
        CloseReason::Broken { .. } => (CloseCode::Protocol, ""),
        // Tungstenite has queued the answer to the peer's close itself.
        CloseReason::ByPeer { .. } => return None,
    };
    Some(CloseFrame {
        code,
        reason: text.into(),
    })
}
