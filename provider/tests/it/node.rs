//! A raw node: a link to the provider, and the test's words on it.

use ledger::Frame;
use protocol::link::{self, BinaryFrames, CallFailure, Connection, Event, LinkOptions};
use protocol::message::{
    Hello, HelloAck, Join, JoinAck, Report, Request, Response, SUBPROTOCOL, from_json,
};
use protocol::rpc::{CallErrorCode, to_json};
use protocol::{Challenge, Domain, Hash, KeyPair, decode};

use crate::site::{PATIENCE, Running};

/// A node that says what the test wants it to say.
pub(crate) struct RawNode {
    pub(crate) key: KeyPair,
    pub(crate) connection: Connection,
}

impl RawNode {
    pub(crate) async fn connect(running: &Running, seed: u8) -> Self {
        let options = LinkOptions {
            binary: BinaryFrames::Deliver,
            max_message_bytes: 8 << 20,
            ..LinkOptions::default()
        };
        let connection = link::connect(&running.url, &[SUBPROTOCOL], &options)
            .await
            .expect("the provider takes the link");
        Self {
            key: KeyPair::from_seed(&[seed; 32]),
            connection,
        }
    }

    /// A node that is let in.
    pub(crate) async fn joined(
        running: &Running,
        seed: u8,
        token: Option<&str>,
    ) -> (Self, HelloAck, JoinAck) {
        let mut node = Self::connect(running, seed).await;
        let (hello, challenge) = node.hello().await;
        let join = node.signed_join(&hello, &challenge, token);
        let ack = node.join(&join).await.expect("it is let in");
        (node, hello, ack)
    }

    pub(crate) async fn hello(&mut self) -> (HelloAck, Challenge) {
        let nonce = Hash([9; 32]);
        let hello = Hello {
            node_key: self.key.public(),
            nonce,
        };
        let answer = self.connection.link.call("Hello", to_json(&hello)).await;
        let ack: HelloAck = from_json("Hello", answer.expect("answered").get()).expect("HelloAck");
        let challenge = Challenge {
            node_nonce: nonce,
            provider_nonce: ack.nonce,
        };
        let genesis = &ack.genesis;
        challenge
            .verify(
                Domain::ProviderHello,
                &genesis.provider_key,
                &genesis.chain_id(),
                &self.key.public(),
                &ack.signature,
            )
            .expect("the provider proves its key");
        (ack, challenge)
    }

    pub(crate) fn signed_join(
        &self,
        hello: &HelloAck,
        challenge: &Challenge,
        token: Option<&str>,
    ) -> Join {
        let genesis = &hello.genesis;
        Join {
            signature: challenge.sign(
                Domain::NodeHello,
                &self.key,
                &genesis.chain_id(),
                &genesis.provider_key,
            ),
            token: token.map(str::to_owned),
            report: Report::default(),
        }
    }

    pub(crate) async fn join(&mut self, join: &Join) -> Result<JoinAck, CallErrorCode> {
        match self.connection.link.call("Join", to_json(join)).await {
            Ok(payload) => Ok(from_json("Join", payload.get()).expect("JoinAck")),
            Err(failure) => Err(code(failure)),
        }
    }

    /// Calls `action` with whatever JSON.
    pub(crate) async fn call_raw(
        &self,
        action: &str,
        payload: &str,
    ) -> Result<String, CallErrorCode> {
        let payload = serde_json::from_str(payload).expect("JSON");
        let answer = self.connection.link.call(action, payload).await;
        answer.map(|json| json.get().to_owned()).map_err(code)
    }

    pub(crate) async fn call(&self, request: Request) -> Response {
        let payload = to_json(&request.payload());
        let answer = self.connection.link.call(request.action(), payload).await;
        let answer = answer.expect("answered");
        request.decode_response(answer.get()).expect("its answer")
    }

    pub(crate) async fn send(&self, bytes: Vec<u8>) {
        let sent = self.connection.link.send_binary(bytes).await;
        sent.expect("the link is open");
    }

    /// The next binary frame.
    pub(crate) async fn frame(&mut self) -> Frame {
        loop {
            match self.event().await {
                Event::Binary(bytes) => return decode(&bytes).expect("a frame"),
                Event::Call(call) => call.responder.answer(Ok(protocol::rpc::empty())),
                Event::Closed { reason } => panic!("the link ended: {reason:?}"),
            }
        }
    }

    /// Waits until the provider closes the link.
    pub(crate) async fn closed(&mut self) {
        while !matches!(self.event().await, Event::Closed { .. }) {}
    }

    async fn event(&mut self) -> Event {
        let event = tokio::time::timeout(PATIENCE, self.connection.events.recv()).await;
        event.expect("in time").expect("Closed comes last")
    }
}

fn code(failure: CallFailure) -> CallErrorCode {
    match failure {
        CallFailure::Refused(error) => {
            assert!(!error.description.is_empty(), "a refusal says why");
            error.code
        }
        failure => panic!("no answer: {failure}"),
    }
}
