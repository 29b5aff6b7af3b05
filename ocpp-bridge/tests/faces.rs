//! The two faces as peers of each other, over real sockets on loopback.

mod central;
mod hostile;
mod outlet;

use std::time::Duration;

use central::{Answer, Central};
use ocpp_bridge::session::{Authorization, ConnectorStatus, StopReason};
use ocpp_bridge::v16::charge_point::{AskError, ChargePointHandle, SessionEvent};
use outlet::{Outlet, began, began_by, ended, ended_by, observed, tag};
use protocol::link::CallFailure;
use serde_json::json;
use tokio::time::sleep;

#[tokio::test]
async fn one_charge_arrives_with_its_registers_and_times() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    central.heard("boot Acme").await;
    central.heard("status 0 Available").await;
    central.heard("status 1 Available").await;

    let authorization = outlet
        .handle
        .ask_authorize(&tag("TAG-1"))
        .await
        .expect("asked");
    assert!(authorization.is_accepted());
    outlet.report(began(1, 10_000)).await;
    central.heard("begin 1 TAG-1 10000 @0").await;
    for minute in 1..=3 {
        outlet.report(observed(minute, 10_000 + minute * 100)).await;
    }
    outlet.report(ended(1, 10, 11_000)).await;
    central.heard("end 1 11000 @600000 EvDisconnected").await;
    central.check_order(&[
        "begin 1 TAG-1 10000 @0",
        "meter 1 10100 @60000",
        "meter 1 10200 @120000",
        "meter 1 10300 @180000",
        "end 1 11000 @600000 EvDisconnected",
    ]);
    outlet.journal_empties().await;
    assert_eq!(outlet.host.started(), [(1, 1, true)]);
}

#[tokio::test]
async fn what_happens_without_a_link_is_said_later_in_order_and_without_a_new_boot() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    central.heard("status 1 Available").await;
    outlet.report(began(1, 10_000)).await;
    central.heard("begin 1 TAG-1 10000 @0").await;

    central.refuse_links().await;
    outlet.report(observed(5, 10_500)).await;
    outlet.report(ended(1, 10, 11_000)).await;
    outlet.report(began(2, 11_000)).await;
    let busy = SessionEvent::Status {
        connector: 1,
        status: ConnectorStatus::Charging,
        fault: None,
        at: outlet::at(11),
    };
    outlet.report(busy).await;
    let ask = outlet.handle.ask_authorize(&tag("TAG-1")).await;
    assert!(matches!(ask, Err(AskError::Offline)), "{ask:?}");
    sleep(Duration::from_millis(100)).await;

    central.allow_links();
    central.heard("begin 2 TAG-1 11000 @0").await;
    central.heard("status 1 Charging").await;
    central.check_order(&[
        "begin 1 TAG-1 10000 @0",
        "meter 1 10500 @300000",
        "end 1 11000 @600000 EvDisconnected",
        "begin 2 TAG-1 11000 @0",
    ]);
    assert_eq!(central.count("boot Acme"), 1);
}

#[tokio::test]
async fn a_restart_in_mid_charge_keeps_the_transaction_id() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    outlet.report(began(1, 10_000)).await;
    central.heard("begin 1 TAG-1 10000 @0").await;
    outlet.journal_has(1).await;
    let journal = outlet.stop().await;

    let outlet = Outlet::with_journal(&central.url, journal, &[]);
    outlet.report(began(1, 10_000)).await;
    outlet.report(ended(1, 10, 11_000)).await;
    central.heard("end 1 11000 @600000 EvDisconnected").await;
    assert_eq!(central.count("begin 1 TAG-1 10000 @0"), 1);
    outlet.journal_empties().await;
}

#[tokio::test]
async fn repeated_reports_are_said_once() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    for _ in 0..2 {
        outlet.report(began(1, 10_000)).await;
    }
    central.heard("begin 1 TAG-1 10000 @0").await;
    for _ in 0..2 {
        outlet.report(ended(1, 10, 11_000)).await;
    }
    outlet.report(began(2, 11_000)).await;
    central.heard("begin 2 TAG-1 11000 @0").await;
    assert_eq!(central.count("begin 1 TAG-1 10000 @0"), 1);
    assert_eq!(central.count("end 1 11000 @600000 EvDisconnected"), 1);
}

#[tokio::test]
async fn a_transaction_message_is_tried_as_often_as_configured_then_given_up() {
    let central = Central::start().await;
    central.fail_begins(2);
    let keys = [("TransactionMessageRetryInterval", "0")];
    let outlet = Outlet::with_keys(&central.url, &keys);
    outlet.report(began(1, 10_000)).await;
    central.heard("begin 1 TAG-1 10000 @0").await;

    central.fail_begins(3);
    outlet.report(ended(1, 10, 11_000)).await;
    outlet.report(began(2, 11_000)).await;
    outlet.report(ended(2, 10, 12_000)).await;
    outlet.report(began(3, 12_000)).await;
    central.heard("begin 2 TAG-1 12000 @0").await;
    // The second charge was given up with all that belongs to it.
    assert_eq!(central.count("begin 2 TAG-1 11000 @0"), 0);
    assert_eq!(central.count("end 2 12000 @600000 EvDisconnected"), 0);
}

