//! Group blocks at the end of their round: which hold, and what the others prove.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Hash, Signed, SignedProfile};

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
        let sealed: Vec<SealedGroup> = self.rounds.group_blocks_of(round).cloned().collect();
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
            .of_group(round, group)
            .map(|received| (received.receipt.body.profile, &received.profile))
            .collect();
        let profiles = resolve(sealed, &received)
            .ok_or_else(|| "it names charges that were not received for this round".to_owned())?;
        let hashes: Vec<Hash> = profiles.iter().map(Signed::hash).collect();
        // Bit for bit, because the root is over signatures, too, and the block will hold ours.
        let mut pairs = hashes.iter().zip(&profiles);
        let are_ours = pairs.all(|(hash, profile)| received.get(hash) == Some(&profile));
        // What was received was checked then: in order, it gives no cause to look for a forgery.
        if !are_ours || !is_sorted(&profiles) {
            self.look_for_evidence(sealed, &profiles)?;
            return Err("it seals charges that were not received for this round"
                .to_owned()
                .into());
        }
        if let Err(invalid) =
            check_group_block(&self.preview, round, &sealed.block, profiles.iter())
        {
            self.look_for_evidence(sealed, &profiles)?;
            return Err(invalid.to_string().into());
        }
        match self.omitted(round, sealed, &profiles, &received) {
            Some(evidence) => Err(self.convict(evidence)),
            None => Ok(hashes),
        }
    }

    /// Refuses a group block that is wrong by itself, with the proof.
    fn look_for_evidence(
        &self,
        sealed: &SealedGroup,
        profiles: &[SignedProfile],
    ) -> Result<(), Refusal> {
        match Evidence::against_group_block(&self.preview, &sealed.block, profiles) {
            Some(evidence) => Err(self.convict(evidence)),
            None => Ok(()),
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

fn is_sorted(profiles: &[SignedProfile]) -> bool {
    let mut pairs = profiles.windows(2);
    pairs.all(|pair| pair[0].body.sort_key() < pair[1].body.sort_key())
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
