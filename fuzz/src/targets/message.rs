//! Payloads of the billing protocol: handshake, calls and answers.
//!
//! An input is the message's name, a line feed and the payload; an answer is named as its message
//! is in `protocol::message` (`RegisterAck`).

use std::sync::OnceLock;

use protocol::message::{
    self, Authorize, AuthorizeAck, ChargeInfo, ChargeInfoAck, ChargeInfoLine, CheckAuth,
    CheckAuthAck, CreditLine, ExchangeMeter, ExchangeMeterAck, Finality, GetBlocks, GetBlocksAck,
    GetHeaders, GetHeadersAck, GetNeighbours, GetNeighboursAck, GetProof, GetProofAck, Hello,
    HelloAck, Join, JoinAck, NameDeputy, NameDeputyAck, OfferEvidence, OfferEvidenceAck, Register,
    RegisterAck, RegisterInfo, RegisterSupplyPoint, RegisterSupplyPointAck, Registration, Report,
    Request, Response, Status,
};
use protocol::{
    ChargerId, EnergyWh, Enrolment, GroupId, Hash, HexBytes, IdTag, MinorUnits, Neighbour,
    NodeAddress, NodeId, Salt, Signature, Signed, SupplyPointId, UnixMillis, UnixSeconds,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Corpus;
use crate::chain::{chain, key};

pub(super) fn check(bytes: &[u8]) {
    let Some((name, payload)) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.split_once('\n'))
    else {
        return;
    };
    let Some(written) = read(name, payload) else {
        return;
    };
    let again = read(name, &written.to_string());
    assert_eq!(again.as_ref(), Some(&written), "another value comes back");
    let mut surplus = written;
    surplus["surplus"] = json!(0);
    assert_eq!(read(name, &surplus.to_string()), None, "a surplus field");
    assert_eq!(read(name, &format!("{payload}0")), None, "surplus text");
}

/// Reads the message `name` and tells how it is written.
fn read(name: &str, payload: &str) -> Option<Value> {
    if let Ok(request) = Request::decode(name, payload) {
        return Some(request.payload());
    }
    if let Some((request, _)) = calls().iter().find(|(r, _)| ack_name(r) == name) {
        return request.decode_response(payload).ok().map(|r| r.payload());
    }
    match name {
        "Hello" => handshake::<Hello>(name, payload),
        "HelloAck" => handshake::<HelloAck>(name, payload),
        "Join" => handshake::<Join>(name, payload),
        "JoinAck" => handshake::<JoinAck>(name, payload),
        _ => None,
    }
}

fn handshake<T>(name: &str, payload: &str) -> Option<Value>
where
    T: DeserializeOwned + Serialize,
{
    let message = message::from_json::<T>(name, payload).ok()?;
    Some(message::to_value(&message))
}

pub(super) fn ack_name(request: &Request) -> String {
    format!("{}Ack", request.action())
}

pub(super) fn corpus() -> Corpus {
    let mut inputs = Corpus::new();
    let mut add = |name: &str, payload: &Value| {
        inputs.insert(name.to_owned(), format!("{name}\n{payload}").into_bytes());
    };
    for (request, response) in calls() {
        add(request.action(), &request.payload());
        add(&ack_name(request), &response.payload());
    }
    let (hello, hello_ack, join, join_ack) = handshakes();
    add("Hello", &message::to_value(&hello));
    add("HelloAck", &message::to_value(&hello_ack));
    add("Join", &message::to_value(&join));
    add("JoinAck", &message::to_value(&join_ack));
    inputs
}

fn tag(text: &str) -> IdTag {
    IdTag::parse(text).expect("an idTag")
}

const CHARGER: ChargerId = ChargerId([1; 16]);
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// Each call with an answer in which nothing is left out.
pub(super) fn calls() -> &'static [(Request, Response)] {
    static CALLS: OnceLock<Vec<(Request, Response)>> = OnceLock::new();
    CALLS.get_or_init(|| {
        vec![
            register(),
            check_auth(),
            authorize(),
            register_supply_point(),
            (
                Request::GetBlocks(GetBlocks { from: 1 }),
                Response::GetBlocks(GetBlocksAck { tip: 4 }),
            ),
            (
                Request::GetHeaders(GetHeaders { from: u64::MAX }),
                Response::GetHeaders(GetHeadersAck { tip: 0 }),
            ),
            (
                Request::GetProof(GetProof { after: 0 }),
                Response::GetProof(GetProofAck {}),
            ),
            charge_info(),
            get_neighbours(),
            (
                Request::OfferEvidence(OfferEvidence {
                    file: HexBytes(b"CHARGEE".to_vec()),
                }),
                Response::OfferEvidence(OfferEvidenceAck { is_proven: true }),
            ),
            name_deputy(),
            exchange_meter(),
        ]
    })
}

fn address() -> NodeAddress {
    NodeAddress::parse("ws://depot.example:9652").expect("an address")
}

