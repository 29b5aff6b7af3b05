//! Every structure with canonical bytes that travels or is kept, with samples of it.
//!
//! Samples come from the small chain and from what was made about it, so each is what a peer would
//! send.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use borsh::{BorshDeserialize, BorshSerialize};
use gateway::{Carried, ChargeDetail, SignedDetail, Standing};
use ledger::accounts::Accounts;
use ledger::block::{Ballot, Block, Body, ChargeLine, GroupBlock, Header, Record};
use ledger::evidence::{
    Absence, BrokenReceipt, Conviction, Disorder, Evidence, EvidenceFile, Exhibit, ForgedCharge,
    ForgedProfile, Fork, Gap, Listed, Offence, Omission, Sealed, TwoBallots, TwoGroupBlocks,
    TwoHeaders, TwoProfiles, WrongTotal,
};
use ledger::frame::{Frame, Promised, SealedGroup, SealedProfile, Submission, Witnessed};
use ledger::merkle::{Frontier, Way};
use ledger::node::{Charge, MeasuredCharge, Pick, Stage};
use ledger::provider::{Charger, OutletEntry, Token};
use ledger::receipt_file::{
    Anchor, Closing, Descendant, FinalityProof, ReceiptFile, StateLeaf, Vote,
};
use ledger::resume::Resume;
use ledger::state::{
    ChargerAccount, FormerDeputy, GrantAccount, GroupAccount, Leaf, NodeAccount, State,
    SupplyPointAccount, Totals,
};
use protocol::{
    ChargeProfile, ChargerId, Deputy, EnergyWh, Enrolment, Genesis, Grant, GrantId, GroupId, Hash,
    MeterExchange, MinorUnits, Neighbour, NodeId, PowerW, ProfileAck, PublicKey, Receipt, Salt,
    Signature, Signed, SignedDeputy, SignedEnrolment, SignedGrant, SignedMeterExchange,
    SignedProfile, SignedReceipt, SupplyPointId, TariffId, UnixMillis, UnixSeconds, canonical,
    decode,
};

use crate::chain::{Chain, chain, key};
use crate::lies;
use crate::stores::{self, tag};
use crate::targets::frame as frames;

/// A structure that has canonical bytes.
#[derive(Debug)]
pub struct Structure {
    /// Its type.
    pub name: &'static str,
    /// Canonical bytes of some values, different ones of what differs in form.
    pub samples: Vec<Vec<u8>>,
    reread: fn(&[u8]) -> Option<Vec<u8>>,
}

impl Structure {
    /// Reads `bytes` and writes again what was read; `None` where they are refused.
    #[must_use]
    pub fn reread(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        (self.reread)(bytes)
    }
}

/// Every structure.
pub fn structures() -> &'static [Structure] {
    static STRUCTURES: OnceLock<Vec<Structure>> = OnceLock::new();
    STRUCTURES.get_or_init(|| {
        let chain = chain();
        let groups = [
            values(),
            signed(chain),
            of_blocks(chain),
            of_frames(),
            of_evidence(),
            of_exhibits(),
            of_receipts(chain),
            of_details(),
            of_states(chain),
            of_stores(chain),
        ];
        groups.into_iter().flatten().collect()
    })
}

