//! The live terminal view: the story scrolls by and stays, the panel below it is drawn anew.

use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use console::{Style, Term, truncate_str};

use super::lines::{Ink, Part, lines};
use super::{Panel, Told, View};

/// Terminals lower than this have no room for a panel beside the story.
const LOWEST: u16 = 12;

/// Draws on stdout. `console` leaves colours out where `NO_COLOR` asks for that.
pub(super) struct Live {
    term: Term,
    panel: Mutex<Vec<String>>,
}

impl Live {
    pub(super) fn new() -> Self {
        Self {
            term: Term::stdout(),
            panel: Mutex::default(),
        }
    }

    /// Puts the story's next lines where the panel is, and the panel below them.
    fn draw(&self, story: &[String], panel: Vec<String>) {
        let (height, width) = self.term.size();
        let panel = match height {
            ..LOWEST => Vec::new(),
            _ => panel,
        };
        let mut shown = self.panel.lock().expect("no holder of the lock panics");
        let cut = |line: &String| truncate_str(line, width.into(), "").into_owned();
        let lines = story.iter().cloned().chain(panel.iter().map(cut));
        let drawing = drawing(shown.len(), lines);
        *shown = panel;
        let mut out = std::io::stdout().lock();
        // A terminal that went away has nobody before it.
        let _ = out.write_all(drawing.as_bytes());
        let _ = out.flush();
    }

    fn panel(&self) -> Vec<String> {
        self.panel
            .lock()
            .expect("no holder of the lock panics")
            .clone()
    }
}

impl View for Live {
    fn show(&self, at: Duration, told: &Told<'_>) {
        let story: Vec<String> = lines(at, told).into_iter().map(painted).collect();
        let is_over = matches!(told, Told::Failed(_) | Told::End(_));
        if is_over {
            self.draw(&story, Vec::new());
        } else if !story.is_empty() {
            self.draw(&story, self.panel());
        }
    }

    fn has_panel(&self) -> bool {
        true
    }

    fn refresh(&self, panel: &Panel) {
        self.draw(&[], panel.lines().into_iter().map(painted).collect());
    }
}

/// Replaces the last `above` lines by `lines`, in one piece: terminals that know synchronised
/// output (mode 2026) show nothing in between, others ignore it. Each line is overwritten and only
/// its rest erased, so that nothing flickers there, either.
fn drawing(above: usize, lines: impl Iterator<Item = String>) -> String {
    let mut text = String::from("\x1b[?2026h\r");
    if above > 0 {
        text.push_str(&format!("\x1b[{above}A"));
    }
    for line in lines {
        text.push_str(&line);
        text.push_str("\x1b[K\n");
    }
    text.push_str("\x1b[J\x1b[?2026l");
    text
}

fn painted(line: Vec<Part>) -> String {
    line.into_iter()
        .map(|(ink, text)| paint(ink).apply_to(text).to_string())
        .collect()
}

fn paint(ink: Ink) -> Style {
    match ink {
        Ink::Heading => Style::new().bold(),
        Ink::True => Style::new().green(),
        Ink::False => Style::new().red().bold(),
        Ink::Plain => Style::new(),
        Ink::Dim => Style::new().dim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal shows after it got `text`, as far as it knows our sequences.
    fn terminal(text: &str) -> Vec<String> {
        let (mut rows, mut row, mut column) = (vec![Vec::new()], 0, 0);
        let mut rest = text.chars();
        while let Some(char) = rest.next() {
            match char {
                '\x1b' => {
                    let mut sequence: String = rest.by_ref().take(1).collect();
                    while !sequence.ends_with(|c: char| c.is_ascii_alphabetic()) {
                        sequence.extend(rest.next());
                    }
                    match sequence.split_at(sequence.len() - 1) {
                        (up, "A") => row -= up[1..].parse::<usize>().expect("a number"),
                        ("[", "K") => rows[row].truncate(column),
                        ("[", "J") => {
                            rows.truncate(row + 1);
                            rows[row].truncate(column);
                        }
                        _ => {}
                    }
                }
                '\n' => {
                    (row, column) = (row + 1, 0);
                    rows.resize(rows.len().max(row + 1), Vec::new());
                }
                '\r' => column = 0,
                shown => {
                    match rows[row].get_mut(column) {
                        Some(cell) => *cell = shown,
                        None => rows[row].push(shown),
                    }
                    column += 1;
                }
            }
        }
        rows.iter().map(|row| row.iter().collect()).collect()
    }

    fn owned(lines: &[&str]) -> std::vec::IntoIter<String> {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        lines.into_iter()
    }

    #[test]
    fn the_story_stays_above_a_panel_that_is_drawn_anew() {
        let begin = drawing(0, owned(&["act 1", "round 1", "A 2 kWh"]));
        let next = drawing(2, owned(&["it plugs in", "round 2", "A 3 kWh"]));
        let end = drawing(2, owned(&["all true"]));
        assert_eq!(
            terminal(&format!("{begin}{next}")),
            ["act 1", "it plugs in", "round 2", "A 3 kWh", ""]
        );
        assert_eq!(
            terminal(&format!("{begin}{next}{end}")),
            ["act 1", "it plugs in", "all true", ""]
        );
    }
}
