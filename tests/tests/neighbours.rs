//! Gateways that reach each other: a provider that leads two lives is caught, and members ask their
//! parent without it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::config::{self, Gateway};
use tests::{Place, Server, until};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");

fn address(place: &Place, port: u16) -> String {
    format!("{}:{port}", place.host())
}

fn neighbours(gateway: &Server, what: &str) -> Option<u64> {
    gateway.status()?["neighbours"][what].as_u64()
}

#[track_caller]
fn wait_for(gateway: &Server, what: &str, least: u64) {
    until(&format!("{what} of {}", gateway.name()), || {
        (neighbours(gateway, what)? >= least).then_some(())
    });
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("the temporary directory is writable");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("readable");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// A household and a fleet that know each other.
fn two_groups(place: &Place, provider: &Server) -> [Server; 2] {
    let groups = [
        ("household", "HOME-CAR", 9_701),
        ("fleet", "FLEET-1", 9_702),
    ];
    let mut gateways = groups.map(|(group, id_tag, port)| {
        let token = provider.token(group).expect("the provider runs");
        let config = Gateway::new(provider.address("{links}"), &token)
            .neighbours(&address(place, port))
            .group(group, &[id_tag]);
        let mut gateway = Server::gateway(place, group, config.text());
        gateway.start();
        until("its first block", || {
            (gateway.status()?["chain"]["height"].as_u64()? > 0).then_some(())
        });
        gateway
    });
    for gateway in &mut gateways {
        wait_for(gateway, "linked", 1);
        wait_for(gateway, "headsCompared", 2);
    }
    gateways
}

fn stopped(gateway: &Server) -> Option<String> {
    let status: Value = gateway.status()?;
    status["chain"]["stopped"].as_str().map(str::to_owned)
}

fn evidence(gateway: &Server) -> Option<PathBuf> {
    let mut files = std::fs::read_dir(gateway.state("evidence")).ok()?;
    Some(files.next()?.ok()?.path())
}

#[test]
fn a_provider_that_leads_two_lives_is_caught_by_gateways_that_compare_heads() {
    let place = Place::new(PROGRAM);
    let mut provider = Server::provider(&place, &config::provider());
    provider.start();
    let [household, mut fleet] = two_groups(&place, &provider);
    assert_eq!((stopped(&household), stopped(&fleet)), (None, None));

    // The same key and the same past, twice; each goes on with a tariff of its own.
    let first = provider.address("{links}").to_owned();
    provider.terminate();
    copy(&provider.state(""), &place.path("second-life"));
    let mut second = Server::other_provider(&place, "second-life", &config::provider());
    provider.reconfigure("0.40", "0.41");
    second.reconfigure("0.40", "0.42");
    second.start();
    fleet.terminate();
    let there = second.address("{links}").to_owned();
    fleet.reconfigure(&first, &there);
    fleet.start();
    provider.start();
    // Neither hears more than half of the voters, and both go on all the same.
    provider.seal_without_reports();
    second.seal_without_reports();

    for gateway in [&household, &fleet] {
        let reason = until("the end of building on it", || stopped(gateway));
        assert!(
            reason.contains("convicts") || reason.contains("two headers"),
            "{reason}"
        );
        let file = until("its evidence", || evidence(gateway));
        let file = file.to_str().expect("a plain name");
        let told = place.run("gateway", &["evidence", "verify", file]);
        let told = String::from_utf8(told.stdout).expect("text");
        assert!(
            told.starts_with("PROVEN: the provider told two stories."),
            "{told}"
        );
    }
}

/// A way to the provider that can be cut.
struct Wire {
    address: String,
    carrying: JoinHandle<()>,
}

impl Wire {
    fn new(place: &Place, to: &str) -> Self {
        let to = to.to_owned();
        let bound = place.runtime().block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = bound.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let carrying = place.runtime().spawn(async move {
            // Dropped with this task, and all connections with it.
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let to = to.clone();
                connections.spawn(async move {
                    let mut far = TcpStream::connect(to).await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
        Self { address, carrying }
    }

    fn cut(&self) {
        self.carrying.abort();
    }
}

#[test]
fn a_member_asks_its_parent_directly_also_when_the_provider_is_cut_off() {
    let place = Place::new(PROGRAM);
    let mut provider = Server::provider(&place, &config::provider());
    provider.start();
    let token = provider.token("fleet").expect("the provider runs");
    let config = Gateway::new(provider.address("{links}"), &token)
        .neighbours(&address(&place, 9_703))
        .group("fleet", &["FLEET-1"])
        .members(&["FLEET-8", "FLEET-9"]);
    let mut fleet = Server::gateway(&place, "fleet", config.text());
    fleet.start();
    until("its group", || {
        (fleet.status()?["chain"]["keeps"] == "blocks").then_some(())
    });

    let wire = Wire::new(&place, provider.address("{links}"));
    let meter = place.simulated_meter(7, 1_000);
    let token = provider.token("nobody").expect("the provider runs");
    let config = Gateway::new(&wire.address, &token)
        .group("fleet", &["FLEET-8", "FLEET-9"])
        .meter("street-meter", &meter.local_addr().to_string())
        .outlet("street", "fleet", Some("street-meter"))
        .modbus_charger("MB-1", "street", None);
    let mut member = Server::gateway(&place, "member", config.text());
    member.start();
    member.wait_for_register("street-meter", 1_000);
    wait_for(&member, "linked", 1);
    let swipe = |member: &Server, id_tag: &str| {
        until(&format!("{id_tag}'s swipe"), || {
            let (status, answer) = member.swipe("MB-1", id_tag)?;
            (status == 200).then_some(answer)
        })
    };
    assert_eq!(swipe(&member, "FLEET-8")["did"], "began");
    assert_eq!(neighbours(&fleet, "authorizeAnswered"), Some(1));
    assert_eq!(swipe(&member, "FLEET-8")["did"], "ended");

    wire.cut();
    member.log_line(&["link to the provider is lost"]);
    assert_eq!(swipe(&member, "FLEET-9")["did"], "began");
    assert_eq!(neighbours(&fleet, "authorizeAnswered"), Some(2));
}
