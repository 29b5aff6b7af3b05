//! One value, one form: of every structure that travels or is kept, canonical bytes are read and
//! nothing else is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use fuzz::{Structure, structures};
use ledger::accounts::Accounts;
use ledger::block::{ChargeLine, Record};
use ledger::evidence::{Evidence, EvidenceFile, Exhibit, Gap, Offence, TwoBallots};
use ledger::frame::{Frame, SealedProfile};
use ledger::merkle::Frontier;
use ledger::node::{MeasuredCharge, Stage};
use ledger::provider::Token;
use ledger::receipt_file::{ReceiptFile, Vote};
use ledger::state::{Leaf, NodeAccount};
use protocol::message::{Hello, HelloAck, Join, JoinAck, Request, from_json, to_value};
use protocol::{Genesis, Hash, IdTag, NodeId, TariffId, canonical, decode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn structure(name: &str) -> &'static Structure {
    let mut all = structures().iter();
    all.find(|structure| structure.name == name)
        .unwrap_or_else(|| panic!("no structure {name}"))
}

fn for_each_sample(mut check: impl FnMut(&Structure, &[u8])) {
    for structure in structures() {
        for sample in &structure.samples {
            check(structure, sample);
        }
    }
}

#[test]
fn what_is_written_is_read_the_same() {
    for_each_sample(|structure, sample| {
        let again = structure.reread(sample);
        assert_eq!(again.as_deref(), Some(sample), "{}", structure.name);
    });
}

#[test]
fn a_surplus_byte_is_refused() {
    for_each_sample(|structure, sample| {
        for surplus in [0, 1, 0xff] {
            let longer = [sample, &[surplus]].concat();
            assert_eq!(structure.reread(&longer), None, "{}", structure.name);
        }
    });
}

#[test]
fn every_truncation_is_refused() {
    for_each_sample(|structure, sample| {
        for length in 0..sample.len() {
            let read = structure.reread(&sample[..length]);
            assert_eq!(read, None, "{} cut to {length} bytes", structure.name);
        }
    });
}

#[test]
fn a_changed_byte_is_refused_or_another_value() {
    for_each_sample(|structure, sample| {
        let mut changed = sample.to_vec();
        for position in 0..sample.len() {
            for flip in [0x01, 0x02, 0x20, 0x80, 0xff] {
                changed[position] ^= flip;
                if let Some(again) = structure.reread(&changed) {
                    let name = structure.name;
                    assert!(again == changed, "{name}: byte {position} ^ {flip:#x}");
                }
                changed[position] ^= flip;
            }
        }
    });
}

/// Canonical bytes of a value, and what else might be taken for one.
#[track_caller]
fn refused<T: BorshDeserialize>(what: &str, bytes: &[u8]) {
    assert!(decode::<T>(bytes).is_err(), "{what} is accepted");
}

/// A sample of `name` is read with `good` in place of the bytes at `position`, and refused with each
/// of `bad`.
#[track_caller]
fn check_byte<T: BorshDeserialize>(name: &str, position: usize, good: u8, bad: &[u8]) {
    let mut samples = structure(name).samples.iter();
    let sample = samples.find(|sample| sample[position] == good);
    let mut bytes = sample.expect("a sample with that byte").clone();
    assert!(decode::<T>(&bytes).is_ok());
    for other in bad {
        bytes[position] = *other;
        refused::<T>(&format!("{name} with {other} at {position}"), &bytes);
    }
}

#[test]
fn a_bool_is_0_or_1() {
    let signed_profile = structure("SignedProfile").samples[0].len();
    check_byte::<ChargeLine>("ChargeLine", signed_profile, 0, &[2, 0x80, 0xff]);
    let last = structure("Genesis").samples[0].len() - 1;
    check_byte::<Genesis>("Genesis", last, 1, &[2, 0x80, 0xff]);
}

#[test]
fn the_tag_of_an_option_is_0_or_1() {
    let two_ballots = 2 * structure("Signed<Ballot>").samples[0].len();
    check_byte::<TwoBallots>("TwoBallots", two_ballots, 0, &[2, 0xff]);
    let measured = structure("MeasuredCharge").samples[0].len() - 1;
    check_byte::<MeasuredCharge>("MeasuredCharge", measured, 0, &[2, 0xff]);
    let vote = structure("Vote").samples.iter().map(Vec::len).min();
    check_byte::<Vote>("Vote", vote.expect("votes") - 1, 0, &[2, 0xff]);
}

#[test]
fn a_kind_that_is_not_there_is_refused() {
    check_byte::<Frame>("Frame", 0, 0, &[14, 0xff]);
    check_byte::<SealedProfile>("SealedProfile", 0, 0, &[2, 0xff]);
    check_byte::<Record>("Record", 0, 0, &[11, 0xff]);
    check_byte::<Evidence>("Evidence", 0, 0, &[7, 0xff]);
    check_byte::<Exhibit>("Exhibit", 0, 0, &[3, 0xff]);
    check_byte::<Gap>("Gap", 0, 0, &[2, 0xff]);
    check_byte::<Offence>("Offence", 0, 0, &[4, 0xff]);
    check_byte::<Leaf>("Leaf", 0, 0, &[8, 0xff]);
    check_byte::<Stage>("Stage", 0, 0, &[3, 0xff]);
}

