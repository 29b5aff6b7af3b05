//! What a node may do on its link, told by a node that does as it likes.

use protocol::message::{
    GetBlocks, Register, RegisterSupplyPoint, Request, Response, SUBPROTOCOL, Status,
};
use protocol::rpc::CallErrorCode;
use protocol::{Hash, IdTag, NodeId, Signature, UnixMillis};

use crate::node::RawNode;
use crate::site::Site;

fn tag(text: &str) -> IdTag {
    IdTag::parse(text).expect("printable")
}

fn register(id_tag: &str, group: &str) -> Request {
    Request::Register(Register {
        id_tag: tag(id_tag),
        group_id: Some(tag(group)),
        is_home: true,
        group: None,
    })
}

#[tokio::test]
async fn only_the_billing_path_and_subprotocol_open_a_link() {
    let site = Site::new();
    let running = site.start();
    let options = protocol::link::LinkOptions::default();
    let elsewhere = running.url.replace("/billing", "/other");
    let refused = protocol::link::connect(&elsewhere, &[SUBPROTOCOL], &options).await;
    assert!(matches!(
        refused,
        Err(protocol::link::ConnectError::Refused { status: 404, .. })
    ));
    let refused = protocol::link::connect(&running.url, &["ocpp1.6"], &options).await;
    assert!(matches!(
        refused,
        Err(protocol::link::ConnectError::Refused { status: 400, .. })
    ));
}

#[tokio::test]
async fn a_wrong_first_call_is_refused_and_ends_the_link() {
    let site = Site::new();
    let running = site.start();
    let first_calls = [
        (
            "Register",
            r#"{"idTag":"A","isHome":true}"#,
            CallErrorCode::SecurityError,
        ),
        (
            "Join",
            r#"{"signature":"00"}"#,
            CallErrorCode::SecurityError,
        ),
        ("Anything", "{}", CallErrorCode::SecurityError),
        (
            "Hello",
            r#"{"nodeKey":"00"}"#,
            CallErrorCode::FormationViolation,
        ),
    ];
    for (action, payload, code) in first_calls {
        let mut node = RawNode::connect(&running, 1).await;
        assert_eq!(node.call_raw(action, payload).await, Err(code), "{action}");
        node.closed().await;
    }
}

#[tokio::test]
async fn a_link_that_does_not_join_is_closed() {
    let site = Site::new();
    let running = site.start();
    let mut silent = RawNode::connect(&running, 1).await;
    let mut half = RawNode::connect(&running, 1).await;
    half.hello().await;
    silent.closed().await;
    half.closed().await;
}

#[tokio::test]
async fn a_wrong_proof_is_refused_and_uses_no_token_up() {
    let site = Site::new();
    let running = site.start();
    let token = site.token("FLEET");
    let mut node = RawNode::connect(&running, 1).await;
    let (hello, challenge) = node.hello().await;
    let mut join = node.signed_join(&hello, &challenge, Some(&token));
    let Signature(bytes) = &mut join.signature;
    bytes[0] ^= 1;
    assert_eq!(node.join(&join).await, Err(CallErrorCode::SecurityError));
    node.closed().await;
    // Another key takes the token: the wrong proof did not.
    let (_, _, ack) = RawNode::joined(&running, 2, Some(&token)).await;
    assert_eq!(ack.node, NodeId(1));
}

#[tokio::test]
async fn a_join_of_another_link_is_refused() {
    let site = Site::new();
    let running = site.start();
    let token = site.token("FLEET");
    let mut node = RawNode::connect(&running, 1).await;
    let (hello, challenge) = node.hello().await;
    let heard = node.signed_join(&hello, &challenge, Some(&token));
    node.join(&heard).await.expect("it is let in");
    let mut replayed = RawNode::connect(&running, 1).await;
    let (again, _) = replayed.hello().await;
    assert_ne!(again.nonce, hello.nonce);
    assert_eq!(
        replayed.join(&heard).await,
        Err(CallErrorCode::SecurityError)
    );
    replayed.closed().await;
    // On its own link it is refused too, and the link stays.
    assert_eq!(node.join(&heard).await, Err(CallErrorCode::SecurityError));
    node.call(register("CAR-1", "FLEET")).await;
}

#[tokio::test]
async fn an_unknown_a_missing_and_a_used_token_are_refused() {
    let site = Site::new();
    let running = site.start();
    let token = site.token("FLEET");
    let _first = RawNode::joined(&running, 1, Some(&token)).await;
    for wrong in [Some("no such token"), None, Some(token.as_str())] {
        let mut node = RawNode::connect(&running, 2).await;
        let (hello, challenge) = node.hello().await;
        let join = node.signed_join(&hello, &challenge, wrong);
        assert_eq!(node.join(&join).await, Err(CallErrorCode::SecurityError));
        node.closed().await;
    }
    // Who used it needs none to come back.
    let (_, _, ack) = RawNode::joined(&running, 1, None).await;
    assert_eq!(ack.node, NodeId(1));
}

