//! What the binary prints, and its exit codes: scripts decide by them.

mod peer;

use std::process::Output;

use peer::{correct, payload};

async fn charge_conformance(arguments: &[&str]) -> Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_charge-conformance"))
        .args(arguments)
        .output()
        .await
        .expect("the binary was built for this test")
}

async fn run_against(url: &str, more: &[&str]) -> Output {
    let arguments = [
        "run",
        "--target",
        "central-system",
        "--url",
        url,
        "--charge-point-id",
        "CP-1",
    ];
    charge_conformance(&[&arguments, more].concat()).await
}

#[tokio::test]
async fn list_shows_id_target_and_title() {
    let output = charge_conformance(&["list"]).await;
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.lines().any(|line| {
        line.split_whitespace().collect::<Vec<_>>()
            == ["TC_001_CSMS", "central-system", "cold", "boot"]
    }));
}

#[tokio::test]
async fn all_passed_is_0() {
    let url = peer::start(correct).await;
    let output = run_against(&url, &["--json"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "{\"cases\":[{\"id\":\"TC_001_CSMS\",\"title\":\"cold boot\",\"failure\":null}]}\n"
    );
}

#[tokio::test]
async fn a_failed_case_is_1_and_names_the_clause() {
    let url = peer::start(|_| payload("{}")).await;
    let output = run_against(&url, &["--case", "TC_001_CSMS"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("section 6.4 (BootNotification.conf)"),
        "{text}"
    );
}

#[tokio::test]
async fn a_case_that_does_not_exist_is_2() {
    let url = peer::start(correct).await;
    assert_eq!(
        run_against(&url, &["--case", "TC_999_CSMS"])
            .await
            .status
            .code(),
        Some(2)
    );
}

#[tokio::test]
async fn no_central_system_is_2() {
    // Port 9 (discard) is closed on any machine that runs tests.
    assert_eq!(
        run_against("ws://127.0.0.1:9/ocpp", &[])
            .await
            .status
            .code(),
        Some(2)
    );
}
