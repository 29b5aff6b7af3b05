//! From a signed charge to the bill that an operator reads.

use ledger::frame::Submission;
use ledger::{Ballot, Block, Frame};
use protocol::message::{
    HelloAck, JoinAck, Register, RegisterSupplyPoint, Registration, Request, Response,
};
use protocol::{
    ChargeProfile, EnergyWh, Grant, Hash, IdTag, PowerW, Signed, SupplyPointId, canonical,
};
use serde_json::Value;

use crate::node::RawNode;
use crate::site::Site;

/// A parent with one charger and one outlet of its own.
struct Parent {
    node: RawNode,
    hello: HelloAck,
    ack: JoinAck,
    registration: Registration,
    supply_point: SupplyPointId,
}

impl Parent {
    async fn new(site: &Site, running: &crate::site::Running) -> Self {
        let token = site.token("FLEET");
        let (node, hello, ack) = RawNode::joined(running, 1, Some(&token)).await;
        let tag = |text| IdTag::parse(text).expect("printable");
        let register = Request::Register(Register {
            id_tag: tag("CAR-1"),
            group_id: Some(tag("FLEET")),
            is_home: true,
        });
        let Response::Register(registered) = node.call(register).await else {
            panic!("the answer to Register");
        };
        let outlet = Request::RegisterSupplyPoint(RegisterSupplyPoint {
            outlet: "garage".to_owned(),
            owner: tag("FLEET"),
            meter: "SDM630 1".to_owned(),
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
    async fn block(&mut self, is_wanted: impl Fn(&Block) -> bool) -> Block {
        loop {
            match self.node.frame().await {
                Frame::Block(block) if is_wanted(&block) => return *block,
                Frame::Refused { reason, .. } => panic!("refused: {reason}"),
                _ => {}
            }
        }
    }

    async fn submit(&self, energy_wh: u32) {
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
        let submission = Submission {
            profile: Signed::new(profile, &self.node.key, &chain_id),
            grant: Signed::new(grant, &self.node.key, &chain_id),
            detail: Vec::new(),
        };
        self.node.send(canonical(&Frame::Profile(submission))).await;
    }

    async fn vote(&self, block: &Block) {
        let ballot = Ballot {
            voter: self.registration.group,
            height: block.header.body.height,
            header: block.header.body.hash(),
        };
        let signed = Signed::new(ballot, &self.node.key, &self.hello.genesis.chain_id());
        self.node.send(canonical(&Frame::Ballot(signed))).await;
    }
}

#[tokio::test]
async fn a_charge_is_on_the_bill_pending_and_after_its_voters_ballot_final() {
    let site = Site::new();
    let running = site.start();
    let mut parent = Parent::new(&site, &running).await;
    // The voter counts for blocks after the one that enrols it.
    parent.block(|block| !block.body.records.is_empty()).await;
    parent.submit(11_013).await;
    let charged = parent.block(|block| block.header.body.charges == 1).await;

    let bill = json(&site);
    assert_eq!(bill["lines"][0]["finality"], "pending");
    assert_eq!(bill["pending"], bill["total"]);
    assert_eq!(bill["credits"][0]["finality"], "pending");
    assert_eq!(bill["pendingCredit"], 330);
    parent.vote(&charged).await;
    parent.block(|block| block.header.body.ballots == 1).await;

    let bill = json(&site);
    let line = &bill["lines"][0];
    assert_eq!(line["idTag"], "CAR-1");
    assert_eq!(line["outlet"], "garage");
    assert_eq!(line["finality"], "final");
    assert_eq!(line["header"], charged.header.body.hash().to_string());
    assert_eq!(bill["total"]["energyWh"], 11_013);
    assert_eq!(bill["total"]["amount"], 441);
    assert_eq!(bill["pending"]["amount"], 0);
    assert_eq!(bill["credit"], 330);
    assert_eq!(bill["pendingCredit"], 0);
    let credit = &bill["credits"][0];
    assert_eq!(credit["outlet"], "garage");
    assert_eq!(credit["credit"], 330);
    assert_eq!(credit["finality"], "final");
    for same in ["start", "end", "energyWh", "height", "header"] {
        assert_eq!(credit[same], line[same], "{same}");
    }
    assert_eq!(credit["idTag"], Value::Null, "an owner need not know");
    let table = site.printed(&["bill", "show", "fleet"]);
    for words in [
        "11.013  4.41 EUR  final",
        "garage (1)",
        "11.013  3.30 EUR  final",
        "(self-attested: 1 voter)",
    ] {
        assert!(table.contains(words), "{words} in {table}");
    }

    drop(running);
    let again = site.start();
    assert_eq!(json(&site), bill, "a restart changes no bill");
    drop(again);
}

#[tokio::test]
async fn an_unknown_group_has_no_bill() {
    let site = Site::new();
    let _running = site.start();
    let line = site.refusal(&["bill", "show", "NOBODY/1"]);
    assert!(line.contains("no group has this name"), "{line}");
}

fn json(site: &Site) -> Value {
    let printed = site.printed(&["bill", "show", "FLEET", "--json"]);
    serde_json::from_str(&printed).expect("JSON")
}
