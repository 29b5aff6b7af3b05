//! Each structure by itself.
//!
//! An input is the structure's name, a line feed and its canonical bytes.

use super::Corpus;
use crate::structures::structures;

pub(super) fn check(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (name, bytes) = (&bytes[..end], &bytes[end + 1..]);
    let mut all = structures().iter();
    let Some(structure) = all.find(|structure| structure.name.as_bytes() == name) else {
        return;
    };
    if let Some(again) = structure.reread(bytes) {
        assert!(again == bytes, "another form of the same value");
        let surplus = [bytes, &[0]].concat();
        assert_eq!(structure.reread(&surplus), None, "a surplus byte");
    }
}

pub(super) fn corpus() -> Corpus {
    let mut inputs = Corpus::new();
    for structure in structures() {
        for (number, sample) in structure.samples.iter().enumerate() {
            let name = structure.name.replace(['<', '>'], "_");
            let line = format!("{}\n", structure.name);
            inputs.insert(
                format!("{name}-{number}"),
                [line.as_bytes(), sample].concat(),
            );
        }
    }
    inputs
}
