//! The committed test vectors are what the code makes: whoever changes a byte of the protocol sees
//! it here, and every other implementation with them.

use std::collections::BTreeSet;

use tests::vectors::{all, folder};

#[test]
fn the_committed_vectors_are_what_the_code_makes() {
    let mut expected = BTreeSet::new();
    for vector in all() {
        let path = folder().join(&vector.name);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = committed
            .lines()
            .zip(vector.text.lines())
            .position(|(committed, made)| committed != made);
        let lengths = (committed.len(), vector.text.len());
        assert!(
            differs.is_none() && lengths.0 == lengths.1,
            "{} is not what the code makes (line {}; {lengths:?} bytes). If the protocol was meant \
             to change, say so in docs/protocol.md and run: cargo run -p tests --bin vectors -- \
             --write",
            vector.name,
            differs.map_or(0, |line| line + 1),
        );
        expected.insert(vector.name);
    }
    let files = std::fs::read_dir(folder()).expect("there is a folder of vectors");
    let names = files.map(|file| file.expect("readable").file_name());
    let found: BTreeSet<String> = names.map(|name| name.to_string_lossy().into()).collect();
    assert_eq!(found, expected, "files that no code makes any more");
}
