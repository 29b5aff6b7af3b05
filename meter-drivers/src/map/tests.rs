use super::*;

const SDM630: &str = include_str!("../../models/eastron-sdm630.toml");

/// Replaces `from` in the SDM630's map; `expected` is the key the refusal names, or what is
/// accepted there.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    assert!(SDM630.contains(from), "nothing to replace");
    let text = SDM630.replacen(from, to, 1);
    match RegisterMap::parse("x.toml", &text).expect_err("a map no meter can have") {
        MapError::Syntax { file, problem, .. } => {
            assert_eq!(file, "x.toml");
            assert!(problem.contains(expected), "{problem}");
        }
        MapError::Value { file, key, .. } => {
            assert_eq!(file, "x.toml");
            assert_eq!(key, expected);
        }
        other => panic!("{other}"),
    }
}

/// Replaces the line of a measurand.
#[track_caller]
fn check_import(line: &str, expected: &str) {
    check(
        r#"energy_import = { address = 0x0048, unit = "kWh" }"#,
        &format!("energy_import = {line}"),
        expected,
    );
}

#[test]
fn the_sdm630_bills_its_total_import_register() {
    let map = RegisterMap::builtin("eastron-sdm630").expect("built in");
    let energy = map.energy_import().expect("billable");
    assert_eq!(energy.register.space, RegisterSpace::Input);
    assert_eq!(energy.register.address, 0x48);
    assert_eq!(energy.scale.numerator(), 1000);
    let serial = map.serial_number().expect("has one").place.block();
    assert_eq!(
        (serial.space, serial.start),
        (RegisterSpace::Holding, 0xFC00)
    );
    let probes: Vec<_> = map
        .probes()
        .iter()
        .map(|p| (p.place.block().start, p.accept.clone()))
        .collect();
    let number = |n| Accept::Numbers(vec![n]);
    assert_eq!(probes, [(0x1E, number(0)), (0x28, number(2141))]);
}

