//! Long values in pieces that fill the database's pages.
//!
//! redb puts a value of many pages into one allocation of the next power of two: a block of 130 KiB
//! would take 256. Cut into pieces of a page or a power of two of pages each, it takes 3 % more than
//! its bytes. Short values stay whole: as many as fit share a page.

use redb::{ReadableTable, Table as OpenTable, TableDefinition};

use super::{StoreError, Table, disk};

pub(super) type Bytes = &'static [u8];

/// Where the pieces of all tables are, by table, key and position.
pub(super) const PIECES: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("pieces");

/// Longer values are cut.
const LONGEST_WHOLE: usize = 1_024;
/// redb's page, and the powers of two of it that pieces fill.
const PAGE: usize = 4_096;
const LARGEST_PIECE: usize = 8 * PAGE;
/// What redb needs of a page for itself, when there is one entry in it.
const PAGE_OVERHEAD: usize = 12;

// The first byte of an entry.
const WHOLE: u8 = 0;
const IN_PIECES: u8 = 1;

/// What stands under a value's key: the value, or how long its pieces are together.
pub(super) fn entry(value: &[u8]) -> Vec<u8> {
    if value.len() <= LONGEST_WHOLE {
        return [&[WHOLE], value].concat();
    }
    let length = u32::try_from(value.len()).expect("frames are bounded far below 4 GiB");
    [&[IN_PIECES], length.to_be_bytes().as_slice()].concat()
}

/// How long the pieces are together; `None` where the value is whole.
pub(super) fn length(entry: &[u8]) -> Option<usize> {
    let length = entry.strip_prefix(&[IN_PIECES])?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    usize::try_from(length).ok()
}

/// The value that an entry stands for. What is not there is missing at its end, and will not
/// decode.
pub(super) fn value(
    entry: &[u8],
    table: Table,
    key: &[u8],
    pieces: Option<&impl ReadableTable<Bytes, Bytes>>,
) -> Result<Vec<u8>, StoreError> {
    let Some(length) = length(entry) else {
        return Ok(entry.strip_prefix(&[WHOLE]).unwrap_or_default().to_vec());
    };
    let mut value = Vec::new();
    let Some(pieces) = pieces else {
        return Ok(value);
    };
    for (number, _) in cut(length, name(table, key, 0).len()) {
        if let Some(piece) = pieces
            .get(name(table, key, number).as_slice())
            .map_err(disk)?
        {
            value.extend_from_slice(piece.value());
        }
    }
    Ok(value)
}

/// Writes the pieces of `value`, in place of the `before` bytes that were there.
pub(super) fn replace(
    pieces: &mut OpenTable<'_, Bytes, Bytes>,
    table: Table,
    key: &[u8],
    before: Option<usize>,
    value: Option<&[u8]>,
) -> Result<(), StoreError> {
    let name_length = name(table, key, 0).len();
    for (number, _) in before
        .into_iter()
        .flat_map(|length| cut(length, name_length))
    {
        pieces
            .remove(name(table, key, number).as_slice())
            .map_err(disk)?;
    }
    let Some(mut rest) = value.filter(|value| value.len() > LONGEST_WHOLE) else {
        return Ok(());
    };
    for (number, length) in cut(rest.len(), name_length) {
        let (piece, after) = rest.split_at(length);
        let name = name(table, key, number);
        pieces.insert(name.as_slice(), piece).map_err(disk)?;
        rest = after;
    }
    Ok(())
}

/// Numbers and lengths of the pieces of a value: each fills its pages, the largest first, but for
/// what is left in the end.
fn cut(length: usize, name_length: usize) -> impl Iterator<Item = (u32, usize)> {
    let mut left = length;
    let lengths = std::iter::from_fn(move || {
        let mut pages = LARGEST_PIECE;
        while pages > PAGE && pages - PAGE_OVERHEAD - name_length > left {
            pages /= 2;
        }
        let piece = left.min(pages - PAGE_OVERHEAD - name_length);
        left -= piece;
        (piece > 0).then_some(piece)
    });
    (0..).zip(lengths)
}

/// The key of a piece.
fn name(table: Table, key: &[u8], number: u32) -> Vec<u8> {
    // A zero ends the table's name, so that no two tables and keys give one.
    let (table, number) = (table.0.as_bytes(), number.to_be_bytes());
    [table, &[0], key, &number].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, Write};

    const LONG: Table = Table("long");

    fn put(store: &Store, key: u8, length: usize) {
        let value = vec![key; length];
        let write = Write::put(LONG, [key], &value);
        store.commit(&[write]).expect("commits");
    }

    fn lengths(store: &Store) -> Vec<usize> {
        let all: Vec<Vec<u8>> = store.all(LONG).expect("reads");
        all.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_value_of_any_length_comes_back() {
        let store = Store::in_memory().expect("memory is there");
        let edges = [
            0, 1, 1_000, 1_020, 1_021, 4_060, 4_080, 33_000, 70_000, 300_000,
        ];
        for (key, length) in (0..).zip(edges) {
            put(&store, key, length);
            let read: Option<Vec<u8>> = store.get(LONG, &[key]).expect("reads");
            assert_eq!(read, Some(vec![key; length]));
        }
        assert_eq!(lengths(&store), edges);
    }

    #[test]
    fn a_shorter_value_and_none_leave_nothing_of_the_longer_one() {
        let store = Store::in_memory().expect("memory is there");
        for length in [100_000, 50_000, 10, 100_000] {
            put(&store, 7, length);
            assert_eq!(lengths(&store), [length]);
        }
        store.commit(&[Write::delete(LONG, [7])]).expect("commits");
        assert_eq!(lengths(&store), [0; 0]);
        // A piece is no entry: one that was left could not be read as one.
        assert_eq!(store.all::<u8>(Table("pieces")).expect("reads"), [0_u8; 0]);
    }

    #[test]
    fn pieces_fill_their_pages() {
        let lengths: Vec<usize> = cut(130_000, 19).map(|(_, length)| length).collect();
        let full = |pages: usize| pages * PAGE - PAGE_OVERHEAD - 19;
        let sum: usize = lengths.iter().sum();
        assert_eq!(sum, 130_000);
        let (last, others) = lengths.split_last().expect("pieces");
        assert_eq!(
            others,
            [full(8), full(8), full(8), full(4), full(2), full(1)]
        );
        assert!(*last < full(1));
    }
}
