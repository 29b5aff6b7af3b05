//! The accounts that every full node holds, and the root that each header states over them.

use std::collections::VecDeque;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::message::Finality;
use protocol::{
    ChargerId, EnergyWh, Genesis, GrantId, GroupId, Hash, MinorUnits, NodeId, PublicKey,
    SupplyPointId, TariffId, UnixSeconds, canonical,
};

use crate::accounts::{Account, Accounts, Key};
use crate::block::Header;
use crate::evidence::{Conviction, Offence};
use crate::merkle::{self, Frontier, Way};

/// A node (one gateway) as the chain knows it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NodeAccount {
    /// Its key.
    pub key: PublicKey,
    /// The number of its last profile in the chain; 0 for none.
    pub last_seq: u32,
    /// The hash of that profile; zero for none.
    pub last_profile: Hash,
}

/// A paying group, which is also a voter.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GroupAccount {
    /// The node that seals and votes for it.
    pub parent: NodeId,
    /// Who signs grants for it beside the parent.
    pub deputy: Option<NodeId>,
    /// How many deputies were named, or taken back.
    pub deputies: u32,
    /// The deputies before, the last one last: what they granted in their time still holds. Of
    /// more than [`MAX_FORMER`] the first are forgotten.
    pub former_deputies: Vec<FormerDeputy>,
    /// Hash of its last group block in the chain; zero for none.
    pub last_group_block: Hash,
    /// Energy its chargers took.
    pub energy: EnergyWh,
    /// What it owes for that.
    pub amount: MinorUnits,
    /// Number of its charges.
    pub charges: u64,
    /// Height of the block that enrolled it.
    pub voter_since: u64,
    /// The highest header it has a ballot in the chain for; 0 for none.
    pub voted_height: u64,
    /// Time of the block that holds its last ballot; of its enrolment before the first.
    pub last_ballot: UnixSeconds,
}

/// A node that was a group's deputy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FormerDeputy {
    /// The node.
    pub node: NodeId,
    /// Time of the block that names another, or none.
    pub until: UnixSeconds,
}

/// An outlet.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SupplyPointAccount {
    /// The node that measures there.
    pub node: NodeId,
    /// The group that is credited.
    pub owner: GroupId,
    /// Hash of the meter's model and serial number.
    pub meter: Hash,
    /// How often the meter was exchanged.
    pub exchanges: u32,
    /// The register at the end of its last charge, or of a new meter at the beginning; no later
    /// charge begins below.
    pub register: EnergyWh,
    /// Energy taken there.
    pub energy: EnergyWh,
    /// What its owner is credited.
    pub credit: MinorUnits,
}

/// Former groups of a mobile charger, and former deputies of a group, that are remembered.
pub const MAX_FORMER: usize = 8;
/// How long after its signer ceased to be deputy a grant may run out, to hold all the same. Gateways
/// grant for 30 days; a deputy learns that it is none any more with a block, which may be late.
pub const FORMER_DEPUTY_S: u64 = 60 * 24 * 3600;

/// A mobile charger under its pseudonym.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChargerAccount {
    /// The group that it is in.
    pub group: GroupId,
    /// The groups that it was in before, the last one last: what it charged under a grant of one of
    /// them is still for that one to pay. Of more than [`MAX_FORMER`] the first are forgotten.
    pub former: Vec<GroupId>,
    /// Energy it took.
    pub energy: EnergyWh,
    /// What that costs.
    pub amount: MinorUnits,
    /// Number of its charges.
    pub charges: u32,
    /// Hash of its last profile; zero for none.
    pub last_profile: Hash,
}

/// A grant that charges may still rest on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantAccount {
    /// Who may charge.
    pub charger: ChargerId,
    /// Who pays.
    pub group: GroupId,
    /// The first second a charge may begin in.
    pub not_before: UnixSeconds,
    /// The first second no charge may begin in any more.
    pub expiry: UnixSeconds,
    /// The most one charge may take, Wh; 0 for no limit.
    pub energy_limit_wh: u32,
}

/// What finality rests on; a section of the state's tree by itself.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Totals {
    /// Number of voters enrolled.
    pub voters: u32,
    /// Height of the newest final block that the chain itself proves; 0 for none.
    pub final_height: u64,
    /// Height of the newest one that became final by more than half of all voters, dormant or not.
    pub confirmed_height: u64,
    /// The tariff in force; 0 for none.
    pub tariff: TariffId,
}

