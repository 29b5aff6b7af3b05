//! Screens to what stays: each run once, with the time from which and up to which it is seen.
//!
//! A line that scrolls up has not changed either. It belongs to a page that is moved as a whole,
//! behind the runs that stay in their row whatever scrolls. Without the page, each new line would
//! be a new screen, and the picture many times as large.

use std::collections::BTreeMap;

use super::run::Run;
use super::screens::{Frame, Row, Step};

pub(crate) struct Film {
    pub(crate) appearances: Vec<Appearance>,
    pub(crate) scrolls: Vec<Scroll>,
    pub(crate) length: Step,
}

/// A run that is seen without a break.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Appearance {
    pub(crate) run: Run,
    pub(crate) layer: Layer,
    /// Of that layer.
    pub(crate) row: usize,
    pub(crate) from: Step,
    pub(crate) to: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    Screen,
    Page,
}

/// From now on the page's row `top` is the screen's first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scroll {
    pub(crate) from: Step,
    pub(crate) top: usize,
}

impl Film {
    /// `frames`, the last of them up to `length`.
    pub(crate) fn of(frames: &[Frame], length: Step) -> Self {
        let mut cut = Cut::default();
        for frame in frames {
            cut.show(frame);
        }
        cut.end(length);
        Self {
            appearances: cut.ended,
            scrolls: cut.scrolls,
            length,
        }
    }
}

/// The film up to some frame.
#[derive(Default)]
struct Cut<'a> {
    rows: &'a [Row],
    seen: BTreeMap<(usize, &'a Run), Seen>,
    ended: Vec<Appearance>,
    top: usize,
    scrolls: Vec<Scroll>,
}

/// A run on the current frame.
#[derive(Clone, Copy)]
struct Seen {
    from: Step,
    first_row: usize,
    /// The page's top when the run came.
    first_top: usize,
    /// Unknown until something scrolls.
    moves: Option<bool>,
}

impl<'a> Cut<'a> {
    fn show(&mut self, frame: &'a Frame) {
        let by = scrolled(self.rows, &frame.rows);
        self.scroll(frame.from, by);
        let mut seen = BTreeMap::new();
        for (row, run) in frame.runs() {
            let run_seen = self.keep(row, run, by).unwrap_or(Seen {
                from: frame.from,
                first_row: row,
                first_top: self.top,
                moves: None,
            });
            seen.insert((row, run), run_seen);
        }
        self.end(frame.from);
        self.seen = seen;
        self.rows = &frame.rows;
    }

    fn scroll(&mut self, from: Step, by: usize) {
        if by > 0 {
            self.top += by;
            let top = self.top;
            self.scrolls.push(Scroll { from, top });
        }
    }

    /// Takes `run` over from the frame before, if it was seen there, or `by` rows below.
    fn keep(&mut self, row: usize, run: &'a Run, by: usize) -> Option<Seen> {
        if by == 0 {
            return self.seen.remove(&(row, run));
        }
        self.keep_if(row + by, run, true)
            .or_else(|| self.keep_if(row, run, false))
    }

    fn keep_if(&mut self, row: usize, run: &'a Run, moves: bool) -> Option<Seen> {
        let seen = self.seen.get(&(row, run))?;
        if seen.moves.is_some_and(|moved| moved != moves) {
            return None;
        }
        let seen = self.seen.remove(&(row, run))?;
        Some(Seen {
            moves: Some(moves),
            ..seen
        })
    }

    /// What is left of the frame before is seen up to here.
    fn end(&mut self, to: Step) {
        let gone = std::mem::take(&mut self.seen);
        self.ended
            .extend(gone.into_iter().map(|((_, run), seen)| seen.until(to, run)));
    }
}

impl Seen {
    fn until(self, to: Step, run: &Run) -> Appearance {
        let (layer, row) = if self.moves == Some(true) {
            (Layer::Page, self.first_row + self.first_top)
        } else {
            (Layer::Screen, self.first_row)
        };
        Appearance {
            run: run.clone(),
            layer,
            row,
            from: self.from,
            to,
        }
    }
}