fn of<T>(name: &'static str, values: impl IntoIterator<Item = T>) -> Structure
where
    T: BorshDeserialize + BorshSerialize,
{
    let samples: Vec<Vec<u8>> = values.into_iter().map(|value| canonical(&value)).collect();
    assert!(!samples.is_empty(), "no sample of {name}");
    Structure {
        name,
        samples,
        reread: |bytes| decode::<T>(bytes).ok().map(|value| canonical(&value)),
    }
}

fn values() -> Vec<Structure> {
    vec![
        of("Hash", [Hash::of(b"")]),
        of("PublicKey", [key(1).public()]),
        of("Signature", [Signature([7; 64])]),
        of("IdTag", [tag("FLEET-1"), tag("04 e2 9c")]),
        of("NodeId", [NodeId(1)]),
        of("GroupId", [GroupId(2)]),
        of("SupplyPointId", [SupplyPointId(3)]),
        of("TariffId", [TariffId(4)]),
        of("ChargerId", [ChargerId([5; 16])]),
        of("GrantId", [GrantId([6; 16])]),
        of("Salt", [Salt([7; 16])]),
        of("EnergyWh", [EnergyWh(u64::MAX)]),
        of("PowerW", [PowerW(11_000)]),
        of("MinorUnits", [MinorUnits(440)]),
        of("NodeAddress", [stores::neighbour().address]),
        of::<Neighbour>("Neighbour", [stores::neighbour()]),
        of("UnixSeconds", [UnixSeconds(1_800_000_000)]),
        of("UnixMillis", [UnixMillis(1_800_000_000_000)]),
    ]
}

fn of_details() -> Vec<Structure> {
    let record = Carried::Record {
        text: "OCMF|{}|{\"SD\":\"00\"}".to_owned(),
        payload: [8; 32],
        claimed_key: Some(vec![4, 9]),
    };
    let unread = Carried::Unread {
        sent: "<signedMeterValue/>".to_owned(),
        why: "no OCMF".to_owned(),
    };
    let why = || "no key is configured".to_owned();
    let standings = [
        Standing::Unsigned,
        Standing::Verified { key: vec![48, 0] },
        Standing::NotVerified { why: why() },
        Standing::Refused { why: why() },
    ];
    let details = standings.clone().map(|standing| SignedDetail {
        standing,
        transaction: 7,
        values: vec![record.clone(), unread.clone()],
    });
    let charges = details.clone().map(|signed| ChargeDetail {
        version: 2,
        id: [3; 16],
        meter_model: "eastron-sdm630".to_owned(),
        meter_serial: "12345678".to_owned(),
        resolution_mwh: 1_000,
        is_coarse: false,
        is_average_power: true,
        reason: "Local".to_owned(),
        quarters: vec![(UnixMillis(1_800_000_000_000), EnergyWh(1_000))],
        signed,
    });
    vec![
        of::<Carried>("Carried", [record, unread]),
        of::<Standing>("Standing", standings),
        of::<SignedDetail>("SignedDetail", details),
        of::<ChargeDetail>("ChargeDetail", charges),
    ]
}

fn signed(chain: &Chain) -> Vec<Structure> {
    let profile = &chain.blocks[2].body.charges[0].profile;
    let (deputy, exchange) = chain.words();
    let enrolment = stores::enrolment(chain);
    let (receipt, ack) = (frames::receipt(chain), frames::profile_ack(chain));
    vec![
        of::<Genesis>("Genesis", [chain.genesis.clone()]),
        of::<ChargeProfile>("ChargeProfile", [profile.body.clone()]),
        of::<SignedProfile>("SignedProfile", [profile.clone()]),
        of::<Grant>("Grant", [chain.grant().body.clone()]),
        of::<SignedGrant>("SignedGrant", [chain.grant().clone()]),
        of::<Deputy>("Deputy", [deputy.body.clone()]),
        of::<SignedDeputy>("SignedDeputy", [deputy]),
        of::<MeterExchange>("MeterExchange", [exchange.body.clone()]),
        of::<SignedMeterExchange>("SignedMeterExchange", [exchange]),
        of::<Enrolment>("Enrolment", [enrolment.body.clone()]),
        of::<SignedEnrolment>("SignedEnrolment", [enrolment]),
        of::<Resume>("Resume", [chain.picked()[0].body.clone()]),
        of::<Signed<Resume>>("Signed<Resume>", [chain.picked()[0].clone()]),
        of::<Receipt>("Receipt", [receipt.body.clone()]),
        of::<SignedReceipt>("SignedReceipt", [receipt]),
        of::<ProfileAck>("ProfileAck", [ack.body.clone()]),
        of::<Signed<ProfileAck>>("Signed<ProfileAck>", [ack]),
    ]
}

fn of_blocks(chain: &Chain) -> Vec<Structure> {
    let (blocks, block) = (&chain.blocks, &chain.blocks[1]);
    let (group_block, ballot) = (&block.body.group_blocks[0], &block.body.ballots[0]);
    let records = blocks[0].body.records.iter();
    // The tariff and a member: the other members are alike.
    let enrolments = records.take(6);
    let records: Vec<Record> = enrolments.chain(&blocks[3].body.records).cloned().collect();
    vec![
        of::<GroupBlock>("GroupBlock", [group_block.body.clone()]),
        of::<Signed<GroupBlock>>("Signed<GroupBlock>", [group_block.clone()]),
        of::<Header>("Header", [block.header.body.clone()]),
        of::<Signed<Header>>("Signed<Header>", [block.header.clone()]),
        of::<Ballot>("Ballot", [ballot.body.clone()]),
        of::<Signed<Ballot>>("Signed<Ballot>", [ballot.clone()]),
        of::<Record>("Record", records),
        of::<ChargeLine>("ChargeLine", block.body.charges.clone()),
        of::<Body>("Body", blocks.iter().map(|block| block.body.clone())),
        of::<Block>("Block", blocks.clone()),
    ]
}

fn of_frames() -> Vec<Structure> {
    let frames = frames::each();
    let mut found = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut promises: Vec<Promised> = Vec::new();
    for frame in &frames {
        match frame {
            Frame::Profile(submission) => found.0.push(submission.clone()),
            Frame::Witness(witnessed) => found.1.push(witnessed.clone()),
            Frame::Promised(promised) => promises.push(promised.clone()),
            Frame::GroupBlock(group) => {
                found.2.push(group.clone());
                found.3.extend(group.profiles.clone());
            }
            _ => {}
        }
    }
    vec![
        of::<Frame>("Frame", frames),
        of::<Submission>("Submission", found.0),
        of::<Witnessed>("Witnessed", found.1),
        of::<Promised>("Promised", promises),
        of::<SealedGroup>("SealedGroup", found.2),
        of::<SealedProfile>("SealedProfile", found.3),
    ]
}

fn of_evidence() -> Vec<Structure> {
    let mut found = Vec::new();
    let mut sealed: Vec<Sealed> = Vec::new();
    for evidence in lies::evidence() {
        let structure = match evidence.clone() {
            Evidence::ForgedProfile(evidence) => of::<ForgedProfile>("ForgedProfile", [*evidence]),
            Evidence::Disorder(evidence) => {
                sealed.extend(evidence.neighbours.clone());
                of::<Disorder>("Disorder", [*evidence])
            }
            Evidence::WrongTotal(evidence) => of::<WrongTotal>("WrongTotal", [*evidence]),
            Evidence::Omission(evidence) => of::<Omission>("Omission", [*evidence]),
            Evidence::TwoGroupBlocks(two) => of::<TwoGroupBlocks>("TwoGroupBlocks", [*two]),
            Evidence::TwoProfiles(two) => of::<TwoProfiles>("TwoProfiles", [*two]),
            Evidence::TwoBallots(two) => {
                found.extend(two.fork.clone().map(|fork| of::<Fork>("Fork", [fork])));
                of::<TwoBallots>("TwoBallots", [*two])
            }
        };
        found.push(structure);
    }
    let offences = [
        Offence::Parent {
            group: GroupId(1),
            round: 2,
        },
        Offence::Node {
            node: NodeId(1),
            seq: 2,
        },
        Offence::Voter {
            group: GroupId(1),
            height: 2,
        },
        Offence::Provider { height: 3 },
    ];
    found.extend([
        of::<Evidence>("Evidence", lies::evidence().iter().cloned()),
        of::<Sealed>("Sealed", sealed),
        of::<Offence>("Offence", offences),
    ]);
    found
}

fn of_exhibits() -> Vec<Structure> {
    let mut found = Vec::new();
    let exhibits = || lies::files().iter().map(|file| file.exhibit.clone());
    let mut listed: Vec<Listed> = Vec::new();
    let mut gaps: Vec<Gap> = Vec::new();
    for exhibit in exhibits() {
        let structure = match exhibit {
            Exhibit::ForgedCharge(forged) => of::<ForgedCharge>("ForgedCharge", [*forged]),
            Exhibit::BrokenReceipt(broken) => {
                if let Some(absence) = &broken.absence {
                    gaps.push(absence.gap.clone());
                    found.push(of::<Absence>("Absence", [absence.clone()]));
                }
                of::<BrokenReceipt>("BrokenReceipt", [*broken])
            }
            Exhibit::TwoHeaders(two) => of::<TwoHeaders>("TwoHeaders", [*two]),
        };
        found.push(structure);
    }
    if let Some(Gap::Between(Some(before), _)) = gaps.first() {
        listed.push((**before).clone());
        gaps.extend([Gap::Instead(before.clone()), Gap::Between(None, None)]);
    }
    found.extend([
        of::<EvidenceFile>("EvidenceFile", lies::files().iter().cloned()),
        of::<Exhibit>("Exhibit", exhibits()),
        of::<Gap>("Gap", gaps),
        of::<Listed>("Listed", listed),
    ]);
    found
}

fn of_receipts(chain: &Chain) -> Vec<Structure> {
    let with_descendant = |file: &&ReceiptFile| {
        let mut votes = file.finality.votes.iter();
        votes.any(|vote| vote.descendant.is_some())
    };
    let named = chain.receipts.iter().find(with_descendant);
    let files = [
        named.expect("a vote for a descendant").clone(),
        chain.receipts_after_dormancy[0].clone(),
    ];
    let finality = files.clone().map(|file| file.finality);
    let votes: Vec<Vote> = finality.iter().flat_map(|f| f.votes.clone()).collect();
    let anchors = finality.clone().map(|finality| finality.anchor);
    let leaves = votes.iter().map(|vote| vote.group.clone());
    let descendants = votes.iter().filter_map(|vote| vote.descendant.clone());
    let closings = finality.iter().filter_map(|f| f.closing.clone());
    vec![
        of::<ReceiptFile>("ReceiptFile", files),
        of::<FinalityProof>("FinalityProof", finality.clone()),
        of::<Totals>("Totals", anchors.clone().map(|anchor| anchor.totals)),
        of::<Way>("Way", anchors.clone().map(|anchor| anchor.way)),
        of::<Anchor>("Anchor", anchors),
        of::<StateLeaf>("StateLeaf", leaves),
        of::<Descendant>("Descendant", descendants),
        of::<Closing>("Closing", closings),
        of::<Vote>("Vote", votes.clone()),
    ]
}

fn of_states(chain: &Chain) -> Vec<Structure> {
    let state = chain.states.last().expect("it begins with one");
    let logs = chain.states.iter().map(|state| state.log.clone());
    let groups = state.groups.values();
    let former_deputies = groups.flat_map(|group| group.former_deputies.clone());
    vec![
        of::<State>("State", [chain.states[0].clone(), state.clone()]),
        of::<Frontier>("Frontier", logs),
        of::<Leaf>("Leaf", state.leaves()),
        of::<Accounts<NodeId, NodeAccount>>("Accounts", [state.nodes.clone()]),
        of::<NodeAccount>("NodeAccount", state.nodes.values().cloned()),
        of::<FormerDeputy>("FormerDeputy", former_deputies),
        of::<GroupAccount>("GroupAccount", state.groups.values().cloned()),
        of::<SupplyPointAccount>("SupplyPointAccount", state.supply_points.values().cloned()),
        of::<ChargerAccount>("ChargerAccount", state.chargers.values().cloned()),
        of::<GrantAccount>("GrantAccount", state.grants.values().cloned()),
        of::<Conviction>("Conviction", state.convictions.values().cloned()),
    ]
}

fn of_stores(chain: &Chain) -> Vec<Structure> {
    let charges = charges(chain);
    let measured = charges.iter().map(|charge| charge.measured.clone());
    let stages = charges.iter().map(|charge| charge.stage.clone());
    let token = |used_by: Option<PublicKey>| Token {
        hash: Hash::of(b"token"),
        groups: BTreeSet::from([tag("FLEET"), tag("HOUSEHOLD")]),
        used_by,
    };
    let charger = Charger {
        id_tag: tag("FLEET-1"),
        charger: ChargerId([1; 16]),
        salt: Salt([2; 16]),
        group_id: tag("FLEET"),
        group: GroupId(1),
        home: NodeId(1),
    };
    let outlet = OutletEntry {
        supply_point: SupplyPointId(1),
        node: NodeId(1),
        name: "garage".to_owned(),
        owner: tag("HOUSEHOLD"),
        meter: "SDM630 1".to_owned(),
    };
    vec![
        of::<MeasuredCharge>("MeasuredCharge", measured),
        of::<Stage>("Stage", stages),
        of::<Charge>("Charge", charges.clone()),
        of::<Pick>("Pick", [stores::pick(chain)]),
        of::<Token>("Token", [token(None), token(Some(key(1).public()))]),
        // The fields of a type that only the provider has.
        of("Received", [stores::received(chain)]),
        of::<Charger>("Charger", [charger]),
        of::<OutletEntry>("OutletEntry", [outlet]),
    ]
}

/// Charges at each stage of their way through the outbox.
pub(crate) fn charges(chain: &Chain) -> Vec<Charge> {
    let profile = &chain.blocks[2].body.charges[0].profile;
    let signed = |receipt| Stage::Signed {
        profile: Box::new(profile.clone()),
        grant: Box::new(chain.grant().clone()),
        receipt,
    };
    let stages = [
        Stage::Measured,
        Stage::Held {
            reason: "another meter".to_owned(),
        },
        signed(None),
        signed(Some(Box::new(frames::receipt(chain)))),
    ];
    let numbered = (1..).zip(stages);
    let charge = |(number, stage): (u8, Stage)| Charge {
        number: number.into(),
        measured: measured(number, profile),
        stage,
    };
    numbered.map(charge).collect()
}

fn measured(number: u8, profile: &SignedProfile) -> MeasuredCharge {
    let profile = &profile.body;
    MeasuredCharge {
        id: [number; 16],
        id_tag: tag("FLEET-1"),
        outlet: "garage".to_owned(),
        start: profile.start,
        end: profile.end(),
        register_start: profile.register_start,
        energy: EnergyWh(profile.energy_wh.into()),
        max_power: profile.max_power,
        detail: b"detail".to_vec(),
        hold: (number == 2).then(|| "another meter".to_owned()),
    }
}
