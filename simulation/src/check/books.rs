//! A second opinion on blocks: the rules of `docs/protocol.md` written down once more, apart from
//! `ledger::apply`, so that a rule which is missing there is missed here.

use std::collections::{BTreeMap, BTreeSet};

use ledger::block::{Block, GroupBlock, Record, VERSION};
use ledger::merkle;
use ledger::resume::Resume;
use ledger::{ChargeLine, State};
use protocol::{
    ChargerId, EnergyWh, Genesis, Grant, GrantId, GroupId, Hash, NodeId, PublicKey, Signed,
    SignedDeputy, SignedMeterExchange, SignedProfile, SupplyPointId, TariffId, UnixSeconds,
};

#[derive(Clone, Debug)]
struct Group {
    parent: NodeId,
    last_group_block: Hash,
    energy: u64,
    charges: u64,
    since: u64,
    voted: u64,
    last_ballot: UnixSeconds,
    // Who else signs grants, and how many words there were about that.
    deputy: (Option<NodeId>, u32),
    former: Vec<(NodeId, UnixSeconds)>,
}

#[derive(Clone, Debug)]
struct Node {
    key: PublicKey,
    last_seq: u32,
    last_profile: Hash,
}

/// The accounts after a block.
#[derive(Clone, Debug)]
pub(super) struct Books {
    genesis: Genesis,
    chain_id: Hash,
    // Hashes and times of all headers from height 1 on.
    headers: Vec<(Hash, UnixSeconds)>,
    round: u64,
    final_height: u64,
    confirmed_height: u64,
    nodes: BTreeMap<NodeId, Node>,
    groups: BTreeMap<GroupId, Group>,
    outlets: BTreeMap<SupplyPointId, (NodeId, EnergyWh)>,
    exchanges: BTreeMap<SupplyPointId, u32>,
    // The groups that each charger has been in, the present one last. No run has so many moves that
    // the first is forgotten.
    chargers: BTreeMap<ChargerId, Vec<GroupId>>,
    grants: BTreeMap<GrantId, Grant>,
    tariff: TariffId,
    profiles: BTreeMap<(NodeId, u32), Hash>,
}

type Verdict<T = ()> = Result<T, String>;

fn ensure(holds: bool, rule: &str) -> Verdict {
    match holds {
        true => Ok(()),
        false => Err(rule.to_owned()),
    }
}

