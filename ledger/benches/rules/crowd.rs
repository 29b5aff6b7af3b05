//! A provider and any number of groups, each with a node of its own, which do what their nodes
//! would: sign charges, acknowledge them, seal group blocks, vote. Only the provider's work is
//! measured.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ledger::block::{Ballot, Block, GroupBlock};
use ledger::frame::{Frame, SealedGroup, SealedProfile, Submission};
use ledger::provider::{Effect, Input, Provider, stored_blocks};
use ledger::store::{NoWatch, Store, drive};
use ledger::tariff::FlatTariff;
use protocol::message::{Register, RegisterSupplyPoint, Registration, Report, Request, Response};
use protocol::{
    ChargeProfile, ChargerId, EnergyWh, Genesis, Grant, GroupId, Hash, IdTag, KeyPair, NodeId,
    PowerW, ProfileAck, Signed, SignedGrant, SignedProfile, SignedReceipt, SupplyPointId,
    UnixMillis, UnixSeconds,
};

use crate::clock;

/// Inputs that share a sync, as in the engine.
const BATCH: usize = 1_000;

/// The energy of every charge.
const ENERGY_WH: u32 = 7_000;

/// One group: its parent node, its chargers, its outlet.
struct Member {
    key: KeyPair,
    link: u64,
    node: NodeId,
    group: GroupId,
    chargers: Vec<(ChargerId, SignedGrant)>,
    outlet: SupplyPointId,
    register: EnergyWh,
    seq: u32,
    previous: Hash,
    last_group_block: Hash,
}

/// What the provider did for one round, and how much processor time each part took.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) intake: Duration,
    pub(crate) acks: Duration,
    pub(crate) sealing: Duration,
    pub(crate) ballots: Duration,
    /// Bytes of the frames it wants sent, blocks and headers included.
    pub(crate) sent_bytes: usize,
}

impl Work {
    pub(crate) fn total(&self) -> Duration {
        self.intake + self.acks + self.sealing + self.ballots
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.intake += other.intake;
        self.acks += other.acks;
        self.sealing += other.sealing;
        self.ballots += other.ballots;
        self.sent_bytes += other.sent_bytes;
    }
}

/// The provider and its groups.
pub(crate) struct Crowd {
    pub(crate) genesis: Genesis,
    pub(crate) store: Store,
    provider: Provider,
    members: Vec<Member>,
    now: UnixMillis,
}

pub(crate) fn provider_key() -> KeyPair {
    KeyPair::from_seed(&[1; 32])
}

fn genesis() -> Genesis {
    Genesis {
        provider_key: provider_key().public(),
        time: UnixSeconds(1_800_000_000),
        interval_s: 900,
        witnesses: 8,
        dormancy_s: Genesis::DORMANCY_S,
        dispute_period_s: Genesis::DISPUTE_PERIOD_S,
        currency: "EUR".to_owned(),
        test: true,
    }
}

fn tag(text: &str) -> IdTag {
    IdTag::parse(text).expect("printable and short")
}

fn group_id(number: usize) -> IdTag {
    tag(&format!("GROUP-{number}"))
}

fn link(number: usize) -> u64 {
    u64::try_from(number).expect("fits")
}

fn register(member: usize, number: usize) -> (usize, Request) {
    let request = Request::Register(Register {
        id_tag: tag(&format!("TAG-{number}")),
        group_id: Some(group_id(member)),
        is_home: true,
        group: None,
    });
    (member, request)
}

fn outlet(member: usize) -> (usize, Request) {
    let request = Request::RegisterSupplyPoint(RegisterSupplyPoint {
        outlet: "garage".to_owned(),
        owner: group_id(member),
        meter: "SDM630".to_owned(),
        supply_point: None,
    });
    (member, request)
}

fn key(number: usize) -> KeyPair {
    KeyPair::from_seed(&Hash::of(&link(number).to_le_bytes()).0)
}

