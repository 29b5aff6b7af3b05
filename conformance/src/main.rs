//! `charge-conformance`: the command line around the library.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser};
use conformance::{CASES, Settings, Target, run};

/// A case failed.
const FAILED: u8 = 1;
/// The run could not take place; clap uses the same code for wrong arguments.
const NOT_RUN: u8 = 2;

/// Tests whether a peer does what OCPP 1.6J asks for.
///
/// Exit code 0: every case passed, 1: a case failed, 2: wrong arguments or no link.
#[derive(Parser)]
#[command(name = "charge-conformance", version)]
enum Command {
    /// Show the cases
    List,
    /// Run cases against a peer
    Run(RunArguments),
}

#[derive(Args)]
struct RunArguments {
    /// What the peer is
    #[arg(long, value_enum)]
    target: Target,
    /// Its address, without the charge point's id: ws://HOST:PORT/PATH
    #[arg(long)]
    url: String,
    /// The id we present as charge point; the peer has to know it
    #[arg(long)]
    charge_point_id: String,
    /// Run only this case; may be repeated
    #[arg(long = "case", value_name = "ID")]
    cases: Vec<String>,
    /// How long each answer is waited for, in seconds
    #[arg(long, default_value_t = 30)]
    answer_timeout_s: u64,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::List => {
            list();
            Ok(true)
        }
        Command::Run(arguments) => run_and_print(&arguments).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(NOT_RUN)
        }
    }
}

fn list() {
    for case in CASES {
        let target = match case.target {
            Target::CentralSystem => "central-system",
        };
        println!("{:<14} {target:<16} {}", case.id, case.title);
    }
}

async fn run_and_print(arguments: &RunArguments) -> anyhow::Result<bool> {
    // The only one there is; a second one makes this an error here.
    let Target::CentralSystem = arguments.target;
    let settings = Settings::new(&arguments.url, &arguments.charge_point_id, &arguments.cases)?
        .with_answer_timeout(Duration::from_secs(arguments.answer_timeout_s));
    let report = run(&settings).await?;
    if arguments.json {
        println!(
            "{}",
            serde_json::to_string(&report).context("cannot write the report")?
        );
    } else {
        println!("{report}");
    }
    Ok(report.all_passed())
}
