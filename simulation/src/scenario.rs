//! What a seed stands for: who takes part, who charges when, what breaks, who lies.

use std::collections::BTreeMap;

use ledger::node::{NodeConfig, Outlet};
use ledger::tariff::FlatTariff;
use protocol::{Genesis, IdTag, KeyPair, NodeAddress};

use crate::changes::{self, PlannedChange};
use crate::faults::{self, PlannedFault};
use crate::lies::{self, CrowdLie, GatewayLie, ProviderLie};
use crate::process::BEGIN;
use crate::random::Random;

/// All that a run is told before it begins.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) genesis: Genesis,
    pub(crate) tariff: FlatTariff,
    pub(crate) sites: Vec<Site>,
    pub(crate) charges: Vec<PlannedCharge>,
    pub(crate) faults: Vec<PlannedFault>,
    pub(crate) changes: Vec<PlannedChange>,
    pub(crate) provider_lie: Option<ProviderLie>,
    /// Somebody who is neither provider nor node sends frames into the links.
    pub(crate) has_stranger: bool,
    /// When everything heals, ms.
    pub(crate) heals_at: u64,
}

/// A gateway and its place.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) config: NodeConfig,
    /// What its token lets it claim.
    pub(crate) claims: Vec<IdTag>,
    /// When it is switched on, ms.
    pub(crate) joins_at: u64,
    pub(crate) lie: Option<GatewayLie>,
}

impl Site {
    pub(crate) fn is_honest(&self) -> bool {
        self.lie.is_none()
    }
}

/// Somebody plugs in.
#[derive(Clone, Debug)]
pub(crate) struct PlannedCharge {
    pub(crate) at: u64,
    pub(crate) site: usize,
    pub(crate) outlet: usize,
    pub(crate) id_tag: IdTag,
    pub(crate) energy_wh: u64,
    pub(crate) lasts_ms: u64,
    /// Whether the outlet lets nobody charge before the idTag is accepted.
    pub(crate) asks: bool,
}

pub(crate) fn provider_key() -> KeyPair {
    KeyPair::from_seed(&[1; 32])
}

pub(crate) fn site_key(index: usize) -> KeyPair {
    let mut seed = [2; 32];
    seed[..8].copy_from_slice(&index.to_le_bytes());
    KeyPair::from_seed(&seed)
}

fn tag(text: &str) -> IdTag {
    IdTag::parse(text).expect("short and printable")
}

