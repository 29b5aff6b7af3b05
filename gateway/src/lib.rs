//! The gateway beside the chargers: reads meters over Modbus, speaks OCPP with chargers and
//! central systems, and keeps every charge until the chain has it for good.
//!
//! [`main`] is the whole program, so that others can link it and run it under their own name.
//! Types to meet first: [`Config`], then `charges` (what is going on), `shell` (the node's rules
//! carried out), `uplink` (the provider), `neighbours` (other gateways).
//!
//! What it leaves out: rules of the chain (`ledger`), bytes of OCPP (`ocpp-bridge`) and of Modbus
//! (`meter-drivers`).

mod authorizer;
mod charges;
mod clock;
mod config;
mod evidence;
mod files;
mod identity;
mod journal;
mod lines;
mod local_api;
mod meter_tools;
mod meters;
mod modbus_charger;
mod neighbours;
mod power;
mod receipts;
mod run;
mod shell;
mod signed;
mod southbound;
mod uplink;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use ledger::store::Watch;
use protocol::PublicKey;
use tracing_subscriber::EnvFilter;

pub use charges::ChargeDetail;
pub use config::{Config, ConfigError};
pub use signed::{Carried, SignedDetail, Standing};

#[derive(Parser)]
#[command(
    name = "charge-gateway",
    version,
    about = "Turns every charge beside it into a signed record"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway
    Run {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Look at configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at receipt files
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Look at signed meter data (OCMF)
    #[command(subcommand)]
    Ocmf(OcmfCommand),
    /// Look at evidence files
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Find, read, explain, record and simulate meters, and say what is wrong with a line
    #[command(subcommand)]
    Meters(meter_tools::MetersCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say whether a configuration file can be used
    Check {
        /// The configuration file
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum ReceiptCommand {
    /// Check a receipt file offline and say what it proves
    Verify {
        /// The receipt file
        file: PathBuf,
        /// The provider's public key, from your contract: 64 hexadecimal digits
        #[arg(long, value_parser = parse_key)]
        provider_key: Option<PublicKey>,
    },
}

#[derive(Subcommand)]
enum OcmfCommand {
    /// Check signed meter data offline and say what it proves
    Verify {
        /// The XML file beside a receipt, or a file with one record
        file: PathBuf,
        /// The meter's public key as printed on it, in hex or base64
        #[arg(long, value_parser = parse_meter_key)]
        key: Option<signed::SignedMeterKey>,
    },
}

#[derive(Subcommand)]
enum EvidenceCommand {
    /// Check an evidence file offline and say what the provider did
    Verify {
        /// The evidence file
        file: PathBuf,
        /// The provider's public key, from your contract: 64 hexadecimal digits
        #[arg(long, value_parser = parse_key)]
        provider_key: Option<PublicKey>,
    },
}

fn parse_key(text: &str) -> Result<PublicKey, String> {
    let key = PublicKey::try_from(text.to_owned()).map_err(|error| error.to_string())?;
    key.check().map_err(|error| error.to_string())?;
    Ok(key)
}

fn parse_meter_key(text: &str) -> Result<signed::SignedMeterKey, String> {
    signed::SignedMeterKey::parse(text).map_err(|error| error.to_string())
}

/// The program: reads `args`, runs, tells in one line what went wrong.
///
/// `watch` looks on whenever something becomes durable or is sent; crash tests use it.
pub fn main(args: impl IntoIterator<Item = OsString>, watch: Arc<dyn Watch>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to stdout and is no error; a closed pipe is nobody's concern.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()) * 2);
        }
    };
    match carry_out(arguments.command, watch) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("charge-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Command, watch: Arc<dyn Watch>) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run { config } => {
            log();
            run::run(Config::load(&config)?, watch)?;
        }
        Command::Config(ConfigCommand::Check { file }) => {
            let config = Config::load(&file)?;
            println!(
                "{} can be used: {} meters, {} outlets, {} OCPP chargers, {} chargers without OCPP",
                file.display(),
                config.meters.len(),
                config.outlets.len(),
                config.charge_points.len(),
                config.modbus_chargers.len()
            );
        }
        Command::Receipt(ReceiptCommand::Verify { file, provider_key }) => {
            let told = receipts::verify(&file, provider_key.as_ref());
            print!("{}", told.map_err(|error| error.context("NOT PROVEN"))?);
        }
        Command::Ocmf(OcmfCommand::Verify { file, key }) => {
            let told = signed::verify_file(&file, key.as_ref());
            print!("{}", told.map_err(|error| error.context("NOT PROVEN"))?);
        }
        Command::Evidence(EvidenceCommand::Verify { file, provider_key }) => {
            let told = evidence::verify(&file, provider_key.as_ref());
            print!("{}", told.map_err(|error| error.context("NOT PROVEN"))?);
        }
        Command::Meters(command) => return meter_tools::run(command),
    }
    Ok(ExitCode::SUCCESS)
}

fn log() {
    let filter = EnvFilter::try_from_env("CHARGE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A second gateway in one process, as in tests, shares the first one's log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}
