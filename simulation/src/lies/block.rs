//! Blocks that the provider seals against the rules.
//!
//! Each is made as well as the rules at hand allow: where a rule is missing (see the patches), the
//! false body is sealed like a true one, state root and all, and only a second opinion finds it.

use ledger::block::{Ballot, Body, Record};
use ledger::evidence::{Evidence, ForgedProfile, Sealed, TwoBallots, TwoProfiles};
use ledger::seal::seal;
use ledger::{Block, ChargeLine, GroupBlock, Header, State};
use protocol::{
    Deputy, EnergyWh, GroupId, Hash, KeyPair, MeterExchange, NodeId, Signed, SignedProfile,
    UnixSeconds,
};

use crate::scenario::provider_key;

/// How a block is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockLie {
    Tenfold,
    Twice,
    Dropped,
    OtherPayer,
    InTime,
    ForgedBallot,
    MadeUpBallot,
    OldBallot,
    ForgedGrant,
    FalseEvidence,
    AccusedNode,
    AccusedVoter,
    ForgedDeputy,
    ForgedExchange,
    ExchangeAgain,
    SecondEnrolment,
    GroupTotal,
    GroupSignature,
    Tariff,
    Disorder,
    StateRoot,
    LogRoot,
    BodyRoot,
    Previous,
    TimeBack,
    SecondOfRound,
}

/// All of them, with the names they are counted under.
pub(crate) const BLOCK_LIES: [(BlockLie, &str); 26] = [
    (BlockLie::Tenfold, "lie: a block alters a charge"),
    (BlockLie::Twice, "lie: a block bills a charge again"),
    (
        BlockLie::Dropped,
        "lie: a block leaves out what has a receipt",
    ),
    (BlockLie::OtherPayer, "lie: a block bills another group"),
    (BlockLie::InTime, "lie: a block calls a late charge in time"),
    (BlockLie::ForgedBallot, "lie: a block forges a ballot"),
    (
        BlockLie::MadeUpBallot,
        "lie: a block counts a ballot for another header",
    ),
    (BlockLie::OldBallot, "lie: a block counts a ballot again"),
    (BlockLie::ForgedGrant, "lie: a block forges a grant"),
    (
        BlockLie::FalseEvidence,
        "lie: a block accuses an honest parent",
    ),
    (BlockLie::AccusedNode, "lie: a block accuses an honest node"),
    (
        BlockLie::AccusedVoter,
        "lie: a block accuses an honest voter",
    ),
    (BlockLie::ForgedDeputy, "lie: a block forges a deputy"),
    (
        BlockLie::ForgedExchange,
        "lie: a block forges a meter exchange",
    ),
    (
        BlockLie::ExchangeAgain,
        "lie: a block repeats a meter exchange",
    ),
    (BlockLie::SecondEnrolment, "lie: a block enrols a key twice"),
    (BlockLie::GroupTotal, "lie: a block alters a group's total"),
    (
        BlockLie::GroupSignature,
        "lie: a block forges a group block",
    ),
    (
        BlockLie::Tariff,
        "lie: a block bills under no tariff in force",
    ),
    (
        BlockLie::Disorder,
        "lie: a block's charges are out of order",
    ),
    (BlockLie::StateRoot, "lie: a block states another state"),
    (BlockLie::LogRoot, "lie: a block states another log"),
    (BlockLie::BodyRoot, "lie: a block's body is another"),
    (BlockLie::Previous, "lie: a block hides the one before"),
    (BlockLie::TimeBack, "lie: a block turns time back"),
    (BlockLie::SecondOfRound, "lie: a round gets a second block"),
];

/// The chain before a block.
pub(super) struct Before<'a> {
    pub(super) blocks: &'a [Block],
    pub(super) state: &'a State,
}

fn stranger() -> KeyPair {
    KeyPair::from_seed(&[79; 32])
}

