//! Every claim of the demo, checked once more from its facts and the blocks alone.

use std::collections::{BTreeMap, BTreeSet};

use ledger::ReceiptFile;
use ledger::apply::parent_key;
use protocol::{GrantId, GroupId, PublicKey};
use serde_json::{Value, json};
use tests::{amount, credit};

use crate::story::{STORY, Story, bytes, each, number};

/// What is claimed at least.
const CLAIMS: [&str; 21] = [
    "the-parent-vouches",
    "meters-read",
    "metered-is-signed",
    "witnessed",
    "granted-by-the-parent",
    "promises-kept",
    "final-by-votes",
    "same-state",
    "told-to-the-parents",
    "alteration-refused",
    "true-charge-billed",
    "no-message-says-no",
    "silence-only-delays",
    "altered-block-applied-by-nobody",
    "provider-convicted",
    "billed-as-metered",
    "credited-as-taken",
    "charged-elsewhere",
    "headers-are-enough",
    "receipt-proves",
    "changed-receipt-refused",
];

/// The numbers of the groups by their names, from the charges they owe.
fn groups(story: &Story) -> BTreeMap<&str, GroupId> {
    let bills = each(story.facts("billed-as-metered")).iter();
    let named = bills.map(|bill| {
        let (_, line) = story.charge(&each(&bill["due"])[0]["profile"]);
        let name = bill["group"].as_str().expect("a name");
        (name, line.profile.body.payer)
    });
    named.collect()
}

#[test]
fn all_that_is_to_be_shown_is_claimed_and_none_of_it_is_false() {
    let names: BTreeSet<&str> = STORY
        .all("claim")
        .map(|claim| claim["name"].as_str().expect("a name"))
        .collect();
    for name in CLAIMS {
        assert!(names.contains(name), "{name} is not claimed");
    }
    assert!(STORY.all("claim").all(|claim| claim["holds"] == true));
    let end = STORY.all("end").next().expect("it tells its end");
    assert_eq!(end["false"], 0);
    assert_eq!(number(&end["claims"]), STORY.all("claim").count() as u64);
    assert!(STORY.all("failed").next().is_none());
}

#[test]
fn the_parent_was_asked_before_its_members_car_was_registered() {
    let facts = STORY.facts("the-parent-vouches");
    let expected = [
        ("B", "provider", "call", "Register"),
        ("provider", "A", "call", "CheckAuth"),
        ("A", "provider", "answer", "CheckAuth"),
        ("provider", "B", "answer", "Register"),
    ];
    let numbers: Vec<u64> = each(&facts["messages"]).iter().map(number).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    for (at, (from, to, kind, name)) in numbers.into_iter().zip(expected) {
        let message = message(at);
        let seen = ["from", "to", "kind", "name"].map(|key| message[key].as_str());
        assert_eq!(seen, [from, to, kind, name].map(Some));
    }
    assert_eq!(facts["parentSaid"], "Accepted");
}

fn message(at: u64) -> &'static Value {
    let mut messages = STORY.all("message");
    let found = messages.find(|message| message["number"] == at);
    found.expect("the message was shown")
}

#[test]
fn each_charge_is_in_the_chain_as_its_meter_counted_it() {
    for fact in each(STORY.facts("metered-is-signed")) {
        let (block, line) = STORY.charge(&fact["profile"]);
        let metered = number(&fact["meteredWh"]);
        assert_eq!(u64::from(line.profile.body.energy_wh), metered);
        assert_eq!(number(&fact["signedWh"]), metered);
        assert_eq!(number(&fact["round"]), block.header.body.round);
    }
    for fact in each(STORY.facts("promises-kept")) {
        let (block, _) = STORY.charge(&fact["profile"]);
        assert_eq!(number(&fact["promised"]), block.header.body.round);
        assert_eq!(number(&fact["height"]), block.header.body.height);
    }
}

#[test]
fn each_charge_was_witnessed_by_a_group_that_does_not_pay_for_it() {
    let groups = groups(&STORY);
    for fact in each(STORY.facts("witnessed")) {
        let message = message(number(&fact["message"]));
        assert_eq!(message["name"], "Witness");
        assert_eq!(message["to"], fact["witness"]);
        let (_, line) = STORY.charge(&fact["profile"]);
        let payer = fact["payer"].as_str().expect("a name");
        assert_eq!(line.profile.body.payer, groups[payer]);
        let witness = if fact["witness"] == "A" {
            "FLEET"
        } else {
            "HOUSEHOLD"
        };
        assert_ne!(payer, witness);
    }
}

