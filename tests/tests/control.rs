//! A gateway switches the power of a charger without OCPP: pymodbus is relay, current limit and meter in
//! one device, and counts what flows through its relay. What flowed is what is billed, whatever happens
//! in between.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tests::config::{self, Gateway};
use tests::{Peer, Place, Process, Server, is_true_within, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
const OUTLET: &str = "modbus_outlet.py";
/// 1 Wh a millisecond: a reading that is taken a moment too late or too early shows.
const POWER_W: u32 = 3_600_000;
const BEFORE_WH: u64 = 40_000;
const COIL: &str = "[modbus_charger.relay]\ncoil = 3\ndead_man_s = 4";

/// A provider, a household's gateway at it, and its outlet.
struct Site {
    provider: Server,
    gateway: Server,
    device: Peer,
}

impl Site {
    /// An outlet on Modbus TCP, with what switches it.
    fn new(control: &str) -> Self {
        let place = Place::new(PROGRAM);
        let arguments = ["tcp", "--energy-wh", &BEFORE_WH.to_string()];
        let (device, port) = Peer::listening(&place, OUTLET, &arguments);
        let line = format!("address = \"127.0.0.1:{port}\"\ntimeout_ms = 1000");
        Self::with(place, device, &line, control)
    }

    fn with(place: Place, mut device: Peer, line: &str, control: &str) -> Self {
        device.tell(&format!("power_w {POWER_W}"));
        let mut provider = Server::provider(&place, &config::provider());
        provider.start();
        let token = provider.command(&["token", "create", "--group", "household"]);
        let meter = format!(
            "[[meter]]\nid = \"yard-meter\"\nmodel = \"eastron-sdm630\"\npoll_interval_ms = 100\n\
             unit_id = 1\n{line}"
        );
        let config = Gateway::new(provider.address("{links}"), token.trim())
            .group("household", &["HOME-CAR"])
            .more(&meter)
            .outlet("yard", "household", Some("yard-meter"))
            .modbus_charger("MB-1", "yard", None)
            .more(control);
        let mut gateway = Server::gateway(&place, "household", config.text());
        gateway.start();
        gateway.log_line(&["linked with the provider"]);
        Self {
            provider,
            gateway,
            device,
        }
    }

    fn shown(&mut self) -> Value {
        self.device.tell("show 0");
        self.device.next_with("/show")
    }

    #[track_caller]
    fn set(&mut self, name: &str, value: u64) {
        self.device.tell(&format!("{name} {value}"));
        assert_eq!(self.device.next_with(&format!("/{name}")), value);
    }

    fn power(&self) -> Option<Value> {
        Some(self.gateway.status()?["power"]["MB-1"].take())
    }

    /// Begins a charge, once the provider has let the tag in.
    #[track_caller]
    fn begin(&self) {
        until("HOME-CAR is let in", || {
            let (status, answer) = self.gateway.swipe("MB-1", "HOME-CAR")?;
            (status == 200).then(|| assert_eq!(answer["did"], "began"))
        });
    }

    #[track_caller]
    fn until_counted(&self, energy_wh: u64) {
        until(&format!("{energy_wh} Wh are counted"), || {
            let status = self.gateway.status()?;
            let register = status["meters"]["yard-meter"]["registerWh"].as_u64()?;
            (register >= BEFORE_WH + energy_wh).then_some(())
        });
    }

    /// Ends the charge, and gives its energy.
    #[track_caller]
    fn end(&self) -> u64 {
        let (status, answer) = self.gateway.swipe("MB-1", "HOME-CAR").expect("answers");
        assert_eq!((status, &answer["did"]), (200, &json!("ended")), "{answer}");
        answer["energyWh"].as_u64().expect("Wh")
    }

    /// Everything that flowed through the relay.
    fn flowed(&mut self) -> u64 {
        self.shown()["energy_wh"].as_u64().expect("Wh") - BEFORE_WH
    }

    #[track_caller]
    fn check_bill(&self, charges: usize, energy_wh: u64) {
        let bill = self.provider.final_bill("household", charges);
        assert_eq!(bill["total"]["energyWh"], energy_wh);
    }
}

#[test]
fn what_flows_through_the_relay_is_what_is_billed() {
    let limit = "[modbus_charger.current_limit]\nregister = 0x101\nunit = \"0.1 A\"\n\
                 minimum_a = 6\nmaximum_a = 16";
    let mut site = Site::new(&format!("{COIL}\n{limit}"));
    let (status, _) = site.gateway.limit_current("yard", 10_000).expect("answers");
    assert_eq!(status, 409, "no charge is running");
    site.begin();
    let shown = site.shown();
    assert_eq!((&shown["relay"], &shown["limit"]), (&json!(1), &json!(160)));
    for (limit_ma, expected) in [(5_999, 400), (16_001, 400), (10_000, 200)] {
        let answer = site.gateway.limit_current("yard", limit_ma);
        let (status, answer) = answer.expect("it answers");
        assert_eq!(status, expected, "{limit_ma} mA: {answer}");
    }
    let (status, _) = site.gateway.limit_current("hall", 10_000).expect("answers");
    assert_eq!(status, 404);
    assert_eq!(site.shown()["limit"], 100);
    let power = site.power().expect("it answers");
    let expected = json!({
        "wanted": true, "on": true, "currentLimitMa": 10_000, "fault": null, "lost": null
    });
    assert_eq!(power, expected);
    // Longer than the dead-man time: the limit asked for outlives each confirmation.
    site.until_counted(5_000);
    assert_eq!(site.shown()["limit"], 100);
    let billed = site.end();
    let shown = site.shown();
    assert_eq!((&shown["relay"], &shown["limit"]), (&json!(0), &json!(0)));
    assert_eq!(shown["journal"].as_array().map(Vec::len), Some(2));
    assert_eq!(billed, site.flowed());
    site.check_bill(1, billed);
}

#[test]
fn a_gateway_that_is_killed_switches_off_at_its_next_start_and_no_energy_is_lost() {
    let mut site = Site::new("[modbus_charger.relay]\nregister = 0x100\non = 0x55\noff = 0xAA");
    site.begin();
    site.until_counted(500);
    site.gateway.process().kill();
    assert_eq!(site.shown()["relay"], 1, "nobody switches it off");
    site.gateway.start();
    until("it is off", || (site.shown()["relay"] == 0).then_some(()));
    let held = until("the rest is held", || {
        let status = site.gateway.status()?;
        let outbox = status["outbox"].as_array()?.clone();
        outbox.into_iter().find(|charge| charge["stage"] == "held")
    });
    let number = held["number"].as_u64().expect("a number");
    let (status, answer) = site.gateway.release(number).expect("it answers");
    assert_eq!(status, 200, "{answer}");
    let flowed = site.flowed();
    site.check_bill(2, flowed);
}

#[test]
fn a_device_with_a_watchdog_switches_off_when_the_gateway_is_killed() {
    let mut site = Site::new(&format!("{COIL}\ndead_man_register = 0x104"));
    site.begin();
    assert_eq!(site.shown()["watchdog_s"], 4);
    // Longer than that: it is fed.
    site.until_counted(6_000);
    assert_eq!(site.shown()["relay"], 1);
    site.gateway.process().kill();
    until("the device switches off", || {
        (site.shown()["relay"] == 0).then_some(())
    });
    assert_eq!(site.shown()["journal"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_gateway_that_is_stopped_switches_off_and_leaves_nothing_to_look_at() {
    let mut site = Site::new(COIL);
    site.begin();
    site.until_counted(500);
    site.gateway.terminate();
    assert_eq!(site.shown()["relay"], 0);
    let flowed = site.flowed();
    site.gateway.start();
    site.check_bill(1, flowed);
}

#[test]
fn a_relay_that_ignores_its_orders_begins_no_charge_and_ends_none_in_silence() {
    let mut site = Site::new(COIL);
    site.set("ignore_writes", 1);
    let (status, answer) = until("it is refused for its relay", || {
        let answer = site.gateway.swipe("MB-1", "HOME-CAR")?;
        (answer.0 != 403).then_some(answer)
    });
    assert_eq!(status, 502, "{answer}");
    let why = answer["error"].as_str().expect("words");
    assert!(why.contains("was set to 1 and reads 0"), "{why}");
    let status = site.gateway.status().expect("it answers");
    assert_eq!(status["running"], json!([]));

    site.set("ignore_writes", 0);
    site.begin();
    site.until_counted(300);
    site.set("ignore_writes", 1);
    let billed = site.end();
    assert!(billed >= 300);
    let power = site.power().expect("it answers");
    let fault = power["fault"].as_str().expect("a fault");
    assert!(fault.contains("was set to 0 and reads 1"), "{fault}");
    assert_eq!(
        (&power["wanted"], &power["on"]),
        (&json!(false), &json!(true))
    );
    let (status, _) = site.gateway.swipe("MB-1", "HOME-CAR").expect("answers");
    assert_eq!(status, 502, "no charge begins with power on");
    site.set("ignore_writes", 0);
    until("it is off", || {
        let is_off = site.power()?["on"] == false;
        (is_off && site.shown()["relay"] == 0).then_some(())
    });
    assert_eq!(site.power().expect("it answers")["fault"], Value::Null);
    site.check_bill(1, billed);
}

#[test]
fn a_relay_that_opens_in_the_middle_ends_the_charge_and_is_not_closed_again() {
    let mut site = Site::new(COIL);
    site.begin();
    site.until_counted(300);
    site.set("relay", 0);
    until("the charge ends", || {
        let status = site.gateway.status()?;
        (status["running"] == json!([])).then_some(())
    });
    let power = site.power().expect("it answers");
    let lost = power["lost"].as_str().expect("words");
    assert!(lost.contains("in the middle of a charge"), "{lost}");
    let flowed = site.flowed();
    site.check_bill(1, flowed);
    assert_eq!(site.shown()["journal"].as_array().map(Vec::len), Some(2));
    // The next charge gets power as any other.
    site.begin();
    assert_eq!(site.power().expect("it answers")["lost"], Value::Null);
    assert_eq!(site.shown()["relay"], 1);
}

#[test]
fn a_relay_closed_by_hand_is_opened_again() {
    let mut site = Site::new(COIL);
    until("it is off", || (site.power()?["on"] == false).then_some(()));
    site.set("relay", 1);
    until("it is off again", || {
        (site.shown()["relay"] == 0).then_some(())
    });
}

#[test]
fn answers_that_come_late_for_a_while_cost_a_charge_nothing() {
    let mut site = Site::new("[modbus_charger.relay]\ncoil = 3\ndead_man_s = 20");
    site.begin();
    site.until_counted(300);
    site.set("delay_ms", 1_300);
    until("the gateway notices", || {
        let status = site.gateway.status()?;
        status["power"]["MB-1"]["fault"].as_str().map(|_| ())
    });
    site.set("delay_ms", 0);
    until("it is confirmed", || {
        let power = site.power()?;
        (power["fault"].is_null() && power["on"] == true).then_some(())
    });
    let is_off = is_true_within(Duration::from_secs(1), || site.shown()["relay"] == 0);
    assert!(!is_off, "nobody has switched it off");
    site.until_counted(1_000);
    let billed = site.end();
    assert_eq!(billed, site.flowed());
    site.check_bill(1, billed);
}

/// Two serial ports with a wire between them: socat's pseudo terminals.
fn wire(place: &Place) -> (Process, PathBuf, PathBuf) {
    let (ours, theirs) = (place.path("ours"), place.path("theirs"));
    let end = |path: &PathBuf| format!("pty,rawer,link={}", path.display());
    let mut socat = Command::new("socat");
    socat.args([end(&ours), end(&theirs)]).stdin(Stdio::null());
    let socat = Process::start("socat", &mut socat, &place.path("socat.log"));
    until("the terminals", || {
        (ours.exists() && theirs.exists()).then_some(())
    });
    (socat, ours, theirs)
}

#[test]
fn meter_and_relay_are_one_unit_on_a_serial_line() {
    let place = Place::new(PROGRAM);
    let (_socat, ours, theirs) = wire(&place);
    let energy = BEFORE_WH.to_string();
    let device = theirs.to_str().expect("a plain path");
    let arguments = ["rtu", "--energy-wh", &energy, "--device", device];
    let mut peer = Peer::start(&place, OUTLET, &arguments);
    peer.next_with("/device");
    let bus = format!(
        "bus = \"cellar\"\n[[bus]]\nname = \"cellar\"\nserial = \"{}\"",
        ours.display()
    );
    let mut site = Site::with(place, peer, &bus, COIL);
    site.begin();
    site.until_counted(2_000);
    assert_eq!(site.shown()["relay"], 1);
    let billed = site.end();
    assert_eq!(site.shown()["relay"], 0);
    assert_eq!(billed, site.flowed());
    site.check_bill(1, billed);
}
