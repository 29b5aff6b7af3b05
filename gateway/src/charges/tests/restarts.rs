//! What a restart leaves of a charge at a charger without OCPP.

use super::scene::{Gateway, Scene, metered, outbox};
use super::*;

/// A charge from 1,000 Wh, saved at 1,100 Wh; the meter counts on to 1,400 Wh during the restart.
async fn interrupted() -> Scene {
    let scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    metered(&gateway, "YARD-TAG").await;
    scene.meter.set_energy_mwh(1_100_000);
    gateway.poll().await;
    gateway.stop();
    scene.meter.set_energy_mwh(1_400_000);
    scene
}

/// The first `steps` of what a start does about an interrupted charge.
async fn recover(gateway: &Gateway, steps: u32) {
    for record in gateway.charges.interrupted("MB-1") {
        let transaction = record.charge.transaction_id;
        if steps > 0 {
            gateway.poll().await;
            gateway.charges.wait_for_meter(&record).await;
        }
        if steps > 1 {
            let closed = gateway.charges.close_interrupted(transaction).await;
            closed.expect("stored").expect("it is there");
        }
        if steps > 2 {
            gateway.charges.forget(transaction).await.expect("stored");
        }
    }
}

#[tokio::test]
async fn a_restart_bills_what_was_saved_and_holds_the_rest_however_often_it_is_repeated() {
    for steps in 0..=3 {
        let scene = interrupted().await;
        for _ in 0..2 {
            let gateway = scene.start().await;
            recover(&gateway, steps).await;
            gateway.stop();
        }
        let gateway = scene.start().await;
        recover(&gateway, 3).await;
        let expected = [("yard", 100, false), ("yard", 300, true)];
        assert_eq!(outbox(&gateway).await, expected, "after {steps} steps");
        assert_eq!(gateway.charges.all(), []);
    }
}

#[tokio::test]
async fn an_interrupted_charge_is_not_ended_before_its_meter_was_asked() {
    let scene = interrupted().await;
    let gateway = scene.start().await;
    let record = gateway.charges.at_outlet("yard").expect("it goes on");
    let end = End {
        register: None,
        at: gateway.charges.now(),
        reason: ocpp_bridge::session::StopReason::Local,
    };
    let transaction = record.charge.transaction_id;
    let refused = gateway.charges.end(transaction, end).await;
    assert_eq!(refused, Err(ChargeError::Interrupted("yard".to_owned())));
}

#[tokio::test]
async fn a_meter_exchanged_over_a_restart_holds_the_charge() {
    let mut scene = interrupted().await;
    scene.exchange_meter(90_000).await;
    let gateway = scene.start().await;
    recover(&gateway, 3).await;
    assert_eq!(outbox(&gateway).await, [("yard", 100, true)]);
}

#[tokio::test]
async fn a_register_that_fell_over_a_restart_holds_the_charge() {
    let scene = interrupted().await;
    scene.meter.set_energy_mwh(100_000);
    let gateway = scene.start().await;
    recover(&gateway, 3).await;
    assert_eq!(outbox(&gateway).await, [("yard", 100, true)]);
}

#[tokio::test]
async fn a_charger_taken_out_of_the_configuration_leaves_its_charge_held() {
    let mut scene = interrupted().await;
    scene.forget_modbus_chargers();
    for _ in 0..2 {
        let gateway = scene.start().await;
        gateway.charges.close_abandoned().await.expect("stored");
        assert_eq!(outbox(&gateway).await, [("yard", 100, true)]);
        assert_eq!(gateway.charges.all(), []);
        gateway.stop();
    }
}

#[tokio::test]
async fn a_stop_that_was_asked_for_saves_the_last_register() {
    let scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    metered(&gateway, "YARD-TAG").await;
    scene.meter.set_energy_mwh(1_050_000);
    gateway.poll().await;
    gateway.charges.save_all().await.expect("stored");
    gateway.stop();
    let gateway = scene.start().await;
    recover(&gateway, 3).await;
    assert_eq!(outbox(&gateway).await, [("yard", 50, false)]);
}
