//! Our binaries against other people's stacks: Python `ocpp` on both faces, pymodbus as the meter.
//! Each test ends at the bill: its Wh and its amount.

use std::process::Command;

use serde_json::{Value, json};
use tests::config::{self, Gateway};
use tests::{Peer, Place, Server, amount, credit, is_true_within, seconds_ago, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
const CENTRAL_SYSTEM: &str = "central_system.py";
const CHARGE_POINT: &str = "charge_point.py";
const METER: &str = "modbus_meter.py";

/// A provider, and a household's gateway at it.
struct Site {
    place: Place,
    provider: Server,
    household: Server,
}

impl Site {
    /// `complete` adds what the gateway has to its provider, API, OCPP address and home tags.
    fn new(complete: impl FnOnce(Gateway) -> Gateway) -> Self {
        let place = Place::new(PROGRAM);
        let mut provider = Server::provider(&place, &config::provider());
        provider.start();
        let household = |gateway: Gateway| {
            complete(gateway.ocpp().group("household", &["HOME-CAR", "HOME-VAN"]))
        };
        let household = start_gateway(&place, &provider, "household", household);
        Self {
            place,
            provider,
            household,
        }
    }

    fn ocpp_url(&self) -> String {
        self.household.ocpp_url().expect("it was started")
    }

    fn charge_point(&self) -> Peer {
        let mut peer = Peer::start(&self.place, CHARGE_POINT, &[&self.ocpp_url(), "CP-1"]);
        assert_eq!(peer.next_with("/connected"), "CP-1");
        let boot = peer.ask("boot", "BootNotification");
        assert_eq!(boot["status"], "Accepted");
        peer
    }

    /// Checks that the group owes exactly this one charge, finally, and gives the bill.
    #[track_caller]
    fn one_final_charge(&self, group: &str, energy_wh: u64) -> Value {
        let bill = self.provider.final_bill(group, 1);
        let shown = self.provider.command_json(&["bill", "show", group]);
        assert_eq!(shown, bill);
        assert_eq!(bill["lines"][0]["energyWh"], energy_wh);
        assert_eq!(bill["lines"][0]["amount"], amount(energy_wh));
        assert_eq!(
            bill["total"],
            json!({"energyWh": energy_wh, "amount": amount(energy_wh)})
        );
        assert_eq!(bill["pending"], json!({"energyWh": 0, "amount": 0}));
        let table = self.provider.command(&["bill", "show", group]);
        assert!(table.contains("pending 0.00 EUR"), "{table}");
        bill
    }
}

fn start_gateway(
    place: &Place,
    provider: &Server,
    name: &str,
    complete: impl FnOnce(Gateway) -> Gateway,
) -> Server {
    let token = provider.command(&["token", "create", "--group", name]);
    let gateway = Gateway::new(provider.address("{links}"), token.trim());
    let mut server = Server::gateway(place, name, complete(gateway).text());
    server.start();
    server.log_line(&["linked with the provider"]);
    server
}

fn pymodbus(place: &Place, energy_wh: u64) -> (Peer, String) {
    let energy = energy_wh.to_string();
    let (peer, port) = Peer::listening(place, METER, &["--energy-wh", &energy]);
    (peer, format!("127.0.0.1:{port}"))
}

#[track_caller]
fn set(meter: &mut Peer, name: &str, value: u64) {
    meter.tell(&format!("{name} {value}"));
    assert_eq!(meter.next_with(&format!("/{name}")), value);
}

#[track_caller]
fn authorize(charge_point: &mut Peer, id_tag: &str) {
    until(&format!("{id_tag} is accepted"), || {
        let answer = charge_point.ask(&format!("authorize {id_tag}"), "Authorize");
        (answer["idTagInfo"]["status"] == "Accepted").then_some(())
    });
}

#[track_caller]
fn start(charge_point: &mut Peer, id_tag: &str, register_wh: u64) -> i64 {
    let line = format!("start 1 {id_tag} {register_wh} {}", seconds_ago(20));
    let answer = charge_point.ask(&line, "StartTransaction");
    assert_eq!(answer["idTagInfo"]["status"], "Accepted");
    answer["transactionId"].as_i64().expect("a transaction id")
}

#[track_caller]
fn swipe(gateway: &Server, charger: &str, id_tag: &str) -> Value {
    let (status, answer) = gateway.swipe(charger, id_tag).expect("it answers");
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn a_python_charge_points_own_register_is_billed() {
    let site = Site::new(|gateway| {
        gateway
            .outlet("garage", "household", None)
            .charge_point("CP-1", &["garage"])
    });
    let mut charge_point = site.charge_point();
    authorize(&mut charge_point, "HOME-CAR");
    let transaction = start(&mut charge_point, "HOME-CAR", 1_000_000);
    charge_point.ask("status 1 Charging", "StatusNotification");
    charge_point.ask(
        &format!("meter {transaction} 1 1004321 11000"),
        "MeterValues",
    );
    charge_point.ask("heartbeat", "Heartbeat");
    let data = charge_point.ask("data_transfer com.example", "DataTransfer");
    assert!(data["status"].as_str().is_some_and(|s| s != "Accepted"));
    charge_point.ask(
        &format!("stop {transaction} 1007654 HOME-CAR"),
        "StopTransaction",
    );
    // 7654 Wh at 0.40 EUR are 306.16 cents.
    let bill = site.one_final_charge("household", 7_654);
    assert_eq!(bill["total"]["amount"], 306);
    assert_eq!(bill["lines"][0]["idTag"], "HOME-CAR");
    assert_eq!(bill["credits"][0]["credit"], credit(7_654));
    assert_eq!(bill["credits"][0]["header"], bill["lines"][0]["header"]);
}

#[test]
fn a_python_central_system_starts_and_stops_a_charge_on_a_pymodbus_meter() {
    let place = Place::new(PROGRAM);
    let (mut central_system, port) =
        Peer::listening(&place, CENTRAL_SYSTEM, &["--invalid", "STRANGER"]);
    let (mut meter, address) = pymodbus(&place, 2_500_000);
    let url = format!("ws://127.0.0.1:{port}/ocpp");
    let site = Site::new(|gateway| {
        gateway
            .meter("yard-meter", &address)
            .outlet("yard", "household", Some("yard-meter"))
            .modbus_charger("MB-1", "yard", Some(&url))
    });
    let boot = central_system.next_call("BootNotification");
    assert!(boot["chargePointVendor"].is_string());
    let status = central_system.next_call("StatusNotification");
    assert_eq!(status["errorCode"], "NoError");
    site.household.wait_for_register("yard-meter", 2_500_000);

    let key = "MeterValueSampleInterval";
    let line = format!("change_configuration {key} 1");
    let changed = central_system.ask(&line, "ChangeConfiguration");
    assert_eq!(changed["status"], "Accepted");
    let keys = central_system.ask(&format!("get_configuration {key}"), "GetConfiguration");
    assert_eq!(keys["configurationKey"][0]["value"], "1");
    let triggered = central_system.ask("trigger Heartbeat", "TriggerMessage");
    assert_eq!(triggered["status"], "Accepted");
    central_system.next_call("Heartbeat");

    let accepted = central_system.ask("remote_start HOME-CAR 1", "RemoteStartTransaction");
    assert_eq!(accepted["status"], "Accepted");
    let started = central_system.next_call("StartTransaction");
    assert_eq!(started["meterStart"], 2_500_000);
    assert_eq!(started["idTag"], "HOME-CAR");
    set(&mut meter, "power_w", 11_000);
    for register in [2_501_000, 2_503_000, 2_505_432] {
        set(&mut meter, "energy_wh", register);
        site.household.wait_for_register("yard-meter", register);
    }
    let values = central_system
        .next(|said| said["action"] == "MeterValues" && is_sample(&said["payload"], "2505432"));
    assert_eq!(values["payload"]["transactionId"], 1);
    set(&mut meter, "power_w", 0);
    let accepted = central_system.ask("remote_stop 1", "RemoteStopTransaction");
    assert_eq!(accepted["status"], "Accepted");
    let stopped = central_system.next_call("StopTransaction");
    assert_eq!(stopped["meterStop"], 2_505_432);
    assert_eq!(stopped["transactionId"], 1);
    assert_eq!(stopped["reason"], "Remote");

    let unknown = central_system.ask("remote_stop 77", "RemoteStopTransaction");
    assert_eq!(unknown["status"], "Rejected");
    let reset = central_system.ask("reset Soft", "Reset");
    assert_eq!(reset["status"], "Accepted");
    central_system.next_call("BootNotification");

    site.one_final_charge("household", 5_432);
    let refused: Vec<_> = central_system
        .said()
        .iter()
        .filter(|said| !said["refused"].is_null())
        .collect();
    assert!(
        refused.is_empty(),
        "the central system refused: {refused:?}"
    );
}

fn is_sample(payload: &Value, register: &str) -> bool {
    let samples = payload
        .pointer("/meterValue/0/sampledValue")
        .and_then(Value::as_array);
    samples.is_some_and(|samples| {
        samples.iter().any(|sample| {
            sample["measurand"]
                .as_str()
                .unwrap_or("Energy.Active.Import.Register")
                == "Energy.Active.Import.Register"
                && sample["value"]
                    .as_str()
                    .is_some_and(|v| v.starts_with(register))
        })
    })
}

#[test]
fn where_there_is_a_meter_it_is_billed_and_not_the_chargers_register() {
    let place = Place::new(PROGRAM);
    let (mut meter, address) = pymodbus(&place, 7_000_000);
    let site = Site::new(|gateway| {
        gateway
            .meter("garage-meter", &address)
            .outlet("garage", "household", Some("garage-meter"))
            .charge_point("CP-1", &["garage"])
    });
    site.household.wait_for_register("garage-meter", 7_000_000);
    let mut charge_point = site.charge_point();
    authorize(&mut charge_point, "HOME-CAR");
    let transaction = start(&mut charge_point, "HOME-CAR", 100);
    set(&mut meter, "energy_wh", 7_003_210);
    charge_point.ask(&format!("meter {transaction} 1 9100"), "MeterValues");
    charge_point.ask(
        &format!("stop {transaction} 9999 HOME-CAR"),
        "StopTransaction",
    );
    site.one_final_charge("household", 3_210);
}

#[test]
fn a_swiped_tag_starts_and_stops_a_charge_without_any_central_system() {
    let place = Place::new(PROGRAM);
    let (mut meter, address) = pymodbus(&place, 40_000);
    let site = Site::new(|gateway| {
        gateway
            .meter("yard-meter", &address)
            .outlet("yard", "household", Some("yard-meter"))
            .modbus_charger("MB-1", "yard", None)
    });
    site.household.wait_for_register("yard-meter", 40_000);
    let (status, _) = site.household.swipe("MB-1", "STRANGER").expect("answers");
    assert_eq!(status, 403);
    until("HOME-VAN is let in", || {
        let (status, answer) = site.household.swipe("MB-1", "HOME-VAN")?;
        (status == 200).then(|| assert_eq!(answer["did"], "began"))
    });
    let (status, _) = site.household.swipe("MB-1", "HOME-CAR").expect("answers");
    assert_eq!(status, 409, "somebody else is charging");
    set(&mut meter, "energy_wh", 40_777);
    let ended = swipe(&site.household, "MB-1", "HOME-VAN");
    assert_eq!(ended, json!({"did": "ended", "energyWh": 777}));
    site.one_final_charge("household", 777);
}

#[test]
fn a_fleets_van_at_a_households_outlet_is_billed_to_the_fleet_and_proven_by_a_receipt() {
    let site = Site::new(|gateway| {
        gateway
            .outlet("garage", "household", None)
            .charge_point("CP-1", &["garage"])
    });
    let _fleet = start_gateway(&site.place, &site.provider, "fleet", |gateway| {
        gateway.group("fleet", &["VAN-1"])
    });
    let mut charge_point = site.charge_point();
    authorize(&mut charge_point, "VAN-1");
    let transaction = start(&mut charge_point, "VAN-1", 50_000);
    charge_point.ask(
        &format!("stop {transaction} 61250 VAN-1"),
        "StopTransaction",
    );
    let fleet = site.one_final_charge("fleet", 11_250);
    let household = site.provider.bill("household").expect("a bill");
    assert_eq!(household["lines"], json!([]));
    assert_eq!(household["credits"].as_array().map(Vec::len), Some(1));
    assert_eq!(household["credits"][0]["energyWh"], 11_250);
    assert_eq!(household["credits"][0]["finality"], "final");
    assert_eq!(
        household["credits"][0]["header"],
        fleet["lines"][0]["header"]
    );
    assert_eq!(household["credit"], credit(11_250));

    let file = site.household.state("receipts/charge-00000001.receipt");
    until("the receipt file", || file.exists().then_some(()));
    let chain = site.provider.chain().expect("the chain");
    let key = chain["providerKey"].as_str().expect("a key");
    let file = file.to_str().expect("a plain path");
    let verify = |file: &str, key: &str| {
        let args = ["receipt", "verify", file, "--provider-key", key];
        site.place.run("gateway", &args)
    };
    let proven = verify(file, key);
    let told = String::from_utf8(proven.stdout).expect("text");
    assert!(proven.status.success(), "{told}");
    assert!(
        told.contains("11.250 kWh") && told.contains("4.50 EUR"),
        "{told}"
    );

    let mut bytes = std::fs::read(file).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let forged = site.place.path("forged.receipt");
    std::fs::write(&forged, bytes).expect("writable");
    let forged = forged.to_str().expect("a plain path");
    let refused = site.place.refusal(
        "gateway",
        &["receipt", "verify", forged, "--provider-key", key],
    );
    assert!(refused.contains("NOT PROVEN"), "{refused}");
    let other_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let refused = site.place.refusal(
        "gateway",
        &["receipt", "verify", file, "--provider-key", other_key],
    );
    assert!(refused.contains("NOT PROVEN"), "{refused}");
}

#[test]
fn answers_that_come_late_bill_no_wrong_wh() {
    let place = Place::new(PROGRAM);
    let (mut meter, address) = pymodbus(&place, 90_000);
    let site = Site::new(|gateway| {
        gateway
            .meter("yard-meter", &address)
            .outlet("yard", "household", Some("yard-meter"))
            .modbus_charger("MB-1", "yard", None)
    });
    site.household.wait_for_register("yard-meter", 90_000);
    until("HOME-VAN is let in", || {
        let (status, _) = site.household.swipe("MB-1", "HOME-VAN")?;
        (status == 200).then_some(())
    });
    set(&mut meter, "energy_wh", 90_500);
    site.household.wait_for_register("yard-meter", 90_500);
    // Later than the gateway waits: each answer arrives when the next question is out.
    set(&mut meter, "delay_ms", 1_300);
    until("the gateway notices", || {
        let status = site.household.status()?;
        status["meters"]["yard-meter"]["fault"].as_str().map(|_| ())
    });
    set(&mut meter, "energy_wh", 91_700);
    let is_wrong = is_true_within(std::time::Duration::from_secs(4), || {
        let status = site.household.status().expect("it answers");
        let shown = status["meters"]["yard-meter"]["registerWh"].as_u64();
        !matches!(shown, Some(90_500 | 91_700))
    });
    assert!(!is_wrong, "a register that the meter never had");
    set(&mut meter, "delay_ms", 0);
    site.household.wait_for_register("yard-meter", 91_700);
    let ended = swipe(&site.household, "MB-1", "HOME-VAN");
    assert_eq!(ended["energyWh"], 1_700);
    site.one_final_charge("household", 1_700);
}

#[test]
fn the_conformance_cases_pass_against_the_gateway() {
    let site = Site::new(|gateway| {
        gateway
            .outlet("garage", "household", None)
            .charge_point("CP-1", &["garage"])
    });
    let output = Command::new(site.place.sibling("charge-conformance"))
        .args(["run", "--target", "central-system", "--json"])
        .args(["--charge-point-id", "CP-1"])
        .args(["--url", &site.ocpp_url()])
        .output()
        .expect("it starts");
    let report = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{report}{said}");
}