/// Everything `apply` needs to judge the next block.
///
/// Equal blocks give equal states, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct State {
    /// The chain's parameters.
    pub genesis: Genesis,
    /// Height of the newest block; 0 for none.
    pub height: u64,
    /// Hash of the newest header; the chain id before the first.
    pub tip: Hash,
    /// Round of the newest block.
    pub round: u64,
    /// Time of the newest block.
    pub time: UnixSeconds,
    /// The right edge of the log over all header hashes.
    pub log: Frontier,
    /// Height of the newest final block that the chain itself proves; 0 for none.
    pub final_height: u64,
    /// Height of the newest one that became final by more than half of all voters, dormant or not.
    /// It confirms its ancestors; those after it, up to `final_height`, are final without the
    /// dormant.
    pub confirmed_height: u64,
    // Invariant: the headers from `final_height` to `height`.
    pub(crate) open: VecDeque<OpenHeader>,
    /// Nodes by number.
    pub nodes: Accounts<NodeId, NodeAccount>,
    /// Groups by number.
    pub groups: Accounts<GroupId, GroupAccount>,
    /// Outlets by number.
    pub supply_points: Accounts<SupplyPointId, SupplyPointAccount>,
    /// Chargers by pseudonym.
    pub chargers: Accounts<ChargerId, ChargerAccount>,
    /// Grants by id.
    pub grants: Accounts<GrantId, GrantAccount>,
    /// Hashes of the tariff documents by number.
    pub tariffs: Accounts<TariffId, Hash>,
    /// Convictions by offence.
    pub convictions: Accounts<Offence, Conviction>,
}

/// A header that ballots may name.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct OpenHeader {
    pub(crate) hash: Hash,
    pub(crate) time: UnixSeconds,
}

/// One leaf of the state's tree.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Leaf {
    /// Always the first.
    Totals(Totals),
    /// A node.
    Node(NodeId, NodeAccount),
    /// A group.
    Group(GroupId, GroupAccount),
    /// An outlet.
    SupplyPoint(SupplyPointId, SupplyPointAccount),
    /// A charger.
    Charger(ChargerId, ChargerAccount),
    /// A grant.
    Grant(GrantId, GrantAccount),
    /// A tariff.
    Tariff(TariffId, Hash),
    /// A conviction.
    Conviction(Offence, Conviction),
}

impl Leaf {
    /// Its hash in the tree.
    #[must_use]
    pub fn hash(&self) -> Hash {
        merkle::leaf_hash(&canonical(self))
    }

    /// The section of the state's tree that it stands in.
    fn section(&self) -> usize {
        match self {
            Self::Totals(_) => 0,
            Self::Node(..) => 1,
            Self::Group(..) => 2,
            Self::SupplyPoint(..) => 3,
            Self::Charger(..) => 4,
            Self::Grant(..) => 5,
            Self::Tariff(..) => 6,
            Self::Conviction(..) => 7,
        }
    }

    /// Whether `way` leads from this leaf, in its section, to the state's `root`.
    #[must_use]
    pub fn is_in(&self, root: &Hash, way: &Way) -> bool {
        let is_in_section = way
            .path
            .len()
            .checked_sub(SECTION_LEVELS)
            .filter(|levels| *levels + SECTION_LEVELS <= Way::LONGEST)
            .is_some_and(|levels| usize::try_from(way.turns >> levels) == Ok(self.section()));
        is_in_section && way.leads(&self.hash(), root)
    }
}

/// Nodes between the state's root and a section.
const SECTION_LEVELS: usize = 3;

macro_rules! accounts {
    ($($key:ident $account:ident $leaf:ident),* $(,)?) => {$(
        impl Account<$key> for $account {
            type Leaf = Leaf;

            fn leaf(&self, key: $key) -> Leaf {
                Leaf::$leaf(key, self.clone())
            }
        }
    )*};
}

accounts! {
    NodeId NodeAccount Node,
    GroupId GroupAccount Group,
    SupplyPointId SupplyPointAccount SupplyPoint,
    ChargerId ChargerAccount Charger,
    GrantId GrantAccount Grant,
    TariffId Hash Tariff,
    Offence Conviction Conviction,
}

