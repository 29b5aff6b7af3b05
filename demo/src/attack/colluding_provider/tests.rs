use std::time::Duration;

use ledger::State;
use ledger::apply::{ChargeFault, Invalid, apply};
use protocol::message::GetBlocks;

use super::*;
use crate::attack::link::{Joined, join};
use crate::attack::scene::Scene;

const PATIENCE: Duration = Duration::from_secs(20);

async fn start(scene: &Scene) -> String {
    let provider = ColludingProvider::read(scene.path()).expect("a chain");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/billing", listener.local_addr().expect("bound"));
    tokio::spawn(Arc::new(provider).serve(listener));
    url
}

async fn frame(joined: &mut Joined) -> Frame {
    let event = tokio::time::timeout(PATIENCE, joined.connection.events.recv()).await;
    match event.expect("in time") {
        Some(Event::Binary(bytes)) => decode(&bytes).expect("a frame"),
        event => panic!("no frame: {event:?}"),
    }
}

async fn block(joined: &mut Joined) -> Block {
    match frame(joined).await {
        Frame::Block(block) => *block,
        frame => panic!("no block: {frame:?}"),
    }
}

/// Asks for the blocks from `from` on.
async fn get_blocks(joined: &Joined, from: u64) -> u64 {
    let request = Request::GetBlocks(GetBlocks { from });
    let payload = to_json(&request.payload());
    let answer = joined.connection.link.call(request.action(), payload).await;
    let answer = answer.expect("answered");
    match request.decode_response(answer.get()) {
        Ok(Response::GetBlocks(ack)) => ack.tip,
        answer => panic!("no answer: {answer:?}"),
    }
}

#[tokio::test]
async fn a_node_finds_its_provider_and_its_chain_up_to_the_altered_block() {
    let scene = Scene::new();
    let url = start(&scene).await;
    let mut node = join(&url, &scene.node, None).await.expect("it is let in");
    assert_eq!((node.ack.node, node.ack.last_seq), (NodeId(1), 0));
    let tip = node.ack.tip;
    assert_eq!(get_blocks(&node, 1).await, tip);
    let mut state = State::new(node.genesis.clone());
    for _ in 1..=tip {
        let block = block(&mut node).await;
        state = apply(&state, &block).expect("the real provider's");
    }

    let submission = scene.submission(&state);
    let charge = Frame::Profile(submission.clone());
    send(&node.connection.link, charge).await.expect("sent");
    let Frame::Receipt(receipt) = frame(&mut node).await else {
        panic!("a receipt comes first");
    };
    let provider = node.genesis.provider_key;
    assert_eq!(receipt.verify(&provider, &state.chain_id()), Ok(()));
    assert_eq!(receipt.body.profile, submission.profile.hash());

    let sealed = block(&mut node).await;
    assert_eq!(sealed.header.body.round, receipt.body.round);
    let fault = Invalid::Charge {
        node: NodeId(1),
        seq: 1,
        fault: ChargeFault::Signature,
    };
    assert_eq!(apply(&state, &sealed), Err(fault));
    assert_eq!(get_blocks(&node, tip + 1).await, tip + 1);
    assert_eq!(block(&mut node).await, sealed);
}

#[tokio::test]
async fn who_is_not_in_the_chain_is_not_let_in() {
    let scene = Scene::new();
    let url = start(&scene).await;
    let stranger = KeyPair::from_seed(&[9; 32]);
    assert!(join(&url, &stranger, None).await.is_err());
}
