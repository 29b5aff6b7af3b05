//! The demo from its start to its end: whatever happens in between, nothing is left behind.

use std::process::ExitCode;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Arguments;
use crate::children::Children;
use crate::janitor::Watched;
use crate::scenes;
use crate::stage::Stage;
use crate::view::{Screen, Told};
use crate::world::World;

/// The exit code of a program that Ctrl-C ended, as shells have it.
const INTERRUPTED: u8 = 130;
/// Lines of each log that are shown when the story cannot go on.
const SHOWN: usize = 12;

/// How the story ended.
enum Ending {
    /// All is told; this is what runs.
    Told(Box<World>),
    Failed(anyhow::Error),
    Interrupted,
}

/// Shows everything.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let shown = runtime
        .context("cannot start the runtime")
        .and_then(|runtime| {
            let shown = runtime.block_on(show(arguments));
            // A call to a process that is gone may still wait; nobody waits for it.
            runtime.shutdown_background();
            shown
        });
    match shown {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cargo demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn show(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let screen = Screen::choose(&arguments);
    let state = Watched::make()?;
    let children = Children::default();
    let stage = Stage::new(state.path(), arguments.pace(), &children, &screen);
    let ending = tokio::select! {
        told = scenes::play(&stage) => match told {
            Ok(world) => Ending::Told(Box::new(world)),
            Err(error) => Ending::Failed(error),
        },
        () = signals.any() => Ending::Interrupted,
    };
    let code = match ending {
        Ending::Interrupted => ExitCode::from(INTERRUPTED),
        Ending::Failed(error) => {
            screen.tell(&Told::Failed(&format!("{error:#}")));
            tell_logs(state.path());
            ExitCode::FAILURE
        }
        Ending::Told(world) => {
            let tally = stage.claims.tally();
            screen.tell(&Told::End(tally));
            if arguments.keep {
                // A and C have stopped for good, but whoever stays can see them say so.
                world.upstream.point_to(world.provider.links);
                tell_addresses(&stage, &world);
                signals.any().await;
            }
            ExitCode::from(u8::from(tally.falsehoods > 0))
        }
    };
    children.end().await;
    state.remove()?;
    Ok(code)
}

/// Where everything can be reached, and what to do there.
fn tell_addresses(stage: &Stage, world: &World) {
    let tell = |name: &str, address: &str| {
        stage.screen.tell(&Told::Address { name, address });
    };
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.display();
    let provider = &world.provider;
    tell("state", &stage.dir.display().to_string());
    tell("billing links", &format!("ws://{}/billing", provider.links));
    tell("operator API", &provider.api.base);
    for gateway in world.gateways() {
        let name = gateway.plan.name;
        tell(&format!("{name}'s local API"), &gateway.api.base);
        tell(&format!("{name}'s meter"), &gateway.meter.address());
        if let Some(id) = gateway.plan.charge_point {
            tell(&format!("{name}'s OCPP"), &format!("{}{id}", gateway.ocpp));
        }
    }
    let note = "A and C take no block any more: they hold evidence against the provider";
    stage.screen.tell(&Told::Row(note));
    let config = provider.config.display();
    let swipe = format!("{}/chargers/CABLE-1/swipe", world.c.api.base);
    let key = stage.wire.chain(|chain| chain.state().genesis.provider_key);
    let key = key.map(|key| key.to_string()).unwrap_or_default();
    let receipt = world.b.receipt(1);
    for command in [
        format!("{program} provider bill show FLEET --config {config}"),
        format!("{program} provider evidence list --config {config}"),
        format!("curl {}/status", world.a.api.base),
        format!("curl -H 'content-type: application/json' -d '{{\"idTag\":\"HOME-CAR\"}}' {swipe}"),
        format!(
            "{program} gateway receipt verify {} --provider-key {key}",
            receipt.display()
        ),
    ] {
        tell("try", &command);
    }
    tell("to end it all", "Ctrl-C");
}

/// What the processes logged last, when something was not as it should be.
fn tell_logs(state: &std::path::Path) {
    let entries = std::fs::read_dir(state).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "log")
            && let Ok(log) = std::fs::read_to_string(&path)
        {
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(SHOWN);
            let name = path.file_stem().unwrap_or_default().display();
            eprintln!("--- end of the log of {name}\n{}", lines[from..].join("\n"));
        }
    }
}

/// The signals that end the demo: from a keyboard, from a person, from a terminal that closes.
struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self([
            on(SignalKind::interrupt())?,
            on(SignalKind::terminate())?,
            on(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
