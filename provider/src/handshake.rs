//! The first two calls of a link: Hello proves the provider to the node, Join the node to the
//! provider.

use protocol::link::{Connection, Event, IncomingCall, Responder};
use protocol::message::{Hello, HelloAck, Join, MessageError, Report, from_json};
use protocol::rpc::{CallError, CallErrorCode, to_json};
use protocol::{Challenge, Domain, Genesis, Hash, KeyPair, PublicKey};

use crate::state_dir::random;

/// What the provider proves itself with.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) key: KeyPair,
    pub(crate) genesis: Genesis,
}

/// A node that proved its key; its Join waits for an answer.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) key: PublicKey,
    /// SHA-256 of the token it brought.
    pub(crate) token: Option<Hash>,
    /// What it says it knows of the chain.
    pub(crate) report: Report,
    pub(crate) join: Responder,
}

/// Takes Hello and Join; `None` where the node left or was refused, which it was told.
pub(crate) async fn prove(connection: &mut Connection, identity: &Identity) -> Option<Proven> {
    let (hello, responder) = expect::<Hello>(connection, "Hello").await?;
    let nonce = match random() {
        Ok(bytes) => Hash(bytes),
        Err(error) => {
            tracing::error!(error = error.line(), "no handshake without random numbers");
            return None;
        }
    };
    let challenge = Challenge {
        node_nonce: hello.nonce,
        provider_nonce: nonce,
    };
    let Identity { key, genesis } = identity;
    let chain_id = genesis.chain_id();
    responder.answer(Ok(to_json(&HelloAck {
        genesis: genesis.clone(),
        nonce,
        signature: challenge.sign(Domain::ProviderHello, key, &chain_id, &hello.node_key),
    })));
    let (join, responder) = expect::<Join>(connection, "Join").await?;
    let node = hello.node_key;
    let proof = challenge.verify(
        Domain::NodeHello,
        &node,
        &chain_id,
        &key.public(),
        &join.signature,
    );
    if let Err(error) = proof {
        refuse(
            responder,
            CallErrorCode::SecurityError,
            &format!("the proof of the node's key is wrong: {error}"),
        );
        return None;
    }
    Some(Proven {
        key: node,
        token: join.token.map(|token| Hash::of(token.as_bytes())),
        report: join.report,
        join: responder,
    })
}

/// The next call, which has to be `action`; every other one is refused and ends the link.
async fn expect<T: serde::de::DeserializeOwned>(
    connection: &mut Connection,
    action: &str,
) -> Option<(T, Responder)> {
    let call = match connection.events.recv().await? {
        Event::Call(call) => *call,
        Event::Binary(bytes) => {
            tracing::warn!(length = bytes.len(), "binary frame before the node joined");
            return None;
        }
        Event::Closed { .. } => return None,
    };
    let IncomingCall {
        action: called,
        payload,
        responder,
    } = call;
    if called != action {
        let words = format!("a link begins with Hello and Join; {action} is expected now");
        refuse(responder, CallErrorCode::SecurityError, &words);
        return None;
    }
    match from_json(action, payload.get()) {
        Ok(message) => Some((message, responder)),
        Err(error) => {
            refuse_malformed(responder, &error);
            None
        }
    }
}

fn refuse_malformed(responder: Responder, error: &MessageError) {
    refuse(
        responder,
        CallErrorCode::FormationViolation,
        &error.to_string(),
    );
}

/// Answers with a CALLERROR.
pub(crate) fn refuse(responder: Responder, code: CallErrorCode, words: &str) {
    // The words stay out of the log: a decoder's may quote what it read, an idTag or a token.
    tracing::warn!(code = code.name(), "call refused");
    responder.answer(Err(CallError::new(code, words)));
}
