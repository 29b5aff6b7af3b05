//! Mistakes that keep a program from starting: exit code 1 and one line on stderr, nothing else.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use ledger::store::{FORMAT, Store, Table, Write};
use tests::{Place, Server};

use crate::{PROGRAM, gateway, lonely_gateway, running_provider, token};

#[track_caller]
fn refusal(place: &Place, server: &Server) -> String {
    let config = server.write_config();
    let config = config.to_str().expect("a plain path");
    place.refusal(server.role(), &["run", "--config", config])
}

#[track_caller]
fn check(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "{word:?} is missing in: {line}");
    }
}

#[test]
fn a_taken_port_is_named_with_the_key_that_changes_it() {
    let place = Place::new(PROGRAM);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let mut server = lonely_gateway(&place);
    server.reconfigure("{api}", &address);
    check(&refusal(&place, &server), &[&address, "local_api.listen"]);
    for (placeholder, key) in [("{links}", "listen"), ("{operator}", "operator_listen")] {
        let mut server = Server::provider(&place, &tests::config::provider());
        server.reconfigure(placeholder, &address);
        check(&refusal(&place, &server), &[&address, &format!("{key} in")]);
    }
}

#[test]
fn an_unknown_key_is_named_with_file_line_and_the_nearest_valid_one() {
    let place = Place::new(PROGRAM);
    let mut server = lonely_gateway(&place);
    server.reconfigure("enrolment_token =", "enrollment_token =");
    let line = refusal(&place, &server);
    check(
        &line,
        &[
            "household.toml",
            "line 4",
            "`enrollment_token`",
            "`enrolment_token`",
        ],
    );
    let mut server = Server::provider(&place, &tests::config::provider());
    server.reconfigure("interval_s", "intervall_s");
    let line = refusal(&place, &server);
    check(
        &line,
        &[
            "provider.toml",
            "line 5",
            "intervall_s",
            "did you mean interval_s",
        ],
    );
}

#[test]
fn a_state_directory_of_another_chain_is_refused() {
    let place = Place::new(PROGRAM);
    let mut provider = running_provider(&place);
    let enrolment = token(&provider, "household");
    let mut server = gateway(&place, "household", provider.address("{links}"), &enrolment);
    server.start();
    server.log_line(&["linked with the provider"]);
    server.terminate();
    // The key of RFC 8032's first test vector: no provider's here.
    let other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    server.reconfigure("[provider]\n", &format!("[provider]\nkey = \"{other}\"\n"));
    check(
        &refusal(&place, &server),
        &["belongs to the chain of provider", "state_dir"],
    );

    provider.terminate();
    let key = provider.state("provider.key");
    // Written over, it keeps its mode.
    std::fs::write(&key, "11".repeat(32)).expect("writable");
    check(
        &refusal(&place, &provider),
        &["state directory of another chain", "state_dir"],
    );
}

#[test]
fn state_of_a_newer_version_is_refused() {
    let place = Place::new(PROGRAM);
    let mut provider = running_provider(&place);
    provider.terminate();
    let mut server = lonely_gateway(&place);
    server.start();
    server.terminate();
    for (server, file) in [(&provider, "provider.redb"), (&server, "gateway.redb")] {
        let store = Store::open(&server.state(file)).expect("it opens");
        let newer = Write::put(Table("meta"), *b"format", &(FORMAT + 1));
        store.commit(&[newer]).expect("it commits");
        drop(store);
        check(
            &refusal(&place, server),
            &[file, "newer version", "install that version"],
        );
    }
}

#[test]
fn a_state_directory_in_use_is_refused_and_its_user_goes_on() {
    let place = Place::new(PROGRAM);
    let provider = running_provider(&place);
    let mut server = lonely_gateway(&place);
    server.start();
    server.forget_addresses();
    let line = refusal(&place, &server);
    check(&line, &["gateway.redb", "in use by another process"]);
    let config = provider.config();
    let config = config.to_str().expect("a plain path");
    let line = place.refusal("provider", &["run", "--config", config]);
    check(&line, &["provider.redb", "in use by another process"]);
    assert!(provider.chain().is_some(), "the first one still answers");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let place = Place::new(PROGRAM);
    let mut provider = running_provider(&place);
    provider.terminate();
    let mut server = lonely_gateway(&place);
    server.start();
    server.terminate();
    for (server, file) in [(&provider, "provider.key"), (&server, "node.key")] {
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(server.state(file), mode).expect("it is ours");
        check(
            &refusal(&place, server),
            &[file, "others can read", "chmod 600"],
        );
    }
}
