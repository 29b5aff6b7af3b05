//! Lies of a node about its charges.

use ledger::frame::Submission;
use protocol::{GroupId, Hash, KeyPair, NodeId, Signed, SupplyPointId};

/// How a submission is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProfileLie {
    SkippedNumber,
    OtherPrevious,
    LowRegister,
    OtherPayer,
    OtherOutlet,
    Backdated,
    ForgedGrant,
    BadSignature,
    TwoWithOneNumber,
    Repeated,
    OtherNode,
}

/// All of them, with the names they are counted under.
pub(crate) const PROFILE_LIES: [(ProfileLie, &str); 11] = [
    (ProfileLie::SkippedNumber, "lie: a node skips a number"),
    (ProfileLie::OtherPrevious, "lie: a node hides a profile"),
    (ProfileLie::LowRegister, "lie: a node turns a register back"),
    (ProfileLie::OtherPayer, "lie: a node bills another group"),
    (
        ProfileLie::OtherOutlet,
        "lie: a node claims another's outlet",
    ),
    (ProfileLie::Backdated, "lie: a node backdates a charge"),
    (ProfileLie::ForgedGrant, "lie: a node forges a grant"),
    (ProfileLie::BadSignature, "lie: a node's signature is bad"),
    (
        ProfileLie::TwoWithOneNumber,
        "lie: a node signs a number twice",
    ),
    (ProfileLie::Repeated, "lie: a node submits a charge again"),
    (ProfileLie::OtherNode, "lie: a node signs for another"),
];

/// What goes out in place of an honest submission, in order.
pub(super) fn lie(
    lie: ProfileLie,
    honest: &Submission,
    key: &KeyPair,
    chain_id: &Hash,
) -> Vec<Submission> {
    let mut body = honest.profile.body.clone();
    let mut grant = honest.grant.clone();
    match lie {
        ProfileLie::SkippedNumber => body.seq += 1,
        ProfileLie::OtherPrevious => body.previous.0[0] ^= 1,
        ProfileLie::LowRegister => body.register_start.0 = 1,
        ProfileLie::OtherPayer => body.payer = GroupId(body.payer.0 % 2 + 1),
        ProfileLie::OtherOutlet => body.supply_point = SupplyPointId(body.supply_point.0 % 2 + 1),
        ProfileLie::Backdated => body.start.0 -= 100 * 24 * 3_600,
        ProfileLie::ForgedGrant => {
            let mut forged = grant.body;
            forged.expiry.0 += 1;
            body.grant = forged.id();
            // Not the parent's key, whoever lies.
            grant = Signed::new(forged, &KeyPair::from_seed(&[77; 32]), chain_id);
        }
        ProfileLie::BadSignature | ProfileLie::TwoWithOneNumber => body.energy_wh += 1,
        ProfileLie::Repeated => {}
        ProfileLie::OtherNode => body.node = NodeId(body.node.0 % 2 + 1),
    }
    let mut profile = Signed::new(body, key, chain_id);
    if lie == ProfileLie::BadSignature {
        profile.signature = honest.profile.signature;
    }
    let other = Submission {
        profile,
        grant,
        detail: honest.detail.clone(),
    };
    match lie {
        ProfileLie::TwoWithOneNumber | ProfileLie::Repeated => vec![honest.clone(), other],
        _ => vec![other, honest.clone()],
    }
}