impl Crowd {
    /// A provider on `store` with so many groups of so many chargers each, all enrolled.
    pub(crate) fn new(store: Store, groups: usize, chargers: usize) -> Self {
        let genesis = genesis();
        let tariff = FlatTariff::new("EUR", "0.40", "0.30").expect("a tariff");
        let provider = Provider::load(provider_key(), genesis.clone(), tariff, &store);
        let mut crowd = Self {
            now: genesis.time.millis().plus_ms(1_000),
            genesis,
            store,
            provider: provider.expect("the store is empty"),
            members: Vec::new(),
        };
        crowd.enrol(groups, chargers);
        // Round 0 has no block.
        crowd.next_round();
        crowd.next_round();
        crowd.drive(vec![Input::Tick]);
        crowd
    }

    fn enrol(&mut self, groups: usize, chargers: usize) {
        let nodes = self.join(groups);
        let registered = self.ask((0..groups * chargers).map(|n| register(n / chargers, n)));
        let outlets = self.ask((0..groups).map(outlet));
        let mut registered = registered.into_iter().map(|response| match response {
            Response::Register(ack) => ack.registration.expect("it may claim its group"),
            other => unreachable!("not an answer to Register: {other:?}"),
        });
        for (number, (node, response)) in nodes.into_iter().zip(outlets).enumerate() {
            let Response::RegisterSupplyPoint(outlet) = response else {
                unreachable!("not an answer to RegisterSupplyPoint: {response:?}")
            };
            let key = key(number);
            let own: Vec<_> = registered.by_ref().take(chargers).collect();
            let grant = |r: &Registration| (r.charger, self.grant(&key, r.group, r.charger));
            self.members.push(Member {
                link: link(number),
                node,
                group: own.first().expect("a group has a charger").group,
                chargers: own.iter().map(grant).collect(),
                outlet: outlet.supply_point,
                key,
                register: EnergyWh(0),
                seq: 0,
                previous: Hash::ZERO,
                last_group_block: Hash::ZERO,
            });
        }
    }

    fn join(&mut self, groups: usize) -> Vec<NodeId> {
        let join = |number: usize| {
            let token = Hash::of(&link(number).to_le_bytes());
            let groups = BTreeSet::from([group_id(number)]);
            [
                Input::CreateToken { token, groups },
                Input::Join {
                    link: link(number),
                    key: key(number).public(),
                    token: Some(token),
                    report: Report::default(),
                },
            ]
        };
        let effects = self.drive((0..groups).flat_map(join).collect());
        let node = |effect: &Effect| match effect {
            Effect::Joined { result, .. } => result.as_ref().ok().map(|ack| ack.node),
            _ => None,
        };
        effects.iter().filter_map(node).collect()
    }

    /// Calls of nodes, and the answers in the same order.
    fn ask(&mut self, calls: impl Iterator<Item = (usize, Request)>) -> Vec<Response> {
        let asked = |(number, request): (usize, Request)| Input::Asked {
            link: link(number),
            call: 0,
            request,
        };
        let effects = self.drive(calls.map(asked).collect());
        let answer = |effect: Effect| match effect {
            Effect::Reply { response, .. } => response,
            _ => None,
        };
        effects.into_iter().filter_map(answer).collect()
    }

    fn grant(&self, key: &KeyPair, group: GroupId, charger: ChargerId) -> SignedGrant {
        let grant = Grant {
            charger,
            group,
            not_before: self.genesis.time,
            expiry: UnixSeconds(self.genesis.time.0 + 30 * 24 * 3600),
            energy_limit_wh: 0,
        };
        Signed::new(grant, key, &self.genesis.chain_id())
    }

    /// The next `count` charges, signed: group after group, charger after charger.
    pub(crate) fn submissions(&mut self, count: usize) -> Vec<Input> {
        let start = self.now.seconds();
        let chain_id = self.genesis.chain_id();
        let groups = self.members.len();
        (0..count)
            .map(|number| self.members[number % groups].charge(start, &chain_id))
            .collect()
    }

