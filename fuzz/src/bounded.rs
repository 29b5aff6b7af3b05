//! A bound on what one input may make a decoder allocate.
//!
//! libFuzzer's own limit on one allocation needs a sanitizer's hooks, and those need a nightly
//! compiler.

use std::alloc::System;
use std::sync::Once;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What a decoder may hold at once whatever it reads: borsh takes up to 1 MiB at a time for a list
/// of bytes, and the first input of a process pays for tables and a runtime.
const BASE_BYTES: usize = 8 << 20;

/// What each byte of input may cost: a JSON or TOML value of one character becomes a node of a tree.
const BYTES_PER_BYTE: usize = 512;

/// Runs `work`. The process aborts, naming the allocation, if more memory is held at once than
/// `input_bytes` justify.
///
/// The bound is the process's, so one input is tried at a time.
pub(crate) fn bounded<T>(input_bytes: usize, work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(unbound_panics);
    let held = ALLOCATOR.allocated();
    let allowed = input_bytes * BYTES_PER_BYTE + BASE_BYTES;
    set_limit(held + allowed);
    let result = work();
    set_limit(usize::MAX);
    result
}

fn set_limit(bytes: usize) {
    ALLOCATOR
        .set_limit(bytes)
        .expect("the limit is above what is held");
}

/// Telling of a panic may take more: with a backtrace, all the symbols of the program.
fn unbound_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        set_limit(usize::MAX);
        tell(panic);
    }));
}