impl Books {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            genesis: genesis.clone(),
            chain_id: genesis.chain_id(),
            headers: Vec::new(),
            round: 0,
            final_height: 0,
            confirmed_height: 0,
            nodes: BTreeMap::new(),
            groups: BTreeMap::new(),
            outlets: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            chargers: BTreeMap::new(),
            grants: BTreeMap::new(),
            tariff: TariffId(0),
            profiles: BTreeMap::new(),
        }
    }

    pub(super) fn height(&self) -> u64 {
        u64::try_from(self.headers.len()).expect("a length in memory")
    }

    pub(super) fn tip(&self) -> Hash {
        self.headers.last().map_or(self.chain_id, |(hash, _)| *hash)
    }

    pub(super) fn header_at(&self, height: u64) -> Option<Hash> {
        let index = usize::try_from(height.checked_sub(1)?).ok()?;
        self.headers.get(index).map(|(hash, _)| *hash)
    }

    pub(super) fn holds(&self, profile: &SignedProfile) -> bool {
        let key = (profile.body.node, profile.body.seq);
        self.profiles.get(&key) == Some(&profile.hash())
    }

    pub(super) fn key_of(&self, node: NodeId) -> Option<PublicKey> {
        self.nodes.get(&node).map(|node| node.key)
    }

    fn time(&self) -> UnixSeconds {
        self.headers
            .last()
            .map_or(self.genesis.time, |(_, time)| *time)
    }

    fn parent_key(&self, group: GroupId) -> Option<PublicKey> {
        let parent = self.groups.get(&group)?.parent;
        Some(self.nodes.get(&parent)?.key)
    }

    /// The keys that a grant of `group` with this expiry may bear.
    fn may_grant(&self, group: GroupId, expiry: UnixSeconds) -> Vec<PublicKey> {
        let account = self.groups.get(&group);
        let deputy = account.and_then(|account| account.deputy.0);
        let former = account.into_iter().flat_map(|account| &account.former);
        let former = former.filter(|(_, until)| expiry.0 <= until.0 + 60 * 24 * 3600);
        let nodes = deputy.into_iter().chain(former.map(|(node, _)| *node));
        let keys = nodes.filter_map(|node| self.key_of(node));
        self.parent_key(group).into_iter().chain(keys).collect()
    }

    /// The books after `block`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn after(&self, block: &Block) -> Verdict<Self> {
        self.check_header(block)?;
        let mut next = self.clone();
        let header = &block.header.body;
        next.headers.push((block.header.hash(), header.time));
        next.round = header.round;
        for record in &block.body.records {
            next.record(record)?;
        }
        next.check_group_blocks(block)?;
        next.charges(&block.body.charges)?;
        next.ballots(block)?;
        next.settle();
        Ok(next)
    }

    fn check_header(&self, block: &Block) -> Verdict {
        let header = &block.header.body;
        let key = self.genesis.provider_key;
        ensure(header.version == VERSION, "the version is known")?;
        ensure(header.height == self.height() + 1, "the height is the next")?;
        ensure(
            header.previous == self.tip(),
            "it extends the newest header",
        )?;
        ensure(header.time >= self.time(), "time does not run back")?;
        ensure(header.round >= self.round, "rounds do not run back")?;
        let is_signed = block.header.verify(&key, &self.chain_id).is_ok();
        ensure(is_signed, "the provider signed the header")?;
        let leaves: Vec<Hash> = self
            .headers
            .iter()
            .map(|(hash, _)| merkle::leaf_hash(&hash.0))
            .collect();
        ensure(
            header.log_root == merkle::root(&leaves),
            "the log extends the log before",
        )?;
        let body = &block.body;
        ensure(header.body_root == body.root(), "the body is the header's")?;
        let has_content =
            !(body.records.is_empty() && body.charges.is_empty() && body.group_blocks.is_empty());
        let is_second = self.height() > 0 && header.round == self.round;
        ensure(
            !(has_content && is_second),
            "a round has one block with content",
        )?;
        let can_vote = !self.groups.is_empty() || body.charges.is_empty();
        ensure(can_vote, "no charge comes before the first voter")
    }

    fn record(&mut self, record: &Record) -> Verdict {
        match record {
            Record::Tariff { id, .. } => {
                ensure(id.0 == self.tariff.0 + 1, "tariffs are numbered")?;
                self.tariff = *id;
                Ok(())
            }
            Record::EnrolNode { node, key } => {
                let is_new = self.nodes.values().all(|known| known.key != *key);
                ensure(is_new, "a key joins once")?;
                let account = Node {
                    key: *key,
                    last_seq: 0,
                    last_profile: Hash::ZERO,
                };
                let before = self.nodes.insert(*node, account);
                ensure(before.is_none(), "a node joins once")
            }
            Record::EnrolGroup { group, parent } => {
                ensure(self.nodes.contains_key(parent), "a parent is a node")?;
                let account = Group {
                    parent: *parent,
                    last_group_block: Hash::ZERO,
                    energy: 0,
                    charges: 0,
                    since: self.height(),
                    voted: 0,
                    last_ballot: self.time(),
                    deputy: (None, 0),
                    former: Vec::new(),
                };
                let before = self.groups.insert(*group, account);
                ensure(before.is_none(), "a group joins once")
            }
            Record::EnrolSupplyPoint {
                supply_point, node, ..
            } => {
                let before = self.outlets.insert(*supply_point, (*node, EnergyWh(0)));
                ensure(before.is_none(), "an outlet joins once")
            }
            Record::RegisterCharger { charger, group } => {
                ensure(self.groups.contains_key(group), "the group exists")?;
                let before = self.chargers.insert(*charger, vec![*group]);
                ensure(before.is_none(), "a charger joins once")
            }
            Record::Grant(grant) => {
                let body = &grant.body;
                let member = self.chargers.get(&body.charger);
                let is_member = member.is_some_and(|groups| groups.contains(&body.group));
                ensure(is_member, "a grant is for a charger of its group")?;
                let mut keys = self.may_grant(body.group, body.expiry).into_iter();
                let is_signed = keys.any(|key| grant.verify(&key, &self.chain_id).is_ok());
                ensure(is_signed, "a grant is its parent's or a deputy's")?;
                self.grants.insert(body.id(), body.clone());
                Ok(())
            }
            // Judged by whom it convicts: see `check_convictions`.
            Record::Evidence(_) => Ok(()),
            Record::MoveCharger { charger, group } => {
                ensure(self.groups.contains_key(group), "the group exists")?;
                let account = self.chargers.get_mut(charger).ok_or("the charger exists")?;
                let is_other = account.last() != Some(group);
                account.push(*group);
                ensure(is_other, "a charger moves to another group")
            }
            Record::Deputy(deputy) => self.deputy(deputy),
            Record::MeterExchange(exchange) => self.meter_exchange(exchange),
            Record::Resume(words) => self.resume(words),
        }
    }

    fn deputy(&mut self, deputy: &SignedDeputy) -> Verdict {
        let body = &deputy.body;
        let key = self.parent_key(body.group).ok_or("the group exists")?;
        let is_signed = deputy.verify(&key, &self.chain_id).is_ok();
        ensure(is_signed, "a deputy is its parent's choice")?;
        let is_there = body.node.is_none_or(|node| self.nodes.contains_key(&node));
        ensure(is_there, "a deputy is a node")?;
        let time = self.time();
        let account = self.groups.get_mut(&body.group);
        let account = account.ok_or("the group exists")?;
        let before = account.deputy.0.filter(|_| account.deputy.0 != body.node);
        account.former.extend(before.map(|node| (node, time)));
        ensure(body.number == account.deputy.1 + 1, "deputies are numbered")?;
        account.deputy = (body.node, body.number);
        Ok(())
    }

    fn resume(&self, words: &[Signed<Resume>]) -> Verdict {
        let mut said = BTreeSet::new();
        for word in words {
            let body = &word.body;
            let voter = self.groups.get(&body.voter).ok_or("the voter exists")?;
            ensure(voter.since <= self.final_height, "the voter counts")?;
            let key = self.parent_key(body.voter).ok_or("the voter exists")?;
            ensure(
                word.verify(&key, &self.chain_id).is_ok(),
                "a word is its voter's",
            )?;
            let is_here = self.header_at(body.height) == Some(body.header);
            ensure(is_here, "voters pick a header of this chain")?;
            ensure(said.insert(body.voter), "a voter has one word")?;
        }
        let voters = self.groups.values();
        let voters = voters.filter(|group| group.since <= self.final_height);
        ensure(
            said.len() > voters.count() / 2,
            "most voters pick the header",
        )
    }

    fn meter_exchange(&mut self, exchange: &SignedMeterExchange) -> Verdict {
        let body = &exchange.body;
        let outlet = self.outlets.get_mut(&body.supply_point);
        let (node, register) = outlet.ok_or("the outlet exists")?;
        let key = self.nodes.get(node).ok_or("the node exists")?.key;
        let is_signed = exchange.verify(&key, &self.chain_id).is_ok();
        ensure(is_signed, "a meter exchange is its node's word")?;
        ensure(body.last_register >= *register, "registers only rise")?;
        *register = body.first_register;
        let count = self.exchanges.entry(body.supply_point).or_default();
        *count += 1;
        ensure(body.number == *count, "meter exchanges are numbered")
    }

    fn check_group_blocks(&mut self, block: &Block) -> Verdict {
        let body = &block.body;
        let mut sealed = BTreeSet::new();
        for signed in &body.group_blocks {
            let said = &signed.body;
            let key = self.parent_key(said.group);
            let is_signed = key.is_some_and(|key| signed.verify(&key, &self.chain_id).is_ok());
            ensure(is_signed, "a group block is its parent's")?;
            let lines = body.charges.iter().filter(|line| !line.late);
            let profiles = lines
                .map(|line| &line.profile)
                .filter(|profile| profile.body.payer == said.group);
            let account = self.groups.get_mut(&said.group);
            let account = account.ok_or("the group exists")?;
            let due = GroupBlock::over(said.group, self.round, account.last_group_block, profiles);
            ensure(due == *said, "a group block seals its group's charges")?;
            account.last_group_block = signed.hash();
            sealed.insert(said.group);
        }
        let unsealed = |line: &ChargeLine| !line.late && !sealed.contains(&line.profile.body.payer);
        ensure(
            !body.charges.iter().any(unsealed),
            "a charge in time is in a group block",
        )
    }

    fn charges(&mut self, lines: &[ChargeLine]) -> Verdict {
        let mut in_turn: Vec<&ChargeLine> = lines.iter().collect();
        in_turn.sort_by_key(|line| (line.profile.body.node, line.profile.body.seq));
        for line in in_turn {
            self.charge(line)?;
        }
        Ok(())
    }

    fn charge(&mut self, line: &ChargeLine) -> Verdict {
        let body = &line.profile.body;
        ensure(line.tariff == self.tariff, "the newest tariff is in force")?;
        let node = self.nodes.get_mut(&body.node).ok_or("the node exists")?;
        ensure(body.seq == node.last_seq + 1, "numbers have no gap")?;
        ensure(
            body.previous == node.last_profile,
            "it names the profile before",
        )?;
        let is_signed = line.profile.verify(&node.key, &self.chain_id).is_ok();
        ensure(is_signed, "its node signed it")?;
        let hash = line.profile.hash();
        (node.last_seq, node.last_profile) = (body.seq, hash);
        let is_known = self.chargers.contains_key(&body.charger);
        ensure(is_known, "the charger exists")?;
        let outlet = self.outlets.get_mut(&body.supply_point);
        let (of, register) = outlet.ok_or("the outlet exists")?;
        ensure(*of == body.node, "the outlet is the node's")?;
        ensure(body.register_start >= *register, "registers only rise")?;
        *register = body.register_end().ok_or("registers fit")?;
        let grant = self.grants.get(&body.grant).ok_or("a grant is there")?;
        let limit = grant.energy_limit_wh;
        let is_covered = grant.charger == body.charger
            && grant.group == body.payer
            && grant.covers(body.start)
            && (limit == 0 || body.energy_wh <= limit);
        ensure(is_covered, "a grant covers it")?;
        let group = self.groups.get_mut(&body.payer).ok_or("the group exists")?;
        group.energy += u64::from(body.energy_wh);
        group.charges += 1;
        let before = self.profiles.insert((body.node, body.seq), hash);
        ensure(before.is_none(), "a number is used once")
    }

    fn ballots(&mut self, block: &Block) -> Verdict {
        let (time, height) = (self.time(), self.height());
        for signed in &block.body.ballots {
            let ballot = &signed.body;
            let key = self.parent_key(ballot.voter);
            let is_signed = key.is_some_and(|key| signed.verify(&key, &self.chain_id).is_ok());
            ensure(is_signed, "a ballot is its voter's")?;
            let is_here =
                ballot.height < height && self.header_at(ballot.height) == Some(ballot.header);
            ensure(is_here, "a ballot is for a header of this chain")?;
            let voter = self.groups.get_mut(&ballot.voter);
            let voter = voter.ok_or("the voter exists")?;
            ensure(ballot.height > voter.voted, "a ballot says something new")?;
            (voter.voted, voter.last_ballot) = (ballot.height, time);
        }
        Ok(())
    }

    /// What is final now.
    fn settle(&mut self) {
        let now = self.time();
        while self.final_height < self.height() {
            let base = self.final_height;
            let voters: Vec<&Group> = self.groups.values().filter(|g| g.since <= base).collect();
            let yes = voters.iter().filter(|g| g.voted > base).count();
            let asleep = |g: &&&Group| {
                g.voted <= base && now.0 >= g.last_ballot.0 + u64::from(self.genesis.dormancy_s)
            };
            let asleep = voters.iter().filter(asleep).count();
            let index = usize::try_from(base).expect("a length in memory");
            let sealed = self.headers[index].1;
            let is_over = now.0 >= sealed.0 + u64::from(self.genesis.dispute_period_s);
            if voters.is_empty() || yes > voters.len() / 2 {
                self.final_height += 1;
                self.confirmed_height = self.final_height;
            } else if is_over && yes > (voters.len() - asleep) / 2 {
                self.final_height += 1;
            } else {
                break;
            }
        }
    }

    /// Whether a node's state tells the same.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn compare(&self, state: &State) -> Verdict {
        let same = |holds: bool, what: &str| match holds {
            true => Ok(()),
            false => Err(format!("the state's {what} differ from the blocks'")),
        };
        same(state.tip == self.tip(), "newest headers")?;
        same(
            (state.final_height, state.confirmed_height)
                == (self.final_height, self.confirmed_height),
            "final heights",
        )?;
        let sums = state.groups.iter();
        let sums = sums.map(|(id, group)| (*id, group.energy.0, group.charges));
        let own = self.groups.iter();
        same(
            sums.eq(own.map(|(id, group)| (*id, group.energy, group.charges))),
            "sums of groups",
        )?;
        let nodes = state.nodes.iter();
        let nodes = nodes.map(|(id, node)| (*id, node.last_seq, node.last_profile));
        let own = self.nodes.iter();
        same(
            nodes.eq(own.map(|(id, node)| (*id, node.last_seq, node.last_profile))),
            "last numbers of nodes",
        )?;
        let registers = state.supply_points.iter();
        let registers = registers.map(|(id, outlet)| (*id, outlet.register));
        let own = self.outlets.iter();
        same(
            registers.eq(own.map(|(id, (_, register))| (*id, *register))),
            "registers",
        )
    }

    pub(super) fn final_height(&self) -> u64 {
        self.final_height
    }

    /// Whether anybody had a vote on the block at `height`; without voters the provider is alone.
    pub(super) fn is_voted(&self, height: u64) -> bool {
        self.groups.values().any(|group| group.since < height)
    }

    pub(super) fn confirmed_height(&self) -> u64 {
        self.confirmed_height
    }
}

/// Whether the state's root is the one that the newest header states.
pub(super) fn states_its_root(state: &State, block: &Block) -> bool {
    state.root() == block.header.body.state_root
}