/// How lies are spread over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cast {
    /// Nobody lies: everything is expected.
    Honest,
    /// Nodes, parents, voters lie; the provider does not.
    LyingNodes,
    /// The provider lies, alone or with voters.
    LyingProvider,
}

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let cast = match seed % 3 {
            0 => Cast::Honest,
            1 => Cast::LyingNodes,
            _ => Cast::LyingProvider,
        };
        let mut sites = sites(&mut random);
        let crowd = crowd(&mut random, cast, &mut sites);
        let provider_lie =
            (cast == Cast::LyingProvider).then(|| lies::draw_provider_lie(&mut random));
        if cast == Cast::LyingNodes && (crowd.is_none() || random.chance(40)) {
            let liar = random.index(sites.len().min(2));
            sites[liar].lie = Some(lies::draw_gateway_lie(&mut random));
        }
        listen(&mut Random::new(seed, 3), &mut sites);
        let genesis = genesis(&mut random, crowd);
        let round_ms = genesis.interval_ms();
        let heals_at = round_ms * random.between(5, 7);
        let charges = charges(&mut random, &sites, round_ms, heals_at);
        let mut faults = faults::plan(&mut random, sites.len(), heals_at);
        let mut changes = changes::plan(&mut random, &sites, heals_at);
        if provider_lie.is_none() {
            // By chance of its own, so that what else a seed stands for stays as it was.
            let mut chance = Random::new(seed, 3);
            let restores = faults::plan_restores(&mut chance, heals_at);
            if !restores.is_empty() {
                // What charged in a group that both registry and charger have left by then is for
                // the operator to bill.
                changes.retain(|planned| !planned.change.moves_chargers());
            } else {
                // A gateway's receipts are gone with its disk; so they are from a provider's where
                // both lose theirs.
                let mut chance = Random::new(seed, 4);
                let gateways = sites.len();
                faults.extend(faults::plan_replacements(&mut chance, gateways, heals_at));
            }
            faults.extend(restores);
        }
        Self {
            tariff: FlatTariff::new("EUR", "0.40", "0.30").expect("a tariff"),
            has_stranger: cast != Cast::Honest && random.chance(15),
            genesis,
            sites,
            charges,
            faults,
            changes,
            provider_lie,
            heals_at,
        }
    }

    /// Whether nobody lies.
    pub(crate) fn is_honest(&self) -> bool {
        self.provider_lie.is_none() && self.sites.iter().all(Site::is_honest)
    }

    /// How long silent voters may delay finality after everything has healed, ms: until they are
    /// dormant and the dispute period is over; and once more, because a voter that says yes only to
    /// what is final already wakes up again each time.
    pub(crate) fn patience_ms(&self) -> u64 {
        let is_delaying = |site: &Site| {
            matches!(
                site.lie,
                Some(GatewayLie::Crowd(CrowdLie::Silent | CrowdLie::Grudging))
            )
        };
        let is_reluctant = |site: &Site| site.lie.is_some();
        let genesis = &self.genesis;
        let delay = u64::from(genesis.dormancy_s) + u64::from(genesis.dispute_period_s);
        let waits = match (
            self.sites.iter().any(is_delaying),
            self.sites.iter().any(is_reluctant) && genesis.dormancy_s != Genesis::DORMANCY_S,
        ) {
            (true, _) => 2 * delay,
            (false, true) => delay,
            (false, false) => 0,
        };
        waits * 1_000 + genesis.interval_ms() * 9
    }
}

fn genesis(random: &mut Random, crowd: Option<CrowdLie>) -> Genesis {
    let delays = matches!(crowd, Some(CrowdLie::Silent | CrowdLie::Grudging));
    let interval_s = u32::try_from(random.between(8, 20)).expect("small");
    let (dormancy_s, dispute_period_s) = match delays || random.chance(20) {
        true => (interval_s * 5, interval_s * 2),
        false => (Genesis::DORMANCY_S, Genesis::DISPUTE_PERIOD_S),
    };
    Genesis {
        provider_key: provider_key().public(),
        time: BEGIN,
        interval_s,
        witnesses: u8::try_from(random.between(1, 8)).expect("small"),
        dormancy_s,
        dispute_period_s,
        currency: "EUR".to_owned(),
        test: true,
    }
}

/// Households and fleets that are parents of groups, and members' places that are not.
fn sites(random: &mut Random) -> Vec<Site> {
    let parents = random.index(4) + 2;
    let mut sites: Vec<Site> = (0..parents).map(|n| parent_site(random, n)).collect();
    for member in 0..random.index(3) {
        let parent = random.index(parents);
        let group = sites[parent].claims[0].clone();
        let id_tag = tag(&format!("M{member}"));
        let parent = &mut sites[parent].config;
        parent.members.insert(id_tag.clone(), group.clone());
        sites.push(Site {
            config: NodeConfig {
                chargers: BTreeMap::from([(id_tag, Some(group.clone()))]),
                outlets: vec![outlet("street", &group)],
                ..NodeConfig::default()
            },
            claims: Vec::new(),
            joins_at: random.between(0, 30_000),
            lie: None,
        });
    }
    sites
}

