//! A parent that says what a test wants it to say.

use ledger::frame::{SealedGroup, SealedProfile, Submission};
use ledger::{Ballot, Block, Frame, GroupBlock};
use protocol::message::{
    HelloAck, JoinAck, Register, RegisterSupplyPoint, Registration, Request, Response,
};
use protocol::{
    ChargeProfile, EnergyWh, Grant, Hash, IdTag, PowerW, Signed, SignedProfile, SupplyPointId,
    canonical,
};

use crate::node::RawNode;
use crate::site::Site;

/// A parent with one charger and one outlet of its own.
pub(crate) struct Parent {
    pub(crate) node: RawNode,
    hello: HelloAck,
    ack: JoinAck,
    pub(crate) registration: Registration,
    supply_point: SupplyPointId,
}

impl Parent {
    pub(crate) async fn new(site: &Site, running: &crate::site::Running) -> Self {
        let token = site.token("FLEET");
        let (node, hello, ack) = RawNode::joined(running, 1, Some(&token)).await;
        let tag = |text| IdTag::parse(text).expect("printable");
        let register = Request::Register(Register {
            id_tag: tag("CAR-1"),
            group_id: Some(tag("FLEET")),
            is_home: true,
            group: None,
        });
        let Response::Register(registered) = node.call(register).await else {
            panic!("the answer to Register");
        };
        let outlet = Request::RegisterSupplyPoint(RegisterSupplyPoint {
            outlet: "garage".to_owned(),
            owner: tag("FLEET"),
            meter: "SDM630 1".to_owned(),
            supply_point: None,
        });
        let Response::RegisterSupplyPoint(outlet) = node.call(outlet).await else {
            panic!("the answer to RegisterSupplyPoint");
        };
        Self {
            node,
            hello,
            ack,
            registration: registered.registration.expect("accepted"),
            supply_point: outlet.supply_point,
        }
    }

    /// The next block that `is_wanted`.
    pub(crate) async fn block(&mut self, is_wanted: impl Fn(&Block) -> bool) -> Block {
        loop {
            match self.node.frame().await {
                Frame::Block(block) if is_wanted(&block) => return *block,
                Frame::Refused { reason, .. } => panic!("refused: {reason}"),
                _ => {}
            }
        }
    }

    /// Submits a charge and gives its profile.
    pub(crate) async fn submit(&self, energy_wh: u32) -> SignedProfile {
        let chain_id = self.hello.genesis.chain_id();
        let start = self.ack.current_time.seconds();
        let grant = Grant {
            charger: self.registration.charger,
            group: self.registration.group,
            not_before: start,
            expiry: protocol::UnixSeconds(start.0 + 3_600),
            energy_limit_wh: 0,
        };
        let profile = ChargeProfile {
            charger: grant.charger,
            payer: grant.group,
            node: self.ack.node,
            seq: 1,
            previous: Hash::ZERO,
            supply_point: self.supply_point,
            start,
            duration_s: 60,
            register_start: EnergyWh(1_000),
            energy_wh,
            max_power: PowerW(11_000),
            grant: grant.id(),
            detail: Hash::of(b""),
        };
        let profile = Signed::new(profile, &self.node.key, &chain_id);
        let submission = Submission {
            profile: profile.clone(),
            grant: Signed::new(grant, &self.node.key, &chain_id),
            detail: Vec::new(),
        };
        self.node.send(canonical(&Frame::Profile(submission))).await;
        profile
    }

    /// The round that the next receipt promises.
    pub(crate) async fn promised_round(&mut self) -> u64 {
        loop {
            if let Frame::Receipt(receipt) = self.node.frame().await {
                return receipt.body.round;
            }
        }
    }

    /// Seals a group block over one profile, which it shows in full.
    pub(crate) async fn seal(&self, round: u64, profile: &SignedProfile) {
        let group = self.registration.group;
        let block = GroupBlock::over(group, round, Hash::ZERO, std::iter::once(profile));
        let sealed = SealedGroup {
            block: Signed::new(block, &self.node.key, &self.hello.genesis.chain_id()),
            profiles: vec![SealedProfile::Full(Box::new(profile.clone()))],
        };
        self.node.send(canonical(&Frame::GroupBlock(sealed))).await;
    }

    pub(crate) async fn vote(&self, block: &Block) {
        let ballot = Ballot {
            voter: self.registration.group,
            height: block.header.body.height,
            header: block.header.body.hash(),
        };
        let signed = Signed::new(ballot, &self.node.key, &self.hello.genesis.chain_id());
        self.node.send(canonical(&Frame::Ballot(signed))).await;
    }
}
