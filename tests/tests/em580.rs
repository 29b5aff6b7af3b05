//! The session of a Carlo Gavazzi EM580, against a model of it that pymodbus serves and pyocmf signs
//! for.

use std::time::Duration;

use meter_drivers::em580::{
    Em580, Em580Config, Em580Error, Em580Facts, Em580Failure, Em580IdentificationType, Em580Session,
};
use meter_drivers::{Bus, Endpoint};
use ocmf::test_bench::TestMeter;
use ocmf::{Charge, Curve, Record, SignedRecord};
use protocol::UnixSeconds;
use tests::{Peer, Place};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
/// 2026-03-01T09:00:00Z.
const UTC: u64 = 1_772_355_600;

struct Site {
    place: Place,
    peer: Peer,
    meter: Em580,
    bench: TestMeter,
}

impl Site {
    fn new() -> Self {
        let place = Place::new(PROGRAM);
        let bench = TestMeter::new(Curve::Secp256r1, "em580");
        let secret = hex::encode(bench.secret());
        let arguments = [&secret, "--energy-wh", "4071600"];
        let (peer, port) = Peer::listening(&place, "modbus_em580.py", &arguments);
        let address = format!("127.0.0.1:{port}");
        let bus = place
            .runtime()
            .block_on(async { Bus::start(Endpoint::Tcp { address }) });
        let config = Em580Config {
            name: "em580".to_owned(),
            unit_id: 1,
            timeout: Duration::from_secs(5),
            pause: Duration::ZERO,
        };
        Self {
            place,
            peer,
            meter: Em580::new(config, &bus),
            bench,
        }
    }

    fn set(&mut self, name: &str, value: u64) {
        self.peer.tell(&format!("{name} {value}"));
        assert_eq!(self.peer.next_with(&format!("/{name}")), value);
    }

    /// Carries a session out; gives the records it handed out.
    fn carry_out(&mut self, mut session: Em580Session) -> Result<Vec<String>, Em580Failure> {
        let meter = &self.meter;
        self.place.runtime().block_on(async {
            let mut records = Vec::new();
            while let Some(record) = meter.next_record(&mut session).await? {
                records.push(record);
                session.answered(&[])?;
            }
            Ok(records)
        })
    }

    fn begin(&mut self, identification: &str) -> Vec<String> {
        let facts = Em580Facts {
            identification: identification.to_owned(),
            identification_type: Em580IdentificationType::Iso14443,
            charge_point: "DE*ABC*E1".to_owned(),
            tariff_text: "0.40 €/kWh".to_owned(),
            utc: UnixSeconds(UTC),
            offset_min: -90,
        };
        let session = Em580Session::begin(&facts).expect("short texts");
        self.carry_out(session).expect("it begins")
    }

    fn charge(&self, record: &str) -> Charge {
        let record = Record::parse(record).expect("a record");
        let record = SignedRecord::verified(record, self.bench.public_key());
        Charge::of(&[record.expect("signed by the meter")], None).expect("a charge")
    }
}

#[test]
fn a_charge_is_signed_with_what_the_meter_was_told() {
    let mut site = Site::new();
    assert_eq!(site.begin("04B7C9E1520A87"), Vec::<String>::new());
    site.set("energy_wh", 4_079_254);
    let records = site.carry_out(Em580Session::end()).expect("it ends");
    let charge = site.charge(&records[0]);
    assert_eq!(charge.energy_wh.to_string(), "7654");
    let user = charge.user.identification.as_deref();
    assert_eq!(user, Some("04B7C9E1520A87"));
    assert_eq!(charge.charge_point.as_deref(), Some("DE*ABC*E1"));
    assert_eq!(charge.tariff_text.as_deref(), Some("0.40 €/kWh"));
    assert_eq!(charge.begin.time.at.seconds(), UnixSeconds(UTC));
    assert!(charge.begin.time.text.contains("-0130"));
    site.peer.tell("show 0");
    assert_eq!(site.peer.next_with("/show/state"), 0, "it has forgotten it");
}

#[test]
fn a_session_that_was_left_running_is_ended_and_handed_out() {
    let mut site = Site::new();
    site.begin("FIRST");
    site.set("energy_wh", 4_072_600);
    let left = site.begin("SECOND");
    let charge = site.charge(&left[0]);
    assert_eq!(charge.user.identification.as_deref(), Some("FIRST"));
    assert_eq!(charge.energy_wh.to_string(), "1000");
    let records = site.carry_out(Em580Session::end()).expect("it ends");
    let charge = site.charge(&records[0]);
    assert_eq!(charge.user.identification.as_deref(), Some("SECOND"));
}

#[test]
fn a_record_that_the_meter_calls_corrupted_is_no_record() {
    let mut site = Site::new();
    site.begin("TAG");
    site.set("corrupt", 1);
    let ended = site.carry_out(Em580Session::end());
    let Err(Em580Failure::Session(error)) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(error, Em580Error::Unusable { state: 3 });
}
