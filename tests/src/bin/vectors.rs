//! `cargo run -p tests --bin vectors` compares the test vectors in `tests/vectors` with what the
//! code makes; with `--write` it writes them.

use std::process::ExitCode;

use tests::vectors::{all, folder};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => compare(),
        Some("--write") => write(),
        Some(other) => {
            eprintln!("{other} is not known; the one option is --write");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> ExitCode {
    let mut verdict = ExitCode::SUCCESS;
    for vector in all() {
        let path = folder().join(&vector.name);
        if std::fs::read_to_string(&path).is_ok_and(|text| text == vector.text) {
            continue;
        }
        eprintln!("{} is not what the code makes", path.display());
        verdict = ExitCode::FAILURE;
    }
    verdict
}

fn write() -> ExitCode {
    let folder = folder();
    let written = std::fs::create_dir_all(&folder).and_then(|()| {
        all()
            .iter()
            .try_for_each(|vector| std::fs::write(folder.join(&vector.name), &vector.text))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
