//! What travels on the link: binary frames, and the payload of every call.

use ledger::frame::{Frame, SealedGroup, SealedProfile, Submission, Witnessed};
use protocol::message::{
    Authorize, AuthorizeAck, ChargeInfo, ChargeInfoAck, ChargeInfoLine, CheckAuth, CheckAuthAck,
    CreditLine, ExchangeMeter, ExchangeMeterAck, Finality, GetBlocks, GetBlocksAck, GetHeaders,
    GetHeadersAck, GetProof, GetProofAck, NameDeputy, NameDeputyAck, Register, RegisterAck,
    RegisterInfo, RegisterSupplyPoint, RegisterSupplyPointAck, Registration, Request, Response,
    Status,
};
use protocol::{
    EnergyWh, IdTag, MinorUnits, NodeId, ProfileAck, Receipt, Signed, SignedProfile, SignedReceipt,
    SupplyPointId, UnixSeconds,
};

use super::chain::{self, BEGIN, Chain, DETAIL, HOME};
use super::json::{Json, bytes, list, object};

fn id_tag(text: &str) -> IdTag {
    IdTag::parse(text).expect("printable ASCII")
}

pub(super) fn frames(chain: &Chain) -> Json {
    let cases = cases(chain).into_iter().map(|(what, frame)| {
        let read = protocol::decode(&protocol::canonical(&frame));
        assert_eq!(read.as_ref(), Ok(&frame), "{what}");
        object([("what", what.into()), ("frame", bytes(&frame))])
    });
    object([
        (
            "what",
            "A binary frame of each kind; its first byte is its number.".into(),
        ),
        ("frames", list(cases.collect::<Vec<_>>())),
    ])
}

fn receipt(profile: &SignedProfile) -> SignedReceipt {
    let receipt = Receipt {
        profile: profile.hash(),
        node: profile.body.node,
        seq: profile.body.seq,
        round: 2,
    };
    Signed::new(receipt, &chain::provider(), &chain::genesis().chain_id())
}

fn cases(chain: &Chain) -> Vec<(&'static str, Frame)> {
    let profiles = chain.profiles();
    let profile = profiles[0].clone();
    let ack = ProfileAck {
        group: HOME.group,
        round: 2,
        profile: profile.hash(),
    };
    let of_group = SealedGroup {
        block: chain.block(2).body.group_blocks[0].clone(),
        profiles: vec![
            SealedProfile::Known(profiles[0].hash()),
            SealedProfile::Known(profiles[1].hash()),
            SealedProfile::Full(Box::new(profiles[2].clone())),
        ],
    };
    vec![
        (
            "A charge with its grant and its detail, from node to provider",
            Frame::Profile(Submission {
                profile: profile.clone(),
                grant: HOME.grant(),
                detail: DETAIL.to_vec(),
            }),
        ),
        ("A receipt", Frame::Receipt(receipt(&profile))),
        (
            "A refusal",
            Frame::Refused {
                seq: 5,
                reason: "no grant covers it".to_owned(),
            },
        ),
        (
            "A charge with its receipt, for its payer's parent and witnesses",
            Frame::Witness(Witnessed {
                receipt: receipt(&profile),
                profile,
                grant: HOME.grant(),
            }),
        ),
        (
            "A parent's acknowledgement",
            Frame::ProfileAck(Signed::new(ack, &chain::node(1), &chain.genesis.chain_id())),
        ),
        (
            "A group block; two of its profiles are named, one is shown in full",
            Frame::GroupBlock(of_group),
        ),
        ("A block", Frame::Block(Box::new(chain.block(3).clone()))),
        ("A ballot", Frame::Ballot(chain.ballot(1, 2))),
        ("A header", Frame::Header(Box::new(chain.header(2).clone()))),
        (
            "A receipt file (here its first eight bytes only)",
            Frame::Proof(ledger::receipt_file::MAGIC.to_vec()),
        ),
        (
            "The words of three voters, with which a node goes on",
            Frame::Picked([1, 2, 3].map(|voter| chain.word(voter, 13, 11)).to_vec()),
        ),
    ]
}