#[tokio::test]
async fn a_pending_charge_point_says_only_what_it_is_told_to() {
    let central = Central::start().await;
    central.answer_boots(Answer::Pending);
    let outlet = Outlet::start(&central.url);
    central.heard("boot Acme").await;
    outlet.report(began(1, 10_000)).await;

    let start = central
        .call("RemoteStartTransaction", json!({"idTag": "TAG-1"}))
        .await;
    assert_eq!(start, json!({"status": "Rejected"}));
    let trigger = json!({"requestedMessage": "StatusNotification", "connectorId": 1});
    let answer = central.call("TriggerMessage", trigger).await;
    assert_eq!(answer, json!({"status": "Accepted"}));
    central.heard("status 1 Available").await;
    assert_eq!(central.count("begin 1 TAG-1 10000 @0"), 0);

    central.answer_boots(Answer::Accepted);
    central.heard("begin 1 TAG-1 10000 @0").await;
    assert_eq!(central.count("boot Acme"), 2);
}

#[tokio::test]
async fn a_rejected_charge_point_is_silent_until_its_interval_has_passed() {
    let central = Central::start().await;
    central.answer_boots(Answer::Rejected);
    let _outlet = Outlet::start(&central.url);
    central.heard("boot Acme").await;
    let call = central.try_call("GetConfiguration", json!({})).await;
    assert!(matches!(call, Err(CallFailure::TimedOut)), "{call:?}");
    central.answer_boots(Answer::Accepted);
    central.heard("status 1 Available").await;
}

#[tokio::test]
async fn the_central_system_starts_and_stops_a_charge() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    central.heard("status 1 Available").await;

    let request = json!({"connectorId": 1, "idTag": "tag-1"});
    let accepted = json!({"status": "Accepted"});
    let rejected = json!({"status": "Rejected"});
    assert_eq!(
        central.call("RemoteStartTransaction", request).await,
        accepted
    );
    outlet
        .host
        .heard("remote start Some(1) TAG-1 authorize true")
        .await;
    for connector in [0, 2] {
        let request = json!({"connectorId": connector, "idTag": "TAG-1"});
        assert_eq!(
            central.call("RemoteStartTransaction", request).await,
            rejected
        );
    }

    outlet.report(began(7, 10_000)).await;
    outlet.host.heard("started 7 1 true").await;
    let stop = |id: i32| json!({"transactionId": id});
    assert_eq!(
        central.call("RemoteStopTransaction", stop(99)).await,
        rejected
    );
    assert_eq!(
        central.call("RemoteStopTransaction", stop(1)).await,
        accepted
    );
    outlet.host.heard("remote stop 7").await;
}

#[tokio::test]
async fn the_host_may_ask_the_central_system_while_it_is_asked() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    outlet.host.ask_through(&outlet.handle);
    central.heard("status 1 Available").await;
    let blocked = central
        .call("RemoteStartTransaction", json!({"idTag": "BAD"}))
        .await;
    assert_eq!(blocked, json!({"status": "Rejected"}));
    let accepted = central
        .call("RemoteStartTransaction", json!({"idTag": "TAG-1"}))
        .await;
    assert_eq!(accepted, json!({"status": "Accepted"}));
}

#[tokio::test]
async fn configuration_is_read_and_changed_and_takes_effect() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    central.heard("status 1 Available").await;
    let asked = json!({"key": ["heartbeatINTERVAL", "NumberOfConnectors", "Nonsense"]});
    let answer = central.call("GetConfiguration", asked).await;
    let expected = json!({
        "configurationKey": [
            {"key": "HeartbeatInterval", "readonly": false, "value": "300"},
            {"key": "NumberOfConnectors", "readonly": true, "value": "1"},
        ],
        "unknownKey": ["Nonsense"],
    });
    assert_eq!(answer, expected);
    let all = central.call("GetConfiguration", json!({})).await;
    assert!(
        all["configurationKey"]
            .as_array()
            .is_some_and(|keys| keys.len() > 20)
    );

    let change = |key: &str, value: &str| json!({"key": key, "value": value});
    for (request, status) in [
        (change("NumberOfConnectors", "4"), "Rejected"),
        (change("HeartbeatInterval", "soon"), "Rejected"),
        (change("Nonsense", "1"), "NotSupported"),
        (change("ConnectorPhaseRotation", "1.RST"), "RebootRequired"),
        (change("AuthorizeRemoteTxRequests", "false"), "Accepted"),
        (change("heartbeatinterval", "1"), "Accepted"),
    ] {
        let answer = central.call("ChangeConfiguration", request.clone()).await;
        assert_eq!(answer, json!({"status": status}), "{request}");
    }
    outlet.host.heard("configuration HeartbeatInterval=1").await;
    let before = central.heartbeats();
    sleep(Duration::from_millis(1_200)).await;
    assert!(central.heartbeats() > before);
    central
        .call("RemoteStartTransaction", json!({"idTag": "TAG-1"}))
        .await;
    outlet
        .host
        .heard("remote start None TAG-1 authorize false")
        .await;
}

