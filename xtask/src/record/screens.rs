//! Terminal output to screens, a few per second.

use std::num::NonZeroU16;
use std::time::Duration;

use super::run::{Run, runs};
use super::session::{Chunk, Size};

/// A point in the recording, or a stretch of it, in steps of `STEP_MS`: a screen is shown for a
/// whole number of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step(pub(crate) u32);

const STEP_MS: u32 = 200;

/// A chunk that follows this soon is another part of the same print: what is pinned to the bottom
/// is cleared and drawn again for each line above it, and must not be seen to flicker.
const SAME_PRINT: Duration = Duration::from_millis(20);

/// A screen that differs from the one before.
pub(crate) struct Frame {
    pub(crate) from: Step,
    pub(crate) rows: Vec<Row>,
}

pub(crate) type Row = Vec<Run>;

/// The screens that `chunks`, each shown at its time, lead to.
pub(crate) fn frames(chunks: &[Chunk], times: &[Duration], size: Size) -> Vec<Frame> {
    let cells = |count| NonZeroU16::new(count).expect("a terminal has rows and columns");
    let mut terminal = vt100::Parser::new(cells(size.rows), cells(size.columns), 0);
    let mut frames: Vec<Frame> = Vec::new();
    for (index, (chunk, time)) in chunks.iter().zip(times).enumerate() {
        terminal.process(&chunk.bytes);
        let from = Step::from(*time);
        let is_in_print = chunks
            .get(index + 1)
            .is_some_and(|next| next.wait < SAME_PRINT);
        // Something that prints without end is shown all the same.
        let is_overdue = frames.last().is_none_or(|last| from.0 > last.from.0 + 1);
        if !is_in_print || is_overdue {
            add(&mut frames, from, rows(terminal.screen()));
        }
    }
    frames
}

/// The last screen of a step is the one that is shown.
fn add(frames: &mut Vec<Frame>, from: Step, rows: Vec<Row>) {
    frames.pop_if(|last| last.from == from);
    if frames.last().is_none_or(|last| last.rows != rows) {
        frames.push(Frame { from, rows });
    }
}

fn rows(screen: &vt100::Screen) -> Vec<Row> {
    let (rows, _) = screen.size();
    (0..rows.get()).map(|row| runs(screen, row)).collect()
}

impl Frame {
    /// All runs, each with its row.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (usize, &Run)> {
        let rows = self.rows.iter().enumerate();
        rows.flat_map(|(row, runs)| runs.iter().map(move |run| (row, run)))
    }
}

impl Step {
    pub(crate) fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0) * u64::from(STEP_MS))
    }
}

impl From<Duration> for Step {
    fn from(time: Duration) -> Self {
        let steps = time.as_millis() / u128::from(STEP_MS);
        Self(u32::try_from(steps).expect("a recording lasts minutes, not years"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints each text at its time; on 3 rows.
    fn film(printed: &[(u64, &str)]) -> Vec<Frame> {
        let time = |(time_ms, _): &(u64, &str)| Duration::from_millis(*time_ms);
        let times: Vec<_> = printed.iter().map(time).collect();
        let mut before = Duration::ZERO;
        let chunks: Vec<_> = printed
            .iter()
            .map(|print| Chunk {
                wait: time(print) - std::mem::replace(&mut before, time(print)),
                bytes: print.1.as_bytes().to_owned(),
            })
            .collect();
        let size = Size {
            rows: 3,
            columns: 100,
        };
        frames(&chunks, &times, size)
    }

    fn check(printed: &[(u64, &str)], expected: &[(u32, [&str; 3])]) {
        let frames = film(printed);
        let seen: Vec<_> = frames
            .iter()
            .map(|frame| (frame.from.0, texts(&frame.rows)))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(from, rows)| (*from, rows.map(str::to_owned).to_vec()))
            .collect();
        assert_eq!(seen, expected);
    }

    fn texts(rows: &[Row]) -> Vec<String> {
        rows.iter()
            .map(|row| row.iter().map(|run| run.text.as_str()).collect())
            .collect()
    }

    #[test]
    fn each_change_of_the_screen_is_a_frame_and_nothing_else_is() {
        check(
            &[
                (0, "one\r\n"),
                (400, "two"),
                (900, "\x1b[0m"),
                (1300, "\rTWO"),
            ],
            &[
                (0, ["one", "", ""]),
                (2, ["one", "two", ""]),
                (6, ["one", "TWO", ""]),
            ],
        );
    }

    #[test]
    fn the_last_screen_of_a_step_is_shown() {
        check(
            &[(0, "a"), (250, "b"), (300, "c"), (350, "d")],
            &[(0, ["a", "", ""]), (1, ["abcd", "", ""])],
        );
        check(
            &[(0, "a"), (250, "b"), (300, "\x08 ")],
            &[(0, ["a", "", ""])],
        );
    }

    #[test]
    fn a_screen_that_is_only_half_drawn_is_not_seen() {
        check(
            &[(0, "panel"), (1_000, "\r\x1b[K"), (1_010, "line\r\npanel")],
            &[(0, ["panel", "", ""]), (5, ["line", "panel", ""])],
        );
    }

    #[test]
    fn output_without_end_is_seen_all_the_same() {
        let dots: Vec<_> = (0..100).map(|index| (index * 10, ".")).collect();
        let frames = film(&dots);
        assert!(frames.len() >= 3);
        let last = frames.last().expect("there are three");
        assert_eq!(texts(&last.rows)[0].len(), 100);
    }
}
