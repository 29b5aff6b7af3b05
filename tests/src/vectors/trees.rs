//! Merkle trees: roots, paths, and what no path shows.

use ledger::merkle::{includes, leaf_hash, path, root};
use protocol::Hash;

use super::json::{Json, list, object, raw};

pub(super) fn trees() -> Json {
    object([
        (
            "what",
            "Trees over the leaves 00, 01, 02 … of one byte each, with every leaf's path from the \
             bottom up. The tree of no leaves has the hash of nothing as its root."
                .into(),
        ),
        ("trees", list([0, 1, 2, 3, 5, 8].map(tree))),
        ("refused", refused()),
    ])
}

fn leaves(size: u8) -> Vec<Hash> {
    (0..size).map(|byte| leaf_hash(&[byte])).collect()
}

fn hashes(hashes: &[Hash]) -> Json {
    list(hashes.iter().map(|hash| raw(&hash.0)))
}

fn tree(size: u8) -> Json {
    let leaves = leaves(size);
    let paths = (0..leaves.len()).map(|index| {
        let path = path(&leaves, index).expect("it is one of the leaves");
        hashes(&path)
    });
    object([
        ("size", u32::from(size).into()),
        ("leaves", hashes(&leaves)),
        ("root", raw(&root(&leaves).0)),
        ("paths", list(paths)),
    ])
}

fn refused() -> Json {
    let leaves = leaves(5);
    let root = root(&leaves);
    let whole = path(&leaves, 3).expect("it is there");
    let longer = [whole.clone(), vec![Hash::ZERO]].concat();
    let cases = [
        ("another position", 5, 2, whole.clone()),
        ("a tree of another size", 3, 3, whole.clone()),
        ("a position beyond the tree", 5, 5, whole.clone()),
        ("a path cut short", 5, 3, whole[..2].to_vec()),
        ("a path with a hash too many", 5, 3, longer),
    ];
    list(cases.map(|(what, size, index, path)| {
        assert!(!includes(&root, size, index, &leaves[3], &path), "{what}");
        object([
            ("what", what.into()),
            ("root", raw(&root.0)),
            ("size", size.into()),
            ("index", index.into()),
            ("leaf", raw(&leaves[3].0)),
            ("path", hashes(&path)),
        ])
    }))
}
