//! Every register map against registers and values that somebody wrote who had not seen the maps
//! (`tests/meters`), served by pymodbus.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use meter_drivers::map::{Measurand, RegisterSpace};
use meter_drivers::sunspec::{SunSpecConfig, discover};
use meter_drivers::{Block, Bus, Endpoint, MeterConfig, RegisterMap};
use num_bigint::BigInt;
use protocol::UnixMillis;
use serde_json::Value;
use tests::config::Gateway;
use tests::{Peer, Place, Server, until};
use tokio_modbus::client::{Context, Reader, tcp};
use tokio_modbus::slave::{Slave, SlaveContext};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
const METERS: &str = "meter_registers.py";

/// Each map's key, and the name in the files.
const VALUES: [(Measurand, &str); 9] = [
    (Measurand::Power, "power_w"),
    (Measurand::VoltageL1, "voltage_l1_v"),
    (Measurand::VoltageL2, "voltage_l2_v"),
    (Measurand::VoltageL3, "voltage_l3_v"),
    (Measurand::CurrentL1, "current_l1_a"),
    (Measurand::CurrentL2, "current_l2_a"),
    (Measurand::CurrentL3, "current_l3_a"),
    (Measurand::Voltage, "voltage_dc_v"),
    (Measurand::Current, "current_dc_a"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("meters")
}

fn expected() -> Vec<Value> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder())
        .expect("it is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    let read = |file: PathBuf| fs::read_to_string(file).expect("readable");
    let texts = files.into_iter().map(read);
    texts
        .map(|text| serde_json::from_str(&text).expect("JSON"))
        .collect()
}

/// The files are older than one map's name.
fn map_of(id: &str) -> Option<Arc<RegisterMap>> {
    RegisterMap::builtin(match id {
        "eastron-sdm630-v2" => "eastron-sdm630",
        id => id,
    })
}

/// A meter, asked without the driver: for what a reading for a bill leaves out.
struct Meter {
    context: Context,
    flaws: Vec<String>,
}

impl Meter {
    async fn words(&mut self, block: Block) -> Result<Vec<u16>, String> {
        let (start, count) = (block.start, block.count);
        let answer = match block.space {
            RegisterSpace::Holding => self.context.read_holding_registers(start, count).await,
            RegisterSpace::Input => self.context.read_input_registers(start, count).await,
        };
        let refused = |code| format!("{start:#06x} + {count}: {code}");
        answer.expect("the peer answers").map_err(refused)
    }

    /// Asks for everything that the map measures, in the requests that it plans.
    async fn read(&mut self, map: &RegisterMap) -> Vec<(Block, Vec<u16>)> {
        let mut answers = Vec::new();
        for request in map.requests(&Measurand::ALL) {
            match self.words(request.block).await {
                Ok(words) => answers.push((request.block, words)),
                Err(_) if request.optional => {}
                Err(flaw) => self.flaws.push(flaw),
            }
        }
        answers
    }

    async fn check(&mut self, map: &RegisterMap, file: &Value) {
        let expect = &file["expect"];
        for probe in map.probes() {
            match self.words(probe.place.block()).await {
                Ok(words) if probe.holds(&words) => {}
                other => self.flaws.push(format!("{}: {other:?}", probe.meaning)),
            }
        }
        if let Some(label) = map.serial_number() {
            let words = self.words(label.place.block()).await;
            let serial = words.ok().and_then(|words| label.read(&words));
            self.equal("serial", serial.map(Value::from), &expect["serial"]);
        }
        let answers = self.read(map).await;
        let answer = |block: Block| answers.iter().find(|(asked, _)| asked.holds(block));
        let value = |measurand| {
            let quantity = map.quantity(measurand)?;
            let (block, words) = answer(quantity.block())?;
            quantity.thousandths(*block, words).ok()
        };
        if map.not_billable().is_none() {
            let energy = map.energy_import().and_then(|quantity| {
                let (block, words) = answer(quantity.block())?;
                quantity.energy(*block, words).ok()
            });
            let found = energy.map(|energy| (energy.register.0, energy.resolution_mwh));
            if !registers(file).contains(&found) {
                self.flaws.push(format!("the register is {found:?}"));
            }
        }
        for (measurand, name) in VALUES {
            let export = match measurand {
                // Two registers, neither below 0, in some models.
                Measurand::Power => value(Measurand::PowerExport).unwrap_or(0),
                _ => 0,
            };
            let expected = thousandths(&expect[name]);
            let found = value(measurand).map(|found| Value::from(found - export));
            if expected != Value::Null && found.is_some() {
                self.equal(name, found, &expected);
            }
        }
    }

    fn equal(&mut self, name: &str, found: Option<Value>, expected: &Value) {
        let found = found.unwrap_or_default();
        if found != *expected {
            self.flaws
                .push(format!("{name} is {found}, not {expected}"));
        }
    }
}

/// Reads the meter as a gateway does.
async fn drive(port: u16, unit_id: u8, map: Arc<RegisterMap>, file: &Value) -> Vec<String> {
    if map.not_billable().is_some() {
        return Vec::new();
    }
    let address = format!("127.0.0.1:{port}");
    let config = MeterConfig {
        name: map.id().to_owned(),
        unit_id,
        timeout: Duration::from_secs(5),
        pause: Duration::ZERO,
        map,
    };
    let mut meter = meter_drivers::Meter::new(config, &Bus::start(Endpoint::Tcp { address }));
    let reading = match meter.read(&|| UnixMillis(1)).await {
        Ok(reading) => reading,
        Err(error) => return vec![format!("the driver: {error}")],
    };
    let mut flaws = Vec::new();
    let found = Some((reading.register.0, reading.resolution_mwh));
    if !registers(file).contains(&found) {
        flaws.push(format!("the driver reads {found:?}"));
    }
    let serial = reading.serial.map(|serial| serial.to_string());
    if serial.as_deref() != file["expect"]["serial"].as_str() {
        flaws.push(format!("the driver reads the serial number {serial:?}"));
    }
    flaws
}

