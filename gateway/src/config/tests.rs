mod control;

use std::time::Duration;

use meter_drivers::{Endpoint, Parity, RegisterMap, SerialSettings, StopBits};

use super::*;

const EXAMPLE: &str = include_str!("../../charge-gateway.example.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("gateway.toml"), text)
}

#[track_caller]
fn check(change: (&str, &str), expected: &str) {
    assert!(EXAMPLE.contains(change.0), "the example has {:?}", change.0);
    let error = parse(&EXAMPLE.replacen(change.0, change.1, 1)).expect_err("it is wrong");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_example_loads() {
    let config = parse(EXAMPLE).expect("the example is right");
    assert_eq!(config.outlet_of("CP-1", 1), Some("garage"));
    assert_eq!(config.outlet_of("CP-1", 2), None);
    assert_eq!(config.outlet_of("MB-1", 1), Some("yard"));
    let household = IdTag::parse("household").expect("printable");
    let van = IdTag::parse("home-van").expect("printable");
    assert_eq!(config.chargers[&van], Some(household));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
    check(
        ("unit_id = 1", "unit = 1"),
        "gateway.toml, line 87: unknown key `unit`; did you mean `unit_id`?",
    );
    check(
        ("[local_api]", "[localapi]"),
        "gateway.toml, line 24: unknown key `localapi`; did you mean `local_api`?",
    );
}

#[test]
fn a_value_that_cannot_be_used_is_named_with_what_can() {
    check(
        (
            "max_power_w = 22000",
            "max_power_w = 22000\nsigned_meter_key = \"0409\"",
        ),
        "gateway.toml: outlet.signed_meter_key = \"0409\" cannot be used; no public key: it is a \
         point of no curve of the format; accepted: DER SubjectPublicKeyInfo with a named curve, \
         SEC 1 point; write the public key printed on the meter in hex or base64",
    );
    check(
        ("eastron-sdm630", "sdm63"),
        &format!(
            "gateway.toml: meter.model = \"sdm63\" cannot be used; the models known are {}, sunspec",
            RegisterMap::builtin_ids().collect::<Vec<_>>().join(", ")
        ),
    );
    check(
        ("ws://127.0.0.1:9650/billing", "http://127.0.0.1:7400"),
        "gateway.toml: provider.url = \"http://127.0.0.1:7400\" cannot be used; write \
         ws://HOST:PORT/PATH (wss:// is not supported yet; use a TLS tunnel)",
    );
    check(
        ("authorization = \"chain\"", "authorization = \"all\""),
        "gateway.toml: modbus_charger.authorization = \"all\" cannot be used; write \"chain\", \
         \"central-system\" or \"both\"",
    );
    check(
        ("127.0.0.1:7410", "0.0.0.0:7410"),
        "gateway.toml: local_api.listen = \"0.0.0.0:7410\" cannot be used; it asks nobody for a \
         password, so it listens on 127.0.0.1 or [::1] only",
    );
    check(
        ("poll_interval_ms = 1000", "poll_interval_ms = 1"),
        "gateway.toml: meter.poll_interval_ms = \"1\" cannot be used; write 100 to 60000",
    );
}

#[test]
fn where_other_gateways_reach_this_one_is_checked() {
    let table = |text: &str| format!("[neighbours]\n{text}\n[ocpp]");
    let check = |text: &str, expected: &str| check(("[ocpp]", &table(text)), expected);
    check(
        "listen = \"9700\"",
        "gateway.toml: neighbours.listen = \"9700\" cannot be used; write IP:PORT, such as \
         0.0.0.0:9000",
    );
    check(
        "address = \"ws://gateway.example:9700\"",
        "gateway.toml: neighbours.address = \"ws://gateway.example:9700\" cannot be used; without \
         neighbours.listen nobody would answer there; set both",
    );
    check(
        "listen = \"0.0.0.0:9700\"\naddress = \"ws://0.0.0.0:9700\"",
        "gateway.toml: neighbours.address = \"ws://0.0.0.0:9700\" cannot be used; nobody can be \
         reached at this address; tell the one that others see; write ws://HOST:PORT, as others \
         reach this machine",
    );
    check(
        "known = [{ key = \"12\", address = \"ws://friend.example:9700\" }]",
        "gateway.toml: neighbours.known.key = \"12\" cannot be used; write the 64 hexadecimal \
         digits that its local API shows as nodeKey",
    );
    let whole = "listen = \"0.0.0.0:9700\"\naddress = \"ws://gateway.example:9700\"";
    let config = parse(&EXAMPLE.replacen("[ocpp]", &table(whole), 1)).expect("it is right");
    assert!(config.neighbours.listen.is_some() && config.neighbours.address.is_some());
    let off = parse(EXAMPLE).expect("the example is right").neighbours;
    assert!(off.listen.is_none() && off.address.is_none() && off.known.is_empty());
}

#[test]
fn what_is_named_must_be_there_and_only_once() {
    check(
        ("meter = \"garage-meter\"", "meter = \"cellar\""),
        "gateway.toml: outlet.meter = \"cellar\" cannot be used; no [[meter]] has this id",
    );
    check(
        ("meter = \"yard-meter\"", "meter = \"garage-meter\""),
        "gateway.toml: outlet.meter = \"garage-meter\" cannot be used; the meter is at another \
         outlet already; each outlet needs its own",
    );
    check(
        ("outlet = \"yard\"", "outlet = \"garage\""),
        "gateway.toml: outlets = \"garage\" cannot be used; the outlet is used twice",
    );
    check(
        ("[\"HOLIDAY-CAR\"]", "[\"home-van\"]"),
        "gateway.toml: group.member_id_tags = \"home-van\" cannot be used; it is at home here already",
    );
    check(
        ("id_tag = \"LODGER\"", "id_tag = \"home-car\""),
        "gateway.toml: charger.id_tag = \"home-car\" cannot be used; it is there twice; each must \
         be named once",
    );
}

/// The example's first meter is of a model in the folder `models` beside the configuration.
fn with_model(map: &str) -> Result<Config, ConfigError> {
    with_model_at(map, "model = \"eastron-sdm630\"")
}

/// As [`with_model`], but of the meter of which the example says `meter`.
fn with_model_at(map: &str, meter: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = folder.path().join("models");
    std::fs::create_dir(&models).expect("a folder in it");
    std::fs::write(models.join("acme-1.toml"), map).expect("a file in that");
    let acme = meter.replace("eastron-sdm630", "acme-1");
    let text = EXAMPLE.replacen(meter, &acme, 1).replacen(
        "# meter_models = \"meter-models\"",
        "meter_models = \"models\"",
        1,
    );
    Config::parse(&folder.path().join("gateway.toml"), &text)
}

const ACME: &str = r#"
id = "acme-1"
vendor = "Acme"
model = "1"
sources = ["its display"]
space = "holding"
word_order = "msw_first"
[measurands]
energy_import = { address = 0, type = "u32", unit = "kWh", scale = "0.01" }
"#;

#[test]
fn a_folder_of_register_maps_adds_meter_models() {
    let config = with_model(ACME).expect("a model more");
    let vendor = |meter: &str| match &config.meters[meter].model {
        MeterModel::Map(map) => map.vendor().to_owned(),
        MeterModel::SunSpec => "by SunSpec".to_owned(),
    };
    assert_eq!(vendor("garage-meter"), "Acme");
    assert_eq!(vendor("yard-meter"), "Eastron");
}

#[test]
fn a_register_map_that_is_none_is_told_by_file_key_and_what_would_be_right() {
    let error = with_model(&ACME.replace("\"kWh\"", "\"kW\"")).expect_err("no energy");
    let error = error.to_string();
    let expected = "models/acme-1.toml: measurands.energy_import.unit must be one of Wh, kWh, MWh";
    assert!(
        error.contains("gateway.toml: meter_models cannot be used: "),
        "{error}"
    );
    assert!(error.ends_with(expected), "{error}");
    check(
        (
            "# meter_models = \"meter-models\"",
            "meter_models = \"nowhere\"",
        ),
        "gateway.toml: meter_models cannot be used: cannot read nowhere; check that it exists and \
         its permissions (No such file or directory (os error 2))",
    );
}

#[test]
fn a_model_that_cannot_be_billed_is_refused() {
    check(
        ("eastron-sdm630", "siemens-sicam-t-7kg966"),
        "gateway.toml: meter.model = \"siemens-sicam-t-7kg966\" cannot be used; it cannot be billed: \
         no source has its energy registers",
    );
}

#[test]
fn debug_output_hides_the_token() {
    let config = parse(EXAMPLE).expect("the example is right");
    assert!(!format!("{config:?}").contains("paste-your-token-here"));
}

#[test]
fn a_bus_is_one_line_with_settings_that_fit_it() {
    let serial = "serial = \"/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0\"";
    let check = |change, accepted: &str| check(change, &format!("gateway.toml: {accepted}"));
    let exactly_one = "bus.name = \"cellar\" cannot be used; write exactly one of tcp = \
                       \"HOST:PORT\", serial = \"/dev/serial/by-id/...\" and rtu_over_tcp = \
                       \"HOST:PORT\"";
    check((serial, ""), exactly_one);
    let both = format!("{serial}\ntcp = \"192.0.2.7:502\"");
    check((serial, &both), exactly_one);
    check(
        (serial, "tcp = \"192.0.2.7:502\""),
        "bus.tcp = \"192.0.2.7:502\" cannot be used; Modbus TCP has no baud, parity or stop_bits; \
         leave them out, or use serial or rtu_over_tcp",
    );
    check(
        (serial, "rtu_over_tcp = \"192.0.2.7:4001\""),
        "bus.rtu_over_tcp = \"192.0.2.7:4001\" cannot be used; parity and stop_bits are set at the \
         converter; leave them out (baud says how long silence between frames lasts)",
    );
    check(
        (serial, "serial = \"ttyUSB0\""),
        "bus.serial = \"ttyUSB0\" cannot be used; write the device's whole path, best one below \
         /dev/serial/by-id",
    );
    check(
        ("baud = 9600", "baud = 9601"),
        "bus.baud = \"9601\" cannot be used; write one of 1200, 2400, 4800, 9600, 19200, 38400, \
         57600, 115200",
    );
    check(
        ("parity = \"none\"", "parity = \"mark\""),
        "bus.parity = \"mark\" cannot be used; write \"none\", \"even\" or \"odd\"",
    );
    check(
        ("stop_bits = 1", "stop_bits = 3"),
        "bus.stop_bits = \"3\" cannot be used; write 1 or 2",
    );
    let again = "[[bus]]\nname = \"attic\"\nserial = \"/dev/serial/by-id/\
                 usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0\"\n\n[[bus]]\nname = \"cellar\"";
    check(
        ("[[bus]]\nname = \"cellar\"", again),
        "bus.name = \"cellar\" cannot be used; bus attic has the same line; put all its meters on one",
    );
}

#[test]
fn a_meter_is_on_one_line_and_alone_with_its_unit_id_there() {
    let on_bus = "bus = \"cellar\"\nunit_id = 2";
    let check = |to: &str, accepted: &str| {
        check((on_bus, to), &format!("gateway.toml: {accepted}"));
    };
    let either = "meter.id = \"yard-meter\" cannot be used; write either address = \"HOST:PORT\" or \
                  bus = \"NAME\"";
    check("unit_id = 2", either);
    check(&format!("{on_bus}\naddress = \"192.0.2.51:502\""), either);
    check(
        "bus = \"attic\"\nunit_id = 2",
        "meter.bus = \"attic\" cannot be used; no [[bus]] has this name",
    );
    for unit in ["0", "248"] {
        check(
            &format!("bus = \"cellar\"\nunit_id = {unit}"),
            &format!("meter.unit_id = \"{unit}\" cannot be used; on a bus, write 1 to 247"),
        );
    }
    let twin = "bus = \"cellar\"\nunit_id = 2\n\n[[meter]]\nid = \"twin\"\nmodel = \
                \"eastron-sdm630\"\nbus = \"cellar\"\nunit_id = 2";
    check(
        twin,
        "meter.unit_id = \"2\" cannot be used; meter yard-meter has another's unit_id on bus cellar",
    );
}

#[test]
fn a_meter_among_others_is_waited_for_less_long() {
    check(
        ("timeout_ms = 500", "timeout_ms = 2000"),
        "gateway.toml: meter.timeout_ms = \"2000\" cannot be used; write 50 to 1900",
    );
    check(
        ("pause_ms = 0", "pause_ms = 1001"),
        "gateway.toml: meter.pause_ms = \"1001\" cannot be used; write 0 to 1000",
    );
    let config = parse(&EXAMPLE.replacen("timeout_ms = 500", "", 1)).expect("it is right");
    let shared = Duration::from_millis(500);
    assert_eq!(config.meters["yard-meter"].timeout, shared);
}

const SETTINGS: &str = "baud = 9600\nparity = \"none\"\nstop_bits = 1\n";
const ON_CELLAR: &str = "model = \"eastron-sdm630\"\n# Each meter on a bus";

/// The example, with a meter of `model` on its bus and `settings` for it.
fn with_model_on_bus(model: &str, settings: &str) -> String {
    let model = format!("model = \"{model}\"\n# Each meter on a bus");
    assert!(EXAMPLE.contains(SETTINGS) && EXAMPLE.contains(ON_CELLAR));
    EXAMPLE
        .replacen(SETTINGS, settings, 1)
        .replacen(ON_CELLAR, &model, 1)
}

#[track_caller]
fn check_line(model: &str, settings: &str, expected: (u32, Parity, StopBits)) {
    let config = parse(&with_model_on_bus(model, settings)).expect("it is right");
    let Endpoint::Serial(SerialSettings {
        baud,
        parity,
        stop_bits,
        ..
    }) = config.buses["cellar"]
    else {
        panic!("it is a serial port");
    };
    assert_eq!((baud, parity, stop_bits), expected);
}

#[test]
fn a_line_is_set_as_its_meters_leave_the_factory_where_the_file_is_silent() {
    let usual = (9_600, Parity::None, StopBits::One);
    check_line(
        "schneider-iem3000",
        "",
        (19_200, Parity::Even, StopBits::One),
    );
    check_line("finder-7m24", "", (19_200, Parity::None, StopBits::Two));
    check_line("schneider-iem3000", SETTINGS, usual);
    check_line(
        "schneider-iem3000",
        "baud = 9600\n",
        (9_600, Parity::Even, StopBits::One),
    );
    // Nobody knows what an ABB meter leaves the factory with.
    check_line("abb-b23-b24", "", usual);
}

#[test]
fn a_line_whose_meters_leave_the_factory_with_different_settings_needs_its_own() {
    let another = "[[meter]]\nid = \"attic-meter\"\nmodel = \"finder-7m24\"\nbus = \"cellar\"\n\
                   unit_id = 3\n\n# Outlets:";
    let text = with_model_on_bus("schneider-iem3000", "").replacen("# Outlets:", another, 1);
    let error = parse(&text).expect_err("which?").to_string();
    assert_eq!(
        error,
        "gateway.toml: bus.name = \"cellar\" cannot be used; write its parity: finder-7m24 and \
         schneider-iem3000 leave the factory with different ones, and all meters on a bus must be \
         set alike"
    );
    let text = with_model_on_bus("schneider-iem3000", SETTINGS);
    parse(&text.replacen("# Outlets:", another, 1)).expect("the file says");
}

#[test]
fn a_model_is_given_the_pause_and_the_time_that_its_map_says_it_needs() {
    let yard = |model: &str| {
        let text = with_model_on_bus(model, SETTINGS).replacen("timeout_ms = 500\n", "", 1);
        let config = parse(&text).expect("it is right");
        let meter = &config.meters["yard-meter"];
        (meter.timeout.as_millis(), meter.pause.as_millis())
    };
    assert_eq!(yard("eastron-sdm630"), (500, 0));
    assert_eq!(yard("abb-b23-b24"), (500, 100));
    assert_eq!(yard("carlo-gavazzi-em24-e1"), (600, 0));

    let text = with_model_on_bus("carlo-gavazzi-em24-e1", SETTINGS);
    let shorter = text.replacen("timeout_ms = 500", "timeout_ms = 499", 1);
    let error = parse(&shorter).expect_err("the model may be slower");
    assert_eq!(
        error.to_string(),
        "gateway.toml: meter.timeout_ms = \"499\" cannot be used; write 500 to 1900"
    );
    let config = parse(&text).expect("as long as the model takes");
    let timeout = config.meters["yard-meter"].timeout;
    assert_eq!(timeout, Duration::from_millis(500));
}

#[test]
fn a_model_too_slow_for_its_neighbours_is_not_put_on_a_bus() {
    let slow = ACME.replace(
        "[measurands]",
        "[connection]\nanswer_within_ms = 1901\n[measurands]",
    );
    let error = with_model(&slow).expect_err("the example says 1 s");
    let expected = "meter.timeout_ms = \"1000\" cannot be used; write 1901 to 60000";
    assert!(error.to_string().ends_with(expected), "{error}");
    let error = with_model_at(&slow, ON_CELLAR).expect_err("on a bus it may not");
    let expected = "meter.model = \"acme-1\" cannot be used; it takes up to 1901 ms to answer; on a \
                    bus no meter may keep the others waiting for more than 1900 ms";
    assert!(error.to_string().ends_with(expected), "{error}");
}