/// The false block in place of the `honest` one; `None` where it gives no occasion for this lie.
pub(super) fn forge(lie: BlockLie, honest: &Block, before: &Before<'_>) -> Option<Block> {
    let mut body = honest.body.clone();
    let chain_id = before.state.chain_id();
    let is_body = alter_body(lie, &mut body, before, &chain_id)?;
    let header = &honest.header.body;
    if is_body {
        let (mut state, mut time) = (before.state.clone(), header.time);
        if lie == BlockLie::TimeBack {
            time = UnixSeconds(state.time.0.saturating_sub(60));
            state.time = UnixSeconds(0);
        }
        let sealed = seal(&state, body.clone(), header.round, time, &provider_key());
        if lie == BlockLie::TimeBack {
            return sealed.ok().map(|(block, _)| block);
        }
        if let Ok((block, _)) = sealed {
            return (block.body != honest.body).then_some(block);
        }
    }
    let mut header = header.clone();
    (header.records, header.charges) = (count(body.records.len()), count(body.charges.len()));
    (header.group_blocks, header.ballots) =
        (count(body.group_blocks.len()), count(body.ballots.len()));
    header.body_root = body.root();
    alter_header(lie, &mut header, before.state);
    let header = Signed::new(header, &provider_key(), &chain_id);
    Some(Block { header, body })
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("small")
}

/// Whether the lie is in the body; `None` where there is no occasion for it.
fn alter_body(
    lie: BlockLie,
    body: &mut Body,
    before: &Before<'_>,
    chain_id: &Hash,
) -> Option<bool> {
    match lie {
        BlockLie::Tenfold => {
            let line = late(body)?;
            line.profile.body.energy_wh = line.profile.body.energy_wh.saturating_mul(10);
        }
        BlockLie::Twice => {
            let old = before.blocks.iter().rev().flat_map(|b| &b.body.charges);
            let mut again = old.last()?.clone();
            again.late = true;
            body.charges.push(again);
            body.charges
                .sort_by_key(|line| line.profile.body.sort_key());
        }
        BlockLie::Dropped => {
            all_late(body)?;
            // The node's last, so that its other charges still follow each other.
            let last = body
                .charges
                .iter()
                .map(|line| line.profile.body.seq)
                .max()?;
            body.charges.retain(|line| line.profile.body.seq != last);
        }
        BlockLie::OtherPayer => {
            let line = late(body)?;
            line.profile.body.payer = GroupId(line.profile.body.payer.0 % 2 + 1);
        }
        BlockLie::InTime => {
            all_late(body)?;
            body.charges.first_mut()?.late = false;
        }
        BlockLie::ForgedBallot => {
            let ballot = newest_ballot(before, chain_id)?;
            body.ballots = vec![ballot];
        }
        BlockLie::MadeUpBallot => {
            let ballot = body.ballots.first_mut()?;
            ballot.body.header.0[0] ^= 1;
        }
        BlockLie::OldBallot => {
            let mut old = before.blocks.iter().flat_map(|block| &block.body.ballots);
            body.ballots = vec![old.next()?.clone()];
        }
        BlockLie::ForgedGrant => {
            let is_grant = |record: &&mut Record| matches!(record, Record::Grant(_));
            let Some(Record::Grant(grant)) = body.records.iter_mut().find(is_grant) else {
                return None;
            };
            let other = grant.body.clone();
            *grant = Signed::new(other, &stranger(), chain_id);
        }
        BlockLie::FalseEvidence => {
            let evidence = false_evidence(body)?;
            body.records.push(Record::Evidence(evidence));
        }
        BlockLie::AccusedNode => {
            let profile = body.charges.first()?.profile.clone();
            let evidence = Evidence::TwoProfiles(Box::new(TwoProfiles {
                first: profile.clone(),
                second: profile,
            }));
            body.records.push(Record::Evidence(evidence));
        }
        BlockLie::AccusedVoter => {
            let ballot = body.ballots.first()?.clone();
            let evidence = Evidence::TwoBallots(Box::new(TwoBallots {
                lower: ballot.clone(),
                higher: ballot,
                fork: None,
            }));
            body.records.push(Record::Evidence(evidence));
        }
        BlockLie::ForgedDeputy => {
            let (group, account) = before.state.groups.iter().next()?;
            let deputy = Deputy {
                group: *group,
                number: account.deputies + 1,
                node: Some(account.parent),
            };
            let deputy = Signed::new(deputy, &stranger(), chain_id);
            body.records.push(Record::Deputy(deputy));
        }
        BlockLie::ForgedExchange => {
            let (supply_point, account) = before.state.supply_points.iter().next()?;
            let exchange = MeterExchange {
                supply_point: *supply_point,
                number: account.exchanges + 1,
                last_register: account.register,
                meter: Hash::ZERO,
                first_register: EnergyWh(0),
            };
            let exchange = Signed::new(exchange, &stranger(), chain_id);
            body.records.push(Record::MeterExchange(exchange));
        }
        BlockLie::ExchangeAgain => {
            let records = before.blocks.iter().flat_map(|b| &b.body.records);
            let mut exchanges = records.filter(|r| matches!(r, Record::MeterExchange(_)));
            body.records.push(exchanges.next()?.clone());
        }
        BlockLie::SecondEnrolment => {
            let (node, account) = before.state.nodes.last_key_value()?;
            let node = NodeId(node.0 + 50);
            let key = account.key;
            body.records.push(Record::EnrolNode { node, key });
        }
        BlockLie::GroupTotal => body.group_blocks.first_mut()?.body.energy.0 += 1,
        BlockLie::GroupSignature => {
            let sealed = body.group_blocks.first_mut()?;
            *sealed = Signed::new(sealed.body.clone(), &stranger(), chain_id);
        }
        BlockLie::Tariff => body.charges.first_mut()?.tariff.0 += 1,
        BlockLie::Disorder => {
            all_late(body)?;
            let last = body.charges.first()?.clone();
            body.charges.push(last);
        }
        BlockLie::SecondOfRound => {
            (!body.charges.is_empty() || !body.records.is_empty()).then_some(())?;
        }
        BlockLie::StateRoot | BlockLie::LogRoot | BlockLie::BodyRoot | BlockLie::Previous => {
            return Some(false);
        }
        BlockLie::TimeBack => {}
    }
    Some(lie != BlockLie::SecondOfRound)
}

