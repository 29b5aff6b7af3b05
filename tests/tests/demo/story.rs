//! One run of the demo as machines see it, and the chain rebuilt from the blocks it printed.

use std::sync::LazyLock;

use ledger::block::{Block, ChargeLine};
use ledger::{State, apply};
use protocol::{Genesis, Hash, decode};
use serde_json::Value;
use tests::Place;

use crate::{PROGRAM, demo};

/// The run that all tests of claims share: it costs some seconds.
pub(crate) static STORY: LazyLock<Story> = LazyLock::new(Story::run);

/// Everything that was printed, and what follows from it.
pub(crate) struct Story {
    pub(crate) events: Vec<Value>,
    pub(crate) blocks: Vec<Block>,
    /// The state after each block, and the one before the first.
    pub(crate) states: Vec<State>,
}

impl Story {
    fn run() -> Self {
        let place = Place::new(PROGRAM);
        let output = demo(&place, &["--fast", "--json"]).output();
        let output = output.expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{complaints}");
        let events: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is one JSON object"))
            .collect();
        let genesis = events.iter().find(|event| event["event"] == "chain");
        let genesis = genesis.expect("it tells the chain's parameters")["genesis"].clone();
        let genesis: Genesis = serde_json::from_value(genesis).expect("parameters");
        let mut states = vec![State::new(genesis)];
        let blocks = events.iter().filter(|event| event["event"] == "block");
        let blocks: Vec<Block> = blocks
            .map(|event| bytes(event, |b| decode(b).ok()))
            .collect();
        for block in &blocks {
            let newest = states.last().expect("there is one");
            states.push(apply(newest, block).expect("the demo shows valid blocks only"));
        }
        Self {
            events,
            blocks,
            states,
        }
    }

    /// All events of a kind.
    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |e| e["event"] == kind)
    }

    /// The facts of the claim of that name, which is to be there once.
    #[track_caller]
    pub(crate) fn facts(&self, name: &str) -> &Value {
        let mut claims = self.all("claim").filter(|claim| claim["name"] == name);
        let claim = claims.next().unwrap_or_else(|| panic!("no claim {name}"));
        assert!(claims.next().is_none(), "{name} is claimed twice");
        assert_eq!(claim["holds"], true, "{claim}");
        &claim["facts"]
    }

    /// The newest state.
    pub(crate) fn state(&self) -> &State {
        self.states
            .last()
            .expect("there is the one before all blocks")
    }

    /// The header's hash at a height.
    #[track_caller]
    pub(crate) fn header(&self, height: &Value) -> Hash {
        let height = usize::try_from(number(height)).expect("small");
        self.blocks[height - 1].header.body.hash()
    }

    /// The charge whose profile has this hash, with its block.
    #[track_caller]
    pub(crate) fn charge(&self, profile: &Value) -> (&Block, &ChargeLine) {
        let hash: Hash = serde_json::from_value(profile.clone()).expect("a hash");
        let lines = self.blocks.iter().flat_map(|block| {
            let lines = block.body.charges.iter();
            lines.map(move |line| (block, line))
        });
        let mut found = lines.filter(|(_, line)| line.profile.hash() == hash);
        let charge = found.next().expect("the charge is in the chain");
        assert!(found.next().is_none(), "it is there twice");
        charge
    }
}

/// What the hexadecimal `bytes` of an event are.
#[track_caller]
pub(crate) fn bytes<T>(event: &Value, read: impl Fn(&[u8]) -> Option<T>) -> T {
    let bytes = hex::decode(event["bytes"].as_str().expect("bytes")).expect("hexadecimal");
    read(&bytes).expect("canonical")
}

#[track_caller]
pub(crate) fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// The elements of a list, of which there is at least one.
#[track_caller]
pub(crate) fn each(list: &Value) -> &[Value] {
    let list = list
        .as_array()
        .unwrap_or_else(|| panic!("{list} is no list"));
    assert!(!list.is_empty(), "there is nothing in it");
    list
}
