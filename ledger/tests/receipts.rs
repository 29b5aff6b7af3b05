//! Receipt files: what they prove offline, and that no byte of one can be changed.

mod support;

use ledger::receipt_file::{ReceiptError, ReceiptFile};
use support::{Network, wh};

fn receipt() -> (Network, ReceiptFile) {
    let mut net = Network::new();
    net.charge("household", "HOME-1", wh(11_000));
    net.charge_at("household", "yard", "HOME-1", wh(500));
    net.run_rounds(3);
    let file = net.receipts("household").remove(0);
    (net, file)
}

#[test]
fn a_receipt_verifies_offline_and_tells_who_voted() {
    let (net, file) = receipt();
    let proven = file
        .verify(Some(&net.genesis.provider_key))
        .expect("it verifies");
    assert_eq!((proven.voters, proven.votes), (2, 2));
    assert!(proven.is_self_attested());
    assert_eq!(file.line.profile.body.energy_wh, 11_000);
}

#[test]
fn a_receipt_with_any_byte_changed_fails() {
    let (net, file) = receipt();
    let bytes = file.to_bytes();
    for position in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[position] ^= flip;
            let read = ReceiptFile::from_bytes(&changed);
            let verified = read.and_then(|file| file.verify(Some(&net.genesis.provider_key)));
            assert!(verified.is_err(), "byte {position} ^ {flip:#x}");
        }
    }
}

#[test]
fn a_receipt_cut_short_or_extended_fails() {
    let (_, file) = receipt();
    let bytes = file.to_bytes();
    for length in 0..bytes.len() {
        assert!(ReceiptFile::from_bytes(&bytes[..length]).is_err());
    }
    let extended = [bytes.as_slice(), &[0]].concat();
    assert!(ReceiptFile::from_bytes(&extended).is_err());
}

#[test]
fn a_receipt_is_of_one_provider() {
    let (_, file) = receipt();
    let other = protocol::KeyPair::from_seed(&[8; 32]).public();
    let refused = file.verify(Some(&other));
    assert!(matches!(refused, Err(ReceiptError::Provider { .. })));
}

#[test]
fn a_receipt_without_its_votes_or_with_one_twice_proves_nothing() {
    let (_, file) = receipt();
    let mut fewer = file.clone();
    fewer.finality.votes.pop();
    let not_final = ReceiptError::NotFinal {
        votes: 1,
        voters: 2,
    };
    assert_eq!(fewer.verify(None), Err(not_final));
    let mut doubled = fewer.clone();
    doubled.finality.votes.push(fewer.finality.votes[0].clone());
    assert_eq!(doubled.verify(None), Err(ReceiptError::Votes));
    let mut unanchored = file;
    unanchored.finality.anchor.header = unanchored.header.clone();
    assert_eq!(unanchored.verify(None), Err(ReceiptError::Votes));
}

#[test]
fn the_votes_of_one_block_prove_nothing_about_another() {
    let (mut net, first) = receipt();
    net.charge("household", "HOME-1", wh(900));
    net.run_rounds(3);
    let mut later = net.receipts("household").pop().expect("three receipts");
    assert_ne!(first.header, later.header);
    later.finality.votes.clone_from(&first.finality.votes);
    assert_eq!(later.verify(None), Err(ReceiptError::Votes));
}

#[test]
fn no_charge_is_final_before_somebody_could_vote_on_it() {
    let mut net = Network::empty();
    let household = support::site("HOUSEHOLD", &["HOME-1"], &["garage"]);
    net.add_gateway("household", household, &["HOUSEHOLD"]);
    net.settle();
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(4);
    net.assert_settled();
    let file = net.receipts("household").remove(0);
    assert_eq!(file.header.body.height, 2);
    let proven = file.verify(None).expect("it verifies");
    assert_eq!((proven.votes, proven.voters), (1, 1));
    assert!(proven.is_self_attested());
}

#[test]
fn a_vote_for_a_descendant_confirms_the_charge() {
    let mut net = Network::new();
    net.cut_link("fleet");
    net.charge("household", "HOME-1", wh(1_000));
    net.run_rounds(2);
    net.charge("household", "HOME-1", wh(2_000));
    net.run_rounds(2);
    // The fleet sees both blocks at once and votes for the newest only.
    net.restore_link("fleet");
    net.run_rounds(3);
    net.assert_settled();
    let file = net.receipts("household").remove(0);
    assert!(
        file.finality
            .votes
            .iter()
            .any(|vote| vote.descendant.is_some())
    );
}
