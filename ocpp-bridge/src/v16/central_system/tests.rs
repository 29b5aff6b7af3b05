use std::sync::Mutex;

use proptest::prelude::*;
use protocol::rpc::{CallErrorCode, to_json};
use protocol::{EnergyWh, IdTag, PowerW, UnixMillis, UnixSeconds};
use serde_json::{Value, json};

use super::*;
use crate::session::{Authorization, ConnectorStatus, Observation, StopReason};

/// Writes down what it is told.
#[derive(Default)]
struct Host {
    heard: Mutex<Vec<String>>,
    ended: Mutex<Vec<EndCharge>>,
    observed: Mutex<Vec<MeterReport>>,
}

impl Host {
    fn hear(&self, what: impl std::fmt::Debug) {
        self.heard
            .lock()
            .expect("no panic")
            .push(format!("{what:?}"));
    }
}

impl CentralSystemHost for Host {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_700_000_000_000)
    }

    async fn boot(&self, _: &str, info: BootInfo) -> Result<BootAnswer, HostError> {
        let status = match info.vendor.as_str() {
            "new" => BootStatus::Pending,
            "bad" => BootStatus::Rejected,
            _ => BootStatus::Accepted,
        };
        Ok(BootAnswer {
            status,
            interval_s: 300,
        })
    }

    async fn authorize(&self, _: &str, id_tag: &IdTag) -> Result<Authorization, HostError> {
        match id_tag.as_str() {
            "TAG-1" => Ok(Authorization::Accepted {
                expiry: Some(UnixSeconds(1_800_000_000)),
                parent: IdTag::parse("FLEET").ok(),
            }),
            "DOWN" => Err(HostError::Unavailable {
                why: "disk".to_owned(),
            }),
            _ => Ok(Authorization::Blocked),
        }
    }

    async fn begin(&self, charge: BeginCharge) -> Result<Begun, HostError> {
        let authorization = self.authorize("", &charge.id_tag).await?;
        self.hear(&charge);
        Ok(Begun {
            transaction_id: 42,
            authorization,
        })
    }

    async fn observe(&self, report: MeterReport) -> Result<(), HostError> {
        self.observed.lock().expect("no panic").push(report);
        Ok(())
    }

    async fn end(&self, charge: EndCharge) -> Result<Option<Authorization>, HostError> {
        let has_tag = charge.id_tag.is_some();
        self.ended.lock().expect("no panic").push(charge);
        Ok(has_tag.then_some(Authorization::Invalid))
    }

    async fn status(&self, report: StatusReport) -> Result<(), HostError> {
        assert_eq!(report.status, ConnectorStatus::SuspendedEv);
        self.hear((report.connector, report.error, report.at));
        Ok(())
    }

    async fn data_transfer(&self, _: &str, asked: DataRequest) -> Result<DataAnswer, HostError> {
        Ok(match asked.message_id.as_deref() {
            Some("echo") => DataAnswer::Accepted { data: asked.data },
            Some("no") => DataAnswer::Rejected,
            _ => DataAnswer::UnknownMessageId,
        })
    }
}

async fn ask(host: &Host, action: &str, payload: &Value) -> Result<Value, CallErrorCode> {
    answer(host, "CP-1", action, &to_json(payload))
        .await
        .map(|answer| serde_json::from_str(answer.get()).expect("JSON"))
        .map_err(|refusal| refusal.code())
}

async fn check(action: &str, payload: Value, expected: Result<Value, CallErrorCode>) {
    let found = ask(&Host::default(), action, &payload).await;
    assert_eq!(found, expected, "{action} {payload}");
}

const NOW: &str = "2023-11-14T22:13:20Z";

fn boot(vendor: &str) -> Value {
    json!({"chargePointVendor": vendor, "chargePointModel": "M"})
}

fn start(tag: &str) -> Value {
    json!({"connectorId": 1, "idTag": tag, "meterStart": 100, "timestamp": NOW})
}

