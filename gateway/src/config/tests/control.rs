//! `[modbus_charger.relay]` and `[modbus_charger.current_limit]`.

use std::time::Duration;

use meter_drivers::Target;

use super::*;

/// The example, whose last table is its charger without OCPP, with `text` in that.
fn with(text: &str) -> Result<Config, ConfigError> {
    parse(&format!("{EXAMPLE}\n{text}"))
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = with(text).expect_err("it is wrong");
    assert_eq!(error.to_string(), format!("gateway.toml: {expected}"));
}

#[track_caller]
fn check_relay(text: &str, expected: &str) {
    refused(&format!("[modbus_charger.relay]\n{text}"), expected);
}

#[track_caller]
fn check_limit(text: &str, expected: &str) {
    let usual = "unit = \"A\"\nminimum_a = 6\nmaximum_a = 16\n";
    let keys: Vec<_> = text.lines().filter_map(|l| l.split(" =").next()).collect();
    let is_left = |line: &&str| !keys.iter().any(|key| line.starts_with(key));
    let usual: Vec<_> = usual.lines().filter(is_left).collect();
    let usual = usual.join("\n");
    let table = format!("[modbus_charger.current_limit]\nregister = 7\n{usual}\n{text}");
    refused(&table, expected);
}

#[test]
fn the_examples_relay_and_current_limit_can_be_used() {
    let (before, control) = EXAMPLE
        .split_once("# [modbus_charger.relay]")
        .expect("the example shows a relay");
    let is_key = |line: &str| {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
        !key.is_empty() && key.chars().all(is_plain)
    };
    let lines = control
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.starts_with('[') || is_key(line));
    let control: Vec<_> = lines.collect();
    let text = format!("{before}[modbus_charger.relay]\n{}", control.join("\n"));
    let config = parse(&text).expect("it is right");
    let charger = &config.modbus_chargers["MB-1"];
    assert!(charger.relay.is_some() && charger.current_limit.is_some());
}

#[test]
fn a_relay_is_on_the_line_of_the_meter_unless_the_file_says_otherwise() {
    let config = with("[modbus_charger.relay]\ncoil = 3").expect("it is right");
    let relay = config.modbus_chargers["MB-1"].relay.clone();
    let relay = relay.expect("it is there");
    assert!(matches!(relay.place.line, MeterLine::Bus(bus) if bus == "cellar"));
    assert_eq!(relay.place.unit_id, 2);
    assert_eq!(relay.place.target, Target::Coil { address: 3 });
    assert_eq!((relay.on, relay.off), (1, 0));
    assert_eq!(relay.dead_man.after, Duration::from_secs(60));
    let text = "[modbus_charger.relay]\naddress = \"192.0.2.9:502\"\nregister = 3\n\
                write_function = 16\ndead_man_register = 9\ndead_man_unit = \"0.1 s\"";
    let config = with(text).expect("it is right");
    let relay = config.modbus_chargers["MB-1"].relay.clone();
    let relay = relay.expect("it is there");
    assert!(matches!(relay.place.line, MeterLine::Own(_)));
    assert_eq!(relay.place.unit_id, 1);
    let register = |address| Target::Registers { address, count: 1 };
    assert_eq!(relay.place.target, register(3));
    assert_eq!(relay.dead_man.register, Some((register(9), 600)));
}

#[test]
fn a_relay_is_one_coil_or_one_register() {
    let one = "modbus_charger.id = \"MB-1\" cannot be used; [modbus_charger.relay] has exactly one of \
               coil = ADDRESS and register = ADDRESS";
    check_relay("", one);
    check_relay("coil = 1\nregister = 1", one);
    check_relay(
        "coil = 1\non = 1",
        "modbus_charger.relay.coil = \"1\" cannot be used; a coil is on or off and has one function; \
         leave out on, off and write_function, or write register instead",
    );
    check_relay(
        "register = 1\non = 0",
        "modbus_charger.relay.on = \"0\" cannot be used; write another value than off has",
    );
    check_relay(
        "register = 1\nwrite_function = 5",
        "modbus_charger.relay.write_function = \"5\" cannot be used; write 6 (one register) or 16 (for \
         devices that have no 6)",
    );
    let error = with("[modbus_charger.relay]\ncoil = 65536").expect_err("no address");
    assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
}

