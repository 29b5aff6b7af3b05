//! What an operator reads when the provider cannot start, and when it can.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use ledger::store::{FORMAT, Store, Table, Write};

use crate::site::{Running, Site};

#[test]
fn it_starts_tells_its_addresses_and_stops_on_sigterm() {
    let site = Site::new();
    let running = site.start();
    let chain = site.printed(&["chain", "show", "--json"]);
    let chain: serde_json::Value = serde_json::from_str(&chain).expect("JSON");
    assert_eq!(chain["chainId"].as_str().map(str::len), Some(64));
    assert_eq!(chain["voters"], 0);
    for secret in ["provider.key", "operator.token"] {
        let mode = std::fs::metadata(site.state(secret)).expect("it is there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{secret}");
    }
    running.stop();
    assert!(
        !site.state("addresses.json").exists(),
        "nobody listens there"
    );
    let line = site.refusal(&["chain", "show"]);
    assert!(line.contains("is not running"), "{line}");
}

#[test]
fn after_sigkill_the_command_line_says_that_it_is_not_running_and_it_starts_again() {
    let site = Site::new();
    let mut running = site.start();
    let before = site.printed(&["chain", "show", "--json"]);
    running.child.kill().expect("it runs");
    running.child.wait().expect("it ends");
    let line = site.refusal(&["bill", "show", "FLEET"]);
    assert!(line.contains("is not running"), "{line}");
    let again = site.start();
    let after = site.printed(&["chain", "show", "--json"]);
    let id = |text: &str| {
        serde_json::from_str::<serde_json::Value>(text).expect("JSON")["chainId"].clone()
    };
    assert_eq!(id(&before), id(&after));
    again.stop();
}

#[test]
fn it_tells_that_it_listens_after_a_start_and_is_overridden_in_words_that_say_what_that_means() {
    let site = Site::new();
    // It waits for a round, 90 seconds at most, as long as there are no voters.
    site.configure("interval_s = 900", "interval_s = 600");
    site.start().stop();
    // Another copy of this state directory may have sealed more; nobody has told yet.
    let _running = site.start();
    let said = site.printed(&["chain", "show"]);
    let waits = "sealing       not yet: 0 of 0 voters have told what they know";
    assert!(said.contains(waits), "{said}");
    let line = site.refusal(&["seal-without-reports"]);
    for words in ["convicts", "stop for good", "--yes"] {
        assert!(line.contains(words), "{line}");
    }
    assert!(site.printed(&["chain", "show"]).contains(waits));
    site.printed(&["seal-without-reports", "--yes"]);
    let said = site.printed(&["chain", "show"]);
    assert!(said.contains("sealing       yes"), "{said}");
}

#[test]
fn a_taken_port_is_named_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    for key in ["listen", "operator_listen"] {
        let site = Site::new();
        let line = format!("\n{key} = \"127.0.0.1:0\"");
        site.configure(&line, &format!("\n{key} = \"{address}\""));
        let line = site.refusal(&["run"]);
        assert!(line.contains(&format!("listen on {address}")), "{line}");
        assert!(line.contains(&format!("change {key} ")), "{line}");
    }
}

#[test]
fn a_second_process_on_the_same_state_directory_is_refused() {
    let site = Site::new();
    let _running = site.start();
    let line = site.refusal(&["run"]);
    assert!(line.contains("in use by another process"), "{line}");
    // The first is not disturbed: its addresses still lead to it.
    site.printed(&["chain", "show"]);
}

#[test]
fn state_of_a_newer_version_is_refused() {
    let site = Site::new();
    site.start().stop();
    let store = Store::open(&site.state("provider.redb")).expect("opens");
    let newer = Write::put(Table("meta"), *b"format", &(FORMAT + 1));
    store.commit(&[newer]).expect("commits");
    drop(store);
    let line = site.refusal(&["run"]);
    assert!(line.contains("written by a newer version"), "{line}");
}

