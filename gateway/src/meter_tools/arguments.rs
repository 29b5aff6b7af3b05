//! What `charge-gateway meters` takes on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use meter_drivers::Parity;

use super::addresses::Addresses;
use super::units::Units;

/// What to do with meters.
#[derive(Subcommand)]
pub(crate) enum MetersCommand {
    /// List the meter models that can be read
    List(List),
    /// Show the register map of a model, and where its facts are from
    Explain(Explain),
    /// Read everything that one meter measures
    Read(Read),
    /// Find the meters on a line or in a network, and tell their models
    Scan(Scan),
    /// Say what is wrong with a line, and what to try next
    Diagnose(Diagnose),
    /// Write a meter's registers to a file, as they are
    Record(Record),
    /// Answer as meters would: a SIMULATION, for tests without a meter
    Simulate(Simulate),
}

#[derive(Args)]
pub(crate) struct Models {
    /// A folder with register maps of your own
    #[arg(long, value_name = "DIR")]
    pub(crate) meter_models: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) models: Models,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Explain {
    /// Id of the model, as `meters list` shows it
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) models: Models,
}

/// One line; exactly one of the ways to it.
#[derive(Args)]
#[command(group(ArgGroup::new("line").required(true).multiple(false).args(["tcp", "serial", "rtu_over_tcp"])))]
pub(crate) struct LineArguments {
    /// Modbus TCP: a meter, or a gateway with meters behind it; port 502 if none is named
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) tcp: Option<String>,
    /// A serial port, best by its path below /dev/serial/by-id
    #[arg(long, value_name = "PATH")]
    pub(crate) serial: Option<PathBuf>,
    /// A converter that passes RTU frames on as they are
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) rtu_over_tcp: Option<String>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// How a serial line is set; what is left out is what the model leaves the factory with, or 9600 8N1.
#[derive(Args, Clone, Copy)]
pub(crate) struct Settings {
    /// Baud rate of the serial line
    #[arg(long)]
    pub(crate) baud: Option<u32>,
    /// Parity of the serial line
    #[arg(long, value_enum)]
    pub(crate) parity: Option<ParityArgument>,
    /// Stop bits of the serial line
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) stop_bits: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ParityArgument {
    None,
    Even,
    Odd,
}

impl From<ParityArgument> for Parity {
    fn from(parity: ParityArgument) -> Self {
        match parity {
            ParityArgument::None => Self::None,
            ParityArgument::Even => Self::Even,
            ParityArgument::Odd => Self::Odd,
        }
    }
}

/// One meter on a line.
#[derive(Args)]
pub(crate) struct MeterArguments {
    /// Id of the model, or sunspec for a device that describes itself
    #[arg(long)]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) line: LineArguments,
    /// Unit id of the meter; left out, the one the model leaves the factory with
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) unit: Option<u8>,
    /// The longest wait for an answer
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = milliseconds)]
    pub(crate) timeout_ms: Duration,
    #[command(flatten)]
    pub(crate) models: Models,
}

#[derive(Args)]
pub(crate) struct Read {
    #[command(flatten)]
    pub(crate) meter: MeterArguments,
    /// Read once a second until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print one JSON object a reading
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(group(ArgGroup::new("place").required(true).multiple(false).args(["tcp", "serial", "rtu_over_tcp"])))]
pub(crate) struct Scan {
    /// A host, or a network such as 192.0.2.0/24 (at most 1024 addresses); port 502 if none is named
    #[arg(long, value_name = "HOST|NETWORK[:PORT]")]
    pub(crate) tcp: Option<Addresses>,
    /// A serial port
    #[arg(long, value_name = "PATH")]
    pub(crate) serial: Option<PathBuf>,
    /// A converter that passes RTU frames on as they are
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) rtu_over_tcp: Option<String>,
    /// Only these baud rates; left out, those of the models, most common first
    #[arg(long, value_delimiter = ',')]
    pub(crate) baud: Vec<u32>,
    /// Only these parities; left out, those of the models
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) parity: Vec<ParityArgument>,
    /// Unit ids to ask; left out, all of a line, and 1 of each host of a network
    #[arg(long)]
    pub(crate) units: Option<Units>,
    /// The longest wait for each answer
    #[arg(long, value_name = "MS", default_value = "300", value_parser = milliseconds)]
    pub(crate) timeout_ms: Duration,
    /// The longest the whole scan may take
    #[arg(long, value_name = "S", default_value = "1800")]
    pub(crate) limit_s: u64,
    #[command(flatten)]
    pub(crate) models: Models,
}

#[derive(Args)]
pub(crate) struct Diagnose {
    #[command(flatten)]
    pub(crate) line: LineArguments,
    /// Unit ids that should be there; left out, those of 1 to 32 that are
    #[arg(long)]
    pub(crate) units: Option<Units>,
    /// How often each unit that is there is asked
    #[arg(long, default_value = "20", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rounds: u32,
    /// The longest wait for each answer
    #[arg(long, value_name = "MS", default_value = "500", value_parser = milliseconds)]
    pub(crate) timeout_ms: Duration,
    /// The longest the whole diagnosis may take
    #[arg(long, value_name = "S", default_value = "300")]
    pub(crate) limit_s: u64,
    #[command(flatten)]
    pub(crate) models: Models,
}

#[derive(Args)]
pub(crate) struct Record {
    #[command(flatten)]
    pub(crate) meter: MeterArguments,
    /// The file to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// How long to record; 0 reads once
    #[arg(long, value_name = "S", default_value = "60")]
    pub(crate) seconds: u64,
    /// How often to read
    #[arg(long, value_name = "S", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) every: u64,
}

#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["unit", "recording"])))]
#[command(group(ArgGroup::new("where").required(true).multiple(false).args(["tcp", "serial", "rtu_over_tcp"])))]
pub(crate) struct Simulate {
    /// Listen for Modbus TCP; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) tcp: Option<String>,
    /// Answer RTU on a serial port
    #[arg(long, value_name = "PATH")]
    pub(crate) serial: Option<PathBuf>,
    /// Listen for RTU frames over TCP
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) rtu_over_tcp: Option<String>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// A unit of this model that shows the values below; may be given more than once
    #[arg(long, value_name = "N=MODEL", value_parser = super::simulate::unit_and_model)]
    pub(crate) unit: Vec<(u8, String)>,
    /// All units of a recording of `meters record`; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(crate) recording: Vec<PathBuf>,
    /// Total import that units of a model show
    #[arg(long, value_name = "WH", default_value = "1234567")]
    pub(crate) energy_wh: u64,
    /// Power that units of a model show
    #[arg(long, value_name = "W", default_value = "7360")]
    pub(crate) power_w: u32,
    #[command(flatten)]
    pub(crate) models: Models,
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(ms @ 10..=60_000) => Ok(Duration::from_millis(ms)),
        _ => Err("write 10 to 60000 milliseconds".to_owned()),
    }
}
