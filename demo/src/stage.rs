//! What every scene has at hand.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::UnixMillis;
use serde_json::Value;

use crate::args::Pace;
use crate::children::Children;
use crate::claims::{Claim, Claims};
use crate::http::Api;
use crate::scenes::ACTS;
use crate::view::{Panel, Row, Screen, Told};
use crate::wire::Wire;
use crate::world::{Meter, World};

/// How often the panel is drawn anew.
const REFRESH: Duration = Duration::from_millis(250);

/// The stage. Clones share it.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) dir: PathBuf,
    pub(crate) pace: Pace,
    pub(crate) children: Children,
    pub(crate) wire: Arc<Wire>,
    pub(crate) screen: Arc<Screen>,
    pub(crate) claims: Arc<Claims>,
    act: Arc<AtomicUsize>,
}

impl Stage {
    pub(crate) fn new(dir: &Path, pace: Pace, children: &Children, screen: &Arc<Screen>) -> Self {
        Self {
            dir: dir.to_owned(),
            pace,
            children: children.clone(),
            wire: Arc::new(Wire::new(Arc::clone(screen))),
            screen: Arc::clone(screen),
            claims: Arc::default(),
            act: Arc::default(),
        }
    }

    /// Begins the next act.
    pub(crate) fn act(&self, title: &str) {
        let number = self.act.fetch_add(1, Ordering::Relaxed) + 1;
        self.screen.tell(&Told::Act { number, title });
    }

    /// Tells what happened and why it matters.
    pub(crate) fn happened(&self, text: &str, why: &str) {
        self.screen.tell(&Told::Happened { text, why });
    }

    /// Tells what was checked. It is shown as what it is: true or false.
    pub(crate) fn claim(&self, claim: &Claim) {
        self.claims.count(claim);
        self.screen.tell(&Told::Claim(claim));
    }

    /// Keeps the panel up to date for as long as the story goes on.
    pub(crate) async fn keep_panel(&self, sources: Vec<Source>) -> Infallible {
        loop {
            let mut rows = Vec::with_capacity(sources.len());
            for source in &sources {
                rows.push(source.row(&self.wire).await);
            }
            self.screen.refresh(&self.panel(rows));
            tokio::time::sleep(REFRESH).await;
        }
    }

    fn panel(&self, rows: Vec<Row>) -> Panel {
        let genesis = self.wire.chain(|chain| chain.state().genesis.clone());
        let round = genesis.map(|genesis| {
            let now = now();
            let round = genesis.round_at(now);
            let over_ms = now.since_ms(genesis.round_start(round));
            (
                round,
                Duration::from_millis(genesis.interval_ms()),
                Duration::from_millis(over_ms),
            )
        });
        Panel {
            elapsed: self.screen.elapsed(),
            act: (self.act.load(Ordering::Relaxed), ACTS),
            round,
            refused: self.wire.chain(|chain| chain.refused().len()).unwrap_or(0),
            rows,
        }
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    UnixMillis(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// Where a row of the panel comes from.
pub(crate) struct Source {
    name: String,
    /// The node's name on the wire; `None` for the provider.
    node: Option<String>,
    api: Api,
    meter: Option<Arc<Meter>>,
}

impl Source {
    /// The rows of the honest ones.
    pub(crate) fn of(world: &World) -> Vec<Self> {
        let provider = Self {
            name: "provider".to_owned(),
            node: None,
            api: world.provider.api.clone(),
            meter: None,
        };
        let gateways = world.gateways().map(|gateway| Self {
            name: format!("{} {}", gateway.plan.name, gateway.plan.place),
            node: Some(gateway.plan.name.to_owned()),
            api: gateway.api.clone(),
            meter: Some(Arc::clone(&gateway.meter)),
        });
        std::iter::once(provider).chain(gateways).collect()
    }

    async fn row(&self, wire: &Wire) -> Row {
        let chain = match self.node {
            None => self.api.get("chain").await,
            Some(_) => self.api.get("status").await.map(|mut s| s["chain"].take()),
        };
        // One that does not answer is shown with nothing.
        let chain = chain.unwrap_or_default();
        let node = self.node.as_deref();
        Row {
            name: self.name.clone(),
            height: chain["height"].as_u64(),
            final_height: chain["finalHeight"].as_u64(),
            state_root: short(&chain["stateRoot"]),
            meter_mwh: self.meter.as_ref().map(|meter| meter.register_mwh()),
            traffic: node.map_or_else(|| wire.total(), |node| wire.traffic(node)),
        }
    }
}

fn short(root: &Value) -> String {
    let root = root.as_str().unwrap_or_default();
    root.chars().take(8).collect()
}
