//! What is signed, field by field, and the names that follow from it.

use ledger::block::{Ballot, GroupBlock, Header};
use ledger::resume::Resume;
use protocol::{
    ChargeProfile, ChargerId, Deputy, Domain, Grant, Hash, IdTag, KeyPair, MeterExchange, NodeId,
    ProfileAck, Receipt, Signable, Signed, UnixSeconds,
};

use super::chain::{self, BEGIN, Chain, HOME};
use super::json::{Json, bytes, list, object, raw};

pub(super) fn genesis() -> Json {
    let genesis = chain::genesis();
    object([
        (
            "what",
            "The genesis of every other vector, and the chain id that follows from it: SHA-256 of \
             the 23 bytes of `charge-billing.v1 chain` and the genesis's canonical bytes."
                .into(),
        ),
        ("provider_seed", raw(&[1; 32])),
        ("provider_key", raw(&genesis.provider_key.0)),
        ("time", genesis.time.0.into()),
        ("interval_s", genesis.interval_s.into()),
        ("witnesses", u32::from(genesis.witnesses).into()),
        ("dormancy_s", genesis.dormancy_s.into()),
        ("dispute_period_s", genesis.dispute_period_s.into()),
        ("currency", genesis.currency.as_str().into()),
        ("test", genesis.test.into()),
        ("bytes", bytes(&genesis)),
        ("chain_id", raw(&genesis.chain_id().0)),
        (
            "json",
            protocol::message::to_value(&genesis).to_string().into(),
        ),
    ])
}

pub(super) fn charger_ids() -> Json {
    let chain_id = chain::genesis().chain_id();
    object([
        (
            "what",
            "Pseudonyms: the first 16 bytes of SHA-256 of chain id, salt and the idTag in upper \
             case."
                .into(),
        ),
        ("chain_id", raw(&chain_id.0)),
        ("salt", raw(&chain::salt().0)),
        (
            "chargers",
            list(["HOME-1", "home-1", "HOME-2", "FLEET-VAN-1"].map(|text| {
                let id_tag = IdTag::parse(text).expect("printable ASCII");
                let charger = ChargerId::of(&chain_id, &chain::salt(), &id_tag);
                object([("id_tag", text.into()), ("charger", raw(&charger.0))])
            })),
        ),
    ])
}

pub(super) fn signed(chain: &Chain) -> Json {
    let profile = chain.profiles().remove(0);
    let receipt = Receipt {
        profile: profile.hash(),
        node: profile.body.node,
        seq: profile.body.seq,
        round: 2,
    };
    let ack = ProfileAck {
        group: HOME.group,
        round: 2,
        profile: profile.hash(),
    };
    let group_block = chain.block(2).body.group_blocks[0].body.clone();
    let ballot = chain.ballot(1, 2).body;
    let header = chain.header(2).body.clone();
    let items = vec![
        of_profile(&profile.body),
        of_grant(&HOME.grant().body),
        of_deputy(&chain::deputy(1, Some(3), 1).body),
        of_exchange(&chain::exchange(2, 1, 8_000_000_000, 1).body),
        of_receipt(&receipt),
        of_ack(&ack),
        of_group_block(&group_block),
        of_ballot(&ballot),
        of_header(&header),
        of_resume(&chain.word(1, 13, 11).body),
    ];
    object([
        (
            "what",
            "Each structure that is signed: its fields in the order of its canonical bytes, those \
             bytes, their hash, and the bytes with the signature behind them. Keys are of the \
             seeds given, thirty-two times one byte."
                .into(),
        ),
        ("chain_id", raw(&chain.genesis.chain_id().0)),
        ("structures", Json::List(items)),
    ])
}

fn described<T: Signable + Clone>(
    what: &str,
    seed: u8,
    key: &KeyPair,
    body: &T,
    fields: Vec<(&str, Json)>,
) -> Json {
    let chain_id = chain::genesis().chain_id();
    let signed = Signed::new(body.clone(), key, &chain_id);
    let digest: Hash = T::DOMAIN.digest(&chain_id, &protocol::canonical(body));
    let fields = fields.into_iter();
    object([
        ("what", what.into()),
        (
            "fields",
            Json::Object(
                fields
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            ),
        ),
        ("bytes", bytes(body)),
        ("hash", raw(&signed.hash().0)),
        ("digest", raw(&digest.0)),
        ("seed_byte", u32::from(seed).into()),
        ("key", raw(&key.public().0)),
        ("signed", bytes(&signed)),
    ])
}

