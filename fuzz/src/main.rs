//! Drives the targets: libFuzzer does where cargo-fuzz built this, a person does otherwise.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod driven {
    use std::sync::LazyLock;

    use fuzz::Target;

    /// cargo-fuzz passes arguments to libFuzzer only, so the target comes this way.
    static TARGET: LazyLock<&Target> = LazyLock::new(|| {
        let name = std::env::var("CHARGE_FUZZ_TARGET").expect("CHARGE_FUZZ_TARGET names a target");
        fuzz::target(&name).expect("CHARGE_FUZZ_TARGET is one of the targets")
    });

    libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET.run(bytes));
}

#[cfg(not(fuzzing))]
mod by_hand;

#[cfg(not(fuzzing))]
fn main() -> anyhow::Result<()> {
    by_hand::main()
}
