//! What OCPP chargers report, in whatever order and however often.

use ocpp_bridge::session::StopReason;
use ocpp_bridge::v16::central_system::{CentralSystemHost, EndCharge};
use protocol::EnergyWh;

use super::scene::{Gateway, Scene, outbox};
use super::*;

async fn begin(gateway: &Gateway, charge_point: &str, connector: u32, register: u64) -> i32 {
    let begin = gateway.begin_at(charge_point, connector, "TAG", register);
    gateway.charges.begin(begin).await.expect("it is stored")
}

fn stop_at(charge_point: &str, transaction_id: i32, register: u64, at: UnixMillis) -> EndCharge {
    EndCharge {
        charge_point: charge_point.to_owned(),
        transaction_id,
        id_tag: None,
        register: EnergyWh(register),
        at,
        reason: StopReason::Local,
        observations: Vec::new(),
        signed: Vec::new(),
    }
}

async fn stop(gateway: &Gateway, charge_point: &str, transaction: i32, register: u64) {
    let stop = stop_at(charge_point, transaction, register, gateway.charges.now());
    let charges = &*gateway.charges;
    CentralSystemHost::end(charges, stop)
        .await
        .expect("it is stored");
}

fn orphans(scene: &Scene) -> usize {
    scene.store.all::<String>(ORPHANS).expect("reads").len()
}

#[tokio::test]
async fn a_repeated_stop_ends_a_charge_once_also_after_a_restart() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    let transaction = begin(&gateway, "CP-1", 1, 100).await;
    gateway.stop();
    let gateway = scene.start().await;
    for _ in 0..2 {
        stop(&gateway, "CP-1", transaction, 150).await;
    }
    gateway.stop();
    let gateway = scene.start().await;
    stop(&gateway, "CP-1", transaction, 150).await;
    assert_eq!(outbox(&gateway).await, [("garage", 50, false)]);
    assert_eq!((gateway.charges.all().len(), orphans(&scene)), (0, 0));
}

#[tokio::test]
async fn a_charge_whose_stop_was_never_reported_is_held_and_ends_where_the_next_begins() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    let older = begin(&gateway, "CP-1", 1, 100).await;
    let newer = begin(&gateway, "CP-1", 1, 140).await;
    stop(&gateway, "CP-1", newer, 200).await;
    stop(&gateway, "CP-1", older, 139).await;
    let expected = [("garage", 40, true), ("garage", 60, false)];
    assert_eq!(outbox(&gateway).await, expected);
    gateway.stop();
    assert_eq!(scene.start().await.charges.all(), []);
}

#[tokio::test]
async fn charges_that_follow_each_other_at_a_meter_share_no_energy() {
    let scene = Scene::with_metered_ocpp(1_000).await;
    let gateway = scene.start().await;
    begin(&gateway, "CP-M", 1, 0).await;
    scene.meter.set_energy_mwh(1_040_000);
    let newer = begin(&gateway, "CP-M", 1, 40).await;
    scene.meter.set_energy_mwh(1_090_000);
    stop(&gateway, "CP-M", newer, 90).await;
    let expected = [("porch", 40, true), ("porch", 50, false)];
    assert_eq!(outbox(&gateway).await, expected);
}

#[tokio::test]
async fn a_metered_charge_is_ended_once_after_a_restart() {
    let scene = Scene::with_metered_ocpp(1_000).await;
    let gateway = scene.start().await;
    let transaction = begin(&gateway, "CP-M", 1, 0).await;
    gateway.stop();
    scene.meter.set_energy_mwh(1_070_000);
    let gateway = scene.start().await;
    gateway.poll().await;
    for _ in 0..2 {
        stop(&gateway, "CP-M", transaction, 70).await;
    }
    assert_eq!(outbox(&gateway).await, [("porch", 70, false)]);
}

#[tokio::test]
async fn a_late_stop_of_a_metered_charge_holds_it() {
    let scene = Scene::with_metered_ocpp(1_000).await;
    let gateway = scene.start().await;
    let transaction = begin(&gateway, "CP-M", 1, 0).await;
    let at = UnixMillis(gateway.charges.now().0 - PAIRING_MS - 1_000);
    let stop = stop_at("CP-M", transaction, 0, at);
    let charges = &*gateway.charges;
    CentralSystemHost::end(charges, stop).await.expect("stored");
    assert_eq!(outbox(&gateway).await, [("porch", 0, true)]);
}

#[tokio::test]
async fn a_stop_with_an_impossible_time_holds_the_charge() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    let now = gateway.charges.now();
    let times = [UnixMillis(0), now.plus_ms(MAX_STEP_MS + 60_000)];
    for (n, at) in (1..).zip(times) {
        let transaction = begin(&gateway, "CP-1", n, 100).await;
        let stop = stop_at("CP-1", transaction, 200, at);
        let charges = &*gateway.charges;
        CentralSystemHost::end(charges, stop).await.expect("stored");
    }
    let expected = [("garage", 100, true), ("cellar", 100, true)];
    assert_eq!(outbox(&gateway).await, expected);
}

#[tokio::test]
async fn a_start_with_an_impossible_time_holds_the_charge() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    let start = Begin {
        at: UnixMillis(1_000),
        ..gateway.begin_at("CP-1", 1, "TAG", 100)
    };
    let transaction = gateway.charges.begin(start).await.expect("stored");
    stop(&gateway, "CP-1", transaction, 200).await;
    assert_eq!(outbox(&gateway).await, [("garage", 100, true)]);
}

#[tokio::test]
async fn a_charge_at_an_unknown_connector_is_held() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    let transaction = begin(&gateway, "CP-1", 9, 100).await;
    stop(&gateway, "CP-1", transaction, 200).await;
    assert_eq!(outbox(&gateway).await, [("CP-1/9", 100, true)]);
}

#[tokio::test]
async fn no_charge_point_stops_anothers_charge() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    let transaction = begin(&gateway, "CP-1", 1, 100).await;
    stop(&gateway, "CP-2", transaction, 200).await;
    assert_eq!((outbox(&gateway).await, orphans(&scene)), (vec![], 1));
    stop(&gateway, "CP-1", transaction, 150).await;
    assert_eq!(outbox(&gateway).await, [("garage", 50, false)]);
}

#[tokio::test]
async fn the_stop_of_a_charge_that_never_began_is_kept() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    for transaction in [-1, 0, 77] {
        stop(&gateway, "CP-1", transaction, 200).await;
    }
    assert_eq!((outbox(&gateway).await, orphans(&scene)), (vec![], 3));
}

#[tokio::test]
async fn a_start_repeated_after_its_charge_ended_begins_no_other() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    let start = gateway.begin_at("CP-1", 1, "TAG", 100);
    let transaction = gateway.charges.begin(start.clone()).await;
    stop(&gateway, "CP-1", transaction.clone().expect("stored"), 150).await;
    gateway.stop();
    let gateway = scene.start().await;
    assert_eq!(gateway.charges.begin(start).await, transaction);
    assert_eq!(gateway.charges.all(), []);
    assert_eq!(outbox(&gateway).await, [("garage", 50, false)]);
}
