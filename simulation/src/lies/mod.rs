//! Liars: what they change of what goes out and comes in.
//!
//! A liar is an honest machine with a hand on its wires (and its key). A new lie is a row in one of
//! the tables of `profile`, `group_block`, `ballot`, `block` and `provider`.

mod ballot;
mod block;
mod gateway;
mod group_block;
mod neighbour;
mod profile;
mod provider;

pub(crate) use ballot::{BallotLie, CrowdLie};
pub(crate) use block::BlockLie;
pub(crate) use gateway::GatewayMemory;
pub(crate) use group_block::GroupBlockLie;
pub(crate) use profile::ProfileLie;
pub(crate) use provider::{Conduct, ProviderMemory};

use crate::random::Random;

/// What a gateway lies about, and the name that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GatewayLie {
    Profile(ProfileLie, &'static str),
    GroupBlock(GroupBlockLie, &'static str),
    Ballot(BallotLie, &'static str),
    Crowd(CrowdLie),
    /// A parent's grants are signed with another key.
    Grant,
}

/// What the provider lies about, and the name that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProviderLie {
    Block(BlockLie, &'static str),
    Conduct(Conduct, &'static str),
}

/// The names of all lies that stand in tables.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let profiles = profile::PROFILE_LIES.iter().map(|(_, name)| *name);
    let group_blocks = group_block::GROUP_BLOCK_LIES.iter().map(|(_, name)| *name);
    let ballots = ballot::BALLOT_LIES.iter().map(|(_, name)| *name);
    let blocks = block::BLOCK_LIES.iter().map(|(_, name)| *name);
    let conducts = provider::CONDUCTS.iter().map(|(_, name)| *name);
    let of_gateways = profiles.chain(group_blocks).chain(ballots);
    of_gateways.chain(blocks).chain(conducts)
}

pub(crate) fn draw_gateway_lie(random: &mut Random) -> GatewayLie {
    match random.below(100) {
        0..45 => {
            let (lie, name) = *random.pick(&profile::PROFILE_LIES);
            GatewayLie::Profile(lie, name)
        }
        45..80 => {
            let (lie, name) = *random.pick(&group_block::GROUP_BLOCK_LIES);
            GatewayLie::GroupBlock(lie, name)
        }
        80..94 => {
            let (lie, name) = *random.pick(&ballot::BALLOT_LIES);
            GatewayLie::Ballot(lie, name)
        }
        _ => GatewayLie::Grant,
    }
}

pub(crate) fn draw_provider_lie(random: &mut Random) -> ProviderLie {
    if random.chance(60) {
        let (lie, name) = *random.pick(&block::BLOCK_LIES);
        ProviderLie::Block(lie, name)
    } else {
        let (conduct, name) = *random.pick(&provider::CONDUCTS);
        ProviderLie::Conduct(conduct, name)
    }
}