pub(super) fn calls(chain: &Chain) -> Json {
    let calls = requests(chain).into_iter().zip(responses(chain));
    let calls = calls.map(|(request, response)| {
        let (asked, answered) = (
            request.payload().to_string(),
            response.payload().to_string(),
        );
        assert_eq!(
            Request::decode(request.action(), &asked).as_ref(),
            Ok(&request)
        );
        assert_eq!(request.decode_response(&answered).as_ref(), Ok(&response));
        object([
            ("action", request.action().into()),
            ("payload", asked.into()),
            ("answer", answered.into()),
        ])
    });
    object([
        (
            "what",
            "The payload of each call after the handshake, and of its answer, as JSON text. The \
             order of fields means nothing."
                .into(),
        ),
        ("calls", list(calls.collect::<Vec<_>>())),
    ])
}

fn requests(chain: &Chain) -> Vec<Request> {
    let header = chain.header(2).hash();
    vec![
        Request::Register(Register {
            id_tag: id_tag("HOME-1"),
            group_id: Some(id_tag("HOUSEHOLD")),
            is_home: true,
            group: None,
        }),
        Request::CheckAuth(CheckAuth {
            id_tag: id_tag("HOME-2"),
            group_id: id_tag("HOUSEHOLD"),
        }),
        Request::Authorize(Authorize {
            id_tag: id_tag("HOME-1"),
            group_id: id_tag("HOUSEHOLD"),
            charger: chain::charger("HOME-1"),
        }),
        Request::RegisterSupplyPoint(RegisterSupplyPoint {
            outlet: "garage".to_owned(),
            owner: id_tag("HOUSEHOLD"),
            meter: "SDM630 12345678".to_owned(),
            supply_point: None,
        }),
        Request::NameDeputy(NameDeputy {
            deputy: chain::deputy(1, Some(3), 1),
        }),
        Request::ExchangeMeter(ExchangeMeter {
            exchange: chain::exchange(2, 1, 8_000_000_000, 1),
            meter: "SDM630 87654321".to_owned(),
        }),
        Request::GetBlocks(GetBlocks { from: 1 }),
        Request::GetHeaders(GetHeaders { from: 1 }),
        Request::GetProof(GetProof { after: 0 }),
        Request::ChargeInfo(ChargeInfo {
            group_id: id_tag("HOUSEHOLD"),
            currency: "EUR".to_owned(),
            lines: vec![ChargeInfoLine {
                id_tag: id_tag("HOME-1"),
                supply_point: SupplyPointId(1),
                start: UnixSeconds(BEGIN + 60),
                end: UnixSeconds(BEGIN + 1_260),
                energy_wh: EnergyWh(11_000),
                amount: MinorUnits(440),
                finality: Finality::Final,
                height: 2,
                header,
            }],
            credits: vec![CreditLine {
                supply_point: SupplyPointId(1),
                outlet: "garage".to_owned(),
                start: UnixSeconds(BEGIN + 60),
                end: UnixSeconds(BEGIN + 1_260),
                energy_wh: EnergyWh(11_000),
                credit: MinorUnits(336),
                finality: Finality::FinalAfterDormancy,
                height: 2,
                header,
            }],
        }),
    ]
}

fn responses(chain: &Chain) -> Vec<Response> {
    let tip = chain.state().height;
    vec![
        Response::Register(RegisterAck {
            id_tag_info: RegisterInfo {
                interval_s: 60,
                current_time: UnixSeconds(BEGIN + 1).millis(),
                status: Status::Accepted,
            },
            registration: Some(Registration {
                charger: chain::charger("HOME-1"),
                group: HOME.group,
                group_id: id_tag("HOUSEHOLD"),
                parent: NodeId(1),
                parent_key: chain::node(1).public(),
                deputy_key: None,
                parent_address: None,
                salt: Some(chain::salt()),
            }),
        }),
        Response::CheckAuth(CheckAuthAck {
            status: Status::Accepted,
        }),
        Response::Authorize(AuthorizeAck {
            status: Status::Accepted,
            grant: Some(HOME.grant()),
        }),
        Response::RegisterSupplyPoint(RegisterSupplyPointAck {
            supply_point: SupplyPointId(1),
        }),
        Response::NameDeputy(NameDeputyAck { number: 1 }),
        Response::ExchangeMeter(ExchangeMeterAck { number: 1 }),
        Response::GetBlocks(GetBlocksAck { tip }),
        Response::GetHeaders(GetHeadersAck { tip }),
        Response::GetProof(GetProofAck {}),
        Response::ChargeInfo(ChargeInfoAck {}),
    ]
}
