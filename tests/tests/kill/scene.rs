//! The script: three charges at a household's outlets, with whoever was killed started again.
//!
//! - A fleet's van at an OCPP charger whose outlet has a meter.
//! - The household's car at an OCPP charger that is billed by its own register.
//! - The household's van at a charger without OCPP, by a swiped idTag.
//!
//! Chargers and people behave as they do: what was not answered is said again. A vehicle at the
//! charger without OCPP takes no more energy once the gateway was away, because that charge is over
//! then; what its meter counted before is to be billed or held.

use meter_drivers::simulator::Simulator;
use serde_json::{Value, json};
use tests::config::{self, Gateway};
use tests::{Charger, Place, Server, seconds_ago, until};

use crate::books::{self, Metered};
use crate::plan::Plan;

pub(crate) const PROVIDER: &str = "provider";
pub(crate) const FLEET: &str = "fleet";
pub(crate) const HOUSEHOLD: &str = "household";

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
const GARAGE: &str = "garage";
const DRIVE: &str = "drive";
const YARD: &str = "yard";
const CHARGE_POINT: &str = "CP-1";
const SWIPED: &str = "MB-1";
/// Registers at the beginning.
const GARAGE_WH: u64 = 1_200_000;
const DRIVE_WH: u64 = 5_000;
const YARD_WH: u64 = 300_000;
/// Steps of a charge: one that is saved on its way, and one too small for that.
const STEPS_WH: [u64; 3] = [150, 40, 130];

/// How the charges end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With the provider there, so that they are signed and sent at once.
    Linked,
    /// With the provider away: they wait in the outbox until it is back.
    Unlinked,
}

/// Everything on stage. Processes come first, so that they end before their directory is gone.
pub(crate) struct Scene {
    pub(crate) provider: Server,
    pub(crate) fleet: Server,
    pub(crate) household: Server,
    charger: Charger,
    garage: Simulator,
    yard: Simulator,
    plan: Plan,
    ending: Ending,
    is_provider_away: bool,
    place: Place,
}

/// The charges under way.
struct UnderWay {
    garage: Value,
    drive: Value,
    /// How often the gateway had been started when the swiped charge began.
    swiped_at_start: u32,
    metered: [Metered; 3],
}

impl Scene {
    pub(crate) fn new(plan: Plan, ending: Ending) -> Self {
        let place = Place::new(PROGRAM);
        Self {
            provider: Server::provider(&place, &config::provider()),
            fleet: Server::gateway(&place, FLEET, ""),
            household: Server::gateway(&place, HOUSEHOLD, ""),
            charger: Charger::new(&place, CHARGE_POINT),
            garage: place.simulated_meter(21_000_001, GARAGE_WH),
            yard: place.simulated_meter(21_000_002, YARD_WH),
            plan,
            ending,
            is_provider_away: false,
            place,
        }
    }

    /// Plays the script and checks the books.
    pub(crate) fn play(&mut self) {
        self.set_up();
        let mut under_way = self.begin();
        for step_wh in STEPS_WH {
            self.charge(&mut under_way, step_wh);
        }
        if self.ending == Ending::Unlinked {
            self.provider.process().kill();
            self.is_provider_away = true;
        }
        self.end(&under_way);
        self.is_provider_away = false;
        books::check(self, &under_way.metered);
    }

    /// How often a server was started.
    pub(crate) fn starts(&self, name: &str) -> u32 {
        let servers = [&self.provider, &self.fleet, &self.household];
        let of_name = servers.into_iter().filter(|server| server.name() == name);
        of_name.map(Server::starts).sum()
    }

    /// How many syncs and sends a server counted; ends it.
    pub(crate) fn points(&mut self, name: &str) -> (u64, u64) {
        let servers = [&mut self.provider, &mut self.fleet, &mut self.household];
        let server = servers.into_iter().find(|server| server.name() == name);
        let lines = server.expect("it is one of the three").terminate();
        let count = |prefix: &str| {
            let number = lines.iter().find_map(|line| line.strip_prefix(prefix));
            let number = number.expect("it was told to count");
            number.parse().expect("a number")
        };
        (count("syncs "), count("sends "))
    }

    /// Tries until it succeeds; whoever was killed meanwhile is started again.
    #[track_caller]
    pub(crate) fn step<T>(
        &mut self,
        what: &str,
        mut attempt: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        until(what, || {
            self.revive();
            attempt(self)
        })
    }

    fn revive(&mut self) {
        let servers = [&mut self.provider, &mut self.fleet, &mut self.household];
        for server in servers.into_iter().filter(|s| s.is_configured()) {
            if self.is_provider_away && server.name() == PROVIDER {
                continue;
            }
            while server.is_down() {
                let crash = self.plan.next(server.name());
                server.start_with(crash.as_deref());
            }
        }
    }

