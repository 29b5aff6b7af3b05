//! An honest node with one outlet, as far as one charge of a foreign car needs it.

use ledger::frame::Submission;
use ledger::{Frame, Record};
use protocol::link::{self, BinaryFrames, Connection, Event, LinkOptions};
use protocol::message::{
    Authorize, GetBlocks, Hello, HelloAck, Join, JoinAck, Register, RegisterSupplyPoint, Report,
    Request, Response, SUBPROTOCOL, from_json,
};
use protocol::rpc::to_json;
use protocol::{
    Challenge, ChargeProfile, Domain, EnergyWh, Hash, IdTag, KeyPair, NodeId, PowerW, Signed,
    SignedGrant, SignedProfile, SupplyPointId, canonical, decode,
};

use crate::site::PATIENCE;

/// The node.
pub(crate) struct Customer {
    connection: Connection,
    key: KeyPair,
    chain_id: Hash,
    pub(crate) node: NodeId,
    group: IdTag,
}

fn tag(text: &str) -> IdTag {
    IdTag::parse(text).expect("printable")
}

impl Customer {
    pub(crate) async fn join(url: &str, token: Option<&str>) -> Self {
        let options = LinkOptions {
            binary: BinaryFrames::Deliver,
            ..LinkOptions::default()
        };
        let connection = link::connect(url, &[SUBPROTOCOL], &options).await;
        let connection = connection.expect("the provider takes the link");
        let key = KeyPair::from_seed(&[3; 32]);
        let hello = Hello {
            node_key: key.public(),
            nonce: Hash([4; 32]),
        };
        let answer = connection.link.call("Hello", to_json(&hello)).await;
        let proof: HelloAck = from_json("Hello", answer.expect("answered").get()).expect("an ack");
        let challenge = Challenge {
            node_nonce: hello.nonce,
            provider_nonce: proof.nonce,
        };
        let chain_id = proof.genesis.chain_id();
        let provider = proof.genesis.provider_key;
        let join = Join {
            signature: challenge.sign(Domain::NodeHello, &key, &chain_id, &provider),
            token: token.map(str::to_owned),
            report: Report::default(),
        };
        let answer = connection.link.call("Join", to_json(&join)).await;
        let ack: JoinAck = from_json("Join", answer.expect("let in").get()).expect("an ack");
        Self {
            connection,
            key,
            chain_id,
            node: ack.node,
            group: tag("HOST"),
        }
    }

    /// Lets a car of `group` charge and submits that; gives the profile once its receipt is here.
    pub(crate) async fn charge(
        &mut self,
        id_tag: &str,
        group: &str,
        energy_wh: u32,
    ) -> SignedProfile {
        let grant = self.grant_for(id_tag, group).await;
        // A parent acknowledges charges of nodes and groups that it knows from its chain.
        let supply_point = self.enrol_outlet().await;
        let detail = b"register at each quarter of an hour".to_vec();
        let profile = ChargeProfile {
            charger: grant.body.charger,
            payer: grant.body.group,
            node: self.node,
            seq: 1,
            previous: Hash::ZERO,
            supply_point,
            start: grant.body.not_before,
            duration_s: 60,
            register_start: EnergyWh(100_000),
            energy_wh,
            max_power: PowerW(11_000),
            grant: grant.body.id(),
            detail: Hash::of(&detail),
        };
        let profile = Signed::new(profile, &self.key, &self.chain_id);
        let submission = Submission {
            profile: profile.clone(),
            grant,
            detail,
        };
        let bytes = canonical(&Frame::Profile(submission));
        let sent = self.connection.link.send_binary(bytes).await;
        sent.expect("the link is open");
        loop {
            match self.frame().await {
                Frame::Receipt(_) => return profile,
                Frame::Refused { reason, .. } => panic!("refused: {reason}"),
                _ => {}
            }
        }
    }

    /// Asks the group's parent, through the provider.
    async fn grant_for(&self, id_tag: &str, group: &str) -> SignedGrant {
        let register = Request::Register(Register {
            id_tag: tag(id_tag),
            group_id: None,
            is_home: false,
            group: None,
        });
        let Response::Register(known) = self.call(register).await else {
            panic!("the answer to Register");
        };
        let authorize = Request::Authorize(Authorize {
            id_tag: tag(id_tag),
            group_id: tag(group),
            charger: known.registration.expect("its home registered it").charger,
        });
        let Response::Authorize(ack) = self.call(authorize).await else {
            panic!("the answer to Authorize");
        };
        ack.grant.expect("the parent grants")
    }

    /// Registers the outlet and waits for the block that holds it.
    pub(crate) async fn enrol_outlet(&mut self) -> SupplyPointId {
        let supply_point = self.outlet().await;
        self.enrolled(supply_point).await;
        supply_point
    }

    async fn outlet(&self) -> SupplyPointId {
        let outlet = Request::RegisterSupplyPoint(RegisterSupplyPoint {
            outlet: "garage".to_owned(),
            owner: self.group.clone(),
            meter: "SDM630 1".to_owned(),
            supply_point: None,
        });
        match self.call(outlet).await {
            Response::RegisterSupplyPoint(ack) => ack.supply_point,
            answer => panic!("no outlet: {answer:?}"),
        }
    }

    async fn enrolled(&mut self, outlet: SupplyPointId) {
        let is_outlet = |record: &Record| match record {
            Record::EnrolSupplyPoint { supply_point, .. } => *supply_point == outlet,
            _ => false,
        };
        loop {
            if let Frame::Block(block) = self.frame().await
                && block.body.records.iter().any(is_outlet)
            {
                return;
            }
        }
    }

    async fn call(&self, request: Request) -> Response {
        let payload = to_json(&request.payload());
        let answer = self.connection.link.call(request.action(), payload).await;
        let answer = answer.expect("answered");
        request.decode_response(answer.get()).expect("its answer")
    }

    /// The next binary frame. A node that is parent of no group is told headers; this one then
    /// asks for the block.
    pub(crate) async fn frame(&mut self) -> Frame {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.connection.events.recv()).await;
            match event.expect("in time").expect("the link is open") {
                Event::Binary(bytes) => match decode(&bytes).expect("a frame") {
                    Frame::Header(header) => {
                        let from = header.body.height;
                        self.call(Request::GetBlocks(GetBlocks { from })).await;
                    }
                    frame => return frame,
                },
                Event::Call(call) => call.responder.answer(Ok(protocol::rpc::empty())),
                Event::Closed { reason } => panic!("the link has ended: {reason:?}"),
            }
        }
    }
}
