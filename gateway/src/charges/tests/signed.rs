//! Signed values on their way to the end of their charge: kept once, bounded, over restarts.

use ocpp_bridge::session::{SignedContext, SignedData, SignedMeterValue, StopReason};

use super::scene::{Gateway, Scene, hold_reasons, outbox};
use super::*;

fn value(text: &str) -> SignedMeterValue {
    SignedMeterValue {
        at: UnixMillis(1),
        context: SignedContext::Begin,
        data: SignedData::Text(text.to_owned()),
    }
}

async fn begin(gateway: &Gateway) -> i32 {
    let begin = gateway.begin_at("CP-1", 1, "TAG", 100);
    gateway.charges.begin(begin).await.expect("it is stored")
}

async fn carry(gateway: &Gateway, transaction: Option<i32>, texts: &[String]) {
    let values: Vec<_> = texts.iter().map(|text| value(text)).collect();
    let carried = gateway
        .charges
        .carry_signed("CP-1", 1, transaction, &values);
    carried.await.expect("it is stored");
}

fn kept(gateway: &Gateway) -> Vec<usize> {
    let records = gateway.charges.all();
    records.iter().map(|record| record.signed.len()).collect()
}

#[tokio::test]
async fn what_was_signed_is_there_after_a_restart_and_once() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    let transaction = begin(&gateway).await;
    let texts = ["one".to_owned(), "two".to_owned(), "one".to_owned()];
    carry(&gateway, Some(transaction), &texts).await;
    carry(&gateway, None, &texts[1..]).await;
    gateway.stop();
    let gateway = scene.start().await;
    assert_eq!(kept(&gateway), [2]);
    carry(&gateway, Some(transaction), &texts).await;
    assert_eq!(kept(&gateway), [2]);
}

#[tokio::test]
async fn more_than_is_kept_holds_the_charge_and_says_what_is_missing() {
    let most = "x".repeat(40 << 10);
    let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    for (texts, expected) in [(vec![most.clone() + "y"], 0), (vec![most], 1), (many, 64)] {
        let scene = Scene::new(0).await;
        let gateway = scene.start().await;
        let transaction = begin(&gateway).await;
        carry(&gateway, Some(transaction), &texts).await;
        assert_eq!(kept(&gateway), [expected]);
        gateway.end(transaction, Some(150), StopReason::Local).await;
        let is_held = expected < texts.len();
        assert_eq!(outbox(&gateway).await, [("garage", 50, is_held)]);
        if is_held {
            let reasons = hold_reasons(&gateway).await;
            let lost = Hash::of(texts.last().expect("one").as_bytes()).to_string();
            assert!(reasons[0].contains(&lost), "{reasons:?}");
        }
    }
}

#[tokio::test]
async fn what_comes_too_late_is_kept_beside_the_charges() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    let transaction = begin(&gateway).await;
    gateway.end(transaction, Some(150), StopReason::Local).await;
    for _ in 0..2 {
        carry(&gateway, Some(transaction), &["late".to_owned()]).await;
    }
    let orphans = scene.store.all::<String>(ORPHANS).expect("reads");
    assert_eq!(orphans.len(), 1);
    assert!(orphans[0].contains("late"), "{orphans:?}");
}

#[tokio::test]
async fn nobody_signs_for_another_charge_point() {
    let scene = Scene::new(0).await;
    let gateway = scene.start().await;
    let transaction = begin(&gateway).await;
    let values = [value("foreign")];
    let carried = gateway
        .charges
        .carry_signed("CP-2", 1, Some(transaction), &values);
    carried.await.expect("it is stored");
    assert_eq!(kept(&gateway), [0]);
}

#[tokio::test]
async fn a_charge_of_nothing_leaves_nothing_to_export() {
    for (register, expected) in [(100, 0), (150, 1)] {
        let scene = Scene::new(0).await;
        let gateway = scene.start().await;
        let transaction = begin(&gateway).await;
        carry(&gateway, Some(transaction), &["unread".to_owned()]).await;
        let stop = StopReason::Local;
        gateway.end(transaction, Some(register), stop).await;
        let kept = scene.store.all::<Vec<u8>>(crate::signed::DETAILS);
        assert_eq!(kept.expect("reads").len(), expected);
    }
}
