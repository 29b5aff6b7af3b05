//! The verifier that was written from the document alone says of receipts and group blocks what
//! this project says of them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::config::{self, Gateway};
use tests::{Charger, Place, Server, seconds_ago, until, vectors};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
const PYTHON: &str = "CHARGE_GATEWAY_PEER_PYTHON";

/// What it says: the line behind `TRUE`, or the reason behind `FALSE`.
type Verdict = Result<String, String>;

#[track_caller]
fn verify(args: &[&str]) -> Verdict {
    let Some(python) = std::env::var_os(PYTHON) else {
        panic!("{PYTHON} is not set; run cargo xtask test, which installs the Python peers");
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verifier/verify.py");
    let mut command = Command::new(python);
    // The repository stays as it is.
    command
        .arg(script)
        .args(args)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    read(&command.output().expect("Python runs"))
}

#[track_caller]
fn read(output: &Output) -> Verdict {
    let said = String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned();
    let words = String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned();
    match (output.status.code(), said.lines().count()) {
        (Some(0), 1) if said.split(' ').next() == Some("TRUE") => {
            Ok(said["TRUE".len()..].trim_start().to_owned())
        }
        (Some(1), 1) if said.starts_with("FALSE: ") => Err(said["FALSE: ".len()..].to_owned()),
        (code, _) => panic!("neither TRUE nor FALSE, but {code:?}: {said}\n{words}"),
    }
}

fn vector(name: &str) -> Value {
    let path = vectors::folder().join(name);
    let text = std::fs::read_to_string(path).expect("it is committed");
    serde_json::from_str(&text).expect("vectors are JSON")
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().expect("a text")
}

#[track_caller]
fn on_receipt(place: &Place, bytes: &[u8], key: &str) -> Verdict {
    let path = place.path("vector.receipt");
    std::fs::write(&path, bytes).expect("the test's folder is writable");
    verify(&["receipt", path.to_str().expect("UTF-8"), key])
}

fn file(vector: &Value) -> Vec<u8> {
    hex::decode(text(vector, "file")).expect("hexadecimal")
}

#[test]
fn it_finds_true_what_the_vectors_prove() {
    let (place, all) = (Place::new(PROGRAM), vector("receipts.json"));
    let key = text(&all, "provider_key");
    for receipt in all["receipts"].as_array().expect("a list") {
        let what = text(receipt, "what");
        let said = on_receipt(&place, &file(receipt), key).expect(what);
        for number in ["voters", "votes", "dormant"] {
            let expected = format!("{number}={}", receipt[number]);
            let is_told = said.split_whitespace().any(|word| word == expected);
            assert!(
                is_told,
                "{}: {said} lacks {expected}",
                text(receipt, "what")
            );
        }
        let is_told = said.ends_with(" self-attested");
        let expected = receipt["self_attested"] == true;
        assert_eq!(is_told, expected, "{}: {said}", text(receipt, "what"));
    }
}

#[test]
fn it_finds_false_what_the_vectors_do_not_prove() {
    let (place, all) = (Place::new(PROGRAM), vector("receipts-refused.json"));
    for receipt in all["receipts"].as_array().expect("a list") {
        let verdict = on_receipt(&place, &file(receipt), text(receipt, "provider_key"));
        check_rule(&verdict, text(receipt, "rule"), text(receipt, "what"));
    }
}

/// Whether it says false because of `rule`.
#[track_caller]
fn check_rule(verdict: &Verdict, rule: &str, what: &str) {
    let reason = verdict.as_ref().expect_err(what);
    let named = reason.split(|c: char| !c.is_ascii_alphanumeric()).next();
    assert_eq!(named, Some(rule), "{what}: {reason}");
}

#[test]
fn it_judges_group_blocks_as_the_vectors_do() {
    let mut judged = 0;
    for made in vectors::all() {
        if made.name.starts_with("group-block") {
            let path = vectors::folder().join(&made.name);
            let verdict = verify(&["group-block", path.to_str().expect("UTF-8")]);
            let expected = vector(&made.name);
            match expected["valid"] == true {
                true => assert!(verdict.is_ok(), "{}: {verdict:?}", made.name),
                false => check_rule(&verdict, text(&expected, "rule"), &made.name),
            }
            judged += 1;
        }
    }
    assert!(judged > 5, "only {judged} group blocks");
}

#[test]
fn it_says_false_and_names_no_rule_where_there_is_nothing_to_judge() {
    let place = Place::new(PROGRAM);
    let key = "00".repeat(32);
    let path = |name: &str, bytes: &[u8]| {
        let path = place.path(name);
        std::fs::write(&path, bytes).expect("the test's folder is writable");
        path.to_str().expect("UTF-8").to_owned()
    };
    let changed = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut block = vector("group-block.json");
        change(&mut block);
        path(name, block.to_string().as_bytes())
    };
    let empty = path("empty", b"");
    for args in [
        [].as_slice(),
        &["receipt", &empty],
        &["receipt", "no such file", &key],
        &["receipt", &empty, "no key"],
        &["group-block", "no such file"],
        &["group-block", &empty],
        &["group-block", &path("number.json", b"7")],
        &["group-block", &path("object.json", b"{}")],
        &["group-block", &path("bytes.json", &[0xff, 0xfe])],
        &[
            "group-block",
            &changed("short.json", &|block| block["profiles"][0] = json!("00")),
        ],
        &[
            "group-block",
            &changed("number-1.json", &|block| block["group_block"] = json!(1)),
        ],
        &[
            "group-block",
            &changed("key.json", &|block| block["node_keys"]["99"] = json!("00")),
        ],
    ] {
        let reason = verify(args).expect_err("there is nothing to judge");
        let first = reason.split(' ').next().unwrap_or_default();
        let number = first.strip_prefix(['R', 'G']).unwrap_or_default();
        assert!(number.parse::<u8>().is_err(), "{args:?}: {reason}");
    }
    check_rule(&verify(&["receipt", &empty, &key]), "R1", "an empty file");
}

