//! Gateway and provider in one program that can kill itself at an exact point.
//!
//! `crashpoint gateway …` and `crashpoint provider …` are `charge-gateway …` and
//! `charge-provider …`. The environment variable `CRASHPOINT` adds:
//!
//! - `before-sync:N`: SIGKILL before the N-th sync, with whatever relies on it wrongly sent;
//! - `after-sync:N`: SIGKILL when the N-th sync has returned;
//! - `before-send:N`: SIGKILL before the N-th thing is sent;
//! - `count`: print how many of both a run had, once it ends in good order.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ledger::store::Watch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const VARIABLE: &str = "CRASHPOINT";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Counts,
    BeforeSync(u64),
    AfterSync(u64),
    BeforeSend(u64),
}

impl Wanted {
    fn parse(text: &str) -> Option<Self> {
        if text == "count" {
            return Some(Self::Counts);
        }
        let (when, number) = text.split_once(':')?;
        let number = number.parse().ok()?;
        match when {
            "before-sync" => Some(Self::BeforeSync(number)),
            "after-sync" => Some(Self::AfterSync(number)),
            "before-send" => Some(Self::BeforeSend(number)),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct CrashPoint {
    wanted: Wanted,
    syncs: AtomicU64,
    sends: AtomicU64,
}

impl Watch for CrashPoint {
    fn syncing(&self) {
        let number = self.syncs.load(Ordering::Relaxed) + 1;
        if self.wanted == Wanted::BeforeSync(number) {
            // What was sent too early gets time to leave, or nobody would notice.
            std::thread::sleep(Duration::from_millis(50));
            die();
        }
    }

    fn synced(&self) {
        let number = self.syncs.fetch_add(1, Ordering::Relaxed) + 1;
        if self.wanted == Wanted::AfterSync(number) {
            die();
        }
    }

    fn sending(&self) {
        let number = self.sends.fetch_add(1, Ordering::Relaxed) + 1;
        if self.wanted == Wanted::BeforeSend(number) {
            die();
        }
    }
}

/// Ends the process as a power cut would: no destructor, no flush, no goodbye.
fn die() -> ! {
    loop {
        // It can only fail by not being there any more.
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
}

fn main() -> ExitCode {
    let wanted = match std::env::var(VARIABLE) {
        Err(_) => Some(Wanted::Nothing),
        Ok(text) => Wanted::parse(&text),
    };
    let Some(wanted) = wanted else {
        eprintln!("crashpoint: {VARIABLE} is count, before-sync:N, after-sync:N or before-send:N");
        return ExitCode::from(2);
    };
    let watch = Arc::new(CrashPoint {
        wanted,
        syncs: AtomicU64::new(0),
        sends: AtomicU64::new(0),
    });
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let role = args.next();
    let rest = std::iter::once(program).chain(args);
    let code = match role.as_ref().and_then(|role| role.to_str()) {
        Some("gateway") => gateway::main(rest, Arc::<CrashPoint>::clone(&watch)),
        Some("provider") => provider::main(rest, Arc::<CrashPoint>::clone(&watch)),
        _ => {
            eprintln!("crashpoint: the first argument is gateway or provider");
            return ExitCode::from(2);
        }
    };
    if wanted == Wanted::Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        println!("syncs {}", count(&watch.syncs));
        println!("sends {}", count(&watch.sends));
    }
    code
}
