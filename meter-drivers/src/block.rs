//! Fewest requests: registers that are read together.

use std::cmp::Reverse;

use crate::map::{Register, RegisterSpace};

/// Registers side by side, as one request reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Table the registers are in.
    pub space: RegisterSpace,
    /// Address of the first.
    pub start: u16,
    /// How many they are.
    pub count: u16,
}

/// A request, and whether the meter may refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The registers to ask for.
    pub block: Block,
    /// Whether some devices of the model answer that there is no such register.
    pub optional: bool,
}

impl Block {
    /// The address behind the last register.
    fn end(self) -> u32 {
        u32::from(self.start) + u32::from(self.count)
    }

    /// From the first register of either to the last.
    pub(crate) fn and(self, other: Self) -> Self {
        let start = self.start.min(other.start);
        let count = self.end().max(other.end()) - u32::from(start);
        Self {
            space: self.space,
            start,
            count: u16::try_from(count).unwrap_or(u16::MAX),
        }
    }

    /// Whether all registers of `other` are in this block.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        self.space == other.space && self.start <= other.start && other.end() <= self.end()
    }

    /// The words of `register` in `words`, the answer to this block; `None` if it is not in it.
    #[must_use]
    pub fn words_of(self, register: Register, words: &[u16]) -> Option<&[u16]> {
        if self.space != register.space {
            return None;
        }
        let offset = usize::from(register.address.checked_sub(self.start)?);
        words.get(offset..offset + usize::from(register.width()))
    }
}

impl From<Register> for Block {
    fn from(register: Register) -> Self {
        Self {
            space: register.space,
            start: register.address,
            count: register.width(),
        }
    }
}

/// The fewest blocks of at most `most` registers that each of `items` lies in as a whole.
///
/// A block spans addresses outside of `items` only where `readable` says that they answer. No item
/// is longer than `most`.
///
/// It is the fewest because the first item not yet read, in order of addresses, needs a block that
/// starts at or before it, and no such block reads more of the items still missing than the one that
/// starts exactly there and goes as far as it may.
pub(crate) fn fewest(items: &[Block], readable: &[Block], most: u16) -> Vec<Block> {
    let extents = extents(items.iter().chain(readable).copied());
    let mut sorted = items.to_vec();
    sorted.sort_by_key(|item| (item.space, item.start, Reverse(item.count)));
    let mut blocks: Vec<Block> = Vec::new();
    for &first in &sorted {
        // Blocks start and end later than the one before, so it is in the last or in none.
        if blocks.last().is_some_and(|last| last.holds(first)) {
            continue;
        }
        let whole = sorted
            .iter()
            .filter(|item| item.space == first.space && item.start >= first.start)
            .map(|&item| first.and(item))
            .filter(|block| block.count <= most && are_readable(&extents, *block))
            .max_by_key(|block| block.count);
        blocks.push(whole.unwrap_or(first));
    }
    blocks
}

/// Whether every register of `block` answers.
pub(crate) fn are_readable(extents: &[Block], block: Block) -> bool {
    extents.iter().any(|extent| extent.holds(block))
}

