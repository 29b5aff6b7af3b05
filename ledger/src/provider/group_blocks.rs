//! Group blocks at the end of their round: which hold, and what the others prove.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{GroupId, Hash, Signed, SignedProfile};

use super::{Event, Provider};
use crate::apply::check_group_block;
use crate::block::GroupBlock;
use crate::evidence::Evidence;
use crate::frame::{SealedGroup, SealedProfile};

/// What the group blocks of a round come to.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Those that hold, sorted by group.
    pub(super) valid: Vec<Signed<GroupBlock>>,
    /// The profiles under them.
    pub(super) in_time: BTreeSet<Hash>,
    /// What the others prove.
    pub(super) evidence: Vec<Evidence>,
}

/// Why a group block is refused.
struct Refusal {
    reason: String,
    evidence: Option<Evidence>,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self {
            reason,
            evidence: None,
        }
    }
}

impl Provider {
    pub(super) fn judge_group_blocks(&mut self, round: u64) -> Judged {
        let sealed: Vec<SealedGroup> = self
            .rounds
            .group_blocks
            .range((round, GroupId(0))..=(round, GroupId(u32::MAX)))
            .map(|(_, sealed)| sealed.clone())
            .collect();
        let mut judged = Judged::default();
        for sealed in sealed {
            match self.check_sealed(round, &sealed) {
                Ok(profiles) => {
                    judged.in_time.extend(profiles);
                    judged.valid.push(sealed.block);
                }
                Err(Refusal { reason, evidence }) => {
                    let group = sealed.block.body.group;
                    self.notify(Event::GroupBlockRefused { group, reason });
                    judged.evidence.extend(evidence);
                }
            }
        }
        judged
    }

    /// The profiles under a group block that is well signed and seals charges which were received
    /// for this round.
    fn check_sealed(&self, round: u64, sealed: &SealedGroup) -> Result<Vec<Hash>, Refusal> {
        let group = sealed.block.body.group;
        let received: BTreeMap<Hash, &SignedProfile> = self
            .rounds
            .of_round(round)
            .map(|received| (received.profile.hash(), &received.profile))
            .filter(|(_, profile)| profile.body.payer == group)
            .collect();
        let profiles = resolve(sealed, &received)
            .ok_or_else(|| "it names charges that were not received for this round".to_owned())?;
        let found = Evidence::against_group_block(&self.preview, &sealed.block, &profiles);
        if let Some(evidence) = found {
            return Err(self.convict(evidence));
        }
        let hashes: Vec<Hash> = profiles.iter().map(Signed::hash).collect();
        if !hashes.iter().all(|hash| received.contains_key(hash)) {
            return Err("it seals charges that were not received for this round"
                .to_owned()
                .into());
        }
        check_group_block(&self.preview, round, &sealed.block, profiles.iter())
            .map_err(|invalid| invalid.to_string())?;
        match self.omitted(round, sealed, &profiles, &received) {
            Some(evidence) => Err(self.convict(evidence)),
            None => Ok(hashes),
        }
    }

    /// Proof that an otherwise valid group block lacks a charge that its parent acknowledged.
    fn omitted(
        &self,
        round: u64,
        sealed: &SealedGroup,
        profiles: &[SignedProfile],
        received: &BTreeMap<Hash, &SignedProfile>,
    ) -> Option<Evidence> {
        let group = sealed.block.body.group;
        let mut acks = self.rounds.acks_of(round, group);
        acks.find_map(|ack| {
            let profile = received.get(&ack.body.profile)?;
            Evidence::of_omission(&self.preview, &sealed.block, profiles, ack, profile)
        })
    }

    fn convict(&self, evidence: Evidence) -> Refusal {
        let offence = evidence.check(&self.preview).map(|(offence, _)| offence);
        let is_new = offence.is_some_and(|o| !self.preview.convictions.contains_key(&o));
        Refusal {
            reason: evidence.in_words().to_owned(),
            evidence: is_new.then_some(evidence),
        }
    }
}

/// The profiles of a group block in full; `None` where one is not known.
fn resolve(
    sealed: &SealedGroup,
    received: &BTreeMap<Hash, &SignedProfile>,
) -> Option<Vec<SignedProfile>> {
    let in_full = |profile: &SealedProfile| match profile {
        SealedProfile::Known(hash) => received.get(hash).copied().cloned(),
        SealedProfile::Full(profile) => Some((**profile).clone()),
    };
    sealed.profiles.iter().map(in_full).collect()
}
