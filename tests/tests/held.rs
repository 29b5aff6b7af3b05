//! A charge that claims more than its outlet can give waits for somebody to look at it.

use serde_json::json;
use tests::config::{self, Gateway};
use tests::{Charger, Place, Server, amount, seconds_ago, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
const ENERGY_WH: u64 = 30_000;

#[test]
fn a_held_charge_is_released_over_the_local_api_and_billed_once() {
    let place = Place::new(PROGRAM);
    let mut provider = Server::provider(&place, &config::provider());
    provider.start();
    let token = provider.token("household").expect("the provider runs");
    let config = Gateway::new(provider.address("{links}"), &token)
        .ocpp()
        .group("household", &["HOME-CAR"])
        .outlet("garage", "household", None)
        .charge_point("CP-1", &["garage"]);
    let mut household = Server::gateway(&place, "household", config.text());
    household.reconfigure("max_power_w = 4000000000", "max_power_w = 11000");
    household.start();
    charge(&place, &household);

    let number = until("the charge held", || {
        let status = household.status()?;
        let waiting = status["outbox"].as_array()?.first()?.clone();
        let reason = waiting["heldBecause"].as_str()?;
        reason
            .contains("inspect the meter")
            .then(|| waiting["number"].as_u64())?
    });
    assert_eq!(household.release(number + 1).expect("it answers").0, 404);
    assert_eq!(household.release(number).expect("it answers").0, 200);
    let again = household.release(number).expect("it answers").0;
    assert!([404, 409].contains(&again), "{again}");
    let bill = provider.final_bill("household", 1);
    assert_eq!(bill["total"]["energyWh"], ENERGY_WH);
    assert_eq!(bill["total"]["amount"], amount(ENERGY_WH));
}

fn charge(place: &Place, household: &Server) {
    let url = household.ocpp_url().expect("it listens");
    let mut charger = Charger::new(place, "CP-1");
    let mut call = |action: &str, payload: serde_json::Value| {
        until(action, || charger.call(&url, action, &payload))
    };
    let start = json!({
        "connectorId": 1, "idTag": "HOME-CAR", "meterStart": 1_000, "timestamp": seconds_ago(60),
    });
    let started = call("StartTransaction", start);
    let stop = json!({
        "transactionId": started["transactionId"], "idTag": "HOME-CAR",
        "meterStop": 1_000 + ENERGY_WH, "timestamp": seconds_ago(1),
    });
    call("StopTransaction", stop);
}
