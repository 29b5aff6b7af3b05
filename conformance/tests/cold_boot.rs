//! TC_001_CSMS: passes a central system that does what the standard asks for, and fails each one
//! that does not, at the clause it breaks.

mod peer;

use std::time::Duration;

use conformance::{Failure, Settings, run};
use peer::{Answer, correct, payload};
use protocol::rpc::{CallError, CallErrorCode};

const BOOT_NOTIFICATION: &str = "OCPP 1.6, section 6.4 (BootNotification.conf)";
const HEARTBEAT: &str = "OCPP 1.6, section 6.30 (Heartbeat.conf)";
const STATUS_NOTIFICATION: &str = "OCPP 1.6, section 6.48 (StatusNotification.conf)";

async fn cold_boot(answer: impl Fn(&str) -> Answer + Clone + Send + 'static) -> Option<Failure> {
    let url = peer::start(answer).await;
    let settings = Settings::new(&url, "CP-1", &["TC_001_CSMS".to_owned()])
        .expect("the case exists")
        .with_answer_timeout(Duration::from_secs(10));
    let mut report = run(&settings).await.expect("the peer listens");
    assert_eq!(report.cases.len(), 1);
    report.cases.remove(0).failure
}

/// A central system that is correct but for its answer to `action`.
async fn check(action: &'static str, answer: fn() -> Answer, clause: &str) {
    let failure = cold_boot(move |called| {
        if called == action {
            answer()
        } else {
            correct(called)
        }
    })
    .await
    .expect("the central system is broken");
    assert_eq!(failure.clause, clause, "{failure}");
}

#[tokio::test]
async fn a_correct_central_system_passes() {
    assert_eq!(cold_boot(correct).await, None);
}

#[tokio::test]
async fn a_boot_answer_without_the_time_fails() {
    let answer = || payload(r#"{"status":"Accepted","interval":300}"#);
    check("BootNotification", answer, BOOT_NOTIFICATION).await;
}

#[tokio::test]
async fn a_charge_point_that_is_left_waiting_fails() {
    let answer =
        || payload(r#"{"status":"Pending","currentTime":"2026-11-23T06:54:39Z","interval":300}"#);
    check("BootNotification", answer, BOOT_NOTIFICATION).await;
}

#[tokio::test]
async fn a_status_answered_with_an_error_fails() {
    let answer = || {
        Err(CallError::new(
            CallErrorCode::InternalError,
            "no such connector",
        ))
    };
    check("StatusNotification", answer, STATUS_NOTIFICATION).await;
}

#[tokio::test]
async fn a_status_answer_with_content_fails() {
    check(
        "StatusNotification",
        || payload(r#"{"status":"Accepted"}"#),
        STATUS_NOTIFICATION,
    )
    .await;
}

#[tokio::test]
async fn a_heartbeat_without_a_time_zone_fails() {
    let answer = || payload(r#"{"currentTime":"2026-11-23T06:54:40"}"#);
    check("Heartbeat", answer, HEARTBEAT).await;
}

#[tokio::test]
async fn both_connectors_are_reported_before_the_heartbeat() {
    let (actions, mut called) = tokio::sync::mpsc::unbounded_channel();
    let failure = cold_boot(move |action| {
        actions.send(action.to_owned()).expect("the test receives");
        correct(action)
    })
    .await;
    assert_eq!(failure, None);
    let mut seen = Vec::new();
    while let Ok(action) = called.try_recv() {
        seen.push(action);
    }
    assert_eq!(
        seen,
        [
            "BootNotification",
            "StatusNotification",
            "StatusNotification",
            "Heartbeat"
        ]
    );
}
