//! Real sockets on loopback: who is let in, who is not, and what flows.

use ledger::node::{Effect, NodeConfig};
use ledger::store::{EngineThread, NoWatch, Surroundings};
use ledger::{Header, Node};
use protocol::link::CallFailure;
use protocol::message::{
    GetHeaders, GetNeighbours, GetNeighboursAck, Hello, HelloAck, JoinAck, from_json,
};
use protocol::neighbour::{Meet, SignedEnrolment};
use protocol::{
    Challenge, Domain, Enrolment, Genesis, Hash, Neighbour, NodeId, Signed, UnixMillis, UnixSeconds,
};
use tokio::net::TcpListener;

use super::*;

fn provider() -> KeyPair {
    KeyPair::from_seed(&[1; 32])
}

fn genesis(interval_s: u32) -> Genesis {
    Genesis {
        provider_key: provider().public(),
        time: UnixSeconds(1_800_000_000),
        interval_s,
        witnesses: 8,
        dormancy_s: Genesis::DORMANCY_S,
        dispute_period_s: Genesis::DISPUTE_PERIOD_S,
        currency: "EUR".to_owned(),
        test: true,
    }
}

fn enrolment(key: &KeyPair, chain_id: &Hash, provider: &KeyPair) -> SignedEnrolment {
    let enrolment = Enrolment {
        node: NodeId(1),
        key: key.public(),
        until: UnixSeconds(u64::MAX),
    };
    Signed::new(enrolment, provider, chain_id)
}

/// A gateway with nothing but its node and its neighbours.
struct Site {
    key: KeyPair,
    address: NodeAddress,
    engine: Engine<Node>,
    _thread: EngineThread,
}

#[derive(Debug)]
struct World {
    wanted: mpsc::Sender<ToNeighbour>,
}

impl Surroundings<Node> for World {
    fn now(&self) -> UnixMillis {
        Clock::default().now()
    }

    fn tick(&self) -> Input {
        Input::Tick
    }

    fn wake_at(&self, effect: &Effect) -> Option<UnixMillis> {
        match effect {
            Effect::WakeAt(at) => Some(*at),
            _ => None,
        }
    }

    fn carry_out(&mut self, _: &Store, effect: Effect) {
        if let Effect::Neighbour(wanted) = effect {
            self.wanted.try_send(wanted).expect("there is room");
        }
    }
}

