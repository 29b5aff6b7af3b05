//! `cargo xtask record`: films `cargo demo` for the README.
//!
//! The demo runs in a terminal of its own (`session`), whose output becomes screens (`screens`) at
//! a bearable pace (`pace`). Of these only what changes is kept (`film`) and drawn (`svg`), as a
//! picture without scripts or fonts of its own, because a README shows no other.

mod colour;
mod film;
mod pace;
mod run;
mod screens;
mod session;
mod svg;
mod text;

use std::fs;
use std::time::Duration;

use anyhow::Context;

use crate::command::run as run_command;
use crate::workspace::Workspace;
use film::Film;
use session::{Chunk, Size};

const SIZE: Size = Size {
    rows: 36,
    columns: 100,
};
const PICTURE: &str = "docs/demo.svg";
/// The last screen has the bill; this is for reading it before the recording starts over.
const LAST_SCREEN: Duration = Duration::from_secs(5);

/// Runs the demo and writes its recording.
pub(crate) fn run() -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    // First, so that the recording is of the demo and not of the compiler.
    run_command(
        workspace
            .command("cargo")
            .args(["build", "--package", "demo"]),
    )?;
    println!("running `cargo demo` out of sight");
    let chunks = session::record(&workspace, SIZE)?;
    let film = develop(&chunks);
    let ran: Duration = chunks.iter().map(|chunk| chunk.wait).sum();
    let picture = svg::draw(&film, SIZE, &caption(ran, film.length.duration()));
    let path = workspace.path(PICTURE);
    fs::write(&path, &picture).with_context(|| format!("cannot write {}", path.display()))?;
    println!(
        "{PICTURE}: {} KiB, {:.0} s; look at it in a browser before you commit it",
        picture.len().div_ceil(1024),
        film.length.duration().as_secs_f64()
    );
    Ok(())
}

/// The same recording always gives the same film.
fn develop(chunks: &[Chunk]) -> Film {
    let times = pace::play_times(chunks.iter().map(|chunk| chunk.wait));
    let end = times.last().copied().unwrap_or_default() + LAST_SCREEN;
    Film::of(&screens::frames(chunks, &times, SIZE), end.into())
}

fn caption(ran: Duration, shown: Duration) -> svg::Caption {
    svg::Caption {
        title: "cargo demo".into(),
        description: format!(
            "Recording of a real run of `cargo demo`, Charge Gateway {}. It ran {:.0} s and is \
             shown in {:.0} s.",
            env!("CARGO_PKG_VERSION"),
            ran.as_secs_f64(),
            shown.as_secs_f64()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_bytes_become_a_picture_of_what_was_seen_when() {
        let chunk = |wait_ms, text: &str| Chunk {
            wait: Duration::from_millis(wait_ms),
            bytes: text.as_bytes().to_owned(),
        };
        let chunks = [
            chunk(0, "\x1b[32mcharging\x1b[0m"),
            // Cut to 1.5 s.
            chunk(60_000, "\rproven  "),
        ];
        let film = develop(&chunks);
        assert_eq!(film.length.duration(), Duration::from_millis(6_400));
        let seen: Vec<_> = film
            .appearances
            .iter()
            .map(|seen| (seen.run.text.as_str(), seen.from.0, seen.to.0))
            .collect();
        assert_eq!(seen, [("charging", 0, 7), ("proven", 7, 32)]);

        let draw = || {
            svg::draw(
                &film,
                SIZE,
                &caption(Duration::from_secs(60), Duration::from_secs(6)),
            )
        };
        let picture = draw();
        assert!(picture.contains(r##"fill="#3fb950">charging</text>"##));
        assert!(picture.contains("It ran 60 s and is shown in 6 s."));
        assert_eq!(picture, draw());
    }
}
