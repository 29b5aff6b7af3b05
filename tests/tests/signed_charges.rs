//! Charges that their meters sign: pyocmf signs, a Python charge point sends what it signed, and
//! what the gateway writes for the driver is verified by others again.

use ocmf::test_bench::TestMeter;
use ocmf::{Curve, PublicKey};
use serde_json::{Value, json};
use tests::config::{self, Gateway};
use tests::{Peer, Place, Server, seconds_ago, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
const BEGIN: (&str, u64) = ("1000.125", 1_000_125);
const END: (&str, u64) = ("1007.779", 1_007_779);

/// A meter whose records pyocmf makes and signs.
struct Meter {
    python: Peer,
    bench: TestMeter,
}

impl Meter {
    fn new(place: &Place) -> Self {
        Self {
            python: Peer::start(place, "ocmf_python.py", &[]),
            bench: TestMeter::new(Curve::Secp256r1, "signed charges"),
        }
    }

    fn key(&self) -> String {
        hex::encode(self.bench.public_key().to_der())
    }

    fn ask(&mut self, line: &Value) -> Value {
        self.python.tell(&line.to_string());
        self.python.next(|_| true)
    }

    /// A record with one reading.
    #[track_caller]
    fn sign(&mut self, page: &str, minute: u32, reason: &str, kwh: &str) -> String {
        let value: Value = serde_json::from_str(kwh).expect("a number");
        let payload = json!({
            "FV": "1.4", "GI": "BENCH 1", "GS": "G-7", "GV": "1.0", "PG": page, "MV": "Bench",
            "MM": "B1", "MS": "M-42", "MF": "1.0", "IS": true, "IL": "VERIFIED",
            "IF": ["RFID_PLAIN"], "IT": "ISO14443", "ID": "04B7C9E1520A87", "CT": "EVSEID",
            "CI": "DE*ABC*E1",
            "RD": [{
                "TM": format!("2026-03-01T10:{minute:02}:00,000+0100 S"), "TX": reason, "RV": value,
                "RI": "1-0:1.8.0", "RU": "kWh", "RT": "DC", "EF": "", "ST": "G",
            }],
        });
        let secret = hex::encode(self.bench.secret());
        let answer = self.ask(&json!({"sign": {
            "algorithm": "ECDSA-secp256r1-SHA256", "payload": payload, "secret": secret,
        }}));
        assert_eq!(answer["signed"]["key"], self.key(), "{answer}");
        let text = answer["signed"]["text"].as_str();
        text.expect("a record").to_owned()
    }
}

/// A household whose charger has a meter that signs.
struct Site {
    place: Place,
    provider: Server,
    household: Server,
    meter: Meter,
    charge_point: Option<Peer>,
}

impl Site {
    fn new(knows_the_key: bool) -> Self {
        let place = Place::new(PROGRAM);
        let meter = Meter::new(&place);
        let mut provider = Server::provider(&place, &config::provider());
        provider.start();
        let token = provider.token("household").expect("the provider runs");
        let mut config = Gateway::new(provider.address("{links}"), &token)
            .ocpp()
            .group("household", &["HOME-CAR"])
            .outlet("garage", "household", None);
        if knows_the_key {
            config = config.signed_meter_key(&meter.key());
        }
        let config = config.charge_point("CP-1", &["garage"]);
        let mut household = Server::gateway(&place, "household", config.text());
        household.start();
        household.log_line(&["linked with the provider"]);
        let mut site = Self {
            place,
            provider,
            household,
            meter,
            charge_point: None,
        };
        site.connect();
        site
    }

    fn connect(&mut self) {
        let url = self.household.ocpp_url().expect("it was started");
        let mut peer = Peer::start(&self.place, "charge_point.py", &[&url, "CP-1"]);
        assert_eq!(peer.next_with("/connected"), "CP-1");
        peer.ask("boot", "BootNotification");
        until("HOME-CAR is accepted", || {
            let answer = peer.ask("authorize HOME-CAR", "Authorize");
            (answer["idTagInfo"]["status"] == "Accepted").then_some(())
        });
        self.charge_point = Some(peer);
    }

    #[track_caller]
    fn ask(&mut self, line: &str, action: &str) -> Value {
        let peer = self.charge_point.as_mut().expect("it is connected");
        peer.ask(line, action)
    }

    fn begin(&mut self) -> i64 {
        let line = format!("start 1 HOME-CAR {} {}", BEGIN.1, seconds_ago(20));
        let answer = self.ask(&line, "StartTransaction");
        answer["transactionId"].as_i64().expect("a transaction id")
    }

    fn send_begin(&mut self, transaction: i64, record: &str) {
        let value = hex::encode(record);
        let line = format!("signed {transaction} 1 Transaction.Begin {value}");
        self.ask(&line, "MeterValues");
    }

    fn send_end(&mut self, transaction: i64, record: &str) {
        let value = hex::encode(record);
        let line = format!(
            "stop_signed {transaction} {} HOME-CAR Transaction.End {value}",
            END.1
        );
        self.ask(&line, "StopTransaction");
    }

    /// Why the only charge in the outbox is held.
    fn held_because(&self) -> String {
        until("the charge held", || {
            let status = self.household.status()?;
            let waiting = status["outbox"].as_array()?.first()?.clone();
            waiting["heldBecause"].as_str().map(str::to_owned)
        })
    }

    /// What the gateway's program says of a file.
    #[track_caller]
    fn told(&self, args: &[&str]) -> String {
        let output = self.place.run("gateway", args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// A file of the final charge.
    fn file(&self, name: &str) -> String {
        let path = self
            .household
            .state(&format!("receipts/charge-00000001.{name}"));
        let path = until(name, || path.exists().then(|| path.clone()));
        path.to_str().expect("a plain name").to_owned()
    }
}

#[test]
fn a_signed_charge_survives_a_kill_is_verified_and_verifies_elsewhere() {
    let mut site = Site::new(true);
    let begin = site.meter.sign("T8", 0, "B", BEGIN.0);
    let end = site.meter.sign("T9", 30, "E", END.0);
    let transaction = site.begin();
    // A charge point repeats what it is not sure of.
    site.send_begin(transaction, &begin);
    site.send_begin(transaction, &begin);
    site.charge_point = None;
    site.household.process().kill();
    site.household.start();
    site.connect();
    site.send_end(transaction, &end);

    let bill = site.provider.final_bill("household", 1);
    assert_eq!(bill["total"]["energyWh"], END.1 - BEGIN.1);
    let receipt = site.file("receipt");
    let told = site.told(&["receipt", "verify", &receipt]);
    let expected = "signed data   signed by the meter, verified with its key as configured\n";
    assert!(told.contains(expected), "{told}");

    let (xml, key) = (site.file("xml"), site.meter.key());
    let told = site.told(&["ocmf", "verify", &xml, "--key", &key]);
    assert!(told.starts_with("VERIFIED"), "{told}");
    assert!(told.contains("energy        7654 Wh"), "{told}");
    let told = site.told(&["ocmf", "verify", &xml]);
    assert!(told.starts_with("SIGNED"), "{told}");
    let judged = site.meter.ask(&json!({"verify_file": xml}));
    assert_eq!(judged, json!({"verified": [true, true], "issues": []}));
    let written = std::fs::read_to_string(&xml).expect("the file");
    for record in [&begin, &end] {
        assert!(written.contains(record.as_str()), "{written}");
        assert_eq!(detail_holds(&site, record), 1);
    }
    refuses_what_was_changed(&site, &xml, &receipt);
}

/// How often the detail that the receipt's profile covers has a record.
fn detail_holds(site: &Site, record: &str) -> usize {
    let detail = std::fs::read(site.file("detail")).expect("the file");
    let windows = detail.windows(record.len());
    windows.filter(|it| *it == record.as_bytes()).count()
}

fn refuses_what_was_changed(site: &Site, xml: &str, receipt: &str) {
    let written = std::fs::read_to_string(xml).expect("the file");
    let changed = site
        .place
        .write("changed.xml", &written.replace(END.0, "1007.778"));
    let changed = changed.to_str().expect("a plain name");
    let why = site.place.refusal("gateway", &["ocmf", "verify", changed]);
    assert!(why.contains("NOT PROVEN"), "{why}");
    let stranger = TestMeter::new(Curve::Secp256r1, "another").public_key();
    let stranger = hex::encode(PublicKey::to_der(&stranger));
    let arguments = ["ocmf", "verify", xml, "--key", &stranger];
    let why = site.place.refusal("gateway", &arguments);
    assert!(why.contains("NOT PROVEN"), "{why}");

    let path = site.file("detail");
    let mut detail = std::fs::read(&path).expect("the file");
    *detail.last_mut().expect("not empty") ^= 1;
    std::fs::write(&path, detail).expect("written");
    let why = site
        .place
        .refusal("gateway", &["receipt", "verify", receipt]);
    assert!(why.contains("not the detail of this charge"), "{why}");
}

#[test]
fn one_altered_byte_holds_the_charge() {
    let mut site = Site::new(true);
    let begin = site.meter.sign("T8", 0, "B", BEGIN.0);
    let end = site.meter.sign("T9", 30, "E", "1007.780");
    // The record as it would have to be to fit the bill.
    let altered = end.replace("1007.78", END.0);
    assert_ne!(altered, end);
    let transaction = site.begin();
    site.send_begin(transaction, &begin);
    site.send_end(transaction, &altered);
    let why = site.held_because();
    assert!(
        why.contains("signature does not belong to this payload"),
        "{why}"
    );
}

#[test]
fn a_record_that_was_billed_before_holds_the_next_charge() {
    let mut site = Site::new(true);
    let begin = site.meter.sign("T8", 0, "B", BEGIN.0);
    let end = site.meter.sign("T9", 30, "E", END.0);
    let transaction = site.begin();
    site.send_begin(transaction, &begin);
    site.send_end(transaction, &end);
    let _ = site.provider.final_bill("household", 1);
    let transaction = site.begin();
    site.send_begin(transaction, &begin);
    site.send_end(transaction, &end);
    let why = site.held_because();
    assert!(why.contains("page T8 was used before"), "{why}");
}

#[test]
fn signed_energy_that_is_not_the_billed_holds_the_charge() {
    let mut site = Site::new(true);
    let begin = site.meter.sign("T8", 0, "B", BEGIN.0);
    let end = site.meter.sign("T9", 30, "E", "1007.777");
    let transaction = site.begin();
    site.send_begin(transaction, &begin);
    site.send_end(transaction, &end);
    let why = site.held_because();
    assert!(why.contains("signed 7652 Wh"), "{why}");
}

#[test]
fn without_a_key_records_are_carried_and_said_to_prove_nothing() {
    let mut site = Site::new(false);
    let begin = site.meter.sign("T8", 0, "B", BEGIN.0);
    let end = site.meter.sign("T9", 30, "E", END.0);
    let transaction = site.begin();
    site.send_begin(transaction, &begin);
    site.send_end(transaction, &end);
    let _ = site.provider.final_bill("household", 1);
    let receipt = site.file("receipt");
    let told = site.told(&["receipt", "verify", &receipt]);
    let expected = "signed data carried, not verified: no key is configured\n";
    assert!(told.contains(expected), "{told}");
    let xml = site.file("xml");
    let why = site.place.refusal("gateway", &["ocmf", "verify", &xml]);
    assert!(why.contains("--key"), "{why}");
    let key = site.meter.key();
    let told = site.told(&["ocmf", "verify", &xml, "--key", &key]);
    assert!(told.starts_with("VERIFIED"), "{told}");
}
