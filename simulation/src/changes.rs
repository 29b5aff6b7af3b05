//! What people change while the system runs: groups, limits, deputies, meters.

use ledger::node::Limits;
use protocol::IdTag;

use crate::random::Random;
use crate::scenario::{Site, site_key};

/// A change and its moment.
#[derive(Clone, Debug)]
pub(crate) struct PlannedChange {
    pub(crate) at: u64,
    pub(crate) change: Change,
}

/// What may be changed. Each occurrence is counted under its name.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Somebody edits the configurations of gateways and restarts them, in order.
    Configure(&'static str, Vec<Edit>),
    /// An outlet of a gateway gets a new meter.
    ExchangeMeter(usize, usize),
}

/// An edit of the configuration of the gateway at a site.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) site: usize,
    pub(crate) what: What,
}

/// What is edited.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// The group of a mobile charger at home there.
    Group(IdTag, Option<IdTag>),
    /// It vouches for a mobile charger at home elsewhere.
    Member(IdTag, IdTag),
    /// A mobile charger may not charge.
    Block(IdTag),
    /// The gateway at that site speaks for a group, too.
    Deputy(IdTag, usize),
}

impl Change {
    /// Whether a charger pays with another group afterwards.
    pub(crate) fn moves_chargers(&self) -> bool {
        let Self::Configure(_, edits) = self else {
            return false;
        };
        let mut edits = edits.iter();
        edits.any(|edit| matches!(edit.what, What::Group(..)))
    }
}

impl Site {
    pub(crate) fn edit(&mut self, what: &What) {
        let config = &mut self.config;
        match what {
            What::Group(id_tag, group) => {
                config.chargers.insert(id_tag.clone(), group.clone());
            }
            What::Member(id_tag, group) => {
                config.members.insert(id_tag.clone(), group.clone());
            }
            What::Block(id_tag) => {
                let limits = Limits {
                    is_blocked: true,
                    ..Limits::default()
                };
                config.limits.insert(id_tag.clone(), limits);
            }
            What::Deputy(group, site) => {
                let key = site_key(*site).public();
                config.deputies.insert(group.clone(), key);
            }
        }
    }
}

/// The changes of a run, up to the moment it heals: none in most runs.
pub(crate) fn plan(random: &mut Random, sites: &[Site], heals_at: u64) -> Vec<PlannedChange> {
    let count = match random.below(4) {
        0 => random.between(1, 3),
        _ => 0,
    };
    let mut changes = Vec::new();
    for _ in 0..count {
        let at = random.between(heals_at / 4, heals_at);
        let change = draw(random, sites);
        changes.extend(change.map(|change| PlannedChange { at, change }));
    }
    changes
}

fn draw(random: &mut Random, sites: &[Site]) -> Option<Change> {
    let site = random.index(sites.len());
    let config = &sites[site].config;
    let tags: Vec<&IdTag> = config.chargers.keys().collect();
    if config.outlets.is_empty() || tags.is_empty() {
        return None;
    }
    let id_tag = (*random.pick(&tags)).clone();
    match random.below(100) {
        0..35 => Some(Change::ExchangeMeter(
            site,
            random.index(config.outlets.len()),
        )),
        35..55 => move_to_other_group(random, sites, site, id_tag),
        55..65 => {
            let edits = vec![Edit {
                site,
                what: What::Group(id_tag, None),
            }];
            Some(Change::Configure("charger leaves its group", edits))
        }
        65..80 => {
            let edits = vec![Edit {
                site,
                what: What::Block(id_tag),
            }];
            Some(Change::Configure("charger blocked", edits))
        }
        _ => name_deputy(random, sites, site),
    }
}

fn move_to_other_group(
    random: &mut Random,
    sites: &[Site],
    home: usize,
    id_tag: IdTag,
) -> Option<Change> {
    let parents: Vec<usize> = parents(sites).collect();
    let parent = *random.pick(&parents);
    let group = random.pick(&sites[parent].claims).clone();
    let mut edits = Vec::new();
    if parent != home {
        edits.push(Edit {
            site: parent,
            what: What::Member(id_tag.clone(), group.clone()),
        });
    }
    edits.push(Edit {
        site: home,
        what: What::Group(id_tag, Some(group)),
    });
    Some(Change::Configure("charger moves to another group", edits))
}

/// The gateway at `site` gets a deputy, which vouches for the same chargers.
fn name_deputy(random: &mut Random, sites: &[Site], site: usize) -> Option<Change> {
    let group = sites[site].claims.first()?.clone();
    let deputy = random.index(sites.len());
    if deputy == site {
        return None;
    }
    let config = &sites[site].config;
    let own = config.chargers.iter();
    let own = own
        .filter(|(_, of)| **of == Some(group.clone()))
        .map(|(tag, _)| tag);
    let members = config.members.iter();
    let members = members.filter(|(_, of)| **of == group).map(|(tag, _)| tag);
    let at_home = &sites[deputy].config.chargers;
    let vouched = own.chain(members).filter(|tag| !at_home.contains_key(*tag));
    let mut edits: Vec<Edit> = vouched
        .map(|tag| Edit {
            site: deputy,
            what: What::Member(tag.clone(), group.clone()),
        })
        .collect();
    edits.push(Edit {
        site,
        what: What::Deputy(group, deputy),
    });
    Some(Change::Configure("deputy named", edits))
}

/// Sites that are parents by configuration, and no crowds.
fn parents(sites: &[Site]) -> impl Iterator<Item = usize> + '_ {
    let all = sites.iter().enumerate();
    all.filter(|(_, site)| !site.claims.is_empty() && !site.config.outlets.is_empty())
        .map(|(index, _)| index)
}