#[test]
fn grants_are_signed_by_the_parent_that_the_chain_names() {
    for fact in each(STORY.facts("granted-by-the-parent")) {
        let read = |value: &Value| serde_json::from_value::<PublicKey>(value.clone());
        let group = GroupId(u32::try_from(number(&fact["group"])).expect("small"));
        let key = parent_key(STORY.state(), group);
        assert_eq!(read(&fact["signedBy"]).ok(), key);
        let grant: GrantId = serde_json::from_value(fact["grant"].clone()).expect("an id");
        assert!(STORY.state().grants.contains_key(&grant));
    }
}

#[test]
fn more_than_half_of_the_voters_made_the_charges_final() {
    let facts = STORY.facts("final-by-votes");
    let state = STORY.state();
    assert!(state.final_height >= number(&facts["height"]));
    let in_chain: Vec<Value> = STORY
        .blocks
        .iter()
        .flat_map(|block| &block.body.ballots)
        .map(|signed| {
            let ballot = &signed.body;
            json!({"voter": ballot.voter, "height": ballot.height, "header": ballot.header})
        })
        .collect();
    let mut voters = BTreeSet::new();
    for ballot in each(&facts["ballots"]) {
        assert!(in_chain.contains(ballot), "{ballot}");
        assert_eq!(ballot["header"], json!(STORY.header(&ballot["height"])));
        voters.insert(number(&ballot["voter"]));
    }
    assert!(voters.len() as u64 * 2 > number(&facts["voters"]));
}

#[test]
fn everyone_came_to_the_state_that_the_blocks_give() {
    let facts = STORY.facts("same-state");
    let states = facts["states"].as_object().expect("by name");
    for name in ["provider", "A", "B", "C", "demo"] {
        let state = &states[name];
        let height = usize::try_from(number(&state["height"])).expect("small");
        assert_eq!(
            state["stateRoot"],
            json!(STORY.states[height].root()),
            "{name}"
        );
    }
    assert_eq!(facts["refused"], json!([]));
}

#[test]
fn parents_were_told_what_their_groups_owe() {
    let groups = groups(&STORY);
    let height = number(&STORY.facts("final-by-votes")["height"]);
    for fact in each(STORY.facts("told-to-the-parents")) {
        let group = groups[fact["group"].as_str().expect("a name")];
        let mut told: Vec<u64> = each(&fact["energyWh"]).iter().map(number).collect();
        let blocks = STORY.blocks.iter();
        let by_then = blocks.filter(|block| block.header.body.height <= height);
        let lines = by_then.flat_map(|block| &block.body.charges);
        let profiles = lines.map(|line| &line.profile.body);
        let mut owed: Vec<u64> = profiles
            .filter(|profile| profile.payer == group)
            .map(|profile| profile.energy_wh.into())
            .collect();
        told.sort_unstable();
        owed.sort_unstable();
        assert_eq!(told, owed);
    }
}

#[test]
fn each_bill_line_is_proven_by_its_header_and_priced_by_the_tariff() {
    let groups = groups(&STORY);
    let bills = STORY.all("bill").map(|event| &event["bill"]);
    for bill in bills {
        let group = groups[bill["groupId"].as_str().expect("a name")];
        let mut total = 0;
        for line in each(&bill["lines"]) {
            let energy = number(&line["energyWh"]);
            assert_eq!(line["header"], json!(STORY.header(&line["height"])));
            assert!(number(&line["height"]) <= STORY.state().final_height);
            assert_eq!(number(&line["amount"]), amount(energy));
            let block = usize::try_from(number(&line["height"])).expect("small") - 1;
            let mut in_block = STORY.blocks[block].body.charges.iter();
            let is_it = in_block.any(|charge| {
                charge.profile.body.payer == group
                    && u64::from(charge.profile.body.energy_wh) == energy
                    && u64::from(charge.amount) == amount(energy)
            });
            assert!(is_it, "{line}");
            total += energy;
        }
        let account = &STORY.state().groups[&group];
        assert_eq!(total, account.energy.0);
        assert_eq!(number(&bill["total"]["amount"]), account.amount.0);
        assert_eq!(number(&bill["pending"]["energyWh"]), 0);
        let outlets = STORY.state().supply_points.values();
        let own = outlets.filter(|outlet| outlet.owner == group);
        let credited: u64 = own.map(|outlet| outlet.credit.0).sum();
        assert_eq!(number(&bill["credit"]), credited);
    }
    for fact in each(STORY.facts("billed-as-metered")) {
        for due in each(&fact["due"]) {
            let (_, line) = STORY.charge(&due["profile"]);
            assert_eq!(number(&due["amount"]), u64::from(line.amount));
            assert_eq!(
                number(&due["meteredWh"]),
                u64::from(line.profile.body.energy_wh)
            );
        }
    }
}

