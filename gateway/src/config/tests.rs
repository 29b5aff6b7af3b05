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
        "gateway.toml, line 75: unknown key `unit`; did you mean `unit_id`?",
    );
    check(
        ("[local_api]", "[localapi]"),
        "gateway.toml, line 24: unknown key `localapi`; did you mean `local_api`?",
    );
}

#[test]
fn a_value_that_cannot_be_used_is_named_with_what_can() {
    check(
        ("eastron-sdm630", "sdm63"),
        &format!(
            "gateway.toml: meter.model = \"sdm63\" cannot be used; the models known are {}",
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
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = folder.path().join("models");
    std::fs::create_dir(&models).expect("a folder in it");
    std::fs::write(models.join("acme-1.toml"), map).expect("a file in that");
    let text = EXAMPLE.replacen("eastron-sdm630", "acme-1", 1).replacen(
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
    assert_eq!(config.meters["garage-meter"].map.vendor(), "Acme");
    assert_eq!(config.meters["yard-meter"].map.vendor(), "Eastron");
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
