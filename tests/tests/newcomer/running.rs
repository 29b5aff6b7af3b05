//! Mistakes that a gateway runs on with: one line in its log, however often it tries again.

use std::net::TcpListener;
use std::time::Duration;

use tests::config::Gateway;
use tests::{Place, Server, is_true_within};

use crate::fakes::{meter_of_another_model, provider_an_hour_ahead};
use crate::{PROGRAM, gateway, lonely_gateway, running_provider, token};

/// Long enough for several attempts.
const A_FEW_TRIES: Duration = Duration::from_secs(3);

/// Waits for a line with all of `words`, and checks that it stays the only one and that the
/// gateway goes on.
#[track_caller]
fn check_one_line(server: &mut Server, words: &[&str]) -> String {
    let line = server.log_line(words);
    let is_repeated = is_true_within(A_FEW_TRIES, || {
        let log = server.log();
        log.lines().filter(|line| line.contains(words[0])).count() > 1
    });
    assert!(!is_repeated, "told again:\n{}", server.log());
    assert!(server.status().is_some(), "it goes on");
    line
}

/// A gateway with a charger without OCPP at a meter there.
fn gateway_with_meter(place: &Place, address: &str) -> Server {
    let config = Gateway::new("127.0.0.1:1", "none")
        .meter("yard-meter", address)
        .outlet("yard", "household", Some("yard-meter"))
        .modbus_charger("MB-1", "yard", None);
    Server::gateway(place, "household", config.text())
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

#[track_caller]
fn fault(server: &Server) -> String {
    let status = server.status().expect("it answers");
    let fault = &status["meters"]["yard-meter"]["fault"];
    fault.as_str().expect("a fault").to_owned()
}

#[test]
fn a_meter_that_is_not_there() {
    let place = Place::new(PROGRAM);
    let address = nobody();
    let mut server = gateway_with_meter(&place, &address);
    server.start();
    let words = [
        "yard-meter unreachable",
        &address,
        "check address, network or cable, and power",
    ];
    check_one_line(&mut server, &words);
    assert!(fault(&server).contains("unreachable"));
}

#[test]
fn a_meter_that_is_silent() {
    let place = Place::new(PROGRAM);
    // Takes connections and never answers, as a Modbus gateway does for a unit that is not there.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let mut server = gateway_with_meter(&place, &address);
    server.start();
    check_one_line(&mut server, &["yard-meter (unit 1) silent", "check wiring"]);
}

#[test]
fn a_meter_with_other_registers() {
    let place = Place::new(PROGRAM);
    let mut server = gateway_with_meter(&place, &meter_of_another_model());
    server.start();
    let words = [
        "yard-meter does not fit register map eastron-sdm630",
        "check model and unit_id",
        "the register does not exist",
    ];
    check_one_line(&mut server, &words);
    assert!(fault(&server).contains("does not fit"));
}

#[test]
fn a_provider_that_is_away() {
    let place = Place::new(PROGRAM);
    let mut server = lonely_gateway(&place);
    server.start();
    let words = ["ws://127.0.0.1:1/billing is away", "charges are kept"];
    check_one_line(&mut server, &words);
}

#[test]
fn an_enrolment_token_that_nobody_gave_out() {
    let place = Place::new(PROGRAM);
    let provider = running_provider(&place);
    let links = provider.address("{links}");
    let mut server = gateway(&place, "household", links, "made-up");
    server.start();
    let words = [
        "does not let this gateway in",
        "enrolment token is not one of",
    ];
    check_one_line(&mut server, &words);
}

#[test]
fn an_enrolment_token_that_was_used() {
    let place = Place::new(PROGRAM);
    let provider = running_provider(&place);
    let links = provider.address("{links}");
    let enrolment = token(&provider, "household");
    let mut first = gateway(&place, "household", links, &enrolment);
    first.start();
    first.log_line(&["linked with the provider"]);
    let mut second = gateway(&place, "second", links, &enrolment);
    second.start();
    let words = [
        "does not let this gateway in",
        "was used already",
        "for a new one",
    ];
    check_one_line(&mut second, &words);
}

#[test]
fn a_clock_far_off() {
    let place = Place::new(PROGRAM);
    let links = provider_an_hour_ahead(&place);
    let mut server = gateway(&place, "household", &links, "any");
    server.start();
    let words = ["clock is 60 min behind", "set it right", "charges are kept"];
    check_one_line(&mut server, &words);
}

#[test]
fn a_provider_with_another_key_than_before() {
    let place = Place::new(PROGRAM);
    let provider = running_provider(&place);
    let enrolment = token(&provider, "household");
    let mut server = gateway(&place, "household", provider.address("{links}"), &enrolment);
    server.start();
    server.log_line(&["linked with the provider"]);
    server.terminate();
    let elsewhere = Place::new(PROGRAM);
    let other = running_provider(&elsewhere);
    server.reconfigure(provider.address("{links}"), other.address("{links}"));
    server.start();
    let words = ["has another key than", "check provider.url"];
    check_one_line(&mut server, &words);
}

#[test]
fn a_provider_that_began_its_chain_anew() {
    let place = Place::new(PROGRAM);
    let mut provider = running_provider(&place);
    let enrolment = token(&provider, "household");
    let mut server = gateway(&place, "household", provider.address("{links}"), &enrolment);
    server.start();
    server.log_line(&["linked with the provider"]);
    provider.terminate();
    std::fs::remove_file(provider.state("provider.redb")).expect("it was there");
    // Within the same second it would begin the same chain again.
    provider.reconfigure("witnesses = 8", "witnesses = 7");
    provider.start();
    let words = ["belongs to another chain", "use a new state_dir"];
    check_one_line(&mut server, &words);
}
