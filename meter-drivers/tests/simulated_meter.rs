//! The driver against the simulated SDM630, over TCP on this machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meter_drivers::{
    Finding, MeterConfig, MeterError, ModbusTcpMeter, Reading, RegisterMap, SimulatedMeter,
    Simulator, WordOrder,
};
use protocol::{EnergyWh, PowerW, UnixMillis};

const NOON: UnixMillis = UnixMillis(1_795_435_200_000);

async fn simulator(meter: SimulatedMeter) -> Simulator {
    Simulator::bind("127.0.0.1:0", meter)
        .await
        .expect("a free port")
}

fn driver(address: SocketAddr, unit_id: u8) -> ModbusTcpMeter {
    ModbusTcpMeter::new(MeterConfig {
        name: "yard".to_owned(),
        address: address.to_string(),
        unit_id,
        timeout: Duration::from_millis(300),
        map: RegisterMap::builtin("eastron-sdm630").expect("built in"),
    })
}

async fn read(meter: &mut ModbusTcpMeter) -> Result<Reading, MeterError> {
    meter.read(&|| NOON).await
}

/// The register and its resolution as read while the meter stands at `energy_mwh`.
#[track_caller]
fn check(reading: &Reading, register_wh: u64, resolution_mwh: u64) {
    let found = (reading.register.0, reading.resolution_mwh);
    assert_eq!(found, (register_wh, resolution_mwh));
}

#[tokio::test]
async fn a_reading_is_what_the_meter_shows_at_the_time_it_answered() {
    let simulator = simulator(SimulatedMeter::default()).await;
    let mut meter = driver(simulator.local_addr(), 1);
    simulator.set_energy_mwh(12_345_678);
    let reading = read(&mut meter).await.expect("a reading");
    check(&reading, 12_346, 1);
    assert_eq!(reading.power, Some(PowerW(0)));
    assert_eq!(reading.taken_at, NOON);
    let serial = reading.serial.expect("the SDM630 has one");
    assert_eq!(serial.as_str(), simulator.serial().to_string());
}

#[tokio::test]
async fn the_resolution_follows_the_register() {
    let simulator = simulator(SimulatedMeter::default()).await;
    let mut meter = driver(simulator.local_addr(), 1);
    for (energy_mwh, register_wh, resolution_mwh) in [
        (0, 0, 1),
        (999_999_900, 1_000_000, 62),
        // 70,000.005 kWh: the register moves in steps of 7.8125 Wh.
        (70_000_005_000, 70_000_000, 7_813),
        (70_000_008_000, 70_000_008, 7_813),
        (600_000_000_000, 600_000_000, 62_500),
    ] {
        simulator.set_energy_mwh(energy_mwh);
        check(
            &read(&mut meter).await.expect("a reading"),
            register_wh,
            resolution_mwh,
        );
    }
}

#[tokio::test]
async fn energy_rises_with_power_and_the_time_factor() {
    let simulator = simulator(SimulatedMeter {
        time_factor: 3_600,
        ..SimulatedMeter::default()
    })
    .await;
    let mut meter = driver(simulator.local_addr(), 1);
    let before = simulator.energy_wh();
    simulator.set_power(PowerW(11_000));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let reading = read(&mut meter).await.expect("a reading");
    simulator.set_power(PowerW(0));
    // 11 kW for 0.1 s is an hour's 1.1 kWh at this factor; 1 Wh is the rounding of the reading.
    assert_eq!(before, EnergyWh(0));
    assert!(reading.register >= EnergyWh(1_099), "{}", reading.register);
    assert!(reading.register.0 <= simulator.energy_wh().0 + 1);
    assert_eq!(reading.power, Some(PowerW(11_000)));
}

#[tokio::test]
async fn a_silent_unit_is_told_from_an_unreachable_device() {
    let simulator = simulator(SimulatedMeter::default()).await;
    let address = simulator.local_addr();
    let silent = read(&mut driver(address, 2)).await;
    assert!(
        matches!(
            silent,
            Err(MeterError::Silent {
                unit_id: 2,
                waited_ms: 300..,
                ..
            })
        ),
        "{silent:?}"
    );
    simulator.stop().await;
    let unreachable = read(&mut driver(address, 1)).await;
    assert!(
        matches!(unreachable, Err(MeterError::Unreachable { .. })),
        "{unreachable:?}"
    );
}

