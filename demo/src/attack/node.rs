//! A node with a fresh key and nothing on disk: the honest rules, and a hand between them and the
//! link. What the rules want sent goes to the attacker, who sends what he likes.

use std::collections::HashMap;

use anyhow::{Context, bail};
use ledger::node::{Effect, Input, NodeConfig};
use ledger::store::{NoWatch, Store, drive};
use ledger::{Frame, Node, State};
use protocol::link::{Event, IncomingCall, Link, Responder};
use protocol::message::{Registration, Request, Response};
use protocol::rpc::{CallError, CallErrorCode, to_json};
use protocol::{Hash, KeyPair, NodeId, UnixMillis, canonical, decode};
use tokio::sync::mpsc;

use super::link::{Joined, join, random};
use super::now;

/// How often the rules get a tick, at least.
const TICK_MS: u64 = 1_000;
/// Answers that may wait for the rules.
const ANSWERS: usize = 64;

type Answer = (Request, Option<Response>);

/// A node on its link.
pub(super) struct AttackingNode {
    rules: Node,
    store: Store,
    key: KeyPair,
    id: NodeId,
    chain_id: Hash,
    // Height of the provider's newest block when the link came up.
    tip: u64,
    link: Link,
    events: mpsc::Receiver<Event>,
    answered: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
    // The provider's calls that the rules have not answered yet.
    calls: HashMap<u64, Responder>,
    next_call: u64,
    alarm: UnixMillis,
}

/// What came in, and what an honest node would send for it.
pub(super) struct Step {
    pub(super) input: Input,
    pub(super) wants: Vec<Frame>,
}

impl AttackingNode {
    /// Enrols a new node with `token`.
    pub(super) async fn enrol(url: &str, token: &str, config: NodeConfig) -> anyhow::Result<Self> {
        let key = KeyPair::from_seed(&random()?);
        let store = Store::in_memory()?;
        let rules = Node::load(key.clone(), config, &store)?;
        let Joined {
            connection,
            genesis,
            ack,
        } = join(url, &key, Some(token)).await?;
        let (answered, answers) = mpsc::channel(ANSWERS);
        let mut node = Self {
            rules,
            store,
            key,
            id: ack.node,
            chain_id: genesis.chain_id(),
            tip: ack.tip,
            link: connection.link,
            events: connection.events,
            answered,
            answers,
            calls: HashMap::new(),
            next_call: 0,
            alarm: now(),
        };
        // A node that knows nothing yet calls, and has no frame to send.
        node.give(Input::LinkUp { genesis, ack })?;
        Ok(node)
    }

    pub(super) fn id(&self) -> NodeId {
        self.id
    }

    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }

    pub(super) fn chain_id(&self) -> Hash {
        self.chain_id
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// The chain as the honest rules verified it.
    pub(super) fn state(&self) -> anyhow::Result<&State> {
        self.rules.state().context("the node keeps no blocks")
    }

    /// Whether it is a full node that has every block it was told of when it joined.
    pub(super) fn has_caught_up(&self) -> bool {
        let state = self.rules.state();
        state.is_some_and(|state| state.height >= self.tip)
    }

    pub(super) async fn send(&self, frame: &Frame) -> anyhow::Result<()> {
        Ok(self.link.send_binary(canonical(frame)).await?)
    }

    /// Waits for the next thing to happen and lets the honest rules judge it.
    pub(super) async fn step(&mut self) -> anyhow::Result<Step> {
        let input = self.next().await?;
        let wants = self.give(input.clone())?;
        Ok(Step { input, wants })
    }

    async fn next(&mut self) -> anyhow::Result<Input> {
        loop {
            let pause = std::time::Duration::from_millis(self.alarm.since_ms(now()));
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Binary(bytes)) => {
                        return Ok(Input::Frame(Box::new(decode(&bytes)?)));
                    }
                    Some(Event::Call(call)) => {
                        if let Some(input) = self.asked(*call) {
                            return Ok(input);
                        }
                    }
                    Some(Event::Closed { reason }) => bail!("the link has ended: {reason:?}"),
                    None => bail!("the link has ended"),
                },
                Some((request, response)) = self.answers.recv() => {
                    return Ok(Input::Answer(request, response));
                }
                () = tokio::time::sleep(pause) => {
                    self.alarm = now().plus_ms(TICK_MS);
                    return Ok(Input::Tick);
                }
            }
        }
    }

    fn asked(&mut self, call: IncomingCall) -> Option<Input> {
        let Ok(request) = Request::decode(&call.action, call.payload.get()) else {
            refuse(call.responder);
            return None;
        };
        self.next_call += 1;
        self.calls.insert(self.next_call, call.responder);
        Some(Input::Asked {
            call: self.next_call,
            request,
        })
    }

    fn give(&mut self, input: Input) -> anyhow::Result<Vec<Frame>> {
        let rules = &mut self.rules;
        let effects = drive(rules, &self.store, now(), [input], Vec::new(), &NoWatch)?;
        let mut wants = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send(frame) => wants.push(*frame),
                Effect::Call(request) => self.call(request),
                Effect::Reply { call, response } => self.reply(call, response),
                Effect::WakeAt(at) => self.alarm = self.alarm.min(at),
                // A crowd gives nothing back, and has no neighbours.
                Effect::SendBlocks { .. }
                | Effect::Decided { .. }
                | Effect::Neighbour(_)
                | Effect::Notify(_) => {}
            }
        }
        Ok(wants)
    }

    /// In a task of its own: what is awaited here must not keep the link's events waiting.
    fn call(&self, request: Request) {
        let (link, answered) = (self.link.clone(), self.answered.clone());
        tokio::spawn(async move {
            let answer = link
                .call(request.action(), to_json(&request.payload()))
                .await;
            let response = answer
                .ok()
                .and_then(|payload| request.decode_response(payload.get()).ok());
            // The attacker may have ended.
            let _ = answered.send((request, response)).await;
        });
    }

    fn reply(&mut self, call: u64, response: Option<Response>) {
        let Some(responder) = self.calls.remove(&call) else {
            return;
        };
        match response {
            Some(response) => responder.answer(Ok(to_json(&response.payload()))),
            None => refuse(responder),
        }
    }
}

fn refuse(responder: Responder) {
    let words = "this call is not for a node";
    responder.answer(Err(CallError::new(CallErrorCode::NotSupported, words)));
}

/// What `input` says about the registration of the node's charger; `None` where it says nothing.
///
/// # Errors
/// Where the provider did not let the charger in.
pub(super) fn registration(input: &Input) -> anyhow::Result<Option<&Registration>> {
    match input {
        Input::Answer(Request::Register(_), Some(Response::Register(ack))) => {
            let registration = ack.registration.as_ref();
            registration
                .with_context(|| format!("charger not registered: {:?}", ack.id_tag_info.status))
                .map(Some)
        }
        Input::Answer(Request::Register(_), _) => bail!("no answer to Register"),
        _ => Ok(None),
    }
}
