//! The link to the provider: connects, proves both keys, and carries frames and calls.

use std::time::Duration;

use ledger::frame::{Frame, MAX_FRAME_BYTES};
use ledger::node::{Input, Node};
use ledger::store::Engine;
use protocol::link::{self, BinaryFrames, CallFailure, Event, IncomingCall, Link, LinkOptions};
use protocol::message::{
    Hello, HelloAck, Join, JoinAck, MessageError, Report, Request, Response, SUBPROTOCOL, from_json,
};
use protocol::rpc::{CallError, CallErrorCode, Json};
use protocol::{Challenge, Domain, Genesis, KeyPair, PublicKey, canonical, decode};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, ClockOff};
use crate::config::ProviderConfig;
use crate::identity;

/// What waits for the link at most.
pub(crate) const QUEUE: usize = 4_096;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What the node wants sent.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Frame(Box<Frame>),
    Call(Request),
    Reply {
        call: u64,
        response: Option<Response>,
    },
}

/// Why there is no link to the provider.
#[derive(Debug, thiserror::Error)]
enum UplinkError {
    #[error("the provider at {url} is away ({source}); charges are kept and sent when it is back")]
    Away {
        url: String,
        source: link::ConnectError,
    },
    #[error("the provider does not let this gateway in: {0}")]
    Refused(#[source] CallFailure),
    #[error("the provider's answer cannot be read: {0}")]
    Answer(#[from] MessageError),
    #[error(
        "the provider at this address has another key than the configuration or an earlier link \
         says ({found}); check provider.url"
    )]
    OtherProvider { found: PublicKey },
    #[error(
        "this state directory belongs to another chain than the provider's ({found}); set \
         provider.url right or use a new state_dir"
    )]
    OtherChain { found: protocol::Hash },
    #[error("the provider could not prove its key: {0}")]
    Proof(#[from] protocol::SignatureError),
    #[error(transparent)]
    Clock(#[from] ClockOff),
    #[error("{0}")]
    Random(String),
}

impl UplinkError {
    /// What it is about: the operator is told once, however often it happens.
    fn topic(&self) -> String {
        match self {
            // By how much is another number each time.
            Self::Clock(_) => "clock".to_owned(),
            other => other.to_string(),
        }
    }
}

/// Everything a link needs to be opened.
pub(crate) struct Uplink {
    pub(crate) config: ProviderConfig,
    pub(crate) key: KeyPair,
    pub(crate) clock: Clock,
    /// The chain of the state directory, once there is one.
    pub(crate) genesis: Option<Genesis>,
    pub(crate) engine: Engine<Node>,
    pub(crate) outgoing: mpsc::Receiver<Outgoing>,
    pub(crate) calls: Calls,
}

impl Uplink {
    /// Keeps a link open for as long as the gateway runs.
    pub(crate) async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        let mut told = String::new();
        loop {
            match self.open().await {
                Ok((connection, ack)) => {
                    tracing::info!(node = %ack.node, tip = ack.tip, "linked with the provider");
                    (wait, told) = (FIRST_WAIT, String::new());
                    self.serve(connection, ack).await;
                    tracing::warn!("the link to the provider is lost; charges are kept");
                }
                Err(error) => {
                    let topic = error.topic();
                    if topic != told {
                        tracing::error!("{error}");
                        told = topic;
                    }
                }
            }
            self.pause(jitter(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Waits, and lets what cannot be sent go: the node offers it again on the next link.
    async fn pause(&mut self, wait: Duration) {
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                outgoing = self.outgoing.recv() => match outgoing {
                    Some(Outgoing::Call(request)) => self.give(Input::Answer(request, None)),
                    Some(_) => {}
                    None => return,
                },
            }
        }
    }

    fn give(&self, input: Input) {
        // A stopped engine ends the process; there is nobody left to tell.
        let _ = self.engine.input(input);
    }

    async fn open(&mut self) -> Result<(link::Connection, JoinAck), UplinkError> {
        let options = LinkOptions {
            call_queue: QUEUE,
            max_message_bytes: MAX_FRAME_BYTES,
            binary: BinaryFrames::Deliver,
            ..LinkOptions::default()
        };
        let connection = link::connect(&self.config.url, &[SUBPROTOCOL], &options)
            .await
            .map_err(|source| UplinkError::Away {
                url: self.config.url.clone(),
                source,
            })?;
        let (challenge, genesis) = self.hello(&connection.link).await?;
        let ack = self.join(&connection.link, &challenge, &genesis).await?;
        self.clock.follow(ack.current_time)?;
        self.genesis = Some(genesis);
        Ok((connection, ack))
    }

    async fn hello(&self, link: &Link) -> Result<(Challenge, Genesis), UplinkError> {
        let nonce = identity::random().map_err(|error| UplinkError::Random(error.to_string()))?;
        let hello = Hello {
            node_key: self.key.public(),
            nonce,
        };
        let ack: HelloAck = call(link, "Hello", &hello).await?;
        let genesis = ack.genesis;
        let found = genesis.provider_key;
        let known = self.genesis.as_ref().map(|genesis| genesis.provider_key);
        if self.config.key.or(known).is_some_and(|key| key != found) {
            return Err(UplinkError::OtherProvider { found });
        }
        let chain_id = genesis.chain_id();
        if self.genesis.as_ref().is_some_and(|known| *known != genesis) {
            return Err(UplinkError::OtherChain { found: chain_id });
        }
        let challenge = Challenge {
            node_nonce: nonce,
            provider_nonce: ack.nonce,
        };
        let own = self.key.public();
        challenge.verify(
            Domain::ProviderHello,
            &found,
            &chain_id,
            &own,
            &ack.signature,
        )?;
        Ok((challenge, genesis))
    }

    async fn join(
        &self,
        link: &Link,
        challenge: &Challenge,
        genesis: &Genesis,
    ) -> Result<JoinAck, UplinkError> {
        let provider = genesis.provider_key;
        let chain_id = genesis.chain_id();
        let join = Join {
            signature: challenge.sign(Domain::NodeHello, &self.key, &chain_id, &provider),
            token: self.config.enrolment_token.clone(),
            report: self.report().await,
        };
        call(link, "Join", &join).await
    }

    /// What the node knows of the chain.
    async fn report(&self) -> Report {
        let (sender, seen) = oneshot::channel();
        let look = move |node: &Node, _: &_| {
            // Whoever asked may have gone away.
            let _ = sender.send(node.report());
        };
        // An engine that has stopped ends the process.
        let _ = self.engine.look(look);
        seen.await.unwrap_or_default()
    }

    /// Carries frames and calls until the link is lost.
    async fn serve(&mut self, mut connection: link::Connection, ack: JoinAck) {
        while let Ok(stale) = self.outgoing.try_recv() {
            if let Outgoing::Call(request) = stale {
                self.give(Input::Answer(request, None));
            }
        }
        let Some(genesis) = self.genesis.clone() else {
            return;
        };
        self.give(Input::LinkUp { genesis, ack });
        self.calls.open.clear();
        loop {
            tokio::select! {
                event = connection.events.recv() => match event {
                    Some(Event::Binary(bytes)) => self.frame(&bytes),
                    Some(Event::Call(call)) => self.incoming(*call),
                    Some(Event::Closed { reason }) => {
                        tracing::debug!(?reason, "link closed");
                        break;
                    }
                    None => break,
                },
                outgoing = self.outgoing.recv() => match outgoing {
                    Some(outgoing) => self.send(&connection.link, outgoing).await,
                    None => break,
                },
            }
            if self.outgoing.len() >= QUEUE - 1 {
                break;
            }
        }
        self.give(Input::LinkDown);
    }

    fn frame(&self, bytes: &[u8]) {
        match decode::<Frame>(bytes) {
            Ok(frame) => self.give(Input::Frame(Box::new(frame))),
            Err(error) => tracing::warn!(%error, "the provider sent a malformed frame"),
        }
    }

    fn incoming(&mut self, call: IncomingCall) {
        match Request::decode(&call.action, call.payload.get()) {
            Ok(request) => {
                let number = self.calls.remember(call);
                self.give(Input::Asked {
                    call: number,
                    request,
                });
            }
            Err(error) => {
                let code = match error {
                    MessageError::UnknownAction(_) => CallErrorCode::NotImplemented,
                    MessageError::Malformed { .. } => CallErrorCode::FormationViolation,
                };
                call.responder
                    .answer(Err(CallError::new(code, &error.to_string())));
            }
        }
    }

    async fn send(&mut self, link: &Link, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Frame(frame) => {
                // On a lost link the loop ends by itself.
                let _ = link.send_binary(canonical(&*frame)).await;
            }
            Outgoing::Reply { call, response } => self.calls.answer(call, response.as_ref()),
            Outgoing::Call(request) => {
                let (link, engine) = (link.clone(), self.engine.clone());
                tokio::spawn(async move {
                    let response = ask(&link, &request).await;
                    // A stopped engine ends the process; there is nobody left to tell.
                    let _ = engine.input(Input::Answer(request, response));
                });
            }
        }
    }
}

/// The provider's calls that wait for the node's answer. Numbers go on over links, so that a late
/// answer meets no call of the next link.
#[derive(Default)]
pub(crate) struct Calls {
    next: u64,
    open: std::collections::HashMap<u64, IncomingCall>,
}

impl Calls {
    fn remember(&mut self, call: IncomingCall) -> u64 {
        self.next += 1;
        self.open.insert(self.next, call);
        self.next
    }

    fn answer(&mut self, number: u64, response: Option<&Response>) {
        let Some(call) = self.open.remove(&number) else {
            return;
        };
        call.responder.answer(match response {
            Some(response) => Ok(json(&response.payload())),
            None => Err(CallError::new(
                CallErrorCode::NotSupported,
                "this call is for the provider",
            )),
        });
    }
}

async fn ask(link: &Link, request: &Request) -> Option<Response> {
    match link.call(request.action(), json(&request.payload())).await {
        Ok(payload) => match request.decode_response(payload.get()) {
            Ok(response) => Some(response),
            Err(error) => {
                tracing::warn!(%error, "the provider's answer cannot be read");
                None
            }
        },
        Err(failure) => {
            tracing::debug!(action = request.action(), %failure, "call failed");
            None
        }
    }
}

async fn call<A: serde::de::DeserializeOwned>(
    link: &Link,
    action: &str,
    message: &impl Serialize,
) -> Result<A, UplinkError> {
    let payload = json(&protocol::message::to_value(message));
    let answer = link
        .call(action, payload)
        .await
        .map_err(UplinkError::Refused)?;
    Ok(from_json(action, answer.get())?)
}

fn json(value: &serde_json::Value) -> Json {
    protocol::rpc::to_json(value)
}

/// Half to all of `wait`, so that gateways do not come back in step.
fn jitter(wait: Duration) -> Duration {
    let mut byte = [0];
    // Without random numbers the full wait is as good.
    let part = getrandom::fill(&mut byte).map_or(255, |()| byte[0]);
    wait / 2 + wait * u32::from(part) / 510
}
