//! The command line.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use ledger::store::Watch;
use protocol::IdTag;
use serde::Serialize;

use crate::api::{Chain, Sealing};
use crate::client::Client;
use crate::config::Config;
use crate::error::Error;
use crate::state_dir::StateDir;
use crate::{bill, evidence, run};

/// The exit code for a wrong command line, as clap has it.
const USAGE: u8 = 2;

/// Bills EV charging: takes charges from gateways, seals them into the chain, writes the bills.
#[derive(Debug, Parser)]
#[command(name = "charge-provider", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the provider until SIGTERM or SIGINT.
    Run(ConfigFile),
    /// Works on the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Works on enrolment tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Shows what a group owes and is credited.
    #[command(subcommand)]
    Bill(BillCommand),
    /// Shows the chain.
    #[command(subcommand)]
    Chain(ChainCommand),
    /// Shows who is convicted of what.
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Has a running provider seal although too few gateways have told it what they know.
    ///
    /// A provider that was started promises and seals nothing before more than half of its voters have
    /// told what they know of the chain. Its state directory may be an older copy: it would sign a
    /// second header for a block that they have, or a second receipt for a charge. That convicts it, every
    /// gateway that sees it stops for good, and nothing undoes it. Use this only where the state directory
    /// is the newest there ever was, or where the gateways that are away will never come back.
    #[command(verbatim_doc_comment)]
    SealWithoutReports {
        #[command(flatten)]
        config: ConfigFile,
        /// Says that the state directory is no older copy, or that its gateways are gone for good.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Says whether a configuration file can be used.
    Check {
        /// The configuration file.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Creates a one-time enrolment token for a gateway and prints it, this once.
    Create {
        #[command(flatten)]
        config: ConfigFile,
        /// A group that the gateway may claim; repeat it for more.
        #[arg(long = "group", value_name = "GROUP", required = true, value_parser = IdTag::parse)]
        groups: Vec<IdTag>,
    },
}

#[derive(Debug, Subcommand)]
enum BillCommand {
    /// Prints the bill of a group.
    Show {
        /// The group.
        #[arg(value_parser = IdTag::parse)]
        group: IdTag,
        #[command(flatten)]
        config: ConfigFile,
        /// Prints JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum ChainCommand {
    /// Prints where the chain is.
    Show {
        #[command(flatten)]
        config: ConfigFile,
        /// Prints JSON instead of lines.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum EvidenceCommand {
    /// Prints the convictions in the chain.
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// Prints JSON, with the evidence, instead of lines.
        #[arg(long)]
        json: bool,
    },
}

/// The whole program: reads `args` (the first is its name), does what they say, and tells errors in
/// one line on stderr.
///
/// `watch` looks on while the provider makes things durable and sends them; a shipped binary passes
/// [`ledger::store::NoWatch`]. Exit code 1 for errors, 2 for a wrong command line.
pub fn main(args: impl IntoIterator<Item = OsString>, watch: Arc<dyn Watch>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Where not even this can be printed, the exit code has to do.
            let _ = error.print();
            return match error.use_stderr() {
                true => ExitCode::from(USAGE),
                false => ExitCode::SUCCESS,
            };
        }
    };
    match execute(cli.command, watch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("charge-provider: {}", error.line());
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command, watch: Arc<dyn Watch>) -> Result<(), Error> {
    match command {
        Command::Run(file) => run::run(&Config::load(&file.config)?, watch),
        Command::Config(ConfigCommand::Check { file }) => {
            Config::load(&file)?;
            say(&format!("{} can be used\n", file.display()));
            Ok(())
        }
        Command::Token(TokenCommand::Create { config, groups }) => {
            let created = client(&config.config)?.create_token(groups)?;
            say(&format!("{}\n", created.token));
            Ok(())
        }
        Command::Bill(BillCommand::Show {
            group,
            config,
            json,
        }) => {
            let found = client(&config.config)?.bill(&group)?;
            show(json, &found, bill::table);
            Ok(())
        }
        Command::Chain(ChainCommand::Show { config, json }) => {
            let found = client(&config.config)?.chain()?;
            show(json, &found, lines);
            Ok(())
        }
        Command::SealWithoutReports { config, yes } => {
            if !yes {
                return Err(Error::Unconfirmed);
            }
            client(&config.config)?.seal_without_reports()?;
            say("it seals without the reports that are missing\n");
            Ok(())
        }
        Command::Evidence(EvidenceCommand::List { config, json }) => {
            let found = client(&config.config)?.evidence()?;
            show(json, &found, evidence::lines);
            Ok(())
        }
    }
}

fn client(config: &Path) -> Result<Client, Error> {
    Client::new(StateDir::at(&Config::load(config)?.state_dir))
}

fn show<T: Serialize>(json: bool, found: &T, for_people: impl FnOnce(&T) -> String) {
    if json {
        let text = serde_json::to_string_pretty(found).expect("what the API gave is plain structs");
        say(&format!("{text}\n"));
    } else {
        say(&for_people(found));
    }
}

fn lines(chain: &Chain) -> String {
    let rows = [
        ("chain id", chain.chain_id.to_string()),
        ("provider key", chain.provider_key.to_string()),
        ("height", chain.height.to_string()),
        ("tip", chain.tip.to_string()),
        ("final height", chain.final_height.to_string()),
        ("round", chain.round.to_string()),
        ("state root", chain.state_root.to_string()),
        ("voters", chain.voters.to_string()),
        ("sealing", in_words(&chain.sealing)),
    ];
    rows.map(|(name, value)| format!("{name:<13} {value}\n"))
        .concat()
}

fn in_words(sealing: &Sealing) -> String {
    let Sealing {
        voters,
        heard,
        missing,
        ..
    } = sealing;
    if let Some(height) = sealing.two_headers {
        return format!(
            "no: this provider has signed two headers for block {height}; it is convicted"
        );
    }
    if let Some(height) = sealing.behind.filter(|_| !sealing.goes_on) {
        return format!("no: a gateway knows block {height}, which is not here; it is asked for");
    }
    match (sealing.goes_on, *missing) {
        (false, _) => format!("not yet: {heard} of {voters} voters have told what they know"),
        (true, 0) => "yes".to_owned(),
        (true, _) => {
            format!("waits for {missing} charges that were promised; their gateways have them")
        }
    }
}

/// Prints; a reader that went away (`| head`) is no error.
pub(crate) fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
