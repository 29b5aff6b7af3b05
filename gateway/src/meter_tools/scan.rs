//! `meters scan`: which units are on a line or in a network, and which models they are.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use meter_drivers::listen::{Heard, Listener};
use meter_drivers::map::RegisterSpace;
use meter_drivers::{Block, Endpoint, Parity, RegisterMaps};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::addresses::{Addresses, with_port};
use super::arguments::Scan;
use super::found::{FoundLine, FoundUnit, configuration, table};
use super::line::{Line, check_baud, check_opens, serial};
use super::probe::tell;
use super::say;
use super::settings::{LineSettings, factory_units, to_try};
use super::units::Units;
use super::verdict::OF_A_GATEWAY;

/// What is asked to see whether a unit is there: any answer tells, also that it has none of these.
pub(super) const PRESENCE: [Block; 2] = [
    Block {
        space: RegisterSpace::Input,
        start: 0,
        count: 2,
    },
    Block {
        space: RegisterSpace::Holding,
        start: 0,
        count: 2,
    },
];
/// How often a spoilt answer is asked for again.
const ATTEMPTS: u32 = 3;
/// The longest that a host of a network may take to accept a connection.
const CONNECTS_WITHIN: Duration = Duration::from_secs(1);
/// Connections that are tried at once.
const AT_ONCE: usize = 64;
/// Ids that no line has all of: a device that answers to them answers to any.
const UNLIKELY: [u8; 3] = [247, 246, 245];

pub(super) async fn run(arguments: Scan) -> anyhow::Result<ExitCode> {
    let maps = arguments.models.load()?;
    let mut scanner = Scanner {
        maps: &maps,
        timeout: arguments.timeout_ms,
        ends: Instant::now() + Duration::from_secs(arguments.limit_s),
        progress: Progress::default(),
        notes: Vec::new(),
    };
    let lines = scanner.lines(&arguments).await;
    scanner.progress.clear();
    let lines = lines?;
    if scanner.is_over() {
        scanner.notes.push(format!(
            "stopped after {} s: not everything was asked (--limit-s)",
            arguments.limit_s
        ));
    }
    for note in &scanner.notes {
        eprintln!("{note}");
    }
    let found = lines.iter().any(|line| !line.units.is_empty());
    anyhow::ensure!(
        found,
        "nothing answered; charge-gateway meters diagnose says what to try (--units and --timeout-ms \
         widen the scan)"
    );
    // Comments, so that all of it can be the end of a configuration.
    let table = table(&lines);
    let table: String = table.lines().map(|line| format!("# {line}\n")).collect();
    say(&format!("{table}\n{}", configuration(&lines)))?;
    Ok(ExitCode::SUCCESS)
}

struct Scanner<'a> {
    maps: &'a RegisterMaps,
    timeout: Duration,
    ends: Instant,
    progress: Progress,
    /// What whoever scans should know beside what was found.
    notes: Vec<String>,
}

