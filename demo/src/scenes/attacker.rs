//! An attacker: a process of its own, behind a tap of its own.

use serde_json::Value;

use crate::children::Process;
use crate::stage::Stage;
use crate::wire::{Tap, Upstream};

/// A running attacker on a link to the provider.
#[derive(Debug)]
pub(super) struct Attacker {
    process: Process,
    /// Its link goes through it.
    _tap: Tap,
}

impl Attacker {
    /// Starts the attacker of that role; on the wire it is called `name`.
    pub(super) async fn start(
        stage: &Stage,
        name: &str,
        role: &str,
        upstream: &Upstream,
        args: &[&str],
    ) -> anyhow::Result<Self> {
        let tap = Tap::open(name, &stage.wire, upstream).await?;
        let url = tap.url();
        let args = [&[role, "--url", &url], args].concat();
        let log = stage.dir.join(format!("{role}.log"));
        Ok(Self {
            process: stage.children.start(role, &args, &log)?,
            _tap: tap,
        })
    }

    /// Waits until it tells an event of that name.
    pub(super) async fn event(&mut self, name: &str) -> anyhow::Result<Value> {
        self.process.event(name).await
    }

    /// Ends it.
    pub(super) async fn end(self) {
        self.process.end().await;
    }
}
