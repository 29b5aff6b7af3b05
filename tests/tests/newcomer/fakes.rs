//! A provider whose clock is wrong, and a meter that is another model.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::link::{self, BinaryFrames, Connection, Decision, Event, LinkOptions, Responder};
use protocol::message::{Hello, HelloAck, JoinAck, SUBPROTOCOL, from_json};
use protocol::rpc::to_json;
use protocol::{Challenge, Domain, Genesis, Hash, KeyPair, NodeId, UnixMillis, UnixSeconds};
use tests::Place;

/// Serves gateways as a provider that signs everything rightly and whose clock is an hour ahead.
/// Gives its address.
pub(crate) fn provider_an_hour_ahead(place: &Place) -> String {
    let bound = place
        .runtime()
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = bound.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    place.runtime().spawn(async move {
        let options = LinkOptions {
            binary: BinaryFrames::Deliver,
            ..LinkOptions::default()
        };
        while let Ok((stream, _)) = listener.accept().await {
            let decide = |offer: &link::Offer<'_>| Decision::negotiate(offer, &[SUBPROTOCOL]);
            if let Ok(connection) = link::accept(stream, &options, decide).await {
                tokio::spawn(welcome(connection));
            }
        }
    });
    address
}

async fn welcome(mut connection: Connection) -> Option<()> {
    let key = KeyPair::from_seed(&[7; 32]);
    let genesis = Genesis {
        provider_key: key.public(),
        time: UnixSeconds(1_800_000_000),
        interval_s: 1,
        witnesses: 8,
        dormancy_s: Genesis::DORMANCY_S,
        dispute_period_s: Genesis::DISPUTE_PERIOD_S,
        currency: "EUR".to_owned(),
        test: true,
    };
    let (payload, responder) = next_call(&mut connection).await?;
    let hello: Hello = from_json("Hello", &payload).ok()?;
    let challenge = Challenge {
        node_nonce: hello.nonce,
        provider_nonce: Hash([3; 32]),
    };
    let chain_id = genesis.chain_id();
    let signature = challenge.sign(Domain::ProviderHello, &key, &chain_id, &hello.node_key);
    responder.answer(Ok(to_json(&HelloAck {
        genesis,
        nonce: challenge.provider_nonce,
        signature,
    })));
    let (_, responder) = next_call(&mut connection).await?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let now_ms = u64::try_from(since.as_millis()).ok()?;
    responder.answer(Ok(to_json(&JoinAck {
        node: NodeId(1),
        current_time: UnixMillis(now_ms).plus_ms(3_600_000),
        last_seq: 0,
        last_profile: protocol::Hash::ZERO,
        tip: 0,
        wants_report: false,
    })));
    // Open until the gateway closes it.
    next_call(&mut connection).await.map(|_| ())
}

async fn next_call(connection: &mut Connection) -> Option<(String, Responder)> {
    match connection.events.recv().await? {
        Event::Call(call) => Some((call.payload.get().to_owned(), call.responder)),
        Event::Binary(_) | Event::Closed { .. } => None,
    }
}

/// Serves a Modbus TCP meter of another model: it has registers, and none of those asked for.
/// Gives its address.
pub(crate) fn meter_of_another_model() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || refuse_registers(stream));
        }
    });
    address
}

/// # Source
/// Modbus Application Protocol V1.1b3, section 7: exception 2 is an illegal data address.
fn refuse_registers(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut request = [0; 12];
        stream.read_exact(&mut request)?;
        let [high, low, .., unit, function, _, _, _, _] = request;
        stream.write_all(&[high, low, 0, 0, 0, 3, unit, function | 0x80, 2])?;
    }
}
