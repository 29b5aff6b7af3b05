//! An honest node applies only valid blocks, its chain only grows, nobody honest is convicted in
//! it, and no two of its blocks are final at one height.

use std::rc::Rc;

use ledger::block::{Block, Header};
use ledger::store::{Store, Table};
use ledger::{Node, State};
use protocol::{Hash, Signed};

use super::Checks;
use super::books::{Books, states_its_root};
use crate::describe::short;

const BLOCKS: Table = Table("blocks");
const HEADERS: Table = Table("headers");

impl Checks {
    pub(super) fn check_chain(&mut self, index: usize, node: &Node, store: &Store) {
        if let Some(state) = node.state() {
            let watched = &mut self.watched[index];
            if !watched.is_full {
                // From headers to blocks it begins anew.
                (watched.is_full, watched.height, watched.tip) = (true, 0, None);
            }
            self.check_blocks(index, state, store);
        } else if let Some(progress) = node.progress() {
            self.check_headers(index, progress.height, progress.tip, store);
        }
    }

    fn extends(&mut self, index: usize, height: u64, tip: Hash) -> bool {
        let watched = &mut self.watched[index];
        if watched.may_begin_anew && height < watched.height {
            (watched.height, watched.tip) = (0, None);
            watched.may_begin_anew = false;
        }
        let is_shorter = height < watched.height;
        let is_other = height == watched.height && watched.tip.is_some_and(|was| was != tip);
        if is_shorter || is_other {
            let words = format!(
                "gateway {index} was at {} and is at {height} {}",
                watched.height,
                short(&tip)
            );
            self.violated("heads only extend", &words);
        }
        !is_shorter && !is_other
    }

    fn check_blocks(&mut self, index: usize, state: &State, store: &Store) {
        if !self.extends(index, state.height, state.tip) {
            return;
        }
        let before = self.watched[index].height;
        if state.height == before && self.watched[index].tip.is_some() {
            return;
        }
        let mut tip = self.watched[index].tip.unwrap_or(self.chain_id);
        for height in before + 1..=state.height {
            let stored: Option<Block> = store
                .get(BLOCKS, &height.to_be_bytes())
                .expect("memory is whole");
            let Some(block) = stored else {
                let words = format!("gateway {index} has applied block {height}, not stored it");
                self.violated("nothing is promised before it is synced", &words);
                return;
            };
            let Some(books) = self.audit(index, tip, &block) else {
                return;
            };
            tip = books.tip();
            if height == state.height {
                self.compare(index, state, &block, &books);
            }
            self.note_final(index, &books);
        }
        let watched = &mut self.watched[index];
        (watched.height, watched.tip) = (state.height, Some(tip));
        self.check_convictions(index, state);
    }

    /// The books after `block`, which a node has applied after the header `tip`.
    fn audit(&mut self, index: usize, tip: Hash, block: &Block) -> Option<Rc<Books>> {
        let hash = block.header.hash();
        if let Some(known) = self.books.get(&hash) {
            return Some(Rc::clone(known));
        }
        let before = Rc::clone(self.books.get(&tip)?);
        match before.after(block) {
            Ok(books) => {
                self.check_lines(index, block, &books);
                let books = Rc::new(books);
                self.books.insert(hash, Rc::clone(&books));
                Some(books)
            }
            Err(rule) => {
                let words = format!(
                    "gateway {index} applied block {}, which breaks the rule: {rule}",
                    block.header.body.height
                );
                self.violated("an honest node applies only valid blocks", &words);
                None
            }
        }
    }

    /// What an honest node's account says is what that node signed.
    fn check_lines(&mut self, index: usize, block: &Block, books: &Books) {
        for line in &block.body.charges {
            let Some(key) = books.key_of(line.profile.body.node) else {
                continue;
            };
            let Some(signer) = self.honest.get(&key).copied() else {
                continue;
            };
            let (node, seq) = (line.profile.body.node, line.profile.body.seq);
            let (watched, hash) = (&self.watched[signer], line.profile.hash());
            let signed = watched.signed.get(&(node, seq));
            let is_signed = signed.is_some_and(|(signed, _)| *signed == hash)
                || watched.signed_before.contains(&hash);
            if !is_signed {
                let words = format!(
                    "gateway {index} booked charge {seq} of gateway {signer}, which never signed it"
                );
                self.violated("an altered profile changes no honest node", &words);
            }
        }
    }

    fn compare(&mut self, index: usize, state: &State, block: &Block, books: &Books) {
        if let Err(difference) = books.compare(state) {
            let words = format!("gateway {index} at {}: {difference}", state.height);
            self.violated("states follow from blocks", &words);
        }
        if !states_its_root(state, block) {
            let words = format!(
                "gateway {index} applied block {}, whose state root is another",
                state.height
            );
            self.violated("an honest node applies only valid blocks", &words);
        }
    }

    fn check_convictions(&mut self, index: usize, state: &State) {
        for (offence, conviction) in &state.convictions {
            let key = state.nodes.get(&conviction.node).map(|node| node.key);
            let convicted = key.and_then(|key| self.honest.get(&key).copied());
            if let Some(convicted) = convicted {
                let words =
                    format!("gateway {index} holds that gateway {convicted} is guilty: {offence}");
                self.violated("no honest party is convicted", &words);
            }
        }
    }

    /// Two blocks at a height are confirmed only where the provider and voters lie; final without
    /// the dormant, only where the provider lies.
    fn note_final(&mut self, index: usize, books: &Books) {
        let from = self.watched[index].final_height + 1;
        for height in from..=books.final_height() {
            let hash = books.header_at(height).expect("it is final");
            let is_confirmed = height <= books.confirmed_height() && books.is_voted(height);
            let first = *self.finals.entry(height).or_insert(hash);
            let first_confirmed = match is_confirmed {
                true => *self.confirmed.entry(height).or_insert(hash),
                false => hash,
            };
            // Before the first voter the provider decides alone, also who votes: two first blocks
            // are two chains.
            self.has_two_beginnings |= height == 1 && first != hash;
            let is_explained = match (first == hash, first_confirmed == hash) {
                (true, true) => true,
                (false, true) => self.provider_lies,
                (_, false) => {
                    let has_helpers = self.voters_lie || self.has_resumed;
                    self.provider_lies && (has_helpers || self.has_two_beginnings)
                }
            };
            if !is_explained {
                let words = format!(
                    "at {height} both {} and, with gateway {index}, {}",
                    short(&first),
                    short(&hash)
                );
                self.violated("one final block at a height", &words);
            }
        }
        let watched = &mut self.watched[index];
        watched.final_height = watched.final_height.max(books.final_height());
    }

    fn check_headers(&mut self, index: usize, height: u64, tip: Hash, store: &Store) {
        if !self.extends(index, height, tip) {
            return;
        }
        let mut last = self.watched[index].tip.unwrap_or(self.chain_id);
        for height in self.watched[index].height + 1..=height {
            let stored: Option<Signed<Header>> = store
                .get(HEADERS, &height.to_be_bytes())
                .expect("memory is whole");
            let follows = stored.as_ref().is_some_and(|header| {
                let is_signed = header.verify(&self.provider_key, &self.chain_id).is_ok();
                header.body.previous == last && is_signed
            });
            if !follows {
                let words = format!("gateway {index} holds a header {height} that does not follow");
                self.violated("an honest node keeps only headers that follow", &words);
                return;
            }
            last = stored.expect("it follows").hash();
        }
        let watched = &mut self.watched[index];
        (watched.height, watched.tip) = (height, Some(tip));
    }
}
