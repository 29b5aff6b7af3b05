//! `charge-provider run`: from configuration to a running provider, and to its end.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;

use ledger::store::{Engine, EngineThread, Watch};
use protocol::Hash;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::say;
use crate::config::Config;
use crate::error::Error;
use crate::fanout::{self, Fanout, Shell};
use crate::handshake::Identity;
use crate::links::{self, Links};
use crate::operator::{Operator, router};
use crate::state_dir::{Addresses, StateDir};
use crate::store::{self, Blocks};

/// The environment variable with the log filter.
const LOG: &str = "CHARGE_LOG";

/// Runs the provider until SIGTERM, SIGINT or an error of its disk.
pub(crate) fn run(config: &Config, watch: Arc<dyn Watch>) -> Result<(), Error> {
    log();
    let state_dir = StateDir::at(&config.state_dir);
    state_dir.create()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::System)?;
    runtime.block_on(serve(config, &state_dir, watch))
}

fn log() {
    let filter = EnvFilter::builder()
        .with_env_var(LOG)
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    // Whoever runs this inside another program may have a subscriber already; theirs stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

async fn serve(config: &Config, state_dir: &StateDir, watch: Arc<dyn Watch>) -> Result<(), Error> {
    let (mut terminated, mut interrupted) = signals().map_err(Error::System)?;
    // The store first: it is also the lock on the state directory.
    let (provider, key, store) = store::open(config, state_dir, fanout::now().seconds())?;
    let token = state_dir.operator_token()?;
    let (gateways, gateways_at) = listen("listen", config.listen).await?;
    let (operators, operators_at) = listen("operator_listen", config.operator_listen).await?;

    let identity = Identity {
        key,
        genesis: provider.state().genesis.clone(),
    };
    let fanout = Arc::new(Fanout::default());
    let shell = Shell {
        fanout: Arc::clone(&fanout),
    };
    let (engine, thread) =
        Engine::start(provider, Arc::clone(&store), shell, watch).map_err(Error::System)?;
    let mut ended = watch_over(thread).map_err(Error::System)?;
    let blocks = Arc::new(Blocks::new(store));
    let operator = Operator {
        engine: engine.clone(),
        blocks: Arc::clone(&blocks),
        token: Hash::of(token.as_bytes()),
    };
    let links = Arc::new(Links {
        engine: engine.clone(),
        fanout,
        blocks,
        identity,
    });
    tell(state_dir, gateways_at, operators_at)?;

    let stopped = tokio::select! {
        stopped = &mut ended => Some(stopped),
        () = links::serve(gateways, links) => None,
        // It only returns where it is told to stop, which it is not: it ends with the process.
        _ = axum::serve(operators, router(operator)) => None,
        _ = terminated.recv() => None,
        _ = interrupted.recv() => None,
    };
    let stopped = match stopped {
        Some(stopped) => stopped,
        None => {
            tracing::info!("stopping");
            engine.stop();
            ended.await
        }
    };
    state_dir.forget_addresses()?;
    stopped.unwrap_or(Err(Error::Engine))
}

fn signals() -> std::io::Result<(Signal, Signal)> {
    Ok((
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    ))
}

async fn listen(
    key: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), Error> {
    let refused = |source| Error::Listen {
        key,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let actual = listener.local_addr().map_err(refused)?;
    Ok((listener, actual))
}

/// Waits for the engine's end on a thread of its own.
fn watch_over(thread: EngineThread) -> std::io::Result<oneshot::Receiver<Result<(), Error>>> {
    let (sender, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("engine-watch".to_owned())
        .spawn(move || {
            let result = match thread.join() {
                Ok(result) => result.map_err(Error::Store),
                Err(_) => Err(Error::Engine),
            };
            // At the end of the process nobody listens any more.
            let _ = sender.send(result);
        })?;
    Ok(ended)
}

fn tell(state_dir: &StateDir, gateways: SocketAddr, operator: SocketAddr) -> Result<(), Error> {
    state_dir.write_addresses(Addresses { gateways, operator })?;
    say(&format!(
        "listening for gateways on ws://{gateways}\noperator API on http://{operator}\n"
    ));
    Ok(())
}
