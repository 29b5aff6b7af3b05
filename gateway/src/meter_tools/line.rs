//! From what was written on the command line to a line that can be asked.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use meter_drivers::listen::{Exchange, Heard, Listener, Patience};
use meter_drivers::transport::serial::BAUD_RATES;
use meter_drivers::{Block, Connection, Endpoint, Framing, SerialSettings, StopBits};

use super::addresses::with_port;
use super::arguments::{LineArguments, Settings};
use super::settings::LineSettings;

/// The longest that opening a line may take; a host that is there answers in far less.
const OPENS_WITHIN: Duration = Duration::from_secs(3);
/// How often a block is asked for before it counts as not answered.
const ATTEMPTS: u32 = 2;
/// Silence after an answer where nothing but the answer is wanted: USB adapters hand on what they
/// received every 16 ms.
const AFTER_ANSWER: Duration = Duration::from_millis(20);

impl LineArguments {
    /// The line, set as was written, and else as `factory` says.
    pub(crate) fn endpoint(&self, factory: &Connection) -> anyhow::Result<Endpoint> {
        let settings = self.settings.over(factory)?;
        match (&self.tcp, &self.serial, &self.rtu_over_tcp) {
            (Some(address), _, _) => {
                self.settings.nothing_for("--tcp")?;
                let address = with_port(address).map_err(anyhow::Error::msg)?;
                Ok(Endpoint::Tcp { address })
            }
            (_, Some(path), _) => Ok(serial(path, settings)),
            (_, _, Some(address)) => Ok(Endpoint::RtuOverTcp {
                address: with_port(address).map_err(anyhow::Error::msg)?,
                baud: settings.baud,
            }),
            _ => anyhow::bail!("write one of --tcp, --serial and --rtu-over-tcp"),
        }
    }
}

impl Settings {
    pub(crate) fn over(self, factory: &Connection) -> anyhow::Result<LineSettings> {
        let usual = LineSettings::USUAL;
        let baud = self.baud.or(factory.baud).unwrap_or(usual.baud);
        check_baud(baud)?;
        let parity = self.parity.map(Into::into).or(factory.parity);
        Ok(LineSettings {
            baud,
            parity: parity.unwrap_or(usual.parity),
            stop_bits: match self.stop_bits.or(factory.stop_bits) {
                Some(2) => StopBits::Two,
                _ => StopBits::One,
            },
        })
    }

    pub(crate) fn nothing_for(self, way: &str) -> anyhow::Result<()> {
        if self.baud.is_some() || self.parity.is_some() || self.stop_bits.is_some() {
            anyhow::bail!(
                "{way} has no baud, parity or stop bits; leave them out, or use --serial or \
                 --rtu-over-tcp"
            );
        }
        Ok(())
    }
}

/// Refuses a rate that no line of meters has.
pub(crate) fn check_baud(baud: u32) -> anyhow::Result<()> {
    let known: Vec<_> = BAUD_RATES.iter().map(ToString::to_string).collect();
    let is_known = BAUD_RATES.contains(&baud);
    anyhow::ensure!(is_known, "--baud {baud}: write one of {}", known.join(", "));
    Ok(())
}

/// A serial port.
pub(crate) fn serial(path: &Path, settings: LineSettings) -> Endpoint {
    Endpoint::Serial(SerialSettings {
        path: path.to_owned(),
        baud: settings.baud,
        parity: settings.parity,
        stop_bits: settings.stop_bits,
    })
}

/// Why a line cannot be opened, in words for whoever stands before it.
pub(crate) fn cannot_open(endpoint: &Endpoint, error: &io::Error) -> String {
    let next = match (endpoint, error.kind()) {
        (Endpoint::Serial(_), io::ErrorKind::NotFound) => {
            "there is no such device: plug the adapter in, and look below /dev/serial/by-id"
        }
        (Endpoint::Serial(_), io::ErrorKind::PermissionDenied) => {
            "you may not use it: add your user to the group dialout, and log in again"
        }
        (Endpoint::Serial(_), _) => {
            "it cannot be set so: it may be no serial port, in use, or unable to have this baud \
             rate or parity"
        }
        (_, io::ErrorKind::ConnectionRefused) => {
            "the host is there, but nobody listens on this port: switch Modbus TCP on, check the \
             port, and end other programs that hold the device's only connection"
        }
        (_, io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable) => {
            "nobody answers at this address: check power, network cable and address"
        }
        _ => "check address, network or cable, and power",
    };
    format!("{endpoint} cannot be opened: {next} ({error})")
}

/// A line that this program has to itself, opened when it is first asked.
pub(crate) struct Line {
    endpoint: Endpoint,
    listener: Option<Listener>,
    patience: Patience,
}

impl Line {
    /// A line on which each answer is waited for for so long.
    pub(crate) fn new(endpoint: Endpoint, answer_within: Duration) -> Self {
        let then_silence = match endpoint.framing() {
            Framing::Tcp => Duration::ZERO,
            Framing::Rtu => AFTER_ANSWER,
        };
        Self {
            endpoint,
            listener: None,
            patience: Patience {
                answer_within,
                then_silence,
            },
        }
    }

    /// The same line, listened to for so long after each answer.
    pub(crate) fn listening_on_for(mut self, then_silence: Duration) -> Self {
        self.patience.then_silence = then_silence;
        self
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Opens the line, if it is not.
    pub(crate) async fn open(&mut self) -> io::Result<&mut Listener> {
        if self.listener.is_none() {
            self.listener = Some(Listener::open(&self.endpoint, OPENS_WITHIN).await?);
        }
        Ok(self.listener.as_mut().expect("it was just opened"))
    }

    /// Asks once.
    ///
    /// # Errors
    /// The line ended, and did so again when it was opened anew.
    pub(crate) async fn ask(&mut self, unit_id: u8, block: Block) -> io::Result<Exchange> {
        // Modbus gateways end idle connections, and some end one at each unit that is not there.
        let was_open = self.listener.is_some();
        match self.ask_once(unit_id, block).await {
            Err(_) if was_open => self.ask_once(unit_id, block).await,
            result => result,
        }
    }

    async fn ask_once(&mut self, unit_id: u8, block: Block) -> io::Result<Exchange> {
        let patience = self.patience;
        let result = self.open().await?.ask(unit_id, block, patience).await;
        let keeps = match &result {
            // Where frames have a length, what follows a spoilt one cannot be trusted.
            Ok(exchange) if self.endpoint.framing() == Framing::Tcp => {
                exchange.heard.is_clean() || exchange.heard == Heard::Silence
            }
            Ok(_) => true,
            Err(_) => false,
        };
        if !keeps {
            self.listener = None;
        }
        result
    }

    /// The registers of `block`; `None` where the unit refuses them or does not answer.
    pub(crate) async fn words(&mut self, unit_id: u8, block: Block) -> Option<Vec<u16>> {
        for _ in 0..ATTEMPTS {
            match self.ask(unit_id, block).await.ok()?.heard {
                Heard::Answer(words) => return Some(words),
                Heard::Exception(_) => return None,
                _ => (),
            }
        }
        None
    }
}

/// Opens a line to see whether it can be, and says in words why not.
pub(crate) async fn check_opens(line: &mut Line) -> anyhow::Result<()> {
    let opened = line.open().await.map(|_| ());
    let told = opened
        .as_ref()
        .err()
        .map(|error| cannot_open(line.endpoint(), error));
    match told {
        Some(told) => Err(anyhow::Error::msg(told)),
        None => Ok(()),
    }
}

/// The runtime of one command.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.context("the system gives no threads")
}