#[tokio::test]
async fn boots_and_heartbeats_get_the_time() {
    for (vendor, status) in [("new", "Pending"), ("bad", "Rejected"), ("v", "Accepted")] {
        let expected = json!({"currentTime": NOW, "interval": 300, "status": status});
        check("BootNotification", boot(vendor), Ok(expected)).await;
    }
    check("Heartbeat", json!({}), Ok(json!({"currentTime": NOW}))).await;
}

#[tokio::test]
async fn an_id_tag_is_answered_with_what_the_host_knows() {
    let accepted = json!({"idTagInfo": {
        "status": "Accepted", "expiryDate": "2027-01-15T08:00:00Z", "parentIdTag": "FLEET",
    }});
    check("Authorize", json!({"idTag": "tag-1"}), Ok(accepted)).await;
    let blocked = json!({"idTagInfo": {"status": "Blocked"}});
    check("Authorize", json!({"idTag": "other"}), Ok(blocked)).await;
    let invalid = json!({"idTagInfo": {"status": "Invalid"}});
    check("Authorize", json!({"idTag": ""}), Ok(invalid)).await;
    let internal = Err(CallErrorCode::InternalError);
    check("Authorize", json!({"idTag": "DOWN"}), internal).await;
}

#[tokio::test]
async fn a_transaction_gets_its_id_also_where_the_tag_is_refused() {
    let host = Host::default();
    let answer = ask(&host, "StartTransaction", &start("nobody")).await;
    let expected = json!({"idTagInfo": {"status": "Blocked"}, "transactionId": 42});
    assert_eq!(answer, Ok(expected));
    assert_eq!(host.heard.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn a_stop_carries_register_reason_and_transaction_data() {
    let host = Host::default();
    let stop = json!({
        "transactionId": 42, "meterStop": 5_000_000_000_u64, "timestamp": NOW, "reason": "EVDisconnected",
        "transactionData": [{"timestamp": NOW, "sampledValue": [
            {"value": "4.9", "unit": "kWh", "context": "Transaction.End"},
            {"value": "50.01", "measurand": "Frequency", "unit": "Hertz"},
        ]}],
    });
    assert_eq!(ask(&host, "StopTransaction", &stop).await, Ok(json!({})));
    let short = json!({"transactionId": -7, "meterStop": 1, "timestamp": NOW, "idTag": "X", "transactionData": null});
    let refused_tag = json!({"idTagInfo": {"status": "Invalid"}});
    assert_eq!(ask(&host, "StopTransaction", &short).await, Ok(refused_tag));

    let ended = host.ended.lock().expect("no panic");
    assert_eq!(ended[0].register, EnergyWh(5_000_000_000));
    assert_eq!(ended[0].reason, StopReason::EvDisconnected);
    assert_eq!(ended[0].observations[0].register, Some(EnergyWh(4_900)));
    assert_eq!(
        (ended[1].transaction_id, ended[1].reason),
        (-7, StopReason::Local)
    );
}

#[tokio::test]
async fn meter_values_reach_the_host_as_observations() {
    let host = Host::default();
    let values = json!({"connectorId": 1, "transactionId": 42, "meterValue": [
        {"timestamp": "2023-11-14T23:13:20+01:00", "sampledValue": [
            {"value": "1500", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": "7.4", "measurand": "Power.Active.Import", "unit": "kW"},
        ]},
        {"timestamp": NOW, "sampledValue": [{"value": "230", "measurand": "Voltage"}]},
    ]});
    assert_eq!(ask(&host, "MeterValues", &values).await, Ok(json!({})));
    let observed = host.observed.lock().expect("no panic");
    let expected = Observation {
        at: host.now(),
        register: Some(EnergyWh(1_500)),
        power: Some(PowerW(7_400)),
    };
    assert_eq!(observed[0].observations, [expected]);
}

#[tokio::test]
async fn a_status_without_time_is_of_now() {
    let host = Host::default();
    let status = json!({"connectorId": 1, "errorCode": "GroundFailure", "status": "SuspendedEV"});
    assert_eq!(
        ask(&host, "StatusNotification", &status).await,
        Ok(json!({}))
    );
    let heard = host.heard.lock().expect("no panic");
    assert_eq!(
        heard[0],
        r#"(1, Some("GroundFailure"), UnixMillis(1700000000000))"#
    );
}

#[tokio::test]
async fn only_the_billing_vendor_is_known() {
    let ask = |vendor: &str, message: &str| json!({"vendorId": vendor, "messageId": message, "data": "d"});
    for (request, expected) in [
        (ask("other", "echo"), json!({"status": "UnknownVendorId"})),
        (
            ask("Charge-Billing", "echo"),
            json!({"status": "Accepted", "data": "d"}),
        ),
        (ask("charge-billing", "no"), json!({"status": "Rejected"})),
        (
            ask("charge-billing", "?"),
            json!({"status": "UnknownMessageId"}),
        ),
    ] {
        check("DataTransfer", request, Ok(expected)).await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_call_decides_its_code() {
    let with = |field: &str, value: Value| {
        let mut payload = start("TAG-1");
        payload[field] = value;
        payload
    };
    for (action, payload, code) in [
        (
            "Reset",
            json!({"type": "Soft"}),
            CallErrorCode::NotSupported,
        ),
        ("SignCertificate", json!({}), CallErrorCode::NotSupported),
        ("Fly", json!({}), CallErrorCode::NotImplemented),
        ("heartbeat", json!({}), CallErrorCode::NotImplemented),
        (
            "Authorize",
            json!({}),
            CallErrorCode::OccurenceConstraintViolation,
        ),
        (
            "Authorize",
            json!({"idTag": 5}),
            CallErrorCode::TypeConstraintViolation,
        ),
        (
            "Authorize",
            json!({"idTag": "x".repeat(21)}),
            CallErrorCode::PropertyConstraintViolation,
        ),
        ("Authorize", json!([]), CallErrorCode::FormationViolation),
        (
            "StartTransaction",
            with("timestamp", json!("now")),
            CallErrorCode::TypeConstraintViolation,
        ),
        (
            "StartTransaction",
            with("connectorId", json!(0)),
            CallErrorCode::PropertyConstraintViolation,
        ),
        (
            "StartTransaction",
            with("connectorId", json!(-1)),
            CallErrorCode::PropertyConstraintViolation,
        ),
        (
            "StartTransaction",
            with("meterStart", json!(-1)),
            CallErrorCode::PropertyConstraintViolation,
        ),
        (
            "StartTransaction",
            with("meterStart", json!("1")),
            CallErrorCode::TypeConstraintViolation,
        ),
        (
            "StartTransaction",
            with("idTag", json!("")),
            CallErrorCode::PropertyConstraintViolation,
        ),
        (
            "MeterValues",
            json!({"connectorId": 1, "meterValue": []}),
            CallErrorCode::OccurenceConstraintViolation,
        ),
    ] {
        check(action, payload, Err(code)).await;
    }
}

/// JSON made of the fields and values that the messages know, in any arrangement.
fn nearly_a_payload() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        ".{0,30}".prop_map(Value::from),
        prop_oneof![
            Just("+262142-12-31T23:59:59Z"),
            Just("9999-12-31T23:59:60+23:59"),
            Just(NOW),
            Just("Wh"),
            Just("1e30"),
            Just("Accepted"),
            Just("NoError"),
        ]
        .prop_map(Value::from),
    ];
    let fields: Vec<String> = [
        "idTag",
        "connectorId",
        "timestamp",
        "meterStart",
        "meterStop",
        "transactionId",
        "meterValue",
        "sampledValue",
        "value",
        "unit",
        "transactionData",
        "status",
        "errorCode",
        "vendorId",
        "data",
        "chargePointVendor",
        "chargePointModel",
        "reason",
    ]
    .map(str::to_owned)
    .into();
    leaf.prop_recursive(4, 64, 12, move |inner| {
        let field = proptest::sample::select(fields.clone());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(field, inner, 0..12)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_payload_makes_the_face_panic(payload in nearly_a_payload()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for action in [
            "Authorize", "BootNotification", "DataTransfer", "Heartbeat", "MeterValues",
            "StartTransaction", "StopTransaction",
        ] {
            let _ = runtime.block_on(ask(&Host::default(), action, &payload));
        }
    }
}
