//! Binary frames of the billing link.

use ledger::frame::{Frame, Promised, SealedGroup, SealedProfile, Submission, Witnessed};
use protocol::{ProfileAck, Receipt, Signed, SignedProfile, SignedReceipt, canonical};

use super::{Corpus, canonical_value, numbered};
use crate::chain::{Chain, chain, key, profile};

pub(super) fn check(bytes: &[u8]) {
    canonical_value::<Frame>(bytes);
}

pub(super) fn corpus() -> Corpus {
    numbered(each().iter().map(canonical))
}

/// One frame of each kind.
pub(crate) fn each() -> Vec<Frame> {
    let chain = chain();
    let block = &chain.blocks[2];
    let profile = &block.body.charges[0].profile;
    vec![
        Frame::Profile(submission(chain)),
        Frame::Receipt(receipt(chain)),
        Frame::Refused {
            seq: 7,
            reason: "the meter's register runs backwards".to_owned(),
        },
        Frame::Witness(witnessed(chain)),
        Frame::ProfileAck(profile_ack(chain)),
        Frame::GroupBlock(SealedGroup {
            block: block.body.group_blocks[0].clone(),
            profiles: vec![
                SealedProfile::Known(profile.hash()),
                SealedProfile::Full(Box::new(profile.clone())),
            ],
        }),
        Frame::Block(Box::new(block.clone())),
        Frame::Ballot(block.body.ballots[0].clone()),
        Frame::Header(Box::new(block.header.clone())),
        Frame::Proof(chain.receipts[0].to_bytes()),
        Frame::Picked(chain.picked().clone()),
        Frame::Promised(Promised {
            witnessed: witnessed(chain),
            detail: b"detail".to_vec(),
        }),
        Frame::Reported { promises: 1 },
        Frame::Resume {
            last_seq: 3,
            last_profile: profile.hash(),
            tip: 4,
        },
    ]
}

/// A charge of block 3, and the promise about it.
fn witnessed(chain: &Chain) -> Witnessed {
    Witnessed {
        profile: chain.blocks[2].body.charges[0].profile.clone(),
        receipt: receipt(chain),
        grant: chain.grant().clone(),
    }
}

fn submission(chain: &Chain) -> Submission {
    Submission {
        profile: chain.blocks[2].body.charges[0].profile.clone(),
        grant: chain.grant().clone(),
        detail: b"detail".to_vec(),
    }
}

pub(crate) fn receipt(chain: &Chain) -> SignedReceipt {
    receipt_for(chain, &chain.blocks[2].body.charges[0].profile, 3)
}

/// The provider's promise of a round for `profile`.
pub(crate) fn receipt_for(chain: &Chain, profile: &SignedProfile, round: u64) -> SignedReceipt {
    let receipt = Receipt {
        profile: profile.hash(),
        node: profile.body.node,
        seq: profile.body.seq,
        round,
    };
    Signed::new(receipt, &key(0), &chain.genesis.chain_id())
}

/// What node 1 would submit after what the chain holds of it.
pub(crate) fn next_profile(chain: &Chain) -> SignedProfile {
    profile_after(chain, &chain.blocks[2].body.charges[0].profile)
}

/// What node 1 would submit after `before`.
pub(crate) fn profile_after(chain: &Chain, before: &SignedProfile) -> SignedProfile {
    let next = profile(1, before.body.seq + 1, before.hash());
    Signed::new(next, &key(1), &chain.genesis.chain_id())
}

pub(crate) fn profile_ack(chain: &Chain) -> Signed<ProfileAck> {
    let profile = &chain.blocks[2].body.charges[0].profile;
    let ack = ProfileAck {
        group: profile.body.payer,
        round: 3,
        profile: profile.hash(),
    };
    Signed::new(ack, &key(1), &chain.genesis.chain_id())
}