#[test]
fn it_believes_a_gateways_receipt_and_no_changed_one() {
    let place = Place::new(PROGRAM);
    let mut provider = Server::provider(&place, &config::provider());
    provider.start();
    let token = provider.token("household").expect("the provider runs");
    let config = Gateway::new(provider.address("{links}"), &token)
        .ocpp()
        .group("household", &["HOME-CAR"])
        .outlet("garage", "household", None)
        .charge_point("CP-1", &["garage"]);
    let mut household = Server::gateway(&place, "household", config.text());
    household.start();
    charge(&place, &household);
    let path = household.state("receipts/charge-00000001.receipt");
    let bytes = until("the receipt file", || std::fs::read(&path).ok());
    let chain = until("the chain", || provider.chain());
    let key = text(&chain, "providerKey").to_owned();
    let said = verify(&["receipt", path.to_str().expect("UTF-8"), &key]).expect("it is genuine");
    assert_eq!(said, "voters=1 votes=1 dormant=0 self-attested");
    // One byte in forty: each takes the start of a Python.
    for position in (0..bytes.len()).step_by(40) {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        let verdict = on_receipt(&place, &changed, &key);
        assert!(verdict.is_err(), "byte {position}: {verdict:?}");
    }
}

fn charge(place: &Place, household: &Server) {
    let url = household.ocpp_url().expect("it listens");
    let mut charger = Charger::new(place, "CP-1");
    let mut call =
        |action: &str, payload: Value| until(action, || charger.call(&url, action, &payload));
    let start = json!({
        "connectorId": 1, "idTag": "HOME-CAR", "meterStart": 1_000, "timestamp": seconds_ago(60),
    });
    let started = call("StartTransaction", start);
    let stop = json!({
        "transactionId": started["transactionId"], "idTag": "HOME-CAR",
        "meterStop": 3_000, "timestamp": seconds_ago(1),
    });
    call("StopTransaction", stop);
}
