//! The short form of fuzzing: every target on its committed corpus and on inputs changed from it,
//! the same ones every time.
//!
//! One test, because the bound on memory is the whole process's.

use fuzz::mutate::{Chance, mutated};
use fuzz::{Target, corpus, targets};

/// For each target.
const CHANGED_INPUTS: usize = 4_000;

#[test]
fn every_target_holds_on_its_corpus_and_on_changed_inputs() {
    for target in targets() {
        let committed = corpus::committed(target).expect("a committed corpus");
        let made = target.corpus();
        assert!(
            committed.iter().eq(made.iter()),
            "the corpus of {} is another; run `cargo run --package fuzz -- corpus`",
            target.name
        );
        let inputs: Vec<Vec<u8>> = committed.into_values().collect();
        inputs.iter().for_each(|input| run(target, input));
        run_changed(target, &inputs);
    }
}

fn run_changed(target: &Target, inputs: &[Vec<u8>]) {
    let mut chance = Chance::new(1);
    for count in 0..CHANGED_INPUTS {
        let (input, other) = (
            &inputs[count % inputs.len()],
            &inputs[count / 7 % inputs.len()],
        );
        run(target, &mutated(input, other, &mut chance));
    }
}

/// Runs one input, and shows it if something does not hold.
fn run(target: &Target, input: &[u8]) {
    let shown = ShownOnPanic(target.name, input);
    target.run(shown.1);
}

struct ShownOnPanic<'a>(&'static str, &'a [u8]);

impl Drop for ShownOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} fails on b\"{}\"", self.0, self.1.escape_ascii());
        }
    }
}
