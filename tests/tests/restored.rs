//! A provider whose disk is lost goes on from a backup: its gateways give it back what it sealed
//! since, the bills are right, and the chain goes on.

use serde_json::{Value, json};
use tests::config::{self, Gateway};
use tests::{Charger, Place, Server, amount, seconds_ago, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
const STORE: &str = "provider.redb";
const ENERGY_WH: [u64; 3] = [10_000, 20_000, 40_000];

#[test]
fn a_provider_restored_from_a_backup_bills_every_charge_once() {
    let place = Place::new(PROGRAM);
    let mut provider = Server::provider(&place, &config::provider());
    provider.start();
    let mut household = gateway(&place, &provider, "household", "HOME-CAR");
    let mut fleet = gateway(&place, &provider, "fleet", "VAN");
    household.start();
    fleet.start();
    let mut charger = Charger::new(&place, "CP-1");
    charge(&mut charger, &household, 0);
    let first = provider.final_bill("household", 1);

    let _ = provider.terminate();
    let backup = place.path("backup.redb");
    std::fs::copy(provider.state(STORE), &backup).expect("a copy of a store at rest");
    provider.start();
    charge(&mut charger, &household, 1);
    let _ = provider.final_bill("household", 2);
    let before = provider.chain().expect("it answers");

    provider.process().kill();
    std::fs::copy(&backup, provider.state(STORE)).expect("the backup");
    provider.start();
    until("the blocks back", || {
        let chain = provider.chain()?;
        (chain["height"].as_u64()? >= before["height"].as_u64()?).then_some(())
    });
    provider.log_line(&["gave a block back"]);
    charge(&mut charger, &household, 2);
    let bill = provider.final_bill("household", 3);

    assert_eq!(bill["lines"][0], first["lines"][0]);
    let all: u64 = ENERGY_WH.iter().sum();
    assert_eq!(bill["total"]["energyWh"], all);
    let owed: u64 = ENERGY_WH.map(amount).iter().sum();
    assert_eq!(bill["total"]["amount"], owed);
    for gateway in [&household, &fleet] {
        let status = gateway.status().expect("it answers");
        assert!(status["chain"]["height"].is_u64(), "{status}");
        assert_eq!(status["chain"]["stopped"], Value::Null, "{status}");
    }
    let said = provider.command(&["chain", "show"]);
    assert!(said.contains("sealing       yes"), "{said}");
}

fn gateway(place: &Place, provider: &Server, name: &str, id_tag: &str) -> Server {
    let token = provider.token(name).expect("the provider runs");
    let config = Gateway::new(provider.address("{links}"), &token)
        .ocpp()
        .group(name, &[id_tag])
        .outlet("garage", name, None)
        .charge_point("CP-1", &["garage"]);
    Server::gateway(place, name, config.text())
}

/// The how-manieth charge of the household's car.
fn charge(charger: &mut Charger, household: &Server, number: usize) {
    let url = household.ocpp_url().expect("it listens");
    let mut call =
        |action: &str, payload: Value| until(action, || charger.call(&url, action, &payload));
    let register: u64 = 1_000 + ENERGY_WH[..number].iter().sum::<u64>();
    let start = json!({
        "connectorId": 1, "idTag": "HOME-CAR", "meterStart": register,
        "timestamp": seconds_ago(60),
    });
    let started = call("StartTransaction", start);
    let stop = json!({
        "transactionId": started["transactionId"], "idTag": "HOME-CAR",
        "meterStop": register + ENERGY_WH[number], "timestamp": seconds_ago(1),
    });
    call("StopTransaction", stop);
}
