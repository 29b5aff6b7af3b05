//! Evidence of every kind against the parties of the small chain: what they signed against the
//! rules.

use std::sync::OnceLock;

use ledger::block::{Ballot, Block, GroupBlock, Header};
use ledger::evidence::{
    BrokenReceipt, Evidence, EvidenceFile, Exhibit, ForgedCharge, Fork, TwoBallots, TwoGroupBlocks,
    TwoHeaders, TwoProfiles,
};
use ledger::frame::Witnessed;
use ledger::merkle;
use ledger::state::State;
use protocol::{
    GroupId, Hash, NodeId, ProfileAck, Receipt, Signable, Signed, SignedProfile, UnixSeconds,
};

use crate::chain::{Chain, chain, key, profile};

/// The group whose parent lies; its node lies, too.
const LIAR: u8 = 2;

/// Against parents, a node and a voter, by the state before block 4: one of each kind, and one more
/// where a kind has two forms.
pub(crate) fn evidence() -> &'static [Evidence] {
    static EVIDENCE: OnceLock<Vec<Evidence>> = OnceLock::new();
    EVIDENCE.get_or_init(|| {
        let chain = chain();
        let [same_height, fork] = two_ballots(chain);
        vec![
            chain.forged_profile.clone(),
            disorder(),
            wrong_total(),
            omission(),
            two_group_blocks(),
            two_profiles(),
            same_height,
            fork,
        ]
    })
}

/// Against the provider: one of each kind, and one more where a kind has two forms.
pub(crate) fn files() -> &'static [EvidenceFile] {
    static FILES: OnceLock<Vec<EvidenceFile>> = OnceLock::new();
    FILES.get_or_init(|| {
        let chain = chain();
        let exhibits = [
            forged_charge(chain),
            left_out(chain),
            round_left_out(chain),
            two_headers(chain),
        ];
        let file = |exhibit| EvidenceFile {
            genesis: chain.genesis.clone(),
            exhibit,
        };
        exhibits.map(file).into()
    })
}

/// The state that evidence is judged by.
pub(crate) fn state() -> &'static State {
    &chain().states[3]
}

fn sign<T: Signable>(n: u8, body: T) -> Signed<T> {
    Signed::new(body, &key(n), &chain().genesis.chain_id())
}

fn profiles(seqs: &[u32]) -> Vec<SignedProfile> {
    let signed = |seq: &u32| sign(LIAR, profile(LIAR, *seq, Hash::ZERO));
    seqs.iter().map(signed).collect()
}

fn group_block(profiles: &[SignedProfile]) -> GroupBlock {
    let (group, round) = (GroupId(LIAR.into()), state().round + 1);
    GroupBlock::over(group, round, Hash::ZERO, profiles.iter())
}

fn disorder() -> Evidence {
    let profiles = profiles(&[2, 1, 3]);
    let sealed = sign(LIAR, group_block(&profiles));
    let found = Evidence::against_group_block(state(), &sealed, &profiles);
    found.expect("the second comes before the first")
}

fn wrong_total() -> Evidence {
    let profiles = profiles(&[1, 2, 3]);
    let mut sealed = group_block(&profiles);
    sealed.energy.0 += 1;
    let found = Evidence::against_group_block(state(), &sign(LIAR, sealed), &profiles);
    found.expect("a Wh too much")
}

fn omission() -> Evidence {
    let (sealed, left_out) = (profiles(&[1, 3]), profiles(&[2]).remove(0));
    let ack = ProfileAck {
        group: GroupId(LIAR.into()),
        round: state().round + 1,
        profile: left_out.hash(),
    };
    let group_block = sign(LIAR, group_block(&sealed));
    let ack = sign(LIAR, ack);
    let found = Evidence::of_omission(state(), &group_block, &sealed, &ack, &left_out);
    found.expect("one is left out")
}

fn two_group_blocks() -> Evidence {
    let [first, second] =
        [&[1_u32, 2][..], &[1]].map(|seqs| sign(LIAR, group_block(&profiles(seqs))));
    Evidence::TwoGroupBlocks(Box::new(TwoGroupBlocks { first, second }))
}

fn two_profiles() -> Evidence {
    let first = profile(LIAR, 9, Hash::ZERO);
    let mut second = first.clone();
    second.energy_wh += 1;
    Evidence::TwoProfiles(Box::new(TwoProfiles {
        first: sign(LIAR, first),
        second: sign(LIAR, second),
    }))
}