#[tokio::test]
async fn a_joined_node_registers_its_charger_and_outlet() {
    let site = Site::new();
    let running = site.start();
    let token = site.token("FLEET");
    let (mut node, hello, ack) = RawNode::joined(&running, 1, Some(&token)).await;
    assert!(ack.current_time > UnixMillis(0));
    assert_eq!(ack.last_seq, 0);
    let Response::Register(registered) = node.call(register("CAR-1", "FLEET")).await else {
        panic!("the answer to Register");
    };
    assert_eq!(registered.id_tag_info.status, Status::Accepted);
    assert_eq!(registered.id_tag_info.interval_s, 1);
    let registration = registered.registration.expect("accepted");
    assert_eq!(registration.parent, ack.node);
    assert!(registration.salt.is_some());
    let Response::Register(foreign) = node.call(register("CAR-2", "OTHERS")).await else {
        panic!("the answer to Register");
    };
    assert_eq!(foreign.id_tag_info.status, Status::Invalid);
    let outlet = Request::RegisterSupplyPoint(RegisterSupplyPoint {
        outlet: "garage".to_owned(),
        owner: tag("HOST"),
        meter: "SDM630 1".to_owned(),
        supply_point: None,
    });
    let first = node.call(outlet.clone()).await;
    assert_eq!(
        node.call(outlet).await,
        first,
        "registering twice changes nothing"
    );
    let ledger::Frame::Block(block) = node.frame().await else {
        panic!("a block follows what was registered");
    };
    let genesis = &hello.genesis;
    block
        .header
        .verify(&genesis.provider_key, &genesis.chain_id())
        .expect("signed by the provider");
}

#[tokio::test]
async fn blocks_arrive_whole_and_in_order_when_asked_for() {
    let site = Site::new();
    let running = site.start();
    let token = site.token("FLEET");
    let (mut node, _, _) = RawNode::joined(&running, 1, Some(&token)).await;
    let mut tip = 0;
    let mut newest = None;
    for charger in ["CAR-1", "CAR-2"] {
        node.call(register(charger, "FLEET")).await;
        let ledger::Frame::Block(block) = node.frame().await else {
            panic!("a block follows what was registered");
        };
        tip = block.header.body.height;
        newest = Some(block.header.body.hash());
    }
    assert!(tip >= 2);
    let all = Request::GetBlocks(GetBlocks { from: 1 });
    let Response::GetBlocks(ack) = node.call(all).await else {
        panic!("the answer to GetBlocks");
    };
    assert!(ack.tip >= tip);
    let mut previous: Option<Hash> = None;
    for height in 1..=tip {
        let ledger::Frame::Block(block) = node.frame().await else {
            panic!("a block");
        };
        let header = &block.header.body;
        assert_eq!(header.height, height);
        assert!(previous.is_none_or(|hash| hash == header.previous));
        previous = Some(header.hash());
    }
    assert_eq!(previous, newest);
}

#[tokio::test]
async fn nonsense_is_refused_and_changes_nothing() {
    let site = Site::new();
    let running = site.start();
    let token = site.token("FLEET");
    let (node, _, _) = RawNode::joined(&running, 1, Some(&token)).await;
    node.send(b"garbage".to_vec()).await;
    node.send(Vec::new()).await;
    let calls = [
        ("Pay", "{}", CallErrorCode::NotImplemented),
        (
            "Register",
            r#"{"idTag":"SECRET-TAG"}"#,
            CallErrorCode::FormationViolation,
        ),
        (
            "CheckAuth",
            r#"{"idTag":"A","groupId":"B"}"#,
            CallErrorCode::NotSupported,
        ),
    ];
    for (action, payload, code) in calls {
        assert_eq!(node.call_raw(action, payload).await, Err(code), "{action}");
    }
    let Response::Register(ack) = node.call(register("CAR-1", "FLEET")).await else {
        panic!("the answer to Register");
    };
    assert_eq!(ack.id_tag_info.status, Status::Accepted);
    let said = running.stop();
    assert_eq!(
        said.matches("binary frame is no billing frame").count(),
        2,
        "{said}"
    );
    for secret in ["CAR-1", "SECRET-TAG", token.as_str(), "FLEET"] {
        assert!(!said.contains(secret), "{secret} is logged: {said}");
    }
}

#[tokio::test]
async fn a_node_that_comes_back_replaces_its_older_link() {
    let site = Site::new();
    let running = site.start();
    let token = site.token("FLEET");
    let (mut older, _, _) = RawNode::joined(&running, 1, Some(&token)).await;
    let (newer, _, _) = RawNode::joined(&running, 1, None).await;
    older.closed().await;
    newer.call(register("CAR-1", "FLEET")).await;
}
