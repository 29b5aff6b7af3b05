//! Runs: neighbouring characters of a row that are drawn alike.

use super::colour::{Colour, INK, PAPER};

/// Drawn at once, from `column` on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) column: u16,
    /// Its width.
    pub(crate) cells: u16,
    pub(crate) text: String,
    pub(crate) style: Style,
    pub(crate) glyphs: Glyphs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Style {
    pub(crate) ink: Colour,
    /// `None` where the terminal's own shows.
    pub(crate) paper: Option<Colour>,
    pub(crate) bold: bool,
    pub(crate) italic: bool,
    pub(crate) underline: bool,
}

/// Where a font may fail to keep to the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Glyphs {
    /// A monospace font has these, all of one width.
    Ascii,
    /// These may come from another font: lines, blocks, ticks.
    Other,
    /// Two cells each.
    Wide,
}

/// The runs of a row, from left to right; blanks are in none.
pub(crate) fn runs(screen: &vt100::Screen, row: u16) -> Vec<Run> {
    let (_, columns) = screen.size();
    let pieces = (0..columns.get()).filter_map(|column| piece(screen.cell(row, column)?, column));
    let mut runs: Vec<Run> = Vec::new();
    for piece in pieces {
        match runs.last_mut() {
            Some(run) if run.takes(&piece) => run.append(&piece),
            _ => runs.push(piece),
        }
    }
    runs
}

fn piece(cell: &vt100::Cell, column: u16) -> Option<Run> {
    let style = Style::of(cell);
    let text = if cell.has_contents() {
        cell.contents()
    } else {
        " "
    };
    let is_seen = text != " " || style.fills_cells();
    (is_seen && !cell.is_wide_continuation()).then(|| Run {
        column,
        cells: if cell.is_wide() { 2 } else { 1 },
        text: text.to_owned(),
        style,
        glyphs: Glyphs::of(cell),
    })
}

impl Run {
    fn takes(&self, next: &Self) -> bool {
        let gap = next.column - self.end();
        // Words of one sentence stay together; columns of a table do not.
        let is_near =
            gap == 0 || (gap == 1 && self.glyphs == Glyphs::Ascii && !self.style.fills_cells());
        is_near && (self.style, self.glyphs) == (next.style, next.glyphs)
    }

    fn append(&mut self, next: &Self) {
        if next.column > self.end() {
            self.text.push(' ');
        }
        self.text.push_str(&next.text);
        self.cells = next.end() - self.column;
    }

    fn end(&self) -> u16 {
        self.column + self.cells
    }
}

impl Style {
    fn of(cell: &vt100::Cell) -> Self {
        let mut ink = Colour::of(cell.fgcolor());
        let mut paper = Colour::of(cell.bgcolor());
        if cell.inverse() {
            (ink, paper) = (paper.or(Some(PAPER)), ink.or(Some(INK)));
        }
        let ink = ink.unwrap_or(INK);
        Self {
            ink: if cell.dim() {
                ink.dimmed(paper.unwrap_or(PAPER))
            } else {
                ink
            },
            paper,
            bold: cell.bold(),
            italic: cell.italic(),
            underline: cell.underline(),
        }
    }

    /// Whether a blank in this style is more than a gap.
    fn fills_cells(&self) -> bool {
        self.paper.is_some() || self.underline
    }
}

impl Default for Style {
    fn default() -> Self {
        Self {
            ink: INK,
            paper: None,
            bold: false,
            italic: false,
            underline: false,
        }
    }
}

impl Glyphs {
    fn of(cell: &vt100::Cell) -> Self {
        if cell.is_wide() {
            Self::Wide
        } else if cell.contents().is_ascii() {
            Self::Ascii
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(printed: &str) -> Vec<Run> {
        let size = |cells| std::num::NonZeroU16::new(cells).expect("not zero");
        let mut terminal = vt100::Parser::new(size(2), size(40), 0);
        terminal.process(printed.as_bytes());
        runs(terminal.screen(), 0)
    }

    fn check(printed: &str, expected: &[(u16, u16, &str)]) {
        let row = row(printed);
        let found: Vec<_> = row
            .iter()
            .map(|run| (run.column, run.cells, run.text.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_sentence_is_one_run_and_a_table_one_per_column() {
        check("  the bill is final", &[(2, 17, "the bill is final")]);
        check("5.047   2.02 EUR", &[(0, 5, "5.047"), (8, 8, "2.02 EUR")]);
    }

    #[test]
    fn characters_that_another_font_may_draw_are_runs_of_their_own() {
        check(
            "✓ sealed ━━░ 40%",
            &[(0, 1, "✓"), (2, 6, "sealed"), (9, 3, "━━░"), (13, 3, "40%")],
        );
        check("a充电b", &[(0, 1, "a"), (1, 4, "充电"), (5, 1, "b")]);
    }

    #[test]
    fn a_change_of_colour_or_weight_ends_a_run() {
        let row = row("\x1b[32mpaid\x1b[0m \x1b[1mnow\x1b[0m \x1b[2mdim");
        assert_eq!(row.len(), 3);
        assert_eq!(row[0].style.ink.to_string(), "#3fb950");
        assert!(!row[0].style.bold && row[1].style.bold);
        assert_eq!(row[1].style.ink, INK);
        assert_eq!(row[2].style.ink, INK.dimmed(PAPER));
    }

    #[test]
    fn blanks_count_where_they_are_painted() {
        check("\x1b[44m  a  \x1b[0m  b", &[(0, 5, "  a  "), (7, 1, "b")]);
        let inverse = row("\x1b[7mx");
        assert_eq!(inverse[0].style.paper, Some(INK));
        assert_eq!(inverse[0].style.ink, PAPER);
    }
}