#[test]
fn owners_are_credited_for_what_was_taken_at_their_outlets() {
    let groups = groups(&STORY);
    for fact in each(STORY.facts("credited-as-taken")) {
        let group = groups[fact["group"].as_str().expect("a name")];
        let lines = STORY.blocks.iter().flat_map(|block| &block.body.charges);
        let at_its_outlets = lines.filter(|line| {
            let outlet = &STORY.state().supply_points[&line.profile.body.supply_point];
            outlet.owner == group
        });
        let due: u64 = at_its_outlets
            .map(|line| credit(line.profile.body.energy_wh.into()))
            .sum();
        assert_eq!(number(&fact["credit"]), due);
        assert_eq!(number(&fact["inChain"]), due);
    }
}

#[test]
fn what_was_charged_elsewhere_is_paid_by_the_guest_and_credited_to_the_host() {
    let groups = groups(&STORY);
    for fact in each(STORY.facts("charged-elsewhere")) {
        let (_, line) = STORY.charge(&fact["profile"]);
        let name = |of: &str| fact[of].as_str().expect("a name");
        assert_ne!(name("payer"), name("owner"));
        assert_eq!(line.profile.body.payer, groups[name("payer")]);
        let outlet = &STORY.state().supply_points[&line.profile.body.supply_point];
        assert_eq!(outlet.owner, groups[name("owner")]);
        let energy = number(&fact["meteredWh"]);
        assert_eq!(number(&fact["amount"]), amount(energy));
        assert_eq!(number(&fact["credit"]), credit(energy));
    }
}

#[test]
fn the_member_got_headers_and_no_block() {
    let facts = STORY.facts("headers-are-enough");
    let got = |name: &str| {
        let messages = STORY.all("message");
        let such = messages.filter(|message| message["to"] == "B" && message["name"] == name);
        such.count() as u64
    };
    assert_eq!(got("Block"), 0);
    assert_eq!(got("Header"), number(&facts["headers"]));
    assert_eq!(facts["keeps"], "headers");
}

#[test]
fn the_gateways_read_what_their_meters_show() {
    let facts = each(STORY.facts("meters-read"));
    assert_eq!(facts.len(), 3);
    assert!(facts.iter().all(|fact| fact["shownWh"] == fact["readWh"]));
}

#[test]
fn the_receipt_proves_its_charge_and_no_changed_one_does() {
    let facts = STORY.facts("receipt-proves");
    let event = STORY.all("receipt").next().expect("a receipt is shown");
    let key = STORY.state().genesis.provider_key;
    assert_eq!(facts["providerKey"], json!(key));
    let receipt = bytes(event, |bytes| ReceiptFile::from_bytes(bytes).ok());
    let proven = receipt.verify(Some(&key)).expect("it proves its charge");
    assert!(proven.votes * 2 > proven.voters);
    let (block, line) = STORY.charge(&facts["profile"]);
    assert_eq!(receipt.line, *line);
    assert_eq!(receipt.header, block.header);

    let original = bytes(event, |bytes| Some(bytes.to_vec()));
    let at = usize::try_from(number(&STORY.facts("changed-receipt-refused")["position"]));
    // The byte that the demo changed, and some of everything else.
    let others = (0..original.len()).step_by(37);
    for position in others.chain(at) {
        let mut changed = original.clone();
        changed[position] ^= 1;
        let verified = ReceiptFile::from_bytes(&changed).and_then(|r| r.verify(Some(&key)));
        assert!(verified.is_err(), "byte {position}");
    }
}