#[test]
fn text_is_utf_8() {
    // An overlong form, a surrogate, a byte that stands nowhere, and half a character.
    let broken: [&[u8]; 4] = [b"\xc0\xaf", b"\xed\xa0\x80", b"\xff", b"\xc3"];
    for text in broken {
        let text = text.to_vec();
        let refusal = [&[2], canonical(&(7_u32, &text)).as_slice()].concat();
        refused::<Frame>("a refusal's reason", &refusal);
        let tariff = [&[0], canonical(&(TariffId(1), &text)).as_slice()].concat();
        refused::<Record>("a tariff's document", &tariff);
        refused::<Stage>(
            "a reason to hold",
            &[&[1], canonical(&text).as_slice()].concat(),
        );
        refused::<IdTag>("an idTag", &canonical(&text));
    }
}

#[test]
fn an_id_tag_has_one_form() {
    let longest = "X".repeat(255);
    assert!(decode::<IdTag>(&canonical(&longest)).is_ok());
    for text in [
        "fleet-1",
        "FLEET-\u{c4}",
        "TAB\t",
        "",
        &format!("{longest}X"),
    ] {
        refused::<IdTag>(text, &canonical(text));
    }
}

/// `entries`, which are sorted, are read; turned round or doubled they are not.
#[track_caller]
fn check_order<T, E>(rest: &[u8], entries: &[E])
where
    T: BorshDeserialize,
    E: BorshSerialize,
{
    let read = |order: &[&E]| decode::<T>(&[canonical(order).as_slice(), rest].concat());
    let [first, second] = entries else {
        panic!("two entries show an order");
    };
    assert!(read(&[first, second]).is_ok());
    assert!(read(&[second, first]).is_err(), "unsorted entries");
    assert!(read(&[first, first]).is_err(), "doubled entries");
}

#[test]
fn sets_and_accounts_are_sorted_and_hold_nothing_twice() {
    let tags = ["FLEET", "HOUSEHOLD"].map(|text| IdTag::parse(text).expect("an idTag"));
    check_order::<BTreeSet<IdTag>, _>(&[], &tags);
    let accounts: Accounts<NodeId, NodeAccount> =
        decode(&structure("Accounts").samples[0]).expect("a sample");
    let entries: Vec<_> = accounts.iter().take(2).collect();
    check_order::<Accounts<NodeId, NodeAccount>, _>(&[], &entries);
    let token: Token = decode(&structure("Token").samples[0]).expect("a sample");
    let mut bytes = canonical(&token.hash);
    bytes.extend(canonical(&[&tags[1], &tags[0]].as_slice()));
    bytes.push(0);
    refused::<Token>("a token with unsorted groups", &bytes);
}

#[test]
fn the_edge_of_a_log_has_one_peak_for_each_bit_of_its_size() {
    let peaks = |size: u64, count: u8| {
        let peaks: Vec<Hash> = (0..count).map(|n| Hash([n; 32])).collect();
        decode::<Frontier>(&canonical(&(size, peaks)))
    };
    for (size, count) in [(0_u64, 0_u8), (1, 1), (6, 2), (7, 3), (1 << 63, 1)] {
        let mut frontier = peaks(size, count).expect("as many peaks as bits");
        // It can be built on without a panic.
        frontier.push(Hash::ZERO);
        assert!(peaks(size, count + 1).is_err());
        assert!(count == 0 || peaks(size, count - 1).is_err());
    }
}

#[test]
fn a_length_beyond_the_end_is_refused() {
    for length in [1_u32, 1 << 20, u32::MAX] {
        let bytes = length.to_le_bytes();
        refused::<Vec<u8>>("bytes that are not there", &bytes);
        refused::<Vec<Hash>>("hashes that are not there", &bytes);
        refused::<Frame>(
            "a proof that is not there",
            &[&[9], bytes.as_slice()].concat(),
        );
    }
}

#[test]
fn a_file_begins_with_its_kind_and_version() {
    let receipt: ReceiptFile = decode(&structure("ReceiptFile").samples[0]).expect("a sample");
    check_file(&receipt.to_bytes(), |bytes| {
        ReceiptFile::from_bytes(bytes).is_ok()
    });
    let evidence: EvidenceFile = decode(&structure("EvidenceFile").samples[0]).expect("a sample");
    check_file(&evidence.to_bytes(), |bytes| {
        EvidenceFile::from_bytes(bytes).is_ok()
    });
}