/// All charges late, without a group block.
fn all_late(body: &mut Body) -> Option<()> {
    body.group_blocks.clear();
    body.charges.iter_mut().for_each(|line| line.late = true);
    (!body.charges.is_empty()).then_some(())
}

fn late(body: &mut Body) -> Option<&mut ChargeLine> {
    all_late(body)?;
    body.charges.first_mut()
}

/// A yes of a voter that has not said it.
fn newest_ballot(before: &Before<'_>, chain_id: &Hash) -> Option<Signed<Ballot>> {
    let state = before.state;
    let mut voters = state.groups.iter();
    let (voter, _) = voters.find(|(_, group)| group.voted_height < state.height)?;
    let ballot = Ballot {
        voter: *voter,
        height: state.height,
        header: state.tip,
    };
    Some(Signed::new(ballot, &stranger(), chain_id))
}

/// A genuine group block with a genuine profile of it, called forged.
fn false_evidence(body: &Body) -> Option<Evidence> {
    let group_block: &Signed<GroupBlock> = body.group_blocks.first()?;
    let in_time = body.charges.iter().filter(|line| !line.late);
    let profile: &SignedProfile = in_time
        .map(|line| &line.profile)
        .find(|profile| profile.body.payer == group_block.body.group)?;
    // Without a path it holds where the group block is over this profile alone.
    (group_block.body.count == 1).then_some(())?;
    Some(Evidence::ForgedProfile(Box::new(ForgedProfile {
        group_block: group_block.clone(),
        forged: Sealed {
            profile: profile.clone(),
            before: EnergyWh(0),
            index: 0,
            path: Vec::new(),
        },
    })))
}

fn alter_header(lie: BlockLie, header: &mut Header, before: &State) {
    match lie {
        BlockLie::StateRoot => header.state_root.0[0] ^= 1,
        BlockLie::LogRoot => header.log_root.0[0] ^= 1,
        BlockLie::BodyRoot => header.body_root.0[0] ^= 1,
        BlockLie::Previous => header.previous.0[0] ^= 1,
        BlockLie::SecondOfRound => header.round = before.round,
        _ => {}
    }
}
