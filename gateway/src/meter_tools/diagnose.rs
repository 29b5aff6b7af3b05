//! `meters diagnose`: what is wrong with a line.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use meter_drivers::listen::Heard;
use meter_drivers::{Connection, Endpoint, Framing, RegisterMaps};
use tokio::time::Instant;

use super::advice::shown;
use super::arguments::Diagnose;
use super::line::{Line, check_opens, serial};
use super::say;
use super::scan::{PRESENCE, Progress};
use super::settings::{LineSettings, factory_units, to_try};
use super::table::Table;
use super::units::Units;
use super::verdict::{Cause, Counts, Kind, OF_A_GATEWAY, Observed, causes};

/// Silence that must follow an answer: in it a second unit of the same id is heard.
const SECOND_ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// The same over a network, where an answer comes in one piece.
const SECOND_FRAME_WITHIN: Duration = Duration::from_millis(20);
/// Units that are asked again and again; more only take longer.
const MOST_UNITS: usize = 16;
/// Units that are looked for at other settings beside those that meters leave the factory with.
const MOST_ELSEWHERE: usize = 10;

pub(super) async fn run(arguments: &Diagnose) -> anyhow::Result<ExitCode> {
    let maps = arguments.models.load()?;
    let endpoint = arguments.line.endpoint(&Connection::default())?;
    let mut probing = Line::new(endpoint.clone(), arguments.timeout_ms)
        .listening_on_for(second_answer_within(&endpoint));
    check_opens(&mut probing).await?;
    let mut doctor = Doctor {
        arguments,
        ends: Instant::now() + Duration::from_secs(arguments.limit_s),
        progress: Progress::default(),
    };
    let observed = doctor.observe(probing, &maps).await;
    doctor.progress.clear();
    let observed = observed?;
    let causes = causes(&observed);
    let mut text = format!("{endpoint}{}\n\n", set(&endpoint));
    text += &counted(&observed);
    for cause in &causes {
        text.push('\n');
        text += &shown(cause, observed.kind);
    }
    if Instant::now() >= doctor.ends {
        text += "\nStopped by --limit-s: not everything was asked.\n";
    }
    say(&text)?;
    Ok(match causes[..] {
        [Cause::AllWell] => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn second_answer_within(endpoint: &Endpoint) -> Duration {
    match endpoint.framing() {
        Framing::Tcp => SECOND_FRAME_WITHIN,
        Framing::Rtu => SECOND_ANSWER_WITHIN,
    }
}

fn settings_of(endpoint: &Endpoint) -> Option<LineSettings> {
    match endpoint {
        Endpoint::Serial(settings) => Some(LineSettings {
            baud: settings.baud,
            parity: settings.parity,
            stop_bits: settings.stop_bits,
        }),
        _ => None,
    }
}

fn set(endpoint: &Endpoint) -> String {
    settings_of(endpoint).map_or(String::new(), |settings| format!(" at {settings}"))
}

struct Doctor<'a> {
    arguments: &'a Diagnose,
    ends: Instant,
    progress: Progress,
}

impl Doctor<'_> {
    fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    fn units(&self) -> Units {
        let units = self.arguments.units.clone();
        units.unwrap_or_else(Units::first_32)
    }

    async fn observe(&mut self, mut line: Line, maps: &RegisterMaps) -> anyhow::Result<Observed> {
        let mut looked = Counts::default();
        let mut there = Vec::new();
        let units = self.units();
        for &unit in units.ids() {
            if self.is_over() {
                break;
            }
            self.progress
                .show(&format!("looking for unit {unit}, {} found", there.len()));
            // A line that ends now and again is one that is silent now and again.
            let Ok(exchange) = line.ask(unit, PRESENCE[0]).await else {
                looked.asked += 1;
                looked.silent += 1;
                continue;
            };
            looked.add(&exchange);
            let is_there = match exchange.heard {
                Heard::Silence => false,
                Heard::Exception(code) => !OF_A_GATEWAY.contains(&code),
                _ => true,
            };
            there.extend(is_there.then_some(unit));
        }
        let absent = |unit: &u8| self.arguments.units.is_some() && !there.contains(unit);
        let missing = units.ids().iter().copied().filter(absent).collect();
        let units = self.rounds(&mut line, &there).await;
        let kind = match line.endpoint() {
            Endpoint::Serial(_) => Kind::Serial,
            Endpoint::RtuOverTcp { .. } => Kind::RtuOverTcp,
            _ => Kind::Tcp,
        };
        let is_clean = looked.clean() > 0 || units.values().any(|counts| counts.clean() > 0);
        let settings = settings_of(line.endpoint()).map(|settings| settings.to_string());
        let elsewhere = match line.endpoint().clone() {
            Endpoint::Serial(settings) if !is_clean => {
                drop(line);
                let path = settings.path.clone();
                self.elsewhere(&path, &Endpoint::Serial(settings), maps)
                    .await
            }
            _ => None,
        };
        Ok(Observed {
            kind,
            looked,
            missing,
            units,
            settings,
            elsewhere,
        })
    }

    /// Asks each unit again and again, in turn.
    async fn rounds(&mut self, line: &mut Line, units: &[u8]) -> BTreeMap<u8, Counts> {
        let mut counted = BTreeMap::<u8, Counts>::new();
        let rounds = self.arguments.rounds;
        for round in 1..=rounds {
            for &unit in units.iter().take(MOST_UNITS) {
                if self.is_over() {
                    return counted;
                }
                self.progress
                    .show(&format!("round {round} of {rounds}, unit {unit}"));
                let counts = counted.entry(unit).or_default();
                match line.ask(unit, PRESENCE[0]).await {
                    Ok(exchange) => counts.add(&exchange),
                    Err(_) => {
                        counts.asked += 1;
                        counts.silent += 1;
                    }
                }
            }
        }
        counted
    }

    /// Settings of a serial port at which units answer.
    async fn elsewhere(
        &mut self,
        path: &std::path::Path,
        endpoint: &Endpoint,
        maps: &RegisterMaps,
    ) -> Option<(String, Vec<u8>)> {
        let mut ids = factory_units(maps);
        let units = self.units();
        let wanted = units.ids().iter().take(MOST_ELSEWHERE);
        ids.extend(
            wanted
                .filter(|unit| !ids.contains(unit))
                .copied()
                .collect::<Vec<_>>(),
        );
        // Those asked with come first: what answers there may only have another unit id.
        let own = settings_of(endpoint);
        let others = to_try(maps, &[], &[]);
        for settings in own
            .into_iter()
            .chain(others.into_iter().filter(|&s| Some(s) != own))
        {
            let mut line = Line::new(serial(path, settings), self.arguments.timeout_ms);
            if line.open().await.is_err() {
                continue;
            }
            let mut found = Vec::new();
            for &unit in &ids {
                if self.is_over() {
                    return None;
                }
                self.progress.show(&format!(
                    "nothing clean so far; trying {settings}, unit {unit}"
                ));
                let exchange = line.ask(unit, PRESENCE[0]).await;
                if exchange.is_ok_and(|exchange| exchange.heard.is_clean()) {
                    found.push(unit);
                }
            }
            if !found.is_empty() {
                return Some((settings.to_string(), found));
            }
        }
        None
    }
}

/// The counts of each unit, spoilt answers by kind.
fn counted(observed: &Observed) -> String {
    let mut table = Table::new([
        "UNIT",
        "ASKED",
        "CLEAN",
        "SILENT",
        "TWICE",
        "CHECKSUM",
        "CUT SHORT",
        "GARBLED",
        "EXTRA",
        "OTHERS'",
        "",
    ]);
    let mut row = |name: String, counts: &Counts| {
        let remark = match (counts.own_request, counts.gateway) {
            (0, 0) => String::new(),
            (0, gateway) => format!("gateway: no answer {gateway}"),
            (echo, _) => format!("own request {echo}"),
        };
        table.row([
            name,
            counts.asked.to_string(),
            counts.clean().to_string(),
            counts.silent.to_string(),
            counts.twice.to_string(),
            counts.checksum.to_string(),
            counts.cut_short.to_string(),
            counts.garbled.to_string(),
            counts.surplus.to_string(),
            (counts.foreign + counts.unfitting).to_string(),
            remark,
        ]);
    };
    for (unit, counts) in &observed.units {
        row(unit.to_string(), counts);
    }
    if observed.units.is_empty() {
        row("all".to_owned(), &observed.looked);
    }
    table.show(0)
}