fn check_file(bytes: &[u8], is_read: impl Fn(&[u8]) -> bool) {
    assert!(is_read(bytes));
    assert!(!is_read(&[bytes, &[0]].concat()), "a surplus byte");
    for length in 0..bytes.len() {
        assert!(!is_read(&bytes[..length]), "cut to {length} bytes");
    }
    for position in 0..8 {
        let mut other = bytes.to_vec();
        other[position] ^= 1;
        assert!(!is_read(&other), "another byte {position}");
    }
}

/// Reads the message `name` of the billing link; `None` where it is refused.
fn reread(name: &str, payload: &str) -> Option<Value> {
    match name {
        "Hello" => reread_handshake::<Hello>(payload),
        "HelloAck" => reread_handshake::<HelloAck>(payload),
        "Join" => reread_handshake::<Join>(payload),
        "JoinAck" => reread_handshake::<JoinAck>(payload),
        _ => match name.strip_suffix("Ack") {
            None => Some(Request::decode(name, payload).ok()?.payload()),
            Some(action) => {
                let asked = &messages()[action];
                let asked = Request::decode(action, asked).expect("a sample");
                Some(asked.decode_response(payload).ok()?.payload())
            }
        },
    }
}

fn reread_handshake<T: DeserializeOwned + Serialize>(payload: &str) -> Option<Value> {
    let message: T = from_json("Hello", payload).ok()?;
    Some(to_value(&message))
}

/// A sample of each message by its name.
fn messages() -> BTreeMap<String, String> {
    let target = fuzz::target("message").expect("a target of this name");
    let split = |input: Vec<u8>| {
        let text = String::from_utf8(input).expect("text");
        let (name, payload) = text.split_once('\n').expect("a name and a payload");
        (name.to_owned(), payload.to_owned())
    };
    target.corpus().into_values().map(split).collect()
}

#[test]
fn a_message_has_its_fields_and_no_others() {
    for (name, payload) in messages() {
        let written: Value = serde_json::from_str(&payload).expect("JSON");
        assert_eq!(reread(&name, &payload), Some(written.clone()), "{name}");
        for length in 0..payload.len() {
            if let Some(part) = payload.get(..length) {
                assert_eq!(reread(&name, part), None, "{name} cut to {length} bytes");
            }
        }
        assert_eq!(reread(&name, &format!("{payload} {{}}")), None, "{name}");
        let fields = written.as_object().expect("a JSON object");
        let rest = payload.strip_prefix('{').expect("a JSON object");
        let comma = if fields.is_empty() { "" } else { "," };
        let surplus = format!("{{\"surplus\":0{comma}{rest}");
        assert_eq!(reread(&name, &surplus), None, "{name} with a surplus field");
        for (field, value) in fields {
            let twice = format!("{{\"{field}\":{value},{rest}");
            assert_eq!(reread(&name, &twice), None, "{name} with {field} twice");
        }
    }
}

/// Structures that are not in the table, and where they are tried instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("Signed", "with each body that is signed"),
    ("OpenHeader", "in State"),
    ("LastSealed", "the store target"),
    ("KnownCharger", "the store target"),
    ("Exchange", "the store target"),
    ("AddressEntry", "the store target"),
    ("NodeEntry", "the store target"),
    ("GroupEntry", "the store target"),
];

#[test]
fn every_structure_of_the_source_is_in_the_table() {
    let known: BTreeSet<&str> = structures().iter().map(|s| s.name).collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(name, _)| *name).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for name in [
        "protocol",
        "ledger",
        "meter-drivers",
        "ocpp-bridge",
        "gateway",
        "provider",
    ] {
        read_sources(&root.join(name).join("src"), &mut |text| {
            found.extend(derived(text));
        });
    }
    assert!(found.len() > 50, "{found:?}");
    let is_missing =
        |name: &&String| !known.contains(name.as_str()) && !elsewhere.contains(name.as_str());
    let missing: Vec<&String> = found.iter().filter(is_missing).collect();
    assert!(
        missing.is_empty(),
        "no sample in fuzz/src/structures.rs: {missing:?}"
    );
}

fn read_sources(folder: &Path, take: &mut impl FnMut(&str)) {
    for entry in folder.read_dir().expect("a folder of ours") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_sources(&path, take);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            take(&std::fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

/// The types in `text` that borsh can read.
fn derived(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_next = false;
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> = line.split([' ', '(', '{', '<', ';', ':']).collect();
        if let Some(at) = words
            .iter()
            .position(|word| matches!(*word, "struct" | "enum"))
        {
            let name = words.get(at + 1).copied().unwrap_or_default();
            // A `$name` stands for types that a macro makes.
            if is_next && !name.starts_with('$') {
                names.push(name.to_owned());
            }
            is_next = false;
        } else {
            is_next |= is_derive(line);
        }
    }
    names
}

/// Whether `line` is of a list of derives, not an import, a bound or an implementation by hand.
fn is_derive(line: &str) -> bool {
    line.contains("BorshDeserialize") && !line.contains(':') && !line.starts_with("impl")
}