#[track_caller]
fn check_setting(result: Result<Reading, MeterError>, expected_register: u16) {
    let Err(MeterError::WrongRegisterMap {
        register,
        finding: Finding::Setting { .. },
        ..
    }) = result
    else {
        panic!("{result:?}");
    };
    assert_eq!(register, expected_register);
}

#[tokio::test]
async fn a_meter_set_to_mwh_is_refused() {
    let simulator = simulator(SimulatedMeter {
        shows_megawatt_hours: true,
        ..SimulatedMeter::default()
    })
    .await;
    check_setting(read(&mut driver(simulator.local_addr(), 1)).await, 0x1E);
}

#[tokio::test]
async fn a_meter_set_to_the_other_word_order_is_refused() {
    let simulator = simulator(SimulatedMeter {
        word_order: WordOrder::LswFirst,
        ..SimulatedMeter::default()
    })
    .await;
    check_setting(read(&mut driver(simulator.local_addr(), 1)).await, 0x28);
}

#[tokio::test]
async fn a_map_of_registers_the_meter_lacks_is_refused() {
    const MAP: &str = include_str!("../models/eastron-sdm630.toml");
    let elsewhere = MAP.replace("address = 0x0048", "address = 0x0200");
    let map = RegisterMap::parse("elsewhere.toml", &elsewhere).expect("a valid map");
    let simulator = simulator(SimulatedMeter::default()).await;
    let mut meter = ModbusTcpMeter::new(MeterConfig {
        name: "yard".to_owned(),
        address: simulator.local_addr().to_string(),
        unit_id: 1,
        timeout: Duration::from_millis(300),
        map: Arc::new(map),
    });
    let found = read(&mut meter).await;
    assert!(
        matches!(
            found,
            Err(MeterError::WrongRegisterMap {
                register: 0x200,
                finding: Finding::NoSuchRegister { code: 2 },
                ..
            })
        ),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_restarted_device_is_read_again_without_help() {
    let simulator = simulator(SimulatedMeter {
        energy_mwh: 5_000_000,
        ..SimulatedMeter::default()
    })
    .await;
    let address = simulator.local_addr();
    let mut meter = driver(address, 1);
    check(&read(&mut meter).await.expect("a reading"), 5_000, 1);

    let stopped = simulator.stop().await;
    let down = read(&mut meter).await;
    assert!(
        matches!(down, Err(MeterError::Unreachable { .. })),
        "{down:?}"
    );

    let _restarted = Simulator::bind(address, stopped).await.expect("its port");
    check(&read(&mut meter).await.expect("a reading"), 5_000, 1);
}

#[tokio::test]
async fn a_connection_the_device_ended_costs_no_reading() {
    let simulator = simulator(SimulatedMeter::default()).await;
    let address = simulator.local_addr();
    let mut meter = driver(address, 1);
    read(&mut meter).await.expect("a reading");
    let _restarted = Simulator::bind(address, simulator.stop().await)
        .await
        .expect("its port");
    read(&mut meter).await.expect("a reading");
}

#[tokio::test]
async fn another_meter_at_the_same_address_is_refused_from_then_on() {
    let simulator = simulator(SimulatedMeter::default()).await;
    let address = simulator.local_addr();
    let mut meter = driver(address, 1);
    let first = meter.identify().await.expect("an identity").serial;
    let stopped = simulator.stop().await;
    let _other = Simulator::bind(
        address,
        SimulatedMeter {
            serial: 7,
            ..stopped
        },
    )
    .await
    .expect("its port");
    for _ in 0..2 {
        let found = read(&mut meter).await;
        let Err(MeterError::SerialChanged { before, after, .. }) = found else {
            panic!("{found:?}");
        };
        assert_eq!(before, first);
        assert_eq!(after.expect("has one").as_str(), "7");
    }
}