impl Scanner<'_> {
    fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    async fn lines(&mut self, arguments: &Scan) -> anyhow::Result<Vec<FoundLine>> {
        match (&arguments.tcp, &arguments.serial, &arguments.rtu_over_tcp) {
            (Some(addresses), _, _) => {
                let settings = arguments.baud.is_empty() && arguments.parity.is_empty();
                anyhow::ensure!(
                    settings,
                    "--tcp has no --baud and no --parity; leave them out"
                );
                self.network(addresses, arguments.units.as_ref()).await
            }
            (_, Some(path), _) => {
                arguments
                    .baud
                    .iter()
                    .try_for_each(|&baud| check_baud(baud))?;
                let parities: Vec<Parity> = arguments
                    .parity
                    .iter()
                    .map(|&parity| parity.into())
                    .collect();
                let settings = to_try(self.maps, &arguments.baud, &parities);
                let endpoint = |settings| serial(path, settings);
                self.port(&settings, endpoint, arguments.units.as_ref())
                    .await
            }
            (_, _, Some(address)) => {
                let address = with_port(address).map_err(anyhow::Error::msg)?;
                let baud = arguments.baud.first().copied();
                let baud = baud.unwrap_or(LineSettings::USUAL.baud);
                check_baud(baud)?;
                let endpoint = Endpoint::RtuOverTcp { address, baud };
                let mut line = Line::new(endpoint, self.timeout);
                check_opens(&mut line).await?;
                let units = arguments.units.clone().unwrap_or_else(Units::all);
                let found = self.units(&mut line, units.ids(), "").await;
                Ok(vec![self.identified(line, found, String::new()).await])
            }
            _ => anyhow::bail!("write one of --tcp, --serial and --rtu-over-tcp"),
        }
    }

    async fn network(
        &mut self,
        addresses: &Addresses,
        units: Option<&Units>,
    ) -> anyhow::Result<Vec<FoundLine>> {
        let (hosts, usual) = match addresses {
            Addresses::Host(host) => {
                let endpoint = Endpoint::Tcp {
                    address: host.clone(),
                };
                check_opens(&mut Line::new(endpoint, self.timeout)).await?;
                (vec![host.clone()], Units::all())
            }
            Addresses::Network(hosts) => (self.listening(hosts).await, Units::one(1)),
        };
        let mut lines = Vec::new();
        for address in hosts {
            let endpoint = Endpoint::Tcp {
                address: address.clone(),
            };
            let mut line = Line::new(endpoint, self.timeout);
            let mut answers_as_any = false;
            let found = match units {
                Some(units) => self.units(&mut line, units.ids(), &address).await,
                None if self.answers_as_any(&mut line).await => {
                    answers_as_any = true;
                    vec![(1, true)]
                }
                None => self.units(&mut line, usual.ids(), &address).await,
            };
            let found = self.identified(line, found, String::new()).await;
            lines.push(FoundLine {
                answers_as_any,
                ..found
            });
        }
        lines.retain(|line| !line.units.is_empty() || lines_is_single(addresses));
        Ok(lines)
    }

    /// The hosts on which somebody listens, in their order.
    async fn listening(&mut self, hosts: &[String]) -> Vec<String> {
        let mut open = Vec::new();
        let mut tried = 0;
        for some in hosts.chunks(AT_ONCE) {
            if self.is_over() {
                break;
            }
            let mut attempts = JoinSet::new();
            for address in some {
                let endpoint = Endpoint::Tcp {
                    address: address.clone(),
                };
                attempts.spawn(async move {
                    let opened = Listener::open(&endpoint, CONNECTS_WITHIN).await.is_ok();
                    opened.then(|| endpoint.to_string())
                });
            }
            while let Some(attempt) = attempts.join_next().await {
                open.extend(attempt.ok().flatten());
            }
            tried += some.len();
            let found = open.len();
            self.progress.show(&format!(
                "{tried} of {} addresses, {found} listen",
                hosts.len()
            ));
        }
        let place = |address: &String| hosts.iter().position(|host| host == address);
        open.sort_by_key(place);
        open
    }

    async fn answers_as_any(&mut self, line: &mut Line) -> bool {
        for unit in UNLIKELY {
            if self.look(line, unit, &PRESENCE[..1]).await != Some(true) {
                return false;
            }
        }
        true
    }

    /// A serial port, at each of `settings` until somebody answers.
    async fn port(
        &mut self,
        settings: &[LineSettings],
        endpoint: impl Fn(LineSettings) -> Endpoint,
        units: Option<&Units>,
    ) -> anyhow::Result<Vec<FoundLine>> {
        let units = units.cloned().unwrap_or_else(Units::all);
        // First those that meters leave the factory with, at all settings: most are found in seconds.
        let (likely, others) = units.with_first(&factory_units(self.maps));
        let mut opened = false;
        let mut refused = None;
        for some in [&likely, &others] {
            for &settings in settings {
                let mut line = Line::new(endpoint(settings), self.timeout);
                match line.open().await {
                    Ok(_) => opened = true,
                    Err(error) => {
                        refused = Some((line, error));
                        continue;
                    }
                }
                let shown = settings.to_string();
                let mut found = self.units(&mut line, some, &shown).await;
                if found.is_empty() {
                    continue;
                }
                if std::ptr::eq(some, &likely) {
                    found.extend(self.units(&mut line, &others, &shown).await);
                }
                return Ok(vec![self.identified(line, found, shown).await]);
            }
        }
        match refused {
            Some((mut line, _)) if !opened => check_opens(&mut line).await.map(|()| Vec::new()),
            Some((line, error)) => {
                self.notes.push(format!(
                    "{} cannot have all settings: {error}",
                    line.endpoint()
                ));
                Ok(Vec::new())
            }
            None => Ok(Vec::new()),
        }
    }

    /// The units of `ids` that answer, and whether cleanly.
    async fn units(&mut self, line: &mut Line, ids: &[u8], at: &str) -> Vec<(u8, bool)> {
        let likely = factory_units(self.maps);
        let mut found: Vec<(u8, bool)> = Vec::new();
        for (number, &unit) in ids.iter().enumerate() {
            if self.is_over() {
                break;
            }
            let asked = number + 1;
            self.progress.show(&format!(
                "{at}  unit {unit} ({asked} of {}), {} found",
                ids.len(),
                found.len()
            ));
            // Silence to one function code is rare, and costs time: asked of likely ids only.
            let blocks = match likely.contains(&unit) {
                true => &PRESENCE[..],
                false => &PRESENCE[..1],
            };
            found.extend(
                self.look(line, unit, blocks)
                    .await
                    .map(|is_clean| (unit, is_clean)),
            );
        }
        found
    }

    /// Whether somebody answers as `unit`, and if so whether cleanly.
    async fn look(&mut self, line: &mut Line, unit: u8, blocks: &[Block]) -> Option<bool> {
        let mut is_spoilt = false;
        for &block in blocks {
            for _ in 0..ATTEMPTS {
                match line.ask(unit, block).await.map(|exchange| exchange.heard) {
                    Ok(Heard::Exception(code)) if OF_A_GATEWAY.contains(&code) => return None,
                    Ok(heard) if heard.is_clean() => return Some(true),
                    Ok(Heard::Silence) | Err(_) => break,
                    Ok(_) => is_spoilt = true,
                }
            }
        }
        is_spoilt.then_some(false)
    }

    /// The line with the models of its units.
    async fn identified(
        &mut self,
        mut line: Line,
        found: Vec<(u8, bool)>,
        settings: String,
    ) -> FoundLine {
        let mut units = Vec::new();
        for (unit_id, is_clean) in found {
            self.progress
                .show(&format!("unit {unit_id} answers: which model is it?"));
            let told = timeout_at(self.ends, tell(&mut line, unit_id, self.maps)).await;
            units.push(FoundUnit {
                unit_id,
                is_clean,
                told: told.unwrap_or_default(),
            });
        }
        units.sort_by_key(|unit| unit.unit_id);
        FoundLine {
            endpoint: line.endpoint().clone(),
            settings,
            units,
            answers_as_any: false,
        }
    }
}

fn lines_is_single(addresses: &Addresses) -> bool {
    matches!(addresses, Addresses::Host(_))
}

/// A line on a terminal's stderr that is overwritten; nothing where there is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    is_shown: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            is_shown: io::stderr().is_terminal(),
        }
    }
}

impl Progress {
    pub(super) fn show(&self, text: &str) {
        if self.is_shown {
            // A closed terminal is nobody's concern.
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
        }
    }

    pub(super) fn clear(&self) {
        self.show("");
    }
}
