//! Coils and registers of other people's servers, set and read back.

use std::time::Duration;

use meter_drivers::{Actuator, ActuatorConfig, ActuatorError, Bus, Endpoint, Target};
use serde_json::Value;

use super::programs::{Pymodbus, Wire, libmodbus};
use super::{BAUD, folder, meter, read, serial};

const COIL: Target = Target::Coil { address: 3 };
const RELAY: Target = Target::Register { address: 0x100 };
const LIMIT: Target = Target::Registers {
    address: 0x101,
    count: 1,
};
const LIMIT_MA: Target = Target::Registers {
    address: 0x102,
    count: 2,
};

fn actuator(bus: &Bus, unit_id: u8, target: Target) -> Actuator {
    let config = ActuatorConfig {
        name: "relay".to_owned(),
        unit_id,
        timeout: Duration::from_millis(300),
        pause: Duration::ZERO,
        target,
    };
    Actuator::new(config, bus).expect("no broadcast")
}

fn shown(peer: &mut Pymodbus, key: &str) -> Value {
    peer.say("show 0", "show")[key].take()
}

/// What is set is so at the peer, what the peer does not do is told, and a late answer to "on" is none
/// to "off".
async fn switch_pymodbus(mut peer: Pymodbus, endpoint: Endpoint) {
    let bus = Bus::start(endpoint);
    let mut coil = actuator(&bus, 1, COIL);
    let mut relay = actuator(&bus, 1, RELAY);
    assert_eq!(coil.get().await.expect("it reads"), 0);
    coil.set(1).await.expect("it closes");
    assert_eq!(shown(&mut peer, "relay"), 1);
    assert_eq!(relay.get().await.expect("it reads"), 0x55);
    relay.set(0xAA).await.expect("it opens");
    assert_eq!(shown(&mut peer, "relay"), 0);
    actuator(&bus, 1, LIMIT)
        .set(160)
        .await
        .expect("function 16");
    assert_eq!(shown(&mut peer, "limit"), 160);
    let mut limit_ma = actuator(&bus, 1, LIMIT_MA);
    limit_ma.set(80_000).await.expect("two registers");
    assert_eq!(shown(&mut peer, "limit_ma"), 80_000);
    assert_eq!(limit_ma.get().await.expect("it reads"), 80_000);
    // The meter of the same unit goes on.
    let reading = read(&mut meter(&bus, 1)).await.expect("a reading");
    assert_eq!(reading.register.0, 5_000);

    peer.say("ignore_writes 1", "ignore_writes");
    let ignored = coil.set(1).await.expect_err("nothing happens");
    let is_told = matches!(
        ignored,
        ActuatorError::NotTaken {
            wrote: 1,
            found: 0,
            ..
        }
    );
    assert!(is_told, "{ignored}");
    peer.say("ignore_writes 0", "ignore_writes");

    // Its answer to "on" comes while "off" is under way, or after that.
    peer.say("delay_ms 500", "delay_ms");
    let late = coil.set(1).await.expect_err("too late");
    assert!(matches!(late, ActuatorError::NoAnswer { .. }), "{late}");
    peer.say("delay_ms 0", "delay_ms");
    while coil.set(0).await.is_err() {}
    assert_eq!(shown(&mut peer, "relay"), 0);

    let address = 0x200;
    let nowhere = Target::Register { address };
    let refused = actuator(&bus, 1, nowhere).set(1).await;
    let refused = refused.expect_err("there is no such register");
    assert!(
        matches!(refused, ActuatorError::Refused { code: 2, .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn pymodbus_is_switched_over_tcp() {
    let (peer, address) = Pymodbus::outlet("tcp");
    switch_pymodbus(peer, Endpoint::Tcp { address }).await;
}

#[tokio::test]
async fn pymodbus_is_switched_over_rtu_in_tcp() {
    let (peer, address) = Pymodbus::outlet("rtu-over-tcp");
    let baud = BAUD;
    switch_pymodbus(peer, Endpoint::RtuOverTcp { address, baud }).await;
}

#[tokio::test]
async fn pymodbus_is_switched_on_a_serial_line() {
    let folder = folder();
    let wire = Wire::lay(&folder);
    let peer = Pymodbus::outlet_on(&wire.theirs);
    switch_pymodbus(peer, Endpoint::Serial(serial(&wire.ours))).await;
}

/// Each function that writes.
async fn switch_libmodbus(bus: Bus) {
    for target in [COIL, RELAY, LIMIT, LIMIT_MA] {
        let mut place = actuator(&bus, 77, target);
        for value in [1, 0, target.most(), 0] {
            place.set(value).await.expect("it is set");
            assert_eq!(place.get().await.expect("it reads"), value);
        }
    }
    let mut neighbour = actuator(&bus, 77, Target::Coil { address: 4 });
    assert_eq!(neighbour.get().await.expect("it reads"), 0);
}

#[tokio::test]
async fn libmodbus_is_switched_over_tcp() {
    let folder = folder();
    let (_server, port) = libmodbus(&folder, &["tcp", "0", "77"]);
    let address = format!("127.0.0.1:{port}");
    switch_libmodbus(Bus::start(Endpoint::Tcp { address })).await;
}

#[tokio::test]
async fn libmodbus_is_switched_on_a_serial_line() {
    let folder = folder();
    let wire = Wire::lay(&folder);
    let device = wire.theirs.to_str().expect("a plain path").to_owned();
    let (_server, _) = libmodbus(&folder, &["rtu", &device, "9600", "77"]);
    switch_libmodbus(Bus::start(Endpoint::Serial(serial(&wire.ours)))).await;
}

#[tokio::test]
async fn nobody_is_switched_by_broadcast() {
    let bus = Bus::start(Endpoint::Tcp {
        address: "127.0.0.1:1".to_owned(),
    });
    let config = ActuatorConfig {
        name: "relay".to_owned(),
        unit_id: 0,
        timeout: Duration::from_millis(300),
        pause: Duration::ZERO,
        target: COIL,
    };
    let refused = Actuator::new(config, &bus).expect_err("unit 0 is everybody");
    assert!(matches!(refused, ActuatorError::Broadcast { .. }));
}