fn get_neighbours() -> (Request, Response) {
    let enrolment = Enrolment {
        node: NodeId(2),
        key: key(2).public(),
        until: NOW.seconds(),
    };
    let neighbour = Neighbour {
        node: NodeId(1),
        key: key(1).public(),
        address: address(),
    };
    (
        Request::GetNeighbours(GetNeighbours {
            address: Some(address()),
            parents: vec![NodeId(1)],
        }),
        Response::GetNeighbours(GetNeighboursAck {
            neighbours: vec![neighbour],
            enrolment: Signed::new(enrolment, &key(9), &Hash::ZERO),
        }),
    )
}

fn register() -> (Request, Response) {
    let registration = Registration {
        charger: CHARGER,
        group: GroupId(1),
        group_id: tag("FLEET"),
        parent: NodeId(1),
        parent_key: key(1).public(),
        deputy_key: Some(key(2).public()),
        parent_address: Some(address()),
        salt: Some(Salt([7; 16])),
    };
    (
        Request::Register(Register {
            id_tag: tag("FLEET-1"),
            group_id: Some(tag("FLEET")),
            is_home: true,
            group: Some(GroupId(1)),
        }),
        Response::Register(RegisterAck {
            id_tag_info: RegisterInfo {
                interval_s: 60,
                current_time: NOW,
                status: Status::Accepted,
            },
            registration: Some(registration),
        }),
    )
}

fn check_auth() -> (Request, Response) {
    (
        Request::CheckAuth(CheckAuth {
            id_tag: tag("FLEET-1"),
            group_id: tag("FLEET"),
        }),
        Response::CheckAuth(CheckAuthAck {
            status: Status::Pending,
        }),
    )
}

fn authorize() -> (Request, Response) {
    (
        Request::Authorize(Authorize {
            id_tag: tag("FLEET-1"),
            group_id: tag("FLEET"),
            charger: CHARGER,
        }),
        Response::Authorize(AuthorizeAck {
            status: Status::Accepted,
            grant: Some(chain().grant().clone()),
        }),
    )
}

fn register_supply_point() -> (Request, Response) {
    (
        Request::RegisterSupplyPoint(RegisterSupplyPoint {
            outlet: "garage".to_owned(),
            owner: tag("HOUSEHOLD"),
            meter: "SDM630 \"1\"".to_owned(),
            supply_point: Some(SupplyPointId(1)),
        }),
        Response::RegisterSupplyPoint(RegisterSupplyPointAck {
            supply_point: SupplyPointId(1),
        }),
    )
}

fn name_deputy() -> (Request, Response) {
    let (deputy, _) = chain().words();
    (
        Request::NameDeputy(NameDeputy { deputy }),
        Response::NameDeputy(NameDeputyAck { number: 1 }),
    )
}

fn exchange_meter() -> (Request, Response) {
    let (_, exchange) = chain().words();
    (
        Request::ExchangeMeter(ExchangeMeter {
            exchange,
            meter: "another meter".to_owned(),
        }),
        Response::ExchangeMeter(ExchangeMeterAck { number: 1 }),
    )
}

fn charge_info() -> (Request, Response) {
    let (start, end) = (UnixSeconds(1_800_000_000), UnixSeconds(1_800_000_900));
    let line = ChargeInfoLine {
        id_tag: tag("FLEET-1"),
        supply_point: SupplyPointId(1),
        start,
        end,
        energy_wh: EnergyWh(11_000),
        amount: MinorUnits(440),
        finality: Finality::Final,
        height: 2,
        header: Hash::of(b"header"),
    };
    let credit = CreditLine {
        supply_point: SupplyPointId(1),
        outlet: "garage".to_owned(),
        start,
        end,
        energy_wh: EnergyWh(11_000),
        credit: MinorUnits(335),
        finality: Finality::FinalAfterDormancy,
        height: 2,
        header: Hash::of(b"header"),
    };
    (
        Request::ChargeInfo(ChargeInfo {
            group_id: tag("FLEET"),
            currency: "EUR".to_owned(),
            lines: vec![line],
            credits: vec![credit],
        }),
        Response::ChargeInfo(ChargeInfoAck {}),
    )
}

fn handshakes() -> (Hello, HelloAck, Join, JoinAck) {
    let nonce = Hash::of(b"nonce");
    let signature = Signature([5; 64]);
    (
        Hello {
            node_key: key(1).public(),
            nonce,
        },
        HelloAck {
            genesis: chain().genesis.clone(),
            nonce,
            signature,
        },
        Join {
            signature,
            token: Some("token".to_owned()),
            report: Report {
                node: Some(NodeId(1)),
                keeps_blocks: true,
                newest: Some(HexBytes(b"header".to_vec())),
            },
        },
        JoinAck {
            node: NodeId(1),
            current_time: NOW,
            last_seq: 7,
            last_profile: Hash::ZERO,
            tip: 4,
            wants_report: true,
        },
    )
}
