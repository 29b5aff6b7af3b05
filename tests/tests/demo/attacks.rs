//! What the demo claims of the three attacks, checked once more from its facts and the blocks alone.

use std::collections::BTreeSet;

use ledger::evidence::{Evidence, EvidenceFile, Exhibit, Offence};
use ledger::{Block, Record, apply};
use protocol::{GroupId, PublicKey, decode};
use serde_json::json;

use crate::story::{STORY, bytes, each, number};

fn index(height: &serde_json::Value) -> usize {
    usize::try_from(number(height)).expect("small")
}

#[test]
fn what_the_parent_altered_convicts_it_and_the_true_charge_is_billed() {
    let facts = STORY.facts("alteration-refused");
    let height = index(&facts["height"]);
    let group = GroupId(u32::try_from(number(&facts["group"])).expect("small"));
    let round = number(&facts["round"]);
    let block = &STORY.blocks[height - 1];
    assert_eq!(block.header.body.round, round);
    let evidence = facts["evidence"].as_str().expect("hexadecimal");
    let evidence = hex::decode(evidence).expect("hexadecimal");
    let evidence: Evidence = decode(&evidence).expect("canonical");
    assert!(
        block
            .body
            .records
            .contains(&Record::Evidence(evidence.clone()))
    );
    let (offence, node) = evidence.check(&STORY.states[height]).expect("it convicts");
    assert_eq!(offence, Offence::Parent { group, round });
    assert_eq!(node, STORY.state().groups[&group].parent);
    assert!(
        block
            .body
            .group_blocks
            .iter()
            .all(|sealed| sealed.body.group != group)
    );
    assert_ne!(facts["alteredWh"], facts["meteredWh"]);

    let facts = STORY.facts("true-charge-billed");
    let (block, line) = STORY.charge(&facts["profile"]);
    assert_eq!(usize::try_from(block.header.body.height), Ok(height));
    assert!(line.late);
    assert_eq!(
        u64::from(line.profile.body.energy_wh),
        number(&facts["meteredWh"])
    );
}

#[test]
fn a_crowd_with_most_of_the_votes_kept_nothing_out_of_the_chain() {
    let facts = STORY.facts("no-message-says-no");
    let height = index(&facts["height"]);
    let (block, _) = STORY.charge(&facts["profile"]);
    assert_eq!(usize::try_from(block.header.body.height), Ok(height));
    assert!(STORY.blocks.len() > height, "the chain goes on");
    let (sent, refused) = (number(&facts["sent"]), number(&facts["refused"]));
    assert_eq!(sent, refused + number(&facts["unanswered"]));
    let refusals = STORY.all("message").filter(|message| {
        message["to"] == "S" && message["kind"] == "refusal" && message["name"] == "Reject"
    });
    assert!(refused > 0 && refusals.count() as u64 >= refused);

    let facts = STORY.facts("silence-only-delays");
    let sybils = number(&facts["sybils"]);
    assert!(
        sybils * 2 > number(&facts["voters"]),
        "they have most of the votes"
    );
    // The word in the chain's own state, and whose ballots it rests on.
    let state = STORY.state();
    assert!(state.final_height >= height as u64);
    let label = match state.confirmed_height >= height as u64 {
        true => "final",
        false => "finalAfterDormancy",
    };
    assert_eq!(facts["after"]["finality"], label);
    assert_eq!(facts["before"]["energyWh"], facts["after"]["energyWh"]);
    let ballots = STORY.blocks.iter().flat_map(|block| &block.body.ballots);
    let voted: BTreeSet<GroupId> = ballots.map(|ballot| ballot.body.voter).collect();
    assert_eq!(
        state.groups.len() - voted.len(),
        usize::try_from(sybils).expect("small")
    );
}

#[test]
fn the_altered_block_is_the_providers_and_no_successor_of_the_chain() {
    let facts = STORY.facts("altered-block-applied-by-nobody");
    let height = index(&facts["height"]);
    let event = STORY.all("refusedBlock").next().expect("it is shown");
    let block: Block = bytes(event, |bytes| decode(bytes).ok());
    assert_eq!(json!(block.header.hash()), facts["header"]);
    let before = &STORY.states[height - 1];
    let key = before.genesis.provider_key;
    assert_eq!(block.header.verify(&key, &before.chain_id()), Ok(()));
    assert!(apply(before, &block).is_err());
    let sealed = u64::from(block.body.charges[0].profile.body.energy_wh);
    assert_eq!(sealed, number(&facts["alteredWh"]));
    assert_ne!(sealed, number(&facts["meteredWh"]));
    for name in ["A", "C"] {
        let node = &facts["nodes"][name];
        assert_eq!(number(&node["height"]), height as u64 - 1);
        assert!(node["stopped"].is_string(), "{node}");
        assert_eq!(node["ballots"], 0);
    }
    assert_eq!(STORY.blocks.len(), height - 1, "nothing was built on it");
}

#[test]
fn the_evidence_files_convict_the_provider_and_nobody_else() {
    let header = &STORY.facts("altered-block-applied-by-nobody")["header"];
    let key = STORY.state().genesis.provider_key;
    let other = STORY.state().nodes.values().next().expect("a node").key;
    let files: Vec<_> = STORY.all("evidence").collect();
    assert_eq!(files.len(), each(STORY.facts("provider-convicted")).len());
    for event in files {
        let file = bytes(event, |bytes| EvidenceFile::from_bytes(bytes).ok());
        let verify = |key: &PublicKey| file.verify(Some(key));
        assert!(verify(&key).is_ok());
        assert!(verify(&other).is_err());
        let Exhibit::ForgedCharge(forged) = &file.exhibit else {
            panic!("another exhibit");
        };
        assert_eq!(json!(forged.header.hash()), *header);
    }
}
