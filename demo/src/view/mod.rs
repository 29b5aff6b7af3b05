//! How the story is shown: as a live terminal view, as plain lines, or as JSON for machines.

mod json;
mod lines;
mod live;
mod panel;
mod plain;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use ledger::Block;
use protocol::Genesis;
use serde_json::Value;

use crate::args::Arguments;
use crate::claims::{Claim, Tally};
use crate::wire::Seen;

pub(crate) use panel::{Panel, Row};

/// What is told, in the order it happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    /// What this is all about.
    Title(&'a str),
    /// An act begins.
    Act { number: usize, title: &'a str },
    /// Something happened, and why it matters.
    Happened { text: &'a str, why: &'a str },
    /// A line that stands as it is, such as a row of a bill.
    Row(&'a str),
    /// Something that was checked.
    Claim(&'a Claim),
    /// A message was seen on the wire.
    Message(&'a Seen),
    /// The chain's parameters are known.
    Chain(&'a Genesis),
    /// A new block was seen and verified.
    Block(&'a Block),
    /// A block was seen that the provider signed and that is not valid.
    RefusedBlock(&'a Block),
    /// A group's bill, as the operator API gives it.
    Bill(&'a Value),
    /// A receipt file of a node.
    Receipt { node: &'a str, bytes: &'a [u8] },
    /// An evidence file of a node.
    Evidence { node: &'a str, bytes: &'a [u8] },
    /// Where something can be reached, for whoever keeps the demo running.
    Address { name: &'a str, address: &'a str },
    /// The story cannot go on.
    Failed(&'a str),
    /// All is told.
    End(Tally),
}

/// Shows what it is told. `at` is the time since the beginning.
pub(crate) trait View: Send + Sync {
    fn show(&self, at: Duration, told: &Told<'_>);

    /// Whether it has a place for a panel.
    fn has_panel(&self) -> bool {
        false
    }

    /// Shows how things stand now.
    fn refresh(&self, _: &Panel) {}
}

/// A view with a clock.
pub(crate) struct Screen {
    view: Box<dyn View>,
    begun: tokio::time::Instant,
}

impl Screen {
    /// The view that the arguments and the terminal ask for.
    pub(crate) fn choose(arguments: &Arguments) -> Arc<Self> {
        // Some terminals, such as an editor's, say that they can only print.
        let only_prints = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_live = std::io::stdout().is_terminal() && !only_prints && !arguments.plain;
        let view: Box<dyn View> = match (arguments.json, is_live) {
            (true, _) => Box::new(json::Json),
            (false, true) => Box::new(live::Live::new()),
            (false, false) => Box::new(plain::Plain),
        };
        Arc::new(Self {
            view,
            begun: tokio::time::Instant::now(),
        })
    }

    pub(crate) fn tell(&self, told: &Told<'_>) {
        self.view.show(self.elapsed(), told);
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn has_panel(&self) -> bool {
        self.view.has_panel()
    }

    pub(crate) fn refresh(&self, panel: &Panel) {
        self.view.refresh(panel);
    }
}