#[test]
fn a_wrong_key_is_refused_by_its_name() {
    check("vendor", "vendour", "vendour");
    check(
        "\"msw_first\"",
        "\"abcd\"",
        "word_order: unknown variant `abcd`",
    );
    check("\"msw_first\"", "\"abcd\"", "lsw_first");
    check("\"f32\"", "\"f16\"", "f64");
    check("space = \"input\"", "space = \"coil\"", "holding");
    check("energy_export", "energy_exported", "energy_export");
    check("unit_id = 1", "unit_id = 1\nunit = 1", "baud");
    check(
        "\"rtu\"",
        "\"ascii\"",
        "transports: unknown variant `ascii`",
    );
    check("\"none\"", "\"N\"", "even");
    check("expect = 0\n", "expected = 0\n", "expect");
    check_import(
        r#"{ address = 0x0048, unit = "kWh", offset = 1 }"#,
        "power_of_ten",
    );
    check_import(r#"{ address = 0x10000, unit = "kWh" }"#, "address: ");
    check_import(r#"{ unit = "kWh" }"#, "missing field `address`");
    check_import(
        r#"{ address = 0x0048, unit = "kWh", scale = 0.1 }"#,
        "as text",
    );
    check_import(
        r#"{ address = 0x0048, unit = "kWh", scale = "1/0" }"#,
        "as text",
    );
}

#[test]
fn a_value_no_meter_can_have_is_refused_by_its_key() {
    check("eastron-sdm630\"", "Eastron SDM630\"", "id");
    check("eastron-sdm630\"", "\"", "id");
    check("\"Eastron\"", "\" \"", "vendor");
    check("\"openWB (serial number)\"", "\"\"", "sources");
    check("= 80", "= 126", "max_registers_per_read");
    check("= 80", "= 0", "max_registers_per_read");
    check("= 80", "= 1", "measurands.energy_import");
    check("unit_id = 1", "unit_id = 0", "connection.unit_id");
    check("unit_id = 1", "unit_id = 248", "connection.unit_id");
    check("baud = 9600", "baud = 12", "connection.baud");
    check("stop_bits = 1", "stop_bits = 3", "connection.stop_bits");
    check("stop_bits = 1", "pause_ms = 1001", "connection.pause_ms");
    check("first = 0x0000", "first = 0x0050", "readable.last");
    check("type = \"f32\"\n#", "#", "measurands.energy_import.type");
    check("energy_import = {", "#", "measurands.energy_import");
    check("\nspace", "\nnot_billable = \"x\"\nspace", "not_billable");
    check("\nspace", "\nmax_power_w = 0\nspace", "max_power_w");
    check("0x0028\n", "0xFFFF\n", "probes.address");
}

#[test]
fn a_number_that_no_request_may_ask_for_is_refused() {
    let small = SDM630.replacen("= 80", "= 2", 1);
    RegisterMap::parse("x.toml", &small).expect("each of its numbers takes two registers");
    for (from, to, expected) in [
        ("\"u32\"", "\"u64\"", "identity.serial.type"),
        (
            "type = \"f32\"\nexpect",
            "type = \"f64\"\nexpect",
            "probes.type",
        ),
    ] {
        assert!(small.contains(from), "nothing to replace");
        let text = small.replacen(from, to, 1);
        let error = RegisterMap::parse("x.toml", &text).expect_err("four registers");
        assert!(
            matches!(&error, MapError::Value { key, .. } if key == expected),
            "{error}"
        );
    }
}

#[test]
fn a_billing_register_is_refused_where_it_is_in_doubt() {
    check_import("{ address = 0x0048 }", "measurands.energy_import.unit");
    check_import(
        r#"{ address = 0x0048, unit = "W" }"#,
        "measurands.energy_import.unit",
    );
    check_import(
        r#"{ address = 0xFFFF, unit = "kWh" }"#,
        "measurands.energy_import.address",
    );
    check_import(
        r#"{ address = 0x0048, unit = "kWh", modulus = 0 }"#,
        "measurands.energy_import.modulus",
    );
    check_import(
        r#"{ address = 0x0048, unit = "kWh", optional = true }"#,
        "measurands.energy_import.optional",
    );
    check_import(
        r#"{ address = 0x0048, unit = "kWh", no_value = ["0xFFFF"] }"#,
        "measurands.energy_import.no_value",
    );
    check_import(
        r#"{ address = 0x0048, unit = "kWh", no_value = ["FFFFFFFF"] }"#,
        "measurands.energy_import.no_value",
    );
    check_import(
        r#"{ address = 0x0048, unit = "kWh", power_of_ten = { address = 0x004A, type = "f32" } }"#,
        "measurands.energy_import.power_of_ten.type",
    );
    // Too far to be read at once, and across addresses that do not answer.
    check_import(
        r#"{ address = 0x0048, unit = "kWh", power_of_ten = { address = 0x0148 } }"#,
        "measurands.energy_import",
    );
    check_import(
        r#"{ address = 0x0048, unit = "kWh", plus = [0x0052] }"#,
        "measurands.energy_import",
    );
    check(
        "frequency = { address = 0x0046 }",
        "frequency = { address = 0x0046, modulus = 5 }",
        "measurands.frequency.modulus",
    );
}

#[test]
fn an_identity_is_refused_where_two_meters_could_share_it() {
    let serial = r#"serial = { space = "holding", address = 0xFC00, type = "u32" }"#;
    let check = |line, expected| check(serial, line, expected);
    check(
        r#"serial = { address = 0, type = "f32" }"#,
        "identity.serial.type",
    );
    check("serial = { address = 0 }", "identity.serial.type");
    check(
        r#"serial = { address = 0, type = "u32", registers = 2 }"#,
        "identity.serial.type",
    );
    check(
        "serial = { address = 0, registers = 81 }",
        "identity.serial.registers",
    );
    check(
        "serial = { address = 0, registers = 0 }",
        "identity.serial.registers",
    );
    check(
        "serial = { address = 0xFFFF, registers = 2 }",
        "identity.serial.registers",
    );
    check(
        r#"serial = { address = 0, registers = 2, printed = "decimal" }"#,
        "identity.serial.printed",
    );
    check(
        r#"model = { address = 0, registers = 2, accept = [1] }"#,
        "identity.model.accept",
    );
    check(
        r#"model = { address = 0, type = "u16", accept = ["A"] }"#,
        "identity.model.accept",
    );
    check(
        r#"model = { address = 0, registers = 2, accept = [""] }"#,
        "identity.model.accept",
    );
    check(
        r#"model = { address = 0, type = "u16", accept = [] }"#,
        "identity.model.accept",
    );
}

#[test]
fn a_map_without_a_billing_register_says_why() {
    let text = SDM630.replace("energy_import = {", "#").replacen(
        "\nspace",
        "\nnot_billable = \"no such register\"\nspace",
        1,
    );
    let map = RegisterMap::parse("x.toml", &text).expect("a map to look at");
    assert_eq!(map.not_billable(), Some("no such register"));
    assert!(map.energy_import().is_none());
}

/// What the requests for everything that a map measures are.
#[track_caller]
fn check_requests(id: &str, measurands: &[Measurand], expected: &[(u16, u16, bool)]) {
    let map = RegisterMap::builtin(id).expect("built in");
    let found: Vec<_> = map
        .requests(measurands)
        .iter()
        .map(|request| (request.block.start, request.block.count, request.optional))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn requests_are_the_fewest_that_each_model_allows() {
    use Measurand::{EnergyExport, EnergyImport, Power};
    let all = &Measurand::ALL;
    check_requests(
        "eastron-sdm630",
        &[EnergyImport, Power],
        &[(0x34, 22, false)],
    );
    check_requests("eastron-sdm630", all, &[(0, 76, false)]);
    check_requests(
        "eastron-sdm72d-m",
        all,
        &[(0x48, 4, false), (0x500, 4, false)],
    );
    // A register that some variants lack stands alone.
    check_requests(
        "carlo-gavazzi-em24-rtu",
        &[EnergyImport, EnergyExport],
        &[(0x3E, 2, false), (0x5C, 2, true)],
    );
    // Both tariffs; a counter with its power of ten; a whole SunSpec model.
    check_requests(
        "siemens-pac2200-pac3200",
        &[EnergyImport],
        &[(0x321, 8, false)],
    );
    check_requests("iskra-wm3m4", &[EnergyImport], &[(0x19E, 6, false)]);
    check_requests("bauer-bsm-ws36a", all, &[(0x9C9C, 53, false)]);
    check_requests("siemens-sicam-t-7kg966", &[EnergyImport], &[]);
}

#[test]
fn a_register_that_may_be_missing_is_no_bridge_between_others() {
    let text = SDM630
        .replace("readable = [{ first = 0x0000, last = 0x004F }]\n", "")
        .replace(
            "voltage_l2 = { address = 0x0002 }",
            "voltage_l2 = { address = 0x0002, optional = true }",
        );
    let map = RegisterMap::parse("x.toml", &text).expect("a valid map");
    let voltages = [
        Measurand::VoltageL1,
        Measurand::VoltageL2,
        Measurand::VoltageL3,
    ];
    let requests: Vec<_> = map
        .requests(&voltages)
        .iter()
        .map(|request| (request.block.start, request.block.count, request.optional))
        .collect();
    assert_eq!(requests, [(0, 2, false), (4, 2, false), (2, 2, true)]);
}

const GUIDE: &str = include_str!("../../../docs/meter-models.md");

#[test]
fn the_example_of_the_guide_is_a_map() {
    let example = GUIDE
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("there is one");
    let map = RegisterMap::parse("acme-pm3.toml", example).expect("a valid map");
    assert_eq!(map.id(), "acme-pm3");
    assert_eq!(map.requests(&Measurand::ALL).len(), 2);
}

#[test]
fn the_guide_lists_every_model_and_key() {
    for map in RegisterMaps::builtin().iter() {
        assert!(
            GUIDE.contains(&format!("| `{}` |", map.id())),
            "{}",
            map.id()
        );
    }
    for measurand in Measurand::ALL {
        assert!(GUIDE.contains(&format!("`{measurand}`")), "{measurand}");
    }
    let billable = RegisterMaps::builtin()
        .iter()
        .filter(|map| map.energy_import().is_some());
    let (all, billable) = (RegisterMaps::builtin().iter().count(), billable.count());
    assert!(GUIDE.contains(&format!("{all} models, {billable} of them to bill by")));
}
