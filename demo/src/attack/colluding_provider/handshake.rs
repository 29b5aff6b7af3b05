//! Hello and Join from the provider's side: its key is the true one, so its proof holds.

use anyhow::{Context, bail};
use protocol::link::{Connection, Event, IncomingCall};
use protocol::message::{Hello, HelloAck, Join, from_json};
use protocol::rpc::{CallError, CallErrorCode, to_json};
use protocol::{Challenge, Domain, Hash, NodeId};

use super::ColludingProvider;
use crate::attack::link::random;

/// Takes a node of the chain in.
pub(super) async fn let_in(
    provider: &ColludingProvider,
    connection: &mut Connection,
) -> anyhow::Result<NodeId> {
    let call = next_call(connection).await?;
    let hello: Hello = from_json("Hello", call.payload.get())?;
    let challenge = Challenge {
        node_nonce: hello.nonce,
        provider_nonce: Hash(random()?),
    };
    let (key, chain_id) = (&provider.key, provider.genesis.chain_id());
    call.responder.answer(Ok(to_json(&HelloAck {
        genesis: provider.genesis.clone(),
        nonce: challenge.provider_nonce,
        signature: challenge.sign(Domain::ProviderHello, key, &chain_id, &hello.node_key),
    })));
    let call = next_call(connection).await?;
    let join: Join = from_json("Join", call.payload.get())?;
    challenge.verify(
        Domain::NodeHello,
        &hello.node_key,
        &chain_id,
        &key.public(),
        &join.signature,
    )?;
    let Some(ack) = provider.welcome(&hello.node_key) else {
        let words = "this node is not enrolled";
        let refusal = CallError::new(CallErrorCode::SecurityError, words);
        call.responder.answer(Err(refusal));
        bail!(words);
    };
    call.responder.answer(Ok(to_json(&ack)));
    Ok(ack.node)
}

async fn next_call(connection: &mut Connection) -> anyhow::Result<IncomingCall> {
    match connection.events.recv().await.context("the link is lost")? {
        Event::Call(call) => Ok(*call),
        event => bail!("a link begins with Hello and Join: {event:?}"),
    }
}
