//! `charge-gateway meters` against other people's Modbus: pymodbus on Modbus TCP and on a pair of
//! serial ports, mbpoll reading what it simulates. Registers and values of the meters were written by
//! somebody who had not seen our maps (`tests/meters`).

mod bench;

use bench::{Wire, expected, mbpoll, meters, over_tcp, place, running, simulating};
use serde_json::Value;

const SDM630: &str = "eastron-sdm630-v2";
const SDM72: &str = "eastron-sdm72d-m-v2";
const SDM120: &str = "eastron-sdm120";
const SUNSPEC: &str = "sunspec-203";

/// Three makes and an address that nobody has.
const LINE: [(u8, &str); 4] = [(1, SDM630), (2, SDM72), (3, SUNSPEC), (7, SDM120)];

#[track_caller]
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The energy that a reading in JSON shows, and its step.
fn energy(reading: &Value) -> (Option<u64>, Option<u64>) {
    let energy = &reading["values"]["energy_import"];
    let wh = energy["value"].as_str().and_then(|text| text.parse().ok());
    (wh, energy["stepMilliWattHours"].as_u64())
}

#[track_caller]
fn check_reading(reading: &Value, meter: &str) {
    let expect = expected(meter);
    let wh = expect["energy_import_wh"].as_u64();
    let step = expect["resolution_mwh"].as_u64();
    assert_eq!(energy(reading), (wh, step), "{reading}");
    assert_eq!(reading["serial"], expect["serial"]);
}

/// What a scan of a line with [`LINE`] must configure.
#[track_caller]
fn check_scan(text: &str, key: &str, at: &str) {
    let found: toml::Table = text
        .parse()
        .unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(found["bus"][0][key].as_str(), Some(at), "{text}");
    let meters = found["meter"].as_array().expect("some");
    let models: Vec<_> = meters
        .iter()
        .map(|meter| (meter["unit_id"].as_integer(), meter["model"].as_str()))
        .collect();
    let models_expected = [
        (Some(1), Some("eastron-sdm630")),
        (Some(2), Some("eastron-sdm72d-m-v2")),
        (Some(3), Some("sunspec")),
        (Some(7), Some("eastron-sdm120")),
    ];
    assert_eq!(models, models_expected, "{text}");
    for (_, meter) in LINE {
        let serial = expected(meter)["serial"]
            .as_str()
            .expect("it has one")
            .to_owned();
        assert!(text.contains(&serial), "{serial} of {meter}: {text}");
    }
}

#[test]
fn a_scan_tells_the_models_on_a_serial_line() {
    let place = place();
    let wire = Wire::lay(&place);
    let _peer = wire.with(&place, &LINE, &[]);
    let args = ["scan", "--serial", &wire.ours, "--units", "1-8"];
    let said = meters(&place, &args).well();
    check_scan(&said, "serial", &wire.ours);
    let found: toml::Table = said.parse().expect("TOML");
    assert_eq!(found["bus"][0]["baud"].as_integer(), Some(9_600));
}

#[test]
fn a_scan_tells_the_models_behind_an_address_of_a_network() {
    let place = place();
    let (_peer, at) = over_tcp(&place, &LINE, &[]);
    let port = at.rsplit(':').next().expect("a port");
    let network = format!("127.0.0.1/30:{port}");
    let said = meters(&place, &["scan", "--tcp", &network, "--units", "1-8"]);
    check_scan(&said.well(), "tcp", &at);
}

#[test]
fn a_scan_that_finds_nothing_says_where_to_go() {
    let place = place();
    let (_peer, at) = over_tcp(&place, &[(9, SDM630)], &[]);
    let said = meters(
        &place,
        &["scan", "--tcp", &at, "--units", "1-2", "--timeout-ms", "50"],
    );
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("diagnose"), "{}", said.err);
    let absent = meters(&place, &["scan", "--serial", "/dev/no-such-port"]);
    assert_eq!(absent.code, Some(1));
    assert!(absent.err.contains("/dev/serial/by-id"), "{}", absent.err);
}

#[test]
fn a_reading_is_what_somebody_else_expects() {
    let place = place();
    let wire = Wire::lay(&place);
    let _peer = wire.with(&place, &LINE, &[]);
    let (_other, at) = over_tcp(&place, &LINE, &[]);
    for line in [["--serial", &wire.ours], ["--tcp", &at]] {
        let read = |unit: &str, model: &str, more: &[&str]| {
            let args = [
                &["read"],
                &line[..],
                &["--unit", unit, "--model", model],
                more,
            ]
            .concat();
            meters(&place, &args)
        };
        for (unit, meter, model) in [
            ("1", SDM630, "eastron-sdm630"),
            ("2", SDM72, "eastron-sdm72d-m-v2"),
            ("3", SUNSPEC, "sunspec"),
        ] {
            let reading = json(&read(unit, model, &["--json"]).well());
            check_reading(&reading, meter);
        }
        let table = read("1", "eastron-sdm630", &[]).well();
        // -1088407/256 W and 15084421/65536 V, written by somebody else.
        assert!(table.contains("-4251.590  W"), "{table}");
        assert!(table.contains("230.170  V"), "{table}");
        let wrong = read("1", "eastron-sdm120", &[]);
        assert_eq!(wrong.code, Some(1));
        assert!(wrong.err.contains("meters scan"), "{}", wrong.err);
        let silent = read("5", "eastron-sdm630", &["--timeout-ms", "50"]);
        assert_eq!(silent.code, Some(1));
        assert!(silent.err.contains("meters diagnose"), "{}", silent.err);
    }
}