/// By how many rows `now` is `before` scrolled up: the number that leaves the fewest rows to draw.
fn scrolled(before: &[Row], now: &[Row]) -> usize {
    let kept = |by: usize| {
        now.iter()
            .enumerate()
            .filter(|(row, runs)| {
                let was = |row| before.get(row) == Some(*runs);
                !runs.is_empty() && (was(row + by) || was(*row))
            })
            .count()
    };
    (0..before.len())
        // Of equals the last is taken: the smallest.
        .rev()
        .max_by_key(|by| kept(*by))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::run::{Glyphs, Style};

    /// A film of screens, one a step, each given by the text of its rows, all one run.
    fn film(screens: &[&[&str]]) -> Film {
        let row = |text: &str| match text {
            "" => Vec::new(),
            text => vec![run(text)],
        };
        let frames: Vec<_> = screens
            .iter()
            .zip(0..)
            .map(|(rows, step)| Frame {
                from: Step(step),
                rows: rows.iter().map(|text| row(text)).collect(),
            })
            .collect();
        Film::of(&frames, Step(100))
    }

    fn run(text: &str) -> Run {
        Run {
            column: 0,
            cells: 1,
            text: text.into(),
            style: Style::default(),
            glyphs: Glyphs::Ascii,
        }
    }

    fn check(film: &Film, text: &str, expected: &[(Layer, usize, u32, u32)]) {
        let mut found: Vec<_> = film
            .appearances
            .iter()
            .filter(|appearance| appearance.run.text == text)
            .map(|seen| (seen.layer, seen.row, seen.from.0, seen.to.0))
            .collect();
        found.sort_by_key(|(_, _, from, _)| *from);
        assert_eq!(found, expected);
    }

    #[test]
    fn what_does_not_change_appears_once() {
        let film = film(&[&["a", "b"], &["a", "c"], &["a", ""], &["a", "b"]]);
        check(&film, "a", &[(Layer::Screen, 0, 0, 100)]);
        check(
            &film,
            "b",
            &[(Layer::Screen, 1, 0, 1), (Layer::Screen, 1, 3, 100)],
        );
        check(&film, "c", &[(Layer::Screen, 1, 1, 2)]);
        assert_eq!(film.scrolls, []);
    }

    #[test]
    fn a_line_that_scrolls_up_appears_once_too() {
        let film = film(&[&["a", "b", "c"], &["b", "c", "d"], &["d", "e", ""]]);
        check(&film, "a", &[(Layer::Screen, 0, 0, 1)]);
        check(&film, "b", &[(Layer::Page, 1, 0, 2)]);
        check(&film, "d", &[(Layer::Page, 3, 1, 100)]);
        check(&film, "e", &[(Layer::Screen, 1, 2, 100)]);
        let scrolls = [(1, 1), (2, 3)].map(|(from, top)| Scroll {
            from: Step(from),
            top,
        });
        assert_eq!(film.scrolls, scrolls);
    }

    #[test]
    fn a_panel_below_the_scrolling_lines_stays_in_its_row() {
        let film = film(&[
            &["a", "b", "panel", "1 kWh"],
            &["b", "c", "panel", "2 kWh"],
            &["c", "d", "panel", "3 kWh"],
        ]);
        check(&film, "panel", &[(Layer::Screen, 2, 0, 100)]);
        check(&film, "c", &[(Layer::Page, 2, 1, 100)]);
        check(&film, "2 kWh", &[(Layer::Screen, 3, 1, 2)]);
    }

    #[test]
    fn lines_that_look_the_same_scroll_as_lines_do() {
        let film = film(&[&["=", "a", "="], &["a", "=", "b"], &["=", "b", ""]]);
        check(
            &film,
            "=",
            &[(Layer::Screen, 0, 0, 1), (Layer::Page, 2, 0, 100)],
        );
        check(&film, "a", &[(Layer::Page, 1, 0, 2)]);
    }

    #[test]
    fn every_screen_is_shown_as_it_was() {
        // A fixed sequence of noise: rows of few kinds, so that many of them seem to have moved.
        let mut state = 1_u32;
        let mut text = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ["", "a", "b", "c"][usize::from(state.to_be_bytes()[0] % 4)]
        };
        let screens: Vec<[&str; 4]> = (0..100).map(|_| std::array::from_fn(|_| text())).collect();
        let film = film(&screens.iter().map(<[_; 4]>::as_slice).collect::<Vec<_>>());
        assert!(film.scrolls.len() > 20);
        for (screen, step) in screens.iter().zip(0..) {
            assert_eq!(&shown(&film, Step(step)), screen, "step {step}");
        }
    }

    fn shown(film: &Film, at: Step) -> [&str; 4] {
        let scrolls = film.scrolls.iter().rev();
        let top = scrolls
            .map(|scroll| (scroll.from, scroll.top))
            .find(|(from, _)| *from <= at)
            .map_or(0, |(_, top)| top);
        let mut rows = [""; 4];
        for seen in &film.appearances {
            if seen.from <= at && at < seen.to {
                let hidden = if seen.layer == Layer::Page { top } else { 0 };
                assert_eq!(rows[seen.row - hidden], "", "two runs in one place");
                rows[seen.row - hidden] = &seen.run.text;
            }
        }
        rows
    }
}