fn of_profile(body: &ChargeProfile) -> Json {
    let fields = vec![
        ("charger", raw(&body.charger.0)),
        ("payer", body.payer.0.into()),
        ("node", body.node.0.into()),
        ("seq", body.seq.into()),
        ("previous", raw(&body.previous.0)),
        ("supply_point", body.supply_point.0.into()),
        ("start", body.start.0.into()),
        ("duration_s", body.duration_s.into()),
        ("register_start", body.register_start.0.into()),
        ("energy_wh", body.energy_wh.into()),
        ("max_power", body.max_power.0.into()),
        ("grant", raw(&body.grant.0)),
        ("detail", raw(&body.detail.0)),
    ];
    described(
        "A charge profile, signed by node 1",
        11,
        &chain::node(1),
        body,
        fields,
    )
}

fn of_grant(body: &Grant) -> Json {
    let fields = vec![
        ("charger", raw(&body.charger.0)),
        ("group", body.group.0.into()),
        ("not_before", body.not_before.0.into()),
        ("expiry", body.expiry.0.into()),
        ("energy_limit_wh", body.energy_limit_wh.into()),
    ];
    let name = ("grant_id", raw(&body.id().0));
    described(
        "A grant, signed by node 1 as the parent of group 1; its id is cut from its hash",
        11,
        &chain::node(1),
        body,
        fields,
    )
    .with([name])
}

fn of_deputy(body: &Deputy) -> Json {
    let node = body.node.expect("somebody");
    let fields = vec![
        ("group", body.group.0.into()),
        ("number", body.number.into()),
        ("node", node.0.into()),
    ];
    described(
        "A deputy, signed by node 1 as the parent of group 1",
        11,
        &chain::node(1),
        body,
        fields,
    )
}

fn of_exchange(body: &MeterExchange) -> Json {
    let fields = vec![
        ("supply_point", body.supply_point.0.into()),
        ("number", body.number.into()),
        ("last_register", body.last_register.0.into()),
        ("meter", raw(&body.meter.0)),
        ("first_register", body.first_register.0.into()),
    ];
    described(
        "A meter exchange, signed by node 1",
        11,
        &chain::node(1),
        body,
        fields,
    )
}

fn of_receipt(body: &Receipt) -> Json {
    let fields = vec![
        ("profile", raw(&body.profile.0)),
        ("node", body.node.0.into()),
        ("seq", body.seq.into()),
        ("round", body.round.into()),
    ];
    described(
        "A receipt, signed by the provider",
        1,
        &chain::provider(),
        body,
        fields,
    )
}

fn of_ack(body: &ProfileAck) -> Json {
    let fields = vec![
        ("group", body.group.0.into()),
        ("round", body.round.into()),
        ("profile", raw(&body.profile.0)),
    ];
    described(
        "An acknowledgement of a profile, signed by node 1 as the parent of group 1",
        11,
        &chain::node(1),
        body,
        fields,
    )
}

fn of_group_block(body: &GroupBlock) -> Json {
    let fields = vec![
        ("group", body.group.0.into()),
        ("round", body.round.into()),
        ("previous", raw(&body.previous.0)),
        ("root", raw(&body.root.0)),
        ("count", body.count.into()),
        ("energy", body.energy.0.into()),
    ];
    described(
        "A group block over three profiles, signed by node 1 as the parent of group 1",
        11,
        &chain::node(1),
        body,
        fields,
    )
}

fn of_ballot(body: &Ballot) -> Json {
    let fields = vec![
        ("voter", body.voter.0.into()),
        ("height", body.height.into()),
        ("header", raw(&body.header.0)),
    ];
    described(
        "A ballot, signed by node 1 as the parent of group 1, which votes",
        11,
        &chain::node(1),
        body,
        fields,
    )
}

fn of_header(body: &Header) -> Json {
    let fields = vec![
        ("version", u32::from(body.version).into()),
        ("height", body.height.into()),
        ("previous", raw(&body.previous.0)),
        ("round", body.round.into()),
        ("time", body.time.0.into()),
        ("body_root", raw(&body.body_root.0)),
        ("state_root", raw(&body.state_root.0)),
        ("log_root", raw(&body.log_root.0)),
        ("charges", body.charges.into()),
        ("group_blocks", body.group_blocks.into()),
        ("records", body.records.into()),
        ("ballots", body.ballots.into()),
    ];
    described(
        "A header, signed by the provider",
        1,
        &chain::provider(),
        body,
        fields,
    )
}

