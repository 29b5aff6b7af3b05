//! The provider told two stories, and ended one of them: the owners of the gateways that stopped
//! pick the other.

use ledger::block::Header;
use ledger::node::{Input, Pick};
use ledger::provider::stored_blocks;
use ledger::store::Store;

use super::{Event, Item, World};

impl World {
    /// Each picks the first header in which the story that goes on differs.
    pub(super) fn agree(&mut self) {
        let Some(header) = self.fork() else {
            return;
        };
        let pick = Pick {
            height: header.height,
            header: header.hash(),
        };
        for index in self.stopped() {
            self.post_gateway(index, Item::input(Input::Pick(pick.clone())));
        }
        self.queue.push(self.now + 5_000, Event::Resume);
    }

    pub(super) fn resume(&mut self) {
        let stopped = self.stopped();
        let nodes = stopped.iter();
        let nodes = nodes.filter_map(|index| self.gateways[*index].process.machine.as_ref());
        let mut words: Vec<_> = nodes.flat_map(|node| node.words()).collect();
        words.sort_by_key(|word| word.body.voter);
        for index in stopped {
            let node = self.gateways[index].process.machine.as_ref();
            if node.is_some_and(|node| node.check_resume(&words).is_ok()) {
                self.tally.count("voters pick one of two stories");
                self.checks.gateway_resumes(index);
                self.post_gateway(index, Item::input(Input::Resume(words.clone())));
            }
        }
    }

    /// Honest gateways that are up and hold proof against the provider.
    fn stopped(&self) -> Vec<usize> {
        let all = 0..self.gateways.len();
        let is_stopped = |index: &usize| {
            let node = self.gateways[*index].process.machine.as_ref();
            self.scenario.sites[*index].is_honest()
                && node.is_some_and(|node| node.stopped().is_some())
        };
        all.filter(is_stopped).collect()
    }

    fn fork(&self) -> Option<Header> {
        let [kept, ended] = self.branches.as_slice() else {
            return None;
        };
        let (kept, ended) = (headers(&kept.process.store), headers(&ended.process.store));
        let mut pairs = kept.into_iter().zip(ended);
        let (fork, _) = pairs.find(|(kept, ended)| kept != ended)?;
        Some(fork)
    }
}

fn headers(store: &Store) -> Vec<Header> {
    let mut headers = Vec::new();
    let take = |block: ledger::Block| headers.push(block.header.body);
    stored_blocks(store, 1, u64::MAX, take).expect("memory is whole");
    headers
}