impl Site {
    async fn new(seed: u8, genesis: Genesis) -> Self {
        let key = KeyPair::from_seed(&[seed; 32]);
        let store = Arc::new(Store::in_memory().expect("memory"));
        let node = Node::load(key.clone(), NodeConfig::default(), &store).expect("empty");
        let (wanted, queue) = queue();
        let world = World { wanted };
        let started = Engine::start(node, Arc::clone(&store), world, Arc::new(NoWatch));
        let (engine, thread) = started.expect("a thread");
        let neighbours = Neighbours::new(engine.clone(), store, key.clone(), Clock::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(serve(listener, neighbours.clone()));
        tokio::spawn(neighbours.run(queue));
        let ack = JoinAck {
            node: NodeId(1),
            current_time: UnixMillis(0),
            last_seq: 0,
            last_profile: Hash::ZERO,
            tip: 0,
            wants_report: false,
        };
        let up = Input::LinkUp { genesis, ack };
        engine.input(up).expect("it runs");
        let site = Self {
            key,
            address: NodeAddress::parse(&format!("ws://{address}")).expect("an address"),
            engine,
            _thread: thread,
        };
        // It knows its chain before anybody calls it.
        site.counts().await;
        site
    }

    /// The provider names `neighbours` to it; done when it has taken that in.
    async fn is_told(&self, enrolment: SignedEnrolment, neighbours: Vec<Neighbour>) {
        let ack = GetNeighboursAck {
            neighbours,
            enrolment,
        };
        let asked = Request::GetNeighbours(GetNeighbours::default());
        let answer = Input::Answer(asked, Some(Response::GetNeighbours(ack)));
        self.engine.input(answer).expect("it runs");
        self.counts().await;
    }

    fn as_neighbour(&self) -> Neighbour {
        Neighbour {
            node: NodeId(2),
            key: self.key.public(),
            address: self.address.clone(),
        }
    }

    async fn counts(&self) -> ledger::node::NeighbourCounts {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let looked = self.engine.look(move |node, _| {
            let _ = reply.send(node.neighbour_counts());
        });
        looked.expect("it runs");
        answer.await.expect("it runs")
    }

    /// Waits a while until that is so.
    async fn until(&self, is_so: impl Fn(&ledger::node::NeighbourCounts) -> bool) -> bool {
        for _ in 0..200 {
            if is_so(&self.counts().await) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }
}

fn named(key: &KeyPair) -> SignedEnrolment {
    enrolment(key, &genesis(900).chain_id(), &provider())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_link_once_and_ask_each_other_over_it() {
    let (a, b) = (
        Site::new(2, genesis(900)).await,
        Site::new(3, genesis(900)).await,
    );
    b.is_told(named(&b.key), Vec::new()).await;
    a.is_told(named(&a.key), vec![b.as_neighbour()]).await;
    assert!(
        a.until(|counts| counts.up == 1 && counts.heads_compared > 0)
            .await
    );
    // It was named nobody, and asks over the link that came.
    assert!(
        b.until(|counts| counts.up == 1 && counts.heads_compared > 0)
            .await
    );
    assert_eq!(b.counts().await.known, 0);
}

/// A gateway that calls another one, and what came of it.
async fn refused(caller: &Site, shown: SignedEnrolment, called: Neighbour, other: &Site) {
    caller.is_told(shown, vec![called]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (counts, others) = (caller.counts().await, other.counts().await);
    assert_eq!((counts.known, counts.up, counts.heads_compared), (1, 0, 0));
    assert_eq!((others.up, others.heads_compared), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_key_than_the_one_named_is_refused() {
    let (a, b) = (
        Site::new(2, genesis(900)).await,
        Site::new(3, genesis(900)).await,
    );
    let mut wrong = b.as_neighbour();
    wrong.key = KeyPair::from_seed(&[4; 32]).public();
    refused(&a, named(&a.key), wrong, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_chain_is_refused() {
    let (a, b) = (
        Site::new(2, genesis(900)).await,
        Site::new(3, genesis(60)).await,
    );
    refused(&a, named(&a.key), b.as_neighbour(), &b).await;
}

/// Somebody who lets everyone in, and proves `key` on the chain of `genesis`, and how many met it.
async fn impostor(key: KeyPair, genesis: Genesis) -> (NodeAddress, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("ws://{}", listener.local_addr().expect("bound"));
    let met = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&met);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let decide = |offer: &link::Offer<'_>| link::Decision::negotiate(offer, &[SUBPROTOCOL]);
            let accepted = link::accept(stream, &options(), decide).await;
            let mut connection = accepted.expect("a gateway calls");
            while let Some(event) = connection.events.recv().await {
                let Event::Call(call) = event else { break };
                let answer = match call.action.as_str() {
                    "Hello" => {
                        let hello: Hello = from_json("Hello", call.payload.get()).expect("a Hello");
                        let challenge = Challenge {
                            node_nonce: hello.nonce,
                            provider_nonce: Hash([5; 32]),
                        };
                        let (chain_id, peer) = (genesis.chain_id(), hello.node_key);
                        to_json(&HelloAck {
                            genesis: genesis.clone(),
                            nonce: challenge.provider_nonce,
                            signature: challenge.sign(Domain::CalledNode, &key, &chain_id, &peer),
                        })
                    }
                    "Meet" => {
                        count.fetch_add(1, Ordering::Relaxed);
                        to_json(&protocol::neighbour::MeetAck {})
                    }
                    _ => to_json(&GetHeadersAck { tip: 0 }),
                };
                call.responder.answer(Ok(answer));
            }
        }
    });
    (NodeAddress::parse(&address).expect("an address"), met)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_shown_to_or_asked_of_an_impostor() {
    let (named_key, other) = (KeyPair::from_seed(&[5; 32]), KeyPair::from_seed(&[6; 32]));
    for (key, chain, expected) in [
        (&named_key, genesis(900), 1),
        (&other, genesis(900), 0),
        (&named_key, genesis(60), 0),
    ] {
        let site = Site::new(2, genesis(900)).await;
        let (address, met) = impostor(key.clone(), chain).await;
        let neighbour = Neighbour {
            node: NodeId(2),
            key: named_key.public(),
            address,
        };
        site.is_told(named(&site.key), vec![neighbour]).await;
        match expected {
            0 => tokio::time::sleep(Duration::from_millis(500)).await,
            _ => assert!(site.until(|counts| counts.heads_compared > 0).await),
        }
        assert_eq!(met.load(Ordering::Relaxed), expected);
        assert_eq!(site.counts().await.heads_compared, expected);
    }
}

async fn raw(to: &Site) -> Connection {
    let connection = link::connect(&to.address.url(), &[SUBPROTOCOL], &options()).await;
    connection.expect("it listens")
}

async fn hello(connection: &Connection, key: &KeyPair) -> Challenge {
    let nonce = Hash([9; 32]);
    let hello = Hello {
        node_key: key.public(),
        nonce,
    };
    let answer = connection.link.call("Hello", to_json(&hello)).await;
    let ack: HelloAck = from_json("Hello", answer.expect("answered").get()).expect("an ack");
    Challenge {
        node_nonce: nonce,
        provider_nonce: ack.nonce,
    }
}

/// What comes of a Meet that is signed for `domain` and shows `enrolment`.
async fn meet(
    connection: &Connection,
    to: &Site,
    key: &KeyPair,
    domain: Domain,
    enrolment: SignedEnrolment,
) -> Result<(), CallErrorCode> {
    let challenge = hello(connection, key).await;
    let chain_id = genesis(900).chain_id();
    let meet = Meet {
        signature: challenge.sign(domain, key, &chain_id, &to.key.public()),
        enrolment,
    };
    match connection.link.call("Meet", to_json(&meet)).await {
        Ok(_) => Ok(()),
        Err(CallFailure::Refused(error)) => Err(error.code),
        Err(failure) => panic!("no answer: {failure}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_proves_its_key_for_this_link_and_that_it_is_enrolled() {
    let site = Site::new(2, genesis(900)).await;
    let (key, other) = (KeyPair::from_seed(&[7; 32]), KeyPair::from_seed(&[8; 32]));
    let chain_id = genesis(900).chain_id();
    let refused = Err(CallErrorCode::SecurityError);
    for (domain, shown, expected) in [
        (Domain::CallingNode, named(&key), Ok(())),
        // A proof for a provider, and one of a node that was called.
        (Domain::NodeHello, named(&key), refused.clone()),
        (Domain::CalledNode, named(&key), refused.clone()),
        (Domain::CallingNode, named(&other), refused.clone()),
        (
            Domain::CallingNode,
            enrolment(&key, &chain_id, &other),
            refused.clone(),
        ),
        (
            Domain::CallingNode,
            enrolment(&key, &genesis(60).chain_id(), &provider()),
            refused.clone(),
        ),
    ] {
        let connection = raw(&site).await;
        let met = meet(&connection, &site, &key, domain, shown).await;
        assert_eq!(met, expected, "{domain:?}");
        connection.link.close().await;
    }
    // Nothing is answered to whoever has not met.
    let connection = raw(&site).await;
    let request = Request::GetHeaders(GetHeaders { from: 1 });
    let answer = connection
        .link
        .call("GetHeaders", to_json(&request.payload()));
    assert!(answer.await.is_err());
}

fn header() -> Vec<u8> {
    let genesis = genesis(900);
    let header = Header {
        version: 1,
        height: 1,
        previous: genesis.chain_id(),
        round: 1,
        time: UnixSeconds(1_800_000_900),
        body_root: Hash::ZERO,
        state_root: Hash::ZERO,
        log_root: Hash::ZERO,
        records: 0,
        group_blocks: 0,
        charges: 0,
        ballots: 0,
    };
    let stranger = KeyPair::from_seed(&[42; 32]);
    let header = Signed::new(header, &stranger, &genesis.chain_id());
    canonical(&Frame::Header(Box::new(header)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_nobody_asked_for_reach_no_rule_and_end_the_link() {
    let site = Site::new(2, genesis(900)).await;
    let key = KeyPair::from_seed(&[7; 32]);
    let mut connection = raw(&site).await;
    let met = meet(&connection, &site, &key, Domain::CallingNode, named(&key)).await;
    assert_eq!(met, Ok(()));
    // It asks for our newest headers as soon as we are there; more than it takes are sent.
    let Some(Event::Call(call)) = connection.events.recv().await else {
        panic!("it asks for headers");
    };
    assert_eq!(call.action, "GetHeaders");
    for _ in 0..MAX_HEADERS + MAX_STRAY + 1 {
        let sent = connection.link.send_binary(header()).await;
        sent.expect("the link is up");
    }
    loop {
        let event = tokio::time::timeout(Duration::from_secs(10), connection.events.recv());
        if let Some(Event::Closed { .. }) = event.await.expect("in time") {
            break;
        }
    }
    assert_eq!(site.counts().await.foreign_headers, MAX_HEADERS);
    assert!(site.until(|counts| counts.up == 0).await);
}
