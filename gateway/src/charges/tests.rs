//! Charges over a real engine, store and meter, through races and restarts.

mod ocpp;
mod restarts;
mod scene;
mod signed;

use ocpp_bridge::session::StopReason;
use protocol::EnergyWh;

use super::*;
use scene::{Scene, hold_reasons, metered, outbox};

#[tokio::test]
async fn a_metered_charge_is_billed_by_its_meter() {
    let scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    let transaction = metered(&gateway, "YARD-TAG").await;
    scene.meter.set_energy_mwh(1_050_000);
    gateway.end(transaction, None, StopReason::Local).await;
    assert_eq!(outbox(&gateway).await, [("yard", 50, false)]);
}

#[tokio::test]
async fn a_register_that_is_reset_in_a_charge_holds_it_and_is_told_at_its_end() {
    let scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    let transaction = metered(&gateway, "YARD-TAG").await;
    scene.meter.set_energy_mwh(1_050_000);
    gateway.poll().await;
    scene.meter.set_energy_mwh(3_000);
    gateway.poll().await;
    scene.meter.set_energy_mwh(8_000);
    gateway.end(transaction, None, StopReason::Local).await;
    assert_eq!(outbox(&gateway).await, [("yard", 50, true)]);
    let expected = "the register fell from 1050 Wh to 3 Wh: it was reset, or the meter exchanged; it \
                    said 8 Wh when the charge ended";
    assert_eq!(hold_reasons(&gateway).await, [expected]);
}

#[tokio::test]
async fn two_ends_at_once_end_a_charge_once() {
    let scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    let transaction = metered(&gateway, "YARD-TAG").await;
    scene.meter.set_energy_mwh(1_050_000);
    let (one, other) = tokio::join!(
        gateway.end(transaction, None, StopReason::Local),
        gateway.end(transaction, None, StopReason::Remote),
    );
    assert!(one.is_some() && other.is_none());
    assert_eq!(outbox(&gateway).await, [("yard", 50, false)]);
}

#[tokio::test]
async fn readings_taken_while_a_charge_ends_bring_it_back_neither_here_nor_on_disk() {
    let scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    for round in 1..=5_u64 {
        let transaction = metered(&gateway, "YARD-TAG").await;
        scene.meter.set_energy_mwh(1_000_000 + round * 50_000);
        let polls = async {
            for _ in 0..3 {
                gateway.poll().await;
            }
        };
        let (ended, ()) = tokio::join!(gateway.end(transaction, None, StopReason::Local), polls);
        assert_eq!(ended.map(|ended| ended.energy), Some(EnergyWh(50)));
        assert_eq!(gateway.charges.all(), []);
    }
    gateway.stop();
    assert_eq!(scene.start().await.charges.all(), []);
}

#[tokio::test]
async fn a_silent_meter_at_the_end_holds_even_a_charge_without_energy() {
    let mut scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    let transaction = metered(&gateway, "YARD-TAG").await;
    scene.silence_meter().await;
    gateway.end(transaction, None, StopReason::Local).await;
    assert_eq!(outbox(&gateway).await, [("yard", 0, true)]);
}

#[tokio::test]
async fn a_charge_without_energy_and_doubt_is_not_billed() {
    let scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    let transaction = metered(&gateway, "YARD-TAG").await;
    gateway.end(transaction, None, StopReason::Local).await;
    assert_eq!(outbox(&gateway).await, []);
    assert_eq!(gateway.charges.all(), []);
}

#[tokio::test]
async fn a_meter_exchanged_during_a_charge_holds_it_at_the_old_meters_register() {
    let mut scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    let transaction = metered(&gateway, "YARD-TAG").await;
    scene.meter.set_energy_mwh(1_200_000);
    gateway.poll().await;
    scene.exchange_meter(90_000).await;
    gateway.poll().await;
    gateway.end(transaction, None, StopReason::Local).await;
    assert_eq!(outbox(&gateway).await, [("yard", 200, true)]);
}

#[tokio::test]
async fn a_register_that_falls_holds_the_charge() {
    let scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    let transaction = metered(&gateway, "YARD-TAG").await;
    scene.meter.set_energy_mwh(1_300_000);
    gateway.poll().await;
    scene.meter.set_energy_mwh(900_000);
    gateway.end(transaction, None, StopReason::Local).await;
    assert_eq!(outbox(&gateway).await, [("yard", 300, true)]);
}

#[tokio::test]
async fn a_charge_point_that_repeats_its_start_at_once_begins_one_charge() {
    let scene = Scene::with_metered_ocpp(1_000).await;
    let gateway = scene.start().await;
    let begin = gateway.begin_at("CP-M", 1, "TAG", 0);
    let begins = || gateway.charges.begin(begin.clone());
    let (one, other, third) = tokio::join!(begins(), begins(), begins());
    assert_eq!((&one, &one), (&other, &third));
    assert_eq!(gateway.charges.all().len(), 1);
}

#[tokio::test]
async fn starts_at_many_charge_points_at_once_never_share_a_transaction() {
    let scene = Scene::new(1_000).await;
    let gateway = scene.start().await;
    let begins = (0..2).map(|n| {
        let charge_point = ["CP-1", "CP-2"][n];
        let begin = gateway.begin_at(charge_point, 1, "TAG", 0);
        let charges = Arc::clone(&gateway.charges);
        tokio::spawn(async move { charges.begin(begin).await })
    });
    let mut ids = Vec::new();
    for begin in begins.collect::<Vec<_>>() {
        ids.push(begin.await.expect("no panic").expect("begins"));
    }
    gateway.stop();
    let gateway = scene.start().await;
    let begin = gateway.begin_at("CP-1", 2, "OTHER", 0);
    ids.push(gateway.charges.begin(begin).await.expect("begins"));
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
}