#[tokio::test]
async fn a_reset_ends_the_charges_then_boots_again() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    outlet.report(began(1, 10_000)).await;
    central.heard("begin 1 TAG-1 10000 @0").await;
    let answer = central.call("Reset", json!({"type": "Soft"})).await;
    assert_eq!(answer, json!({"status": "Accepted"}));
    outlet.host.heard("reset Soft").await;
    assert_eq!(central.count("boot Acme"), 1);
    let stop = central
        .call("RemoteStopTransaction", json!({"transactionId": 1}))
        .await;
    assert_eq!(stop, json!({"status": "Rejected"}));

    outlet
        .report(ended_by(StopReason::SoftReset, 1, 10, 11_000))
        .await;
    central.heard_times("boot Acme", 2).await;
    central.check_order(&["begin 1 TAG-1 10000 @0", "end 1 11000 @600000 SoftReset"]);
}

#[tokio::test]
async fn a_reset_without_charges_is_answered_before_the_link_closes() {
    let central = Central::start().await;
    let _outlet = Outlet::start(&central.url);
    central.heard("status 1 Available").await;
    let answer = central.call("Reset", json!({"type": "Hard"})).await;
    assert_eq!(answer, json!({"status": "Accepted"}));
    central.heard_times("boot Acme", 2).await;
}

#[tokio::test]
async fn triggers_are_answered_as_the_standard_asks() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    central.heard("status 1 Available").await;
    let ask = |message: &str| json!({"requestedMessage": message});
    let at = |connector: u32| json!({"requestedMessage": "MeterValues", "connectorId": connector});
    for (request, status) in [
        (ask("MeterValues"), "Rejected"),
        (at(9), "Rejected"),
        (ask("FirmwareStatusNotification"), "NotImplemented"),
        (ask("BootNotification"), "Accepted"),
        (ask("Heartbeat"), "Accepted"),
    ] {
        let answer = central.call("TriggerMessage", request.clone()).await;
        assert_eq!(answer, json!({"status": status}), "{request}");
    }
    central.heard_times("boot Acme", 2).await;
    outlet.report(observed(3, 10_300)).await;
    let answer = central.call("TriggerMessage", at(1)).await;
    assert_eq!(answer, json!({"status": "Accepted"}));
    // Of no transaction: none runs.
    central.heard("meter 0 10300 @180000").await;
}

#[tokio::test]
async fn what_the_outlet_cannot_do_it_says() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    central.heard("status 1 Available").await;
    let availability = |connector: u32| json!({"connectorId": connector, "type": "Inoperative"});
    for (action, request, expected) in [
        ("UnlockConnector", json!({"connectorId": 1}), "NotSupported"),
        ("UnlockConnector", json!({"connectorId": 5}), "NotSupported"),
        ("ChangeAvailability", availability(1), "Scheduled"),
        ("ChangeAvailability", availability(5), "Rejected"),
        ("ClearCache", json!({}), "Rejected"),
        ("DataTransfer", json!({"vendorId": "x"}), "UnknownVendorId"),
    ] {
        let answer = central.call(action, request).await;
        assert_eq!(answer, json!({"status": expected}), "{action}");
    }
    outlet.host.heard("available 1 false").await;
    for (action, request, code) in [
        ("SendLocalList", json!({}), "NotSupported"),
        ("Fly", json!({}), "NotImplemented"),
        (
            "Reset",
            json!({"type": "Medium"}),
            "PropertyConstraintViolation",
        ),
        ("Reset", json!({}), "OccurenceConstraintViolation"),
        (
            "RemoteStopTransaction",
            json!({"transactionId": "1"}),
            "TypeConstraintViolation",
        ),
    ] {
        match central.try_call(action, request).await {
            Err(CallFailure::Refused(error)) => assert_eq!(error.code.name(), code, "{action}"),
            other => panic!("{action} gave {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_refused_tag_reaches_the_host_with_its_transaction() {
    let central = Central::start().await;
    let outlet = Outlet::start(&central.url);
    outlet.report(began_by("BAD", 1, 10_000)).await;
    outlet.host.heard("started 1 1 false").await;
    assert_eq!(ask(&outlet.handle, "BAD").await, Authorization::Blocked);
}

async fn ask(handle: &ChargePointHandle, text: &str) -> Authorization {
    handle.ask_authorize(&tag(text)).await.expect("asked")
}