    /// Gives the provider inputs in batches, each in one sync, and takes what it wants done.
    pub(crate) fn drive(&mut self, inputs: Vec<Input>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut inputs = inputs.into_iter().peekable();
        while inputs.peek().is_some() {
            let batch: Vec<Input> = inputs.by_ref().take(BATCH).collect();
            let (provider, store, now) = (&mut self.provider, &self.store, self.now);
            let driven = drive(provider, store, now, batch, Vec::new(), &NoWatch);
            effects.extend(driven.expect("the disk takes it"));
        }
        effects
    }

    /// One whole round with so many charges.
    pub(crate) fn round(&mut self, charges: usize) -> Work {
        let mut work = Work::default();
        let submissions = self.submissions(charges);
        let by_hash: BTreeMap<Hash, SignedProfile> = submissions.iter().map(profile).collect();
        let taken = clock::charge(&mut work.intake, || self.drive(submissions));
        work.sent_bytes += sent(&taken);
        let receipts = receipts(&taken);
        assert_eq!(receipts.len(), charges, "every charge gets a receipt");
        let acks = self.acks(&receipts, &by_hash);
        let acked = clock::charge(&mut work.acks, || self.drive(acks));
        work.sent_bytes += sent(&acked);
        self.next_round();
        let height = self.provider.state().height;
        let group_blocks = self.group_blocks(&receipts, &by_hash);
        let sealed = clock::charge(&mut work.sealing, || self.drive(group_blocks));
        work.sent_bytes += sent(&sealed);
        assert_eq!(self.provider.state().height, height + 1, "the round sealed");
        work.sent_bytes += self.announced(&sealed);
        let ballots = self.ballots();
        let voted = clock::charge(&mut work.ballots, || self.drive(ballots));
        work.sent_bytes += sent(&voted);
        work
    }

    /// Lets time pass to the moment at which parents seal, early in the next round.
    fn next_round(&mut self) {
        let next = self.genesis.round_at(self.now) + 1;
        self.now = self.genesis.round_start(next).plus_ms(2_500);
    }

    fn acks(
        &self,
        receipts: &[SignedReceipt],
        profiles: &BTreeMap<Hash, SignedProfile>,
    ) -> Vec<Input> {
        let parents = self.parents();
        let chain_id = self.genesis.chain_id();
        let ack = |receipt: &SignedReceipt| {
            let receipt = &receipt.body;
            let group = profiles[&receipt.profile].body.payer;
            let parent = parents[&group];
            let ack = ProfileAck {
                group,
                round: receipt.round,
                profile: receipt.profile,
            };
            let signed = Signed::new(ack, &parent.key, &chain_id);
            frame(parent.link, Frame::ProfileAck(signed))
        };
        receipts.iter().map(ack).collect()
    }

    fn parents(&self) -> BTreeMap<GroupId, &Member> {
        self.members.iter().map(|m| (m.group, m)).collect()
    }

    fn group_blocks(
        &mut self,
        receipts: &[SignedReceipt],
        by_hash: &BTreeMap<Hash, SignedProfile>,
    ) -> Vec<Input> {
        let Some(round) = receipts.first().map(|receipt| receipt.body.round) else {
            return Vec::new();
        };
        let chain_id = self.genesis.chain_id();
        let mut profiles: BTreeMap<GroupId, Vec<SignedProfile>> = BTreeMap::new();
        for profile in by_hash.values() {
            let of_group = profiles.entry(profile.body.payer).or_default();
            of_group.push(profile.clone());
        }
        let mut inputs = Vec::new();
        for member in &mut self.members {
            if let Some(mut profiles) = profiles.remove(&member.group) {
                profiles.sort_by_key(|profile| profile.body.sort_key());
                let sealed = member.seal(round, &profiles, &chain_id);
                inputs.push(frame(member.link, Frame::GroupBlock(sealed)));
            }
        }
        inputs
    }

    fn ballots(&self) -> Vec<Input> {
        let state = self.provider.state();
        let vote = |member: &Member| {
            let ballot = Ballot {
                voter: member.group,
                height: state.height,
                header: state.tip,
            };
            let signed = Signed::new(ballot, &member.key, &self.genesis.chain_id());
            frame(member.link, Frame::Ballot(signed))
        };
        self.members.iter().map(vote).collect()
    }