#[test]
fn the_key_of_another_chain_or_none_is_refused() {
    let (site, other) = (Site::new(), Site::new());
    site.start().stop();
    other.start().stop();
    std::fs::copy(other.state("provider.key"), site.state("provider.key")).expect("copies");
    let line = site.refusal(&["run"]);
    assert!(line.contains("state directory of another chain"), "{line}");
    std::fs::remove_file(site.state("provider.key")).expect("removes");
    let line = site.refusal(&["run"]);
    assert!(line.contains("state directory of another chain"), "{line}");
    assert!(
        !site.state("provider.key").exists(),
        "no key is invented for an old chain"
    );
}

#[test]
fn a_parameter_of_another_chain_is_refused_and_a_new_tariff_is_not() {
    let site = Site::new();
    site.start().stop();
    for (key, from, to) in [
        ("interval_s", "interval_s = 900", "interval_s = 2"),
        ("witnesses", "witnesses = 8", "witnesses = 7"),
        ("dormancy_s", "dormancy_s = 2592000", "dormancy_s = 1"),
        (
            "dispute_period_s",
            "dispute_period_s = 604800",
            "dispute_period_s = 1",
        ),
        ("currency", "currency = \"EUR\"", "currency = \"CHF\""),
        ("test", "test = true", "test = false"),
    ] {
        site.configure(from, to);
        // Each time one parameter differs; the round's length has to fit for the others.
        if key != "interval_s" {
            let text = std::fs::read_to_string(site.config()).expect("reads");
            let text = text.replace("interval_s = 900", "interval_s = 1");
            std::fs::write(site.config(), text).expect("writes");
        }
        let line = site.refusal(&["run"]);
        assert!(line.contains(&format!(": {key} is ")), "{line}");
    }
    site.configure("interval_s = 900", "interval_s = 1");
    let text = std::fs::read_to_string(site.config()).expect("reads");
    std::fs::write(site.config(), text.replace("\"0.40\"", "\"0.45\"")).expect("writes");
    site.start().stop();
}

#[test]
fn a_configuration_is_checked_without_running() {
    let site = Site::new();
    let check = |site: &Site| {
        std::process::Command::new(env!("CARGO_BIN_EXE_charge-provider"))
            .args(["config", "check"])
            .arg(site.config())
            .output()
            .expect("the program starts")
    };
    assert!(check(&site).status.success());
    site.configure("witnesses = 8", "wittnesses = 8");
    let said = String::from_utf8(check(&site).stderr).expect("text");
    assert!(
        said.ends_with("unknown key wittnesses; did you mean witnesses?\n"),
        "{said}"
    );
}

#[test]
fn the_operator_api_lets_nobody_in_without_the_token() {
    let site = Site::new();
    let running = site.start();
    std::fs::write(site.state("operator.token"), "guess").expect("writes");
    for command in [
        vec!["chain", "show"],
        vec!["bill", "show", "FLEET"],
        vec!["token", "create", "--group", "FLEET"],
    ] {
        let line = site.refusal(&command);
        assert!(line.contains("operator.token"), "{line}");
    }
    running.stop();
}

#[test]
fn a_disk_that_refuses_ends_the_process_with_a_line_that_says_so() {
    let site = Site::new();
    site.start().stop();
    let size = std::fs::metadata(site.state("provider.redb")).expect("it is there");
    let mut running = Running::with_file_limit(&site, size.len());
    // Each token is made durable, until the file would have to grow.
    let create = ["token", "create", "--group", "FLEET"];
    let is_refused = |_: &i32| !site.command(&create).status.success();
    assert!(
        (0..1_000).any(|n| is_refused(&n)),
        "the file never had to grow"
    );
    let (code, said) = running.ended();
    assert_eq!(code, Some(1), "{said}");
    let last = said.lines().last().expect("a line");
    assert!(
        last.starts_with("charge-provider: the disk refused"),
        "{said}"
    );
}