#[test]
fn a_meter_is_watched_until_somebody_ends_it() {
    let place = place();
    let (_peer, at) = over_tcp(&place, &LINE, &[]);
    let args = [
        "read",
        "--tcp",
        &at,
        "--model",
        "eastron-sdm630",
        "--watch",
        "--json",
    ];
    let mut watching = running(&place, "watch", &args);
    let times: Vec<String> = (0..2)
        .map(|_| {
            let reading = json(&watching.line().expect("it watches"));
            check_reading(&reading, SDM630);
            reading["takenAt"].as_str().expect("a time").to_owned()
        })
        .collect();
    assert!(times[0] < times[1], "{times:?}");
    watching.terminate();
}

#[test]
fn a_line_that_is_well_is_told_from_one_that_is_not() {
    let place = place();
    let wire = Wire::lay(&place);
    let peer = wire.with(&place, &LINE, &[]);
    let diagnose = |units: &str| {
        let args = [
            "diagnose",
            "--serial",
            &wire.ours,
            "--rounds",
            "3",
            "--timeout-ms",
            "60",
        ];
        meters(&place, &[&args[..], &["--units", units]].concat())
    };
    let well = diagnose("1-3,7").well();
    assert!(well.contains("All is well"), "{well}");

    let missing = diagnose("1,5");
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.out.contains("Units 5 say nothing"),
        "{}",
        missing.out
    );

    // A pseudo terminal has every baud rate: there are only other unit ids to be found.
    let others = diagnose("4-6");
    assert_eq!(others.code, Some(1));
    assert!(others.out.contains("but units 1 answer"), "{}", others.out);
    drop(peer);

    let peer = wire.with(&place, &[(200, SDM630)], &[]);
    let silent = diagnose("4-6");
    assert_eq!(silent.code, Some(1));
    assert!(silent.out.contains("Nothing comes back"), "{}", silent.out);
    assert!(silent.out.contains("Swap A and B"), "{}", silent.out);
    drop(peer);

    let peer = wire.with(&place, &LINE, &["--twice", "2"]);
    let duplicate = diagnose("1-3");
    assert_eq!(duplicate.code, Some(1));
    let told = duplicate.out.contains("Two units answer as unit 2");
    assert!(told, "{}", duplicate.out);
    drop(peer);

    let _peer = wire.with(&place, &LINE, &["--noise"]);
    let garbled = diagnose("1-3");
    assert_eq!(garbled.code, Some(1));
    assert!(
        garbled.out.contains("baud rate or parity"),
        "{}",
        garbled.out
    );
}

#[test]
fn a_recording_is_served_and_read_again() {
    let place = place();
    let (_peer, at) = over_tcp(&place, &LINE, &[]);
    for (unit, meter, model) in [("1", SDM630, "eastron-sdm630"), ("3", SUNSPEC, "sunspec")] {
        let file = place.path(&format!("{model}.rec")).display().to_string();
        let what = [
            "--tcp",
            &at,
            "--unit",
            unit,
            "--model",
            model,
            "--seconds",
            "0",
        ];
        let record = [&["record"], &what[..], &["--to", &file]].concat();
        meters(&place, &record).well();
        let again = meters(&place, &record);
        assert_eq!(again.code, Some(1), "a recording is overwritten");

        let served = ["--tcp", "127.0.0.1:0", "--recording", &file];
        let (simulated, there) = simulating(&place, &served);
        let read = [
            "read", "--tcp", &there, "--unit", unit, "--model", model, "--json",
        ];
        check_reading(&json(&meters(&place, &read).well()), meter);
        simulated.terminate();
    }
}

#[test]
fn mbpoll_reads_what_is_simulated() {
    let place = place();
    let unit = ["--unit", "1=eastron-sdm630", "--energy-wh", "1500"];
    let (simulated, at) = simulating(&place, &[&["--tcp", "127.0.0.1:0"], &unit[..]].concat());
    let port = at.rsplit(':').next().expect("a port");
    assert_eq!(mbpoll(&["-m", "tcp", "-p", port], "127.0.0.1", 0x48), "1.5");
    simulated.terminate();

    let wire = Wire::lay(&place);
    let (simulated, _) = simulating(&place, &[&["--serial", &wire.ours], &unit[..]].concat());
    let serial = ["-m", "rtu", "-b", "9600", "-P", "none"];
    assert_eq!(mbpoll(&serial, &wire.theirs, 0x48), "1.5");
    simulated.terminate();
}

#[test]
fn models_are_listed_and_explained() {
    let place = place();
    let list = json(&meters(&place, &["list", "--json"]).well());
    let list = list.as_array().expect("a list").clone();
    assert_eq!(list.len(), 48);
    let sdm630 = list.iter().find(|model| model["id"] == "eastron-sdm630");
    assert_eq!(sdm630.expect("it is built in")["billable"], true);
    let explained = meters(&place, &["explain", "eastron-sdm630"]).well();
    for fact in [
        "0x0048",
        "72",
        "f32",
        "high first",
        "2141",
        "9600",
        "vendor manual",
    ] {
        assert!(explained.contains(fact), "{fact}: {explained}");
    }
    let line = place.refusal("gateway", &["meters", "explain", "sdm630"]);
    assert!(line.contains("did you mean eastron-sdm630?"), "{line}");

    let folder = place.path("models");
    std::fs::create_dir(&folder).expect("writable");
    let own = include_str!("../../../meter-drivers/models/eastron-sdm230.toml");
    let own = own.replace("id = \"eastron-sdm230\"", "id = \"own-meter\"");
    std::fs::write(folder.join("own-meter.toml"), own).expect("writable");
    let folder = folder.display().to_string();
    let listed = meters(&place, &["list", "--meter-models", &folder]).well();
    assert!(listed.contains("own-meter"), "{listed}");
}