impl Key for Offence {
    type Bits = [u8; 13];

    /// Its kind, and its numbers in their order.
    fn bits(&self) -> Self::Bits {
        let (kind, who, when) = match self {
            Self::Parent { group, round } => (0, group.0, *round),
            Self::Node { node, seq } => (1, node.0, u64::from(*seq)),
            Self::Voter { group, height } => (2, group.0, *height),
            Self::Provider { height } => (3, 0, *height),
        };
        let mut bits = [kind; 13];
        bits[1..5].copy_from_slice(&who.to_be_bytes());
        bits[5..].copy_from_slice(&when.to_be_bytes());
        bits
    }
}

impl GroupAccount {
    /// Makes `deputy` the one who grants beside the parent, from `time` on.
    pub(crate) fn name_deputy(&mut self, deputy: Option<NodeId>, time: UnixSeconds) {
        let before = self.deputy;
        self.former_deputies
            .retain(|former| ![before, deputy].contains(&Some(former.node)));
        if let Some(node) = before.filter(|_| before != deputy) {
            let former = FormerDeputy { node, until: time };
            self.former_deputies.push(former);
        }
        if self.former_deputies.len() > MAX_FORMER {
            self.former_deputies.remove(0);
        }
        self.deputy = deputy;
        self.deputies += 1;
    }

    /// The nodes whose signature a grant that runs out at `expiry` may bear.
    pub(crate) fn granting(&self, expiry: UnixSeconds) -> impl Iterator<Item = NodeId> {
        let holds = move |former: &&FormerDeputy| {
            expiry.0 <= former.until.0.saturating_add(FORMER_DEPUTY_S)
        };
        let former = self.former_deputies.iter().filter(holds);
        let present = [Some(self.parent), self.deputy].into_iter().flatten();
        present.chain(former.map(|former| former.node))
    }
}

impl ChargerAccount {
    /// Whether `group` may let it charge, or may have done so before it moved.
    #[must_use]
    pub fn is_of(&self, group: GroupId) -> bool {
        self.group == group || self.former.contains(&group)
    }

    /// Puts it into another group.
    pub(crate) fn move_to(&mut self, group: GroupId) {
        self.former
            .retain(|former| *former != self.group && *former != group);
        self.former.push(self.group);
        if self.former.len() > MAX_FORMER {
            self.former.remove(0);
        }
        self.group = group;
    }
}

impl State {
    /// The state before the first block.
    #[must_use]
    pub fn new(genesis: Genesis) -> Self {
        let chain_id = genesis.chain_id();
        Self {
            height: 0,
            tip: chain_id,
            round: 0,
            time: genesis.time,
            log: Frontier::default(),
            final_height: 0,
            confirmed_height: 0,
            open: VecDeque::from([OpenHeader {
                hash: chain_id,
                time: genesis.time,
            }]),
            nodes: Accounts::default(),
            groups: Accounts::default(),
            supply_points: Accounts::default(),
            chargers: Accounts::default(),
            grants: Accounts::default(),
            tariffs: Accounts::default(),
            convictions: Accounts::default(),
            genesis,
        }
    }

    /// The name of the chain.
    #[must_use]
    pub fn chain_id(&self) -> Hash {
        self.genesis.chain_id()
    }

    /// The hash of the header at `height`, where it is not older than the newest final one.
    #[must_use]
    pub fn open_header(&self, height: u64) -> Option<Hash> {
        Some(self.open_at(height)?.hash)
    }

    /// The time of the header at `height`, where it is not older than the newest final one.
    pub(crate) fn open_time(&self, height: u64) -> Option<UnixSeconds> {
        Some(self.open_at(height)?.time)
    }

    fn open_at(&self, height: u64) -> Option<&OpenHeader> {
        let index = height.checked_sub(self.final_height)?;
        self.open.get(usize::try_from(index).ok()?)
    }

