//! Cold boot: a charge point that was just switched on is let in, reports its connectors and keeps
//! in touch.

use serde_json::json;

use crate::answer::{BOOT_NOTIFICATION, HEARTBEAT, STATUS_NOTIFICATION};
use crate::failure::Failure;
use crate::peer::CentralSystem;

pub(super) async fn run(central_system: &CentralSystem) -> Result<(), Failure> {
    boot(central_system).await?;
    // 0 is the charge point as a whole, 1 its first connector.
    for connector in [0, 1] {
        report_available(central_system, connector).await?;
    }
    central_system
        .call("Heartbeat", &json!({}), &HEARTBEAT)
        .await?;
    Ok(())
}

async fn boot(central_system: &CentralSystem) -> Result<(), Failure> {
    let request = json!({
        "chargePointVendor": "Charge Gateway",
        "chargePointModel": "Conformance run",
    });
    let answer = central_system
        .call("BootNotification", &request, &BOOT_NOTIFICATION)
        .await?;
    if answer["status"] == "Accepted" {
        Ok(())
    } else {
        let expected = "status Accepted for a charge point that the central system knows";
        Err(BOOT_NOTIFICATION.failure(expected, &format!("status {}", answer["status"])))
    }
}

async fn report_available(central_system: &CentralSystem, connector: u32) -> Result<(), Failure> {
    let request = json!({
        "connectorId": connector,
        "errorCode": "NoError",
        "status": "Available",
    });
    central_system
        .call("StatusNotification", &request, &STATUS_NOTIFICATION)
        .await?;
    Ok(())
}