/// What the billing register may be, Wh, and its step, mWh: a few models show one counter twice.
fn registers(file: &Value) -> Vec<Option<(u64, u64)>> {
    let expect = &file["expect"];
    let first = expect["energy_import_wh"].as_u64();
    let first = first.zip(expect["resolution_mwh"].as_u64());
    let others = file["also_correct"].as_array().cloned().unwrap_or_default();
    let others = others.iter().map(|other| {
        let exact = other["energy_import_exact"].as_str()?;
        let whole = exact.strip_suffix("/1")?.parse().ok()?;
        Some((whole, other["resolution_mwh"].as_u64()?))
    });
    std::iter::once(first).chain(others).collect()
}

/// A rational such as `"-1088407/256"` in thousandths, to the nearest, halves away from zero.
fn thousandths(rational: &Value) -> Value {
    let text = match rational {
        Value::Null => return Value::Null,
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let (numerator, denominator) = text.split_once('/').unwrap_or((&text, "1"));
    let [numerator, denominator]: [BigInt; 2] =
        [numerator, denominator].map(|part| part.parse().expect("a whole number"));
    let magnitude = BigInt::from(numerator.magnitude().clone());
    let nearest = (magnitude * 2_000 + &denominator) / (2 * denominator);
    let nearest = i64::try_from(nearest).expect("it fits");
    let is_negative = numerator.sign() == num_bigint::Sign::Minus;
    Value::from(if is_negative { -nearest } else { nearest })
}

/// The port of each meter.
fn serve(place: &Place) -> (Peer, BTreeMap<String, u16>) {
    let folder = folder();
    let mut peer = Peer::start(place, METERS, &[folder.to_str().expect("UTF-8")]);
    let mut ports = BTreeMap::new();
    loop {
        let said = peer.next(|_| true);
        let Some(id) = said["meter"].as_str() else {
            return (peer, ports);
        };
        let port = said["port"].as_u64().and_then(|port| port.try_into().ok());
        ports.insert(id.to_owned(), port.expect("a port"));
    }
}

async fn by_sunspec(port: u16, unit_id: u8) -> Result<Arc<RegisterMap>, String> {
    let address = format!("127.0.0.1:{port}");
    let config = SunSpecConfig {
        name: "peer".to_owned(),
        unit_id,
        timeout: Duration::from_secs(5),
        pause: Duration::ZERO,
    };
    let layout = discover(&Bus::start(Endpoint::Tcp { address }), &config).await;
    let layout = layout.map_err(|error| error.to_string())?;
    Ok(Arc::new(layout.into_map()))
}

async fn flaws(id: &str, port: u16, file: &Value) -> Vec<String> {
    let unit = file["unit_id"].as_u64().and_then(|u| u.try_into().ok());
    let unit: u8 = unit.expect("a unit id");
    let address = ([127, 0, 0, 1], port).into();
    let mut context = tcp::connect(address).await.expect("it listens");
    context.set_slave(Slave(unit));
    let mut meter = Meter {
        context,
        flaws: Vec::new(),
    };
    let map = match id.starts_with("sunspec-") {
        true => by_sunspec(port, unit).await,
        false => map_of(id).ok_or_else(|| "there is no map".to_owned()),
    };
    match map {
        Ok(map) => {
            meter.check(&map, file).await;
            meter.flaws.extend(drive(port, unit, map, file).await);
        }
        Err(flaw) => meter.flaws.push(flaw),
    }
    meter.flaws
}

#[test]
fn every_map_reads_what_somebody_else_expects() {
    let place = Place::new(PROGRAM);
    let (_peer, ports) = serve(&place);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let (mut found, mut checked) = (Vec::new(), 0);
    for file in expected() {
        let id = file["id"].as_str().expect("an id");
        // Two models speak HTTP and have no registers.
        if let Some(port) = ports.get(id) {
            let flaws = runtime.block_on(flaws(id, *port, &file));
            found.extend(flaws.into_iter().map(|flaw| format!("{id}: {flaw}")));
            checked += 1;
        }
    }
    assert_eq!(
        checked,
        RegisterMap::builtin_ids().count() + 4,
        "48 maps, 4 SunSpec devices"
    );
    assert_eq!(found, [""; 0], "{}", found.join("\n"));
}

#[test]
fn a_gateway_reads_a_meter_that_tells_its_registers_and_says_when_it_is_gone() {
    let place = Place::new(PROGRAM);
    let (peer, ports) = serve(&place);
    let address = format!("127.0.0.1:{}", ports["sunspec-203"]);
    let config = Gateway::new("ws://127.0.0.1:1/billing", "no-token")
        .meter("roof-meter", &address)
        .outlet("roof", "household", Some("roof-meter"));
    let mut gateway = Server::gateway(&place, "gateway", config.text());
    gateway.reconfigure("eastron-sdm630", "sunspec");
    gateway.start();
    let meter = |quality: &str| {
        until(quality, || {
            let status = gateway.status()?;
            let meter = status["meters"]["roof-meter"].clone();
            (meter["quality"] == quality).then_some(meter)
        })
    };
    let good = meter("good");
    assert_eq!(good["registerWh"], 85_857_530);
    assert_eq!(good["fault"], Value::Null);
    drop(peer);
    let stale = meter("stale");
    assert_eq!(stale["registerWh"], 85_857_530);
    assert!(stale["fault"].as_str().is_some(), "{stale}");
    // The time of the reading, not of the attempt: it stands still.
    assert_eq!(meter("stale")["readAt"], stale["readAt"]);
}