    /// Bytes of the blocks that effects announce: parents get all of it.
    fn announced(&self, effects: &[Effect]) -> usize {
        let is_block = |effect: &&Effect| matches!(effect, Effect::SendBlocks { .. });
        let links = effects.iter().filter(is_block).count();
        let newest = self.blocks_from(self.state().height).pop();
        let newest = newest.expect("a block was sealed");
        links * protocol::canonical(&Frame::Block(Box::new(newest))).len()
    }

    /// All blocks so far.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        self.blocks_from(1)
    }

    fn blocks_from(&self, height: u64) -> Vec<Block> {
        let mut blocks = Vec::new();
        let read = stored_blocks(&self.store, height, u64::MAX, |b| blocks.push(b));
        read.expect("the store is whole");
        blocks
    }

    /// The key of the group's parent.
    pub(crate) fn key_of(&self, group: GroupId) -> KeyPair {
        let mut members = self.members.iter();
        let member = members.find(|member| member.group == group);
        member.expect("a group of the crowd").key.clone()
    }

    /// The state as sealed.
    pub(crate) fn state(&self) -> &ledger::State {
        self.provider.state()
    }
}

impl Member {
    fn charge(&mut self, start: UnixSeconds, chain_id: &Hash) -> Input {
        let turn = usize::try_from(self.seq).expect("fits") % self.chargers.len();
        let (charger, grant) = &self.chargers[turn];
        let detail = b"register at each quarter of an hour".to_vec();
        self.seq += 1;
        let profile = ChargeProfile {
            charger: *charger,
            payer: self.group,
            node: self.node,
            seq: self.seq,
            previous: self.previous,
            supply_point: self.outlet,
            start,
            duration_s: 3_600,
            register_start: self.register,
            energy_wh: ENERGY_WH,
            max_power: PowerW(11_000),
            grant: grant.body.id(),
            detail: Hash::of(&detail),
        };
        self.register = profile.register_end().expect("it fits");
        let profile = Signed::new(profile, &self.key, chain_id);
        self.previous = profile.hash();
        let submission = Submission {
            profile,
            grant: grant.clone(),
            detail,
        };
        frame(self.link, Frame::Profile(submission))
    }

    fn seal(&mut self, round: u64, profiles: &[SignedProfile], chain_id: &Hash) -> SealedGroup {
        let previous = self.last_group_block;
        let block = GroupBlock::over(self.group, round, previous, profiles.iter());
        let known = |profile: &SignedProfile| SealedProfile::Known(profile.hash());
        let sealed = SealedGroup {
            block: Signed::new(block, &self.key, chain_id),
            profiles: profiles.iter().map(known).collect(),
        };
        self.last_group_block = sealed.block.hash();
        sealed
    }
}

fn frame(link: u64, frame: Frame) -> Input {
    Input::Frame {
        link,
        frame: Box::new(frame),
    }
}

/// The profile of a submission, by its hash.
pub(crate) fn profile(input: &Input) -> (Hash, SignedProfile) {
    let Input::Frame { frame, .. } = input else {
        unreachable!("not a frame: {input:?}")
    };
    let Frame::Profile(submission) = &**frame else {
        unreachable!("not a submission: {frame:?}")
    };
    (submission.profile.hash(), submission.profile.clone())
}

/// The receipts among effects.
pub(crate) fn receipts(effects: &[Effect]) -> Vec<SignedReceipt> {
    let receipt = |effect: &Effect| match effect {
        Effect::Send { frame, .. } => match &**frame {
            Frame::Receipt(receipt) => Some(receipt.clone()),
            _ => None,
        },
        _ => None,
    };
    effects.iter().filter_map(receipt).collect()
}

fn sent(effects: &[Effect]) -> usize {
    let length = |effect: &Effect| match effect {
        Effect::Send { frame, .. } => protocol::canonical(&**frame).len(),
        _ => 0,
    };
    effects.iter().map(length).sum()
}
