//! Who is near: told by nodes, named to others.

use protocol::message::{GetNeighbours, GetNeighboursAck, Request, Response};
use protocol::rpc::CallErrorCode;
use protocol::{NodeAddress, NodeId};

use crate::node::RawNode;
use crate::site::Site;

async fn near(node: &RawNode, address: Option<&str>, parents: &[u32]) -> GetNeighboursAck {
    let address = address.map(|text| NodeAddress::parse(text).expect("an address"));
    let parents = parents.iter().copied().map(NodeId).collect();
    let request = Request::GetNeighbours(GetNeighbours { address, parents });
    match node.call(request).await {
        Response::GetNeighbours(ack) => ack,
        other => panic!("neighbours, not {other:?}"),
    }
}

#[tokio::test]
async fn nodes_are_named_to_each_other_with_key_and_address_and_show_that_they_are_enrolled() {
    let site = Site::new();
    let running = site.start();
    let (first, hello, _) = RawNode::joined(&running, 1, Some(&site.token("FLEET"))).await;
    let (second, ..) = RawNode::joined(&running, 2, Some(&site.token("HOUSEHOLD"))).await;
    let address = "ws://192.0.2.7:9700";
    assert_eq!(near(&first, Some(address), &[]).await.neighbours, []);
    let ack = near(&second, None, &[1, 1, 2, 99]).await;
    let [named] = ack.neighbours.as_slice() else {
        panic!("one that listens, not {:?}", ack.neighbours);
    };
    assert_eq!((named.node, named.key), (NodeId(1), first.key.public()));
    assert_eq!(named.address.as_str(), address);
    let genesis = &hello.genesis;
    let until = ack.enrolment.body.until;
    let shown = ack.enrolment.check(
        &genesis.provider_key,
        &genesis.chain_id(),
        &second.key.public(),
        until,
    );
    assert_eq!(shown, Ok(()));
    assert_eq!(ack.enrolment.body.node, NodeId(2));
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_with_a_reason_and_changes_nothing() {
    let site = Site::new();
    let running = site.start();
    let (first, ..) = RawNode::joined(&running, 1, Some(&site.token("FLEET"))).await;
    let (second, ..) = RawNode::joined(&running, 2, Some(&site.token("HOUSEHOLD"))).await;
    near(&first, Some("ws://192.0.2.7:9700"), &[]).await;
    let long = "x".repeat(300);
    for wrong in [
        "http://192.0.2.7:9700",
        "ws://192.0.2.7",
        "ws://0.0.0.0:9700",
        "ws://a b:9700",
        long.as_str(),
    ] {
        let payload = format!("{{\"address\":\"{wrong}\",\"parents\":[]}}");
        let answer = first.call_raw("GetNeighbours", &payload).await;
        assert_eq!(answer, Err(CallErrorCode::FormationViolation), "{wrong}");
    }
    let many = format!("{{\"parents\":{:?}}}", vec![1; 17]);
    let answer = first.call_raw("GetNeighbours", &many).await;
    assert_eq!(answer, Err(CallErrorCode::NotSupported));
    assert_eq!(near(&second, None, &[]).await.neighbours.len(), 1);
    near(&first, None, &[]).await;
    assert_eq!(near(&second, None, &[]).await.neighbours, []);
}
