//! Columns for terminals of 80 to 100 characters.

use std::fmt::Write as _;

/// Rows of cells; each column is as wide as its widest cell, the last one wraps.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

/// What a line may be long.
pub(crate) const WIDTH: usize = 98;
/// What is left for the last column at the least.
const LEAST_LAST: usize = 20;

impl Table {
    /// A table with these names above its columns.
    pub(crate) fn new<const N: usize>(names: [&str; N]) -> Self {
        let mut table = Self::default();
        table.row(names.map(str::to_owned));
        table
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The table as text, each line indented by `indent` blanks.
    pub(crate) fn show(&self, indent: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let Some(last) = columns.checked_sub(1) else {
            return String::new();
        };
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..last).map(width).collect();
        let before = indent + widths.iter().map(|width| width + 2).sum::<usize>();
        let room = WIDTH.saturating_sub(before).max(LEAST_LAST);
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:width$}  ");
            }
            let wrapped = wrap(row.get(last).map_or("", String::as_str), room);
            for (number, part) in wrapped.iter().enumerate() {
                let start = match number {
                    0 => line.clone(),
                    _ => " ".repeat(before),
                };
                let _ = writeln!(text, "{}", format!("{start}{part}").trim_end());
            }
        }
        text
    }
}

/// `text` in lines of at most `room` characters, broken between words; a longer word stays whole.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// `text` as a paragraph behind `first`, its further lines indented as far.
pub(crate) fn paragraph(first: &str, text: &str) -> String {
    let indent = first.chars().count();
    let mut shown = String::new();
    for (number, line) in wrap(text, WIDTH - indent).iter().enumerate() {
        let start = match number {
            0 => first.to_owned(),
            _ => " ".repeat(indent),
        };
        shown.push_str(&start);
        shown.push_str(line);
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_one_wraps() {
        let mut table = Table::new(["id", "model"]);
        table.row(["a".to_owned(), "x ".repeat(60)]);
        let shown = table.show(2);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "  id  model");
        assert!(lines[1].starts_with("  a   x x"));
        assert!(lines[2].starts_with("      x x"));
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() <= WIDTH));
    }

    #[test]
    fn a_long_word_stays_whole() {
        assert_eq!(wrap("ab cdefgh i", 4), ["ab", "cdefgh", "i"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
