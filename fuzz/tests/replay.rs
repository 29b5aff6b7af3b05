//! The short form of fuzzing: every target on its committed corpus and on inputs changed from it,
//! the same ones every time.
//!
//! One test, because the bound on memory is the whole process's. It prints what each target took.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fuzz::mutate::{Chance, mutated};
use fuzz::{Target, corpus, targets};

/// How long one input may take, most of which a machine may spend on other things. Real targets need
/// a millisecond; libFuzzer's bound is the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// The input that is tried, and since when.
static TRYING: Mutex<Option<(&str, Vec<u8>, Instant)>> = Mutex::new(None);

#[test]
fn every_target_holds_on_its_corpus_and_on_changed_inputs() {
    std::thread::spawn(watch);
    for target in targets() {
        let begin = Instant::now();
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
        println!("{:>7} ms {}", begin.elapsed().as_millis(), target.name);
    }
}

fn run_changed(target: &Target, inputs: &[Vec<u8>]) {
    let mut chance = Chance::new(1);
    for count in 0..target.replays {
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
    set_trying(Some((target.name, input.to_vec(), Instant::now())));
    target.run(shown.1);
    set_trying(None);
}

fn set_trying(trying: Option<(&'static str, Vec<u8>, Instant)>) {
    *TRYING.lock().unwrap_or_else(PoisonError::into_inner) = trying;
}

/// Ends the process when an input takes too long: an endless loop cannot be told to stop, and a test
/// that hangs tells nobody why.
fn watch() {
    loop {
        std::thread::sleep(PATIENCE / 10);
        let trying = TRYING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((target, input, since)) = &*trying
            && since.elapsed() > PATIENCE
        {
            let input = input.escape_ascii();
            // `eprintln!` would go to what the test harness shows at the end.
            let told = writeln!(
                std::io::stderr(),
                "{target} takes more than {PATIENCE:?} for b\"{input}\""
            );
            told.expect("stderr is open");
            std::process::exit(1);
        }
    }
}

struct ShownOnPanic<'a>(&'static str, &'a [u8]);

impl Drop for ShownOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} fails on b\"{}\"", self.0, self.1.escape_ascii());
        }
    }
}