    /// The leaves of the state's tree, in order.
    pub fn leaves(&self) -> impl Iterator<Item = Leaf> + '_ {
        let nodes = self.nodes.iter().map(|(id, a)| Leaf::Node(*id, a.clone()));
        let groups = self
            .groups
            .iter()
            .map(|(id, a)| Leaf::Group(*id, a.clone()));
        let outlets = self
            .supply_points
            .iter()
            .map(|(id, a)| Leaf::SupplyPoint(*id, a.clone()));
        let chargers = self
            .chargers
            .iter()
            .map(|(id, a)| Leaf::Charger(*id, a.clone()));
        let grants = self
            .grants
            .iter()
            .map(|(id, a)| Leaf::Grant(*id, a.clone()));
        let tariffs = self
            .tariffs
            .iter()
            .map(|(id, hash)| Leaf::Tariff(*id, *hash));
        let convictions = self
            .convictions
            .iter()
            .map(|(offence, c)| Leaf::Conviction(*offence, c.clone()));
        std::iter::once(Leaf::Totals(self.totals()))
            .chain(nodes)
            .chain(groups)
            .chain(outlets)
            .chain(chargers)
            .chain(grants)
            .chain(tariffs)
            .chain(convictions)
    }

    /// What finality rests on.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            voters: u32::try_from(self.groups.len()).unwrap_or(u32::MAX),
            final_height: self.final_height,
            confirmed_height: self.confirmed_height,
            tariff: self.tariff(),
        }
    }

    /// The roots of the sections; that of the totals is their leaf.
    fn sections(&self) -> [Hash; 1 << SECTION_LEVELS] {
        [
            Leaf::Totals(self.totals()).hash(),
            self.nodes.root(),
            self.groups.root(),
            self.supply_points.root(),
            self.chargers.root(),
            self.grants.root(),
            self.tariffs.root(),
            self.convictions.root(),
        ]
    }

    /// The root that a header states over this state.
    #[must_use]
    pub fn root(&self) -> Hash {
        merkle::root(&self.sections())
    }

    /// The way from a leaf of this state to its root; `None` where no account has its key.
    #[must_use]
    pub fn way(&self, leaf: &Leaf) -> Option<Way> {
        let mut way = match leaf {
            Leaf::Totals(_) => Way::default(),
            Leaf::Node(key, _) => self.nodes.way(key)?,
            Leaf::Group(key, _) => self.groups.way(key)?,
            Leaf::SupplyPoint(key, _) => self.supply_points.way(key)?,
            Leaf::Charger(key, _) => self.chargers.way(key)?,
            Leaf::Grant(key, _) => self.grants.way(key)?,
            Leaf::Tariff(key, _) => self.tariffs.way(key)?,
            Leaf::Conviction(key, _) => self.convictions.way(key)?,
        };
        let section = leaf.section();
        let path = merkle::path(&self.sections(), section)?;
        for (level, other) in path.into_iter().enumerate() {
            way.ascend((section >> level) & 1 == 1, other);
        }
        Some(way)
    }

    /// The tariff in force; 0 before the first.
    #[must_use]
    pub fn tariff(&self) -> TariffId {
        self.tariffs
            .last_key_value()
            .map_or(TariffId(0), |(id, _)| *id)
    }

    /// The convictions recorded in the block at `height`.
    #[must_use]
    pub fn convictions_at(&self, height: u64) -> Vec<(Offence, Conviction)> {
        self.convictions
            .iter()
            .filter(|(_, conviction)| conviction.height == height)
            .map(|(offence, conviction)| (*offence, conviction.clone()))
            .collect()
    }

    /// Whether the voters had to pick one of two stories after they had voted up to `height`.
    #[must_use]
    pub fn is_pardoned(&self, height: u64) -> bool {
        let offences = self.convictions.iter().map(|(offence, _)| offence);
        offences.copied().any(
            |offence| matches!(offence, Offence::Provider { height: up_to } if height <= up_to),
        )
    }

    /// How far a block of this chain is on its way to being final, at `now` or at the newest
    /// block's time, whichever is later.
    #[must_use]
    pub fn finality(&self, header: &Header, now: UnixSeconds) -> Finality {
        let now = now.max(self.time);
        if header.height <= self.confirmed_height {
            Finality::Final
        } else if header.height <= self.final_height {
            Finality::FinalAfterDormancy
        } else if self.genesis.is_dispute_over(header.time, now) {
            Finality::Unconfirmed
        } else {
            Finality::Pending
        }
    }

    /// The groups whose votes `node` casts.
    pub fn votes_of(&self, node: NodeId) -> impl Iterator<Item = GroupId> + '_ {
        self.groups
            .iter()
            .filter(move |(_, group)| group.parent == node)
            .map(|(id, _)| *id)
    }
}