fn of_resume(body: &Resume) -> Json {
    let fields = vec![
        ("voter", body.voter.0.into()),
        ("height", body.height.into()),
        ("header", raw(&body.header.0)),
        ("followed_height", body.followed_height.into()),
    ];
    described(
        "A word on which of two stories to go on with, signed by node 1 as the parent of group 1, \
         which votes",
        11,
        &chain::node(1),
        body,
        fields,
    )
}

/// The rounds of a clock.
pub(super) fn rounds() -> Json {
    let genesis = chain::genesis();
    let moments = [
        BEGIN * 1_000 - 1,
        BEGIN * 1_000,
        BEGIN * 1_000 + 59_999,
        BEGIN * 1_000 + 60_000,
        BEGIN * 1_000 + 600_000,
    ];
    let cases = moments.map(|ms| {
        let round = genesis.round_at(protocol::UnixMillis(ms));
        object([("ms", ms.into()), ("round", round.into())])
    });
    let ends = [1_u64, 10].map(|round| {
        let begin = genesis.round_start(round);
        let end = genesis.round_start(round + 1);
        object([
            ("round", round.into()),
            ("begins_ms", begin.0.into()),
            (
                "parents_seal_ms",
                end.plus_ms(genesis.group_block_delay_ms()).0.into(),
            ),
            (
                "provider_waits_until_ms",
                end.plus_ms(genesis.group_block_grace_ms()).0.into(),
            ),
        ])
    });
    object([
        (
            "what",
            "Which round a moment lies in, and when group blocks are due, on the chain of these \
             vectors (rounds of 60 s)."
                .into(),
        ),
        ("moments", list(cases)),
        ("rounds", list(ends)),
    ])
}

/// Who proves what to whom when a link opens.
pub(super) fn handshake() -> Json {
    let genesis = chain::genesis();
    let (chain_id, provider, node) = (genesis.chain_id(), chain::provider(), chain::node(1));
    let challenge = protocol::Challenge {
        node_nonce: Hash([0xa1; 32]),
        provider_nonce: Hash([0xb2; 32]),
    };
    let hello = protocol::message::Hello {
        node_key: node.public(),
        nonce: challenge.node_nonce,
    };
    let by_provider = challenge.sign(Domain::ProviderHello, &provider, &chain_id, &node.public());
    let ack = protocol::message::HelloAck {
        genesis,
        nonce: challenge.provider_nonce,
        signature: by_provider,
    };
    let by_node = challenge.sign(Domain::NodeHello, &node, &chain_id, &provider.public());
    let join = protocol::message::Join {
        signature: by_node,
        token: Some("one-time-token".to_owned()),
        report: protocol::message::Report::default(),
    };
    let joined = protocol::message::JoinAck {
        node: NodeId(1),
        current_time: UnixSeconds(BEGIN + 1).millis(),
        last_seq: 0,
        last_profile: Hash::ZERO,
        tip: 0,
        wants_report: false,
    };
    let call = |id: &str, action: &str, payload: serde_json::Value| {
        format!("[2,\"{id}\",\"{action}\",{payload}]")
    };
    let answer = |id: &str, payload: serde_json::Value| format!("[3,\"{id}\",{payload}]");
    object([
        (
            "what",
            "The text frames with which a link opens. Each signature is over both nonces, the \
             node's first, and the key of whoever it is made for."
                .into(),
        ),
        ("chain_id", raw(&chain_id.0)),
        (
            "provider_signs",
            raw(&[
                challenge.node_nonce.0,
                challenge.provider_nonce.0,
                node.public().0,
            ]
            .concat()),
        ),
        ("provider_signature", raw(&by_provider.0)),
        (
            "node_signs",
            raw(&[
                challenge.node_nonce.0,
                challenge.provider_nonce.0,
                provider.public().0,
            ]
            .concat()),
        ),
        ("node_signature", raw(&by_node.0)),
        (
            "frames",
            list([
                call("1", "Hello", protocol::message::to_value(&hello)),
                answer("1", protocol::message::to_value(&ack)),
                call("2", "Join", protocol::message::to_value(&join)),
                answer("2", protocol::message::to_value(&joined)),
            ]),
        ),
    ])
}