    fn set_up(&mut self) {
        let token = |group: &'static str| move |scene: &mut Self| scene.provider.token(group);
        let fleet_token = self.step("a token for the fleet", token(FLEET));
        let household_token = self.step("a token for the household", token(HOUSEHOLD));
        let links = self.provider.address("{links}");
        let fleet = Gateway::new(links, &fleet_token).group(FLEET, &["VAN-1"]);
        let household = Gateway::new(links, &household_token)
            .ocpp()
            .group(HOUSEHOLD, &["HOME-CAR", "HOME-VAN"])
            .meter("garage-meter", &self.garage.local_addr().to_string())
            .meter("yard-meter", &self.yard.local_addr().to_string())
            .outlet(GARAGE, HOUSEHOLD, Some("garage-meter"))
            .outlet(DRIVE, HOUSEHOLD, None)
            .outlet(YARD, HOUSEHOLD, Some("yard-meter"))
            .charge_point(CHARGE_POINT, &[GARAGE, DRIVE])
            .modbus_charger(SWIPED, YARD, None);
        self.fleet = Server::gateway(&self.place, FLEET, fleet.text());
        self.household = Server::gateway(&self.place, HOUSEHOLD, household.text());
    }

    /// Says something from the OCPP charger, until it is answered.
    fn say(&mut self, action: &str, payload: &Value) -> Value {
        self.step(action, |scene| scene.say_once(action, payload))
    }

    fn say_once(&mut self, action: &str, payload: &Value) -> Option<Value> {
        let url = self.household.ocpp_url()?;
        self.charger.call(&url, action, payload)
    }

    fn begin(&mut self) -> UnderWay {
        for id_tag in ["VAN-1", "HOME-CAR"] {
            self.step("an accepted idTag", |scene| {
                let answer = scene.say_once("Authorize", &json!({"idTag": id_tag}))?;
                (answer["idTagInfo"]["status"] == "Accepted").then_some(())
            });
        }
        let garage = self.start(1, "VAN-1", 0);
        let drive = self.start(2, "HOME-CAR", DRIVE_WH);
        let swiped_at_start = self.step("a swipe that starts a charge", |scene| {
            let (_, answer) = scene.household.swipe(SWIPED, "HOME-VAN")?;
            (answer["did"] == "began").then_some(scene.household.starts())
        });
        let metered = |outlet, payer| Metered {
            outlet,
            payer,
            energy_wh: 0,
            is_over_after_a_restart: outlet == YARD,
        };
        UnderWay {
            garage,
            drive,
            swiped_at_start,
            metered: [
                metered(GARAGE, FLEET),
                metered(DRIVE, HOUSEHOLD),
                metered(YARD, HOUSEHOLD),
            ],
        }
    }

    fn start(&mut self, connector: u32, id_tag: &str, register_wh: u64) -> Value {
        let request = json!({
            "connectorId": connector, "idTag": id_tag, "meterStart": register_wh,
            "timestamp": seconds_ago(10),
        });
        self.say("StartTransaction", &request)["transactionId"].take()
    }

    fn charge(&mut self, under_way: &mut UnderWay, step_wh: u64) {
        let [garage, drive, yard] = &mut under_way.metered;
        garage.energy_wh += step_wh;
        let garage_wh = GARAGE_WH + garage.energy_wh;
        self.garage.set_energy_mwh(garage_wh * 1000);
        let is_swiped_on = self.household.starts() == under_way.swiped_at_start;
        if is_swiped_on && !self.household.is_down() {
            yard.energy_wh += step_wh;
            self.yard.set_energy_mwh((YARD_WH + yard.energy_wh) * 1000);
        }
        let yard_wh = YARD_WH + yard.energy_wh;
        drive.energy_wh += step_wh;
        let sample = (DRIVE_WH + drive.energy_wh).to_string();
        let values = json!({
            "connectorId": 2, "transactionId": under_way.drive,
            "meterValue": [{
                "timestamp": seconds_ago(0), "sampledValue": [{"value": sample, "unit": "Wh"}],
            }],
        });
        self.say("MeterValues", &values);
        self.step("both meters are read", |scene| {
            let meters = &scene.household.status()?["meters"];
            let is_read = meters["garage-meter"]["registerWh"] == garage_wh
                && meters["yard-meter"]["registerWh"] == yard_wh;
            is_read.then_some(())
        });
    }

    fn end(&mut self, under_way: &UnderWay) {
        let stop = |transaction: &Value, register_wh: u64| {
            json!({
                "transactionId": transaction, "meterStop": register_wh, "timestamp": seconds_ago(0),
            })
        };
        let drive_wh = DRIVE_WH + under_way.metered[1].energy_wh;
        self.say("StopTransaction", &stop(&under_way.garage, 0));
        self.say("StopTransaction", &stop(&under_way.drive, drive_wh));
        self.step("the end of the swiped charge", |scene| {
            let status = scene.household.status()?;
            let running = status["running"].as_array()?;
            if running.iter().all(|charge| charge["outlet"] != YARD) {
                return Some(());
            }
            // Its answer may be lost with the process: the status has the last word.
            let _ = scene.household.swipe(SWIPED, "HOME-VAN");
            None
        });
    }
}