fn parent_site(random: &mut Random, number: usize) -> Site {
    let mut claims = vec![tag(&format!("G{number}"))];
    let mut chargers = BTreeMap::new();
    for charger in 0..=random.index(2) {
        let id_tag = tag(&format!("T{number}-{charger}"));
        chargers.insert(id_tag, Some(claims[0].clone()));
    }
    if random.chance(15) {
        let second = tag(&format!("H{number}"));
        chargers.insert(tag(&format!("T{number}-H")), Some(second.clone()));
        claims.push(second);
    }
    if random.chance(15) {
        chargers.insert(tag(&format!("T{number}-U")), None);
    }
    let outlets = ["garage", "yard"];
    let outlets = &outlets[..=random.index(2)];
    Site {
        config: NodeConfig {
            chargers,
            outlets: outlets.iter().map(|o| outlet(o, &claims[0])).collect(),
            ..NodeConfig::default()
        },
        claims,
        joins_at: match random.chance(75) {
            true => 0,
            false => random.between(0, 60_000),
        },
        lie: None,
    }
}

fn outlet(name: &str, owner: &IdTag) -> Outlet {
    Outlet {
        name: name.to_owned(),
        owner: owner.clone(),
        meter: format!("SDM630 of {name}"),
    }
}

/// Sybils: one gateway that is parent of a crowd of groups, each with its vote.
fn crowd(random: &mut Random, cast: Cast, sites: &mut Vec<Site>) -> Option<CrowdLie> {
    let comes = match cast {
        Cast::Honest => false,
        Cast::LyingNodes => random.chance(45),
        Cast::LyingProvider => random.chance(30),
    };
    if !comes {
        return None;
    }
    let lie = match cast {
        Cast::LyingProvider => CrowdLie::Approving,
        _ => *random.pick(&[CrowdLie::Silent, CrowdLie::Grudging, CrowdLie::Approving]),
    };
    // Up to 99 % of the voters; a ballot of each has to be checked by everybody, so rarely so many.
    let size = match random.below(100) {
        0..2 => sites.len() * 99 / 2,
        2..20 => sites.len() * 3,
        _ => random.index(sites.len()) + 1,
    };
    let claims: Vec<IdTag> = (0..size).map(|n| tag(&format!("X{n}"))).collect();
    let charger = |group: &IdTag| (tag(&format!("{}-CAR", group.as_str())), Some(group.clone()));
    sites.push(Site {
        config: NodeConfig {
            chargers: claims.iter().map(charger).collect(),
            ..NodeConfig::default()
        },
        claims,
        joins_at: random.between(0, 60_000),
        lie: Some(GatewayLie::Crowd(lie)),
    });
    Some(lie)
}

/// Most gateways are reached by others; some stand behind a router that lets nobody in.
fn listen(random: &mut Random, sites: &mut [Site]) {
    for (number, site) in sites.iter_mut().enumerate() {
        if random.chance(70) {
            let address = NodeAddress::parse(&format!("ws://site-{number}.example:9700"));
            site.config.address = Some(address.expect("an address"));
        }
    }
}

fn charges(
    random: &mut Random,
    sites: &[Site],
    round_ms: u64,
    heals_at: u64,
) -> Vec<PlannedCharge> {
    let places: Vec<usize> = (0..sites.len())
        .filter(|site| !sites[*site].config.outlets.is_empty())
        .collect();
    let all_tags: Vec<&IdTag> = places
        .iter()
        .flat_map(|site| sites[*site].config.chargers.keys())
        .collect();
    (0..random.between(4, 10))
        .map(|_| {
            let site = *random.pick(&places);
            let config = &sites[site].config;
            let at_home: Vec<&IdTag> = config.chargers.keys().collect();
            let id_tag = match random.chance(55) {
                true => (*random.pick(&at_home)).clone(),
                false => (*random.pick(&all_tags)).clone(),
            };
            PlannedCharge {
                at: random.between(round_ms, heals_at),
                site,
                outlet: random.index(config.outlets.len()),
                id_tag,
                energy_wh: random.between(1, 60_000),
                lasts_ms: random.between(500, round_ms),
                asks: random.chance(85),
            }
        })
        .collect()
}
