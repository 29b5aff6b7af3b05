//! The first two calls of a link between gateways: Hello proves the called one to the caller, Meet
//! the caller to the called one. The keys sign for this kind of link only, and for one chain.

use ledger::node::{stored_enrolment, stored_genesis};
use ledger::store::StoreError;
use protocol::link::{CallFailure, ConnectError, Connection, Event, IncomingCall, Link, Responder};
use protocol::message::{Hello, HelloAck, MessageError, from_json};
use protocol::neighbour::{EnrolmentError, Meet, MeetAck};
use protocol::rpc::{CallError, CallErrorCode, to_json};
use protocol::{Challenge, Domain, Genesis, Hash, PublicKey, SignatureError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Inner;
use crate::identity;

/// Why there is no link with another gateway.
#[derive(Debug, thiserror::Error)]
pub(super) enum NeighbourError {
    #[error("another gateway does not answer: {0}")]
    Away(#[from] ConnectError),
    #[error("another gateway does not let this one in: {0}")]
    Refused(#[from] CallFailure),
    #[error("another gateway's answer cannot be read: {0}")]
    Answer(#[from] MessageError),
    #[error("the gateway at this address is on another chain ({found}); nothing is asked of it")]
    OtherChain { found: Hash },
    #[error(
        "whoever answers at this address has not the key that was named for it ({0}); nothing is \
         asked of it"
    )]
    OtherKey(#[from] SignatureError),
    #[error("this gateway has not met the provider yet")]
    NoChain,
    #[error("cannot read the store: {0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Random(String),
}

impl NeighbourError {
    /// Whether somebody should look, and it is no matter of being away.
    pub(super) fn is_grave(&self) -> bool {
        !matches!(self, Self::Away(_) | Self::NoChain)
    }
}

/// As the caller: `to` has to prove its key.
pub(super) async fn call(link: &Link, own: &Inner, to: PublicKey) -> Result<(), NeighbourError> {
    let genesis = stored_genesis(&own.store)?.ok_or(NeighbourError::NoChain)?;
    let enrolment = stored_enrolment(&own.store)?.ok_or(NeighbourError::NoChain)?;
    let nonce = random()?;
    let hello = Hello {
        node_key: own.key.public(),
        nonce,
    };
    let ack: HelloAck = ask(link, "Hello", &hello).await?;
    let chain_id = genesis.chain_id();
    if ack.genesis != genesis {
        let found = ack.genesis.chain_id();
        return Err(NeighbourError::OtherChain { found });
    }
    let challenge = Challenge {
        node_nonce: nonce,
        provider_nonce: ack.nonce,
    };
    let public = own.key.public();
    challenge.verify(Domain::CalledNode, &to, &chain_id, &public, &ack.signature)?;
    let meet = Meet {
        signature: challenge.sign(Domain::CallingNode, &own.key, &chain_id, &to),
        enrolment,
    };
    let _: MeetAck = ask(link, "Meet", &meet).await?;
    Ok(())
}

async fn ask<A: DeserializeOwned>(
    link: &Link,
    action: &str,
    message: &impl Serialize,
) -> Result<A, NeighbourError> {
    let answer = link.call(action, to_json(message)).await?;
    Ok(from_json(action, answer.get())?)
}

fn random() -> Result<Hash, NeighbourError> {
    identity::random().map_err(|error| NeighbourError::Random(error.to_string()))
}

/// Why a caller is not let in.
#[derive(Debug, thiserror::Error)]
enum NotLetIn {
    #[error("the proof of the caller's key is wrong: {0}")]
    Proof(#[from] SignatureError),
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
}

/// As the one that is called; the caller's key, or `None` where it left or was refused, which it was
/// told.
pub(super) async fn answer(connection: &mut Connection, own: &Inner) -> Option<PublicKey> {
    let (hello, responder) = expect::<Hello>(connection, "Hello").await?;
    let Ok(Some(genesis)) = stored_genesis(&own.store) else {
        let words = "this node has not met its provider yet";
        refuse(responder, CallErrorCode::InternalError, words);
        return None;
    };
    let nonce = match random() {
        Ok(nonce) => nonce,
        Err(error) => {
            tracing::error!(%error, "no handshake without random numbers");
            return None;
        }
    };
    let challenge = Challenge {
        node_nonce: hello.nonce,
        provider_nonce: nonce,
    };
    let (caller, chain_id) = (hello.node_key, genesis.chain_id());
    responder.answer(Ok(to_json(&HelloAck {
        signature: challenge.sign(Domain::CalledNode, &own.key, &chain_id, &caller),
        genesis: genesis.clone(),
        nonce,
    })));
    let (meet, responder) = expect::<Meet>(connection, "Meet").await?;
    match judge(own, &genesis, &challenge, &caller, &meet) {
        Ok(()) => {
            responder.answer(Ok(to_json(&MeetAck {})));
            Some(caller)
        }
        Err(reason) => {
            refuse(responder, CallErrorCode::SecurityError, &reason.to_string());
            None
        }
    }
}

fn judge(
    own: &Inner,
    genesis: &Genesis,
    challenge: &Challenge,
    caller: &PublicKey,
    meet: &Meet,
) -> Result<(), NotLetIn> {
    let chain_id = genesis.chain_id();
    let public = own.key.public();
    challenge.verify(
        Domain::CallingNode,
        caller,
        &chain_id,
        &public,
        &meet.signature,
    )?;
    let now = own.clock.now().seconds();
    meet.enrolment
        .check(&genesis.provider_key, &chain_id, caller, now)?;
    Ok(())
}

/// The next call, which has to be `action`; every other one is refused and ends the link.
async fn expect<T: DeserializeOwned>(
    connection: &mut Connection,
    action: &str,
) -> Option<(T, Responder)> {
    let call = match connection.events.recv().await? {
        Event::Call(call) => *call,
        Event::Binary(_) | Event::Closed { .. } => return None,
    };
    let IncomingCall {
        action: called,
        payload,
        responder,
    } = call;
    if called != action {
        let words = format!("a link between nodes begins with Hello and Meet; {action} is due");
        refuse(responder, CallErrorCode::SecurityError, &words);
        return None;
    }
    match from_json(action, payload.get()) {
        Ok(message) => Some((message, responder)),
        Err(error) => {
            let words = error.to_string();
            refuse(responder, CallErrorCode::FormationViolation, &words);
            None
        }
    }
}

/// Answers with a CALLERROR.
pub(super) fn refuse(responder: Responder, code: CallErrorCode, words: &str) {
    tracing::debug!(code = code.name(), "call of another gateway refused");
    responder.answer(Err(CallError::new(code, words)));
}