/// Blocks that touch or overlap, merged.
pub(crate) fn extents(blocks: impl Iterator<Item = Block>) -> Vec<Block> {
    let mut sorted: Vec<Block> = blocks.collect();
    sorted.sort_by_key(|block| (block.space, block.start));
    let mut extents: Vec<Block> = Vec::new();
    for block in sorted {
        match extents.last_mut() {
            Some(last) if last.space == block.space && u32::from(block.start) <= last.end() => {
                *last = last.and(block);
            }
            _ => extents.push(block),
        }
    }
    extents
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::map::{ValueType, WordOrder};

    use RegisterSpace::{Holding, Input};

    fn block(space: RegisterSpace, start: u16, count: u16) -> Block {
        Block {
            space,
            start,
            count,
        }
    }

    #[track_caller]
    fn check(items: &[Block], readable: &[Block], expected: &[(RegisterSpace, u16, u16)]) {
        let found: Vec<_> = fewest(items, readable, 80)
            .iter()
            .map(|block| (block.space, block.start, block.count))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn one_request_spans_readable_gaps_up_to_the_most_registers() {
        let all = [block(Input, 0, u16::MAX)];
        let pair = |first, second| [block(Input, first, 2), block(Input, second, 2)];
        check(&pair(72, 52), &all, &[(Input, 52, 22)]);
        check(&pair(0, 78), &all, &[(Input, 0, 80)]);
        check(&pair(0, 80), &all, &[(Input, 0, 2), (Input, 80, 2)]);
        check(&pair(0, 4), &all[..0], &[(Input, 0, 2), (Input, 4, 2)]);
        check(
            &pair(0, 4),
            &[block(Input, 2, 1)],
            &[(Input, 0, 2), (Input, 4, 2)],
        );
        check(&pair(0, 4), &[block(Input, 2, 2)], &[(Input, 0, 6)]);
        check(&pair(2, 4), &[], &[(Input, 2, 4)]);
    }

    #[test]
    fn spaces_are_not_mixed() {
        let all = [block(Input, 0, 100), block(Holding, 0, 100)];
        let items = [block(Holding, 2, 2), block(Input, 4, 2)];
        check(&items, &all, &[(Input, 4, 2), (Holding, 2, 2)]);
    }

    #[test]
    fn the_last_address_is_readable() {
        let items = [block(Input, 0xFFFE, 2), block(Input, 0xFFFC, 2)];
        check(&items, &[], &[(Input, 0xFFFC, 4)]);
    }

    #[test]
    fn words_are_found_by_address() {
        let block = block(Input, 52, 4);
        let at = |space, address| Register {
            space,
            address,
            value_type: ValueType::F32,
            word_order: WordOrder::MswFirst,
        };
        let words = [1, 2, 3, 4];
        assert_eq!(block.words_of(at(Input, 54), &words), Some(&[3, 4][..]));
        assert_eq!(block.words_of(at(Input, 55), &words), None);
        assert_eq!(block.words_of(at(Input, 50), &words), None);
        assert_eq!(block.words_of(at(Holding, 54), &words), None);
    }

    /// The fewest groups `items` can be parted into so that each may be one request.
    fn fewest_groups(items: &[Block], readable: &[Block], most: u16) -> usize {
        fn search(rest: &[Block], groups: &mut Vec<Block>, may: &dyn Fn(Block) -> bool) -> usize {
            let Some((&item, rest)) = rest.split_first() else {
                return groups.len();
            };
            groups.push(item);
            let mut best = search(rest, groups, may);
            groups.pop();
            for index in 0..groups.len() {
                let before = groups[index];
                groups[index] = before.and(item);
                if before.space == item.space && may(groups[index]) {
                    best = best.min(search(rest, groups, may));
                }
                groups[index] = before;
            }
            best
        }
        let answers = |space, address: u32| {
            items.iter().chain(readable).any(|known| {
                known.space == space && (u32::from(known.start)..known.end()).contains(&address)
            })
        };
        let may = |block: Block| {
            block.count <= most
                && (u32::from(block.start)..block.end()).all(|at| answers(block.space, at))
        };
        search(items, &mut Vec::new(), &may)
    }

    fn blocks(longest: u16, how_many: usize) -> impl Strategy<Value = Vec<Block>> {
        let one = (any::<bool>(), 0..24_u16, 1..=longest).prop_map(|(is_input, start, count)| {
            block(if is_input { Input } else { Holding }, start, count)
        });
        prop::collection::vec(one, 0..=how_many)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn there_are_as_few_requests_as_any_search_finds(
            items in blocks(4, 6), readable in blocks(8, 4), most in 4..12_u16
        ) {
            let found = fewest(&items, &readable, most);
            for item in &items {
                prop_assert!(found.iter().any(|request| request.holds(*item)));
            }
            prop_assert!(found.iter().all(|request| request.count <= most));
            let extents = extents(items.iter().chain(&readable).copied());
            prop_assert!(found.iter().all(|request| are_readable(&extents, *request)));
            prop_assert_eq!(found.len(), fewest_groups(&items, &readable, most));
        }
    }
}
