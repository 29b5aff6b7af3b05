//! A node's way onto the billing link: connects, and proves both keys.

use std::io::Read as _;

use anyhow::Context;
use ledger::frame::MAX_FRAME_BYTES;
use protocol::link::{self, BinaryFrames, Connection, LinkOptions};
use protocol::message::{Hello, HelloAck, Join, JoinAck, Report, SUBPROTOCOL, from_json};
use protocol::rpc::to_json;
use protocol::{Challenge, Domain, Genesis, Hash, KeyPair};

/// A link whose node was let in.
pub(super) struct Joined {
    pub(super) connection: Connection,
    pub(super) genesis: Genesis,
    pub(super) ack: JoinAck,
}

/// How both ends of the attackers' links behave.
pub(super) fn options() -> LinkOptions {
    LinkOptions {
        call_queue: 64,
        max_message_bytes: MAX_FRAME_BYTES,
        binary: BinaryFrames::Deliver,
        ..LinkOptions::default()
    }
}

/// Joins the provider at `url` as the node of `key`.
pub(super) async fn join(url: &str, key: &KeyPair, token: Option<&str>) -> anyhow::Result<Joined> {
    let connection = link::connect(url, &[SUBPROTOCOL], &options()).await?;
    let own = key.public();
    let hello = Hello {
        node_key: own,
        nonce: Hash(random()?),
    };
    let answer = connection.link.call("Hello", to_json(&hello)).await;
    let proof: HelloAck = from_json("Hello", answer.context("no answer to Hello")?.get())?;
    let challenge = Challenge {
        node_nonce: hello.nonce,
        provider_nonce: proof.nonce,
    };
    let genesis = proof.genesis;
    let (chain_id, provider) = (genesis.chain_id(), genesis.provider_key);
    challenge.verify(
        Domain::ProviderHello,
        &provider,
        &chain_id,
        &own,
        &proof.signature,
    )?;
    let join = Join {
        signature: challenge.sign(Domain::NodeHello, key, &chain_id, &provider),
        token: token.map(str::to_owned),
        report: Report::default(),
    };
    let answer = connection.link.call("Join", to_json(&join)).await;
    let ack = from_json("Join", answer.context("not let in")?.get())?;
    Ok(Joined {
        connection,
        genesis,
        ack,
    })
}

/// Thirty-two random bytes from the system.
pub(super) fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut source = std::fs::File::open("/dev/urandom").context("no random numbers")?;
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}