/// Two ballots for one height, and two of which the higher one's chain does not hold the lower.
fn two_ballots(chain: &Chain) -> [Evidence; 2] {
    let ballot = |height: u64, header: Hash| {
        let voter = GroupId(LIAR.into());
        sign(
            LIAR,
            Ballot {
                voter,
                height,
                header,
            },
        )
    };
    let lower = ballot(2, Hash::of(b"another block 2"));
    let real = |height: usize| &chain.blocks[height - 1].header;
    let leaf = |height: usize| merkle::leaf_hash(&real(height).hash().0);
    let fork = Fork {
        header: real(3).clone(),
        leaf: leaf(2),
        path: merkle::path(&[leaf(1), leaf(2)], 1).expect("there are two"),
    };
    let proofs = [
        (ballot(2, real(2).hash()), None),
        (ballot(3, real(3).hash()), Some(fork)),
    ];
    proofs.map(|(higher, fork)| {
        let lower = lower.clone();
        Evidence::TwoBallots(Box::new(TwoBallots {
            lower,
            higher,
            fork,
        }))
    })
}

/// Block 3 with a charge that its node did not sign.
fn forged_block(chain: &Chain) -> Block {
    let mut forged = chain.blocks[2].clone();
    forged.body.charges[0].profile.body.energy_wh = 1;
    forged.header.body.body_root = forged.body.root();
    forged.header = sign(0, forged.header.body);
    forged
}

fn forged_charge(chain: &Chain) -> Exhibit {
    let before = (&chain.blocks[1].header, &chain.states[2]);
    let found = ForgedCharge::find(&forged_block(chain), before, NodeId(1));
    Exhibit::ForgedCharge(Box::new(found.expect("one is forged")))
}

/// A charge and the provider's promise of a round for it.
fn promised(round: u64) -> Witnessed {
    let profile = sign(LIAR, profile(LIAR, 2, Hash::ZERO));
    let receipt = Receipt {
        profile: profile.hash(),
        node: profile.body.node,
        seq: profile.body.seq,
        round,
    };
    Witnessed {
        profile,
        receipt: sign(0, receipt),
        grant: chain().grant().clone(),
    }
}

fn left_out(chain: &Chain) -> Exhibit {
    let [_, before, block, _] = chain.blocks.as_slice() else {
        unreachable!("there are four");
    };
    let promised = promised(block.header.body.round);
    let found = BrokenReceipt::find(&before.header, block, &promised);
    Exhibit::BrokenReceipt(Box::new(found.expect("the charge is not in it")))
}

/// The provider goes from round 3 to round 6, and had promised round 5.
fn round_left_out(chain: &Chain) -> Exhibit {
    let mut block = chain.blocks[3].clone();
    block.header = sign(
        0,
        Header {
            round: 6,
            ..block.header.body
        },
    );
    let found = BrokenReceipt::find(&chain.blocks[2].header, &block, &promised(5));
    Exhibit::BrokenReceipt(Box::new(found.expect("the round is left out")))
}

fn two_headers(chain: &Chain) -> Exhibit {
    let first = chain.blocks[2].header.clone();
    let second = sign(
        0,
        Header {
            time: UnixSeconds(first.body.time.0 + 1),
            ..first.body.clone()
        },
    );
    Exhibit::TwoHeaders(Box::new(TwoHeaders { first, second }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_convicts_and_every_kind_is_there() {
        for evidence in evidence() {
            assert!(evidence.check(state()).is_some(), "{evidence:?}");
        }
        let provider = chain().genesis.provider_key;
        for file in files() {
            assert_eq!(file.verify(Some(&provider)), Ok(()), "{file:?}");
        }
        let tags = |canonical: Vec<Vec<u8>>| {
            let mut tags: Vec<u8> = canonical.iter().map(|bytes| bytes[0]).collect();
            tags.dedup();
            tags
        };
        let kinds = evidence().iter().map(protocol::canonical).collect();
        assert_eq!(tags(kinds), [0, 1, 2, 3, 4, 5, 6]);
        let exhibits = files().iter();
        let kinds = exhibits.map(|file| protocol::canonical(&file.exhibit));
        assert_eq!(tags(kinds.collect()), [0, 1, 2]);
    }
}
