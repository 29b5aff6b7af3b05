//! The attackers against the provider as it is shipped, each in its process.

mod customer;
mod site;

use std::time::Duration;

use customer::Customer;
use ledger::Frame;
use protocol::SignedProfile;
use serde_json::json;
use site::{PATIENCE, Process, RunningProvider, Site};

const CROWD: u64 = 20;
const MEASURED_WH: u32 = 5_000;

#[test]
fn a_crowd_of_sybils_joins_and_every_reject_is_refused() {
    let site = Site::new();
    let provider = site.start_provider();
    // An honest group, in whose name the crowd can shout.
    let _honest = enrolled_parent(&site, &provider, "HONEST");
    let groups = (1..=CROWD).map(|n| format!("SYBIL-{n}"));
    let lines = groups.map(|group| format!("{group} {}\n", site.token(&group)));
    let tokens = site.write("tokens", &lines.collect::<String>());
    let crowd = [("--tokens", tokens.as_str())];
    let mut sybils = site.attacker("sybils", &provider, &crowd);
    let joined = sybils.event("joined");
    assert_eq!(joined, json!({"event": "joined", "count": CROWD}));

    let first = shouted(&mut sybils);
    // The next enrolment is in a block of its own: the chain goes on, and nobody's link is closed.
    let _newcomer = enrolled_parent(&site, &provider, "NEWCOMER");
    let second = shouted(&mut sybils);
    assert_eq!(second, first + 1);
    assert!(provider.height() >= second);
}

fn enrolled_parent(site: &Site, provider: &RunningProvider<'_>, group: &str) -> Process {
    let args = [
        ("--group", group),
        ("--token", &site.token(group)),
        ("--id-tag", &format!("{group}-CAR")),
    ];
    let mut parent = site.attacker("altering-parent", provider, &args);
    parent.event("registered");
    parent
}

/// The height of the next block that the crowd shouts at, all of it in vain.
fn shouted(sybils: &mut Process) -> u64 {
    let shouted = sybils.event("shouted");
    assert_eq!(shouted["sent"], CROWD * 5, "{shouted}");
    assert_eq!(shouted["refused"], CROWD, "{shouted}");
    assert_eq!(shouted["unanswered"], CROWD * 4, "{shouted}");
    shouted["height"].as_u64().expect("a height")
}

#[tokio::test]
async fn what_a_parent_alters_is_billed_as_it_was_measured() {
    let site = Site::new();
    let provider = site.start_provider();
    let fleet = [
        ("--group", "FLEET"),
        ("--token", &site.token("FLEET")),
        ("--id-tag", "VAN"),
    ];
    let mut parent = site.attacker("altering-parent", &provider, &fleet);
    assert_eq!(
        parent.event("joined"),
        json!({"event": "joined", "node": 1})
    );
    parent.event("registered");

    let mut host = Customer::join(&provider.url, Some(&site.token("HOST"))).await;
    let charge = host.charge("VAN", "FLEET", MEASURED_WH).await;
    let sealed = tokio::task::spawn_blocking(move || parent.event("sealed"));
    let sealed = sealed.await.expect("it seals");
    assert_eq!(sealed["trueWh"], MEASURED_WH);
    assert_eq!(sealed["alteredWh"], MEASURED_WH / 10);
    let (late, billed) = block_with_charge(&mut host).await;
    assert_eq!(billed, charge, "nothing of it is altered");
    assert!(late, "it is in no group block");
}

/// Whether the next charge in the chain came late, and its profile.
async fn block_with_charge(host: &mut Customer) -> (bool, SignedProfile) {
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Frame::Block(block) = host.frame().await
                && let Some(line) = block.body.charges.first()
            {
                assert!(block.body.group_blocks.is_empty());
                return (line.late, line.profile.clone());
            }
        }
    });
    found.await.expect("it is sealed in time")
}

#[tokio::test]
async fn a_colluding_provider_takes_the_place_of_the_one_that_was_stopped() {
    let site = Site::new();
    let provider = site.start_provider();
    let token = site.token("HOST");
    let mut host = Customer::join(&provider.url, Some(&token)).await;
    host.enrol_outlet().await;
    drop(provider);

    let mut colluding = site.colluding_provider();
    let listening = colluding.event("listening");
    let url = listening["url"].as_str().expect("an address");
    let again = Customer::join(&format!("{url}/billing"), None).await;
    assert_eq!(again.node, host.node);
}

#[test]
fn an_attacker_ends_with_its_stdin() {
    let site = Site::new();
    let provider = site.start_provider();
    let fleet = [
        ("--group", "FLEET"),
        ("--token", &site.token("FLEET")),
        ("--id-tag", "VAN"),
    ];
    let mut parent = site.attacker("altering-parent", &provider, &fleet);
    parent.event("joined");
    assert!(parent.close_stdin(Duration::from_secs(5)), "it ends");
}