#[test]
fn where_a_relay_is_must_be_there() {
    check_relay(
        "coil = 1\nbus = \"attic\"",
        "modbus_charger.relay.bus = \"attic\" cannot be used; no [[bus]] has this name",
    );
    check_relay(
        "coil = 1\naddress = \"192.0.2.9\"",
        "modbus_charger.relay.address = \"192.0.2.9\" cannot be used; write HOST:PORT, such as \
         192.0.2.50:502",
    );
    check_relay(
        "coil = 1\nbus = \"cellar\"\naddress = \"192.0.2.9:502\"",
        "modbus_charger.id = \"MB-1\" cannot be used; [modbus_charger.relay] has one of bus = \"NAME\" \
         and address = \"HOST:PORT\", or none to be on the line of the outlet's meter",
    );
    for unit in ["0", "248"] {
        check_relay(
            &format!("coil = 1\nunit_id = {unit}"),
            &format!(
                "modbus_charger.relay.unit_id = \"{unit}\" cannot be used; write 1 to 247; 0 would \
                 switch every device at once"
            ),
        );
    }
    check_relay(
        "coil = 1\ntimeout_ms = 2000",
        "modbus_charger.relay.timeout_ms = \"2000\" cannot be used; write 50 to 1900",
    );
}

#[test]
fn a_dead_man_time_fits_its_register() {
    for seconds in ["3", "3601"] {
        check_relay(
            &format!("coil = 1\ndead_man_s = {seconds}"),
            &format!(
                "modbus_charger.relay.dead_man_s = \"{seconds}\" cannot be used; write 4 to 3600"
            ),
        );
    }
    check_relay(
        "coil = 1\ndead_man_s = 66\ndead_man_register = 9\ndead_man_unit = \"ms\"",
        "modbus_charger.relay.dead_man_s = \"66\" cannot be used; in dead_man_unit it does not fit \
         into a register; write fewer seconds",
    );
    check_relay(
        "coil = 1\ndead_man_unit = \"ms\"",
        "modbus_charger.relay.dead_man_unit = \"ms\" cannot be used; it is the unit of \
         dead_man_register, which is not there",
    );
    check_relay(
        "coil = 1\ndead_man_register = 9\ndead_man_unit = \"min\"",
        "modbus_charger.relay.dead_man_unit = \"min\" cannot be used; write \"s\", \"0.1 s\" or \"ms\": \
         one step of dead_man_register",
    );
}

#[test]
fn a_current_limit_has_a_unit_and_limits_that_fit_its_register() {
    check_limit(
        "unit = \"W\"",
        "modbus_charger.current_limit.unit = \"W\" cannot be used; write \"A\", \"0.1 A\" or \"mA\": one \
         step of the register",
    );
    check_limit(
        "minimum_a = 5",
        "modbus_charger.current_limit.minimum_a = \"5\" cannot be used; write 6 to 80",
    );
    for most in ["9", "81"] {
        check_limit(
            &format!("minimum_a = 10\nmaximum_a = {most}"),
            &format!(
                "modbus_charger.current_limit.maximum_a = \"{most}\" cannot be used; write minimum_a \
                 (10) to 80"
            ),
        );
    }
    check_limit(
        "maximum_a = 80\nunit = \"mA\"",
        "modbus_charger.current_limit.unit = \"mA\" cannot be used; two registers hold it; write \
         registers = 2, or the unit of the register",
    );
    check_limit(
        "registers = 3",
        "modbus_charger.current_limit.registers = \"3\" cannot be used; write 1 or 2",
    );
    check_limit(
        "registers = 2\nwrite_function = 6",
        "modbus_charger.current_limit.write_function = \"6\" cannot be used; two registers are written \
         together, by function 16; leave it out",
    );
    check_limit(
        "when_idle = \"off\"",
        "modbus_charger.current_limit.when_idle = \"off\" cannot be used; write \"zero\" or \"minimum\"",
    );
}

#[test]
fn nothing_is_set_by_two() {
    let twice = "modbus_charger.id = \"MB-1\" cannot be used; it sets a coil or register that MB-1 sets, \
                 too; each has its own";
    check_relay("register = 7\ndead_man_register = 7", twice);
    let limit = "[modbus_charger.current_limit]\nregister = 6\nregisters = 2\nunit = \"mA\"\n\
                 minimum_a = 6\nmaximum_a = 80";
    check_relay(&format!("register = 7\n{limit}"), twice);
    // A coil has the same number, and is another place.
    with(&format!("[modbus_charger.relay]\ncoil = 7\n{limit}")).expect("two places");
}
