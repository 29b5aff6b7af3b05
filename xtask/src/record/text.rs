//! Runs to text elements.
//!
//! What comes back, as the pictures of a spinner do or a line that is redrawn elsewhere, is defined
//! once and used wherever it is seen.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::colour::INK;
use super::run::{Glyphs, Run};

/// In pixels, as all lengths; a monospace font's letters are 0.6 times as wide as high.
pub(crate) const FONT_SIZE: usize = 15;
pub(crate) const CELL_WIDTH: usize = 9;
pub(crate) const CELL_HEIGHT: usize = 18;
/// From a cell's top down to where its letter stands.
const BASELINE: usize = 14;

/// All runs of a picture that are drawn more than once, each with its id.
pub(crate) struct Texts<'a> {
    ids: BTreeMap<&'a Run, usize>,
}

impl<'a> Texts<'a> {
    pub(crate) fn of(drawn: impl Iterator<Item = &'a Run>) -> Self {
        let mut times = BTreeMap::<&Run, u32>::new();
        for run in drawn {
            *times.entry(run).or_default() += 1;
        }
        let repeated = times.into_iter().filter(|(_, times)| *times > 1);
        Self {
            ids: repeated.map(|(run, _)| run).zip(0..).collect(),
        }
    }

    /// Writes the definitions.
    pub(crate) fn define(&self, svg: &mut String) -> fmt::Result {
        svg.push_str("<defs>\n");
        for (run, id) in &self.ids {
            write!(svg, r#"<g id="t{id}">"#)?;
            write_run(svg, run, 0)?;
            svg.push_str("</g>\n");
        }
        svg.push_str("</defs>\n");
        Ok(())
    }

    /// Draws a run whose row begins at `top`.
    pub(crate) fn draw(&self, svg: &mut String, run: &Run, top: usize) -> fmt::Result {
        match self.ids.get(run) {
            Some(id) => write!(svg, r##"<use href="#t{id}" y="{top}"/>"##),
            None => write_run(svg, run, top),
        }
    }
}

fn write_run(svg: &mut String, run: &Run, top: usize) -> fmt::Result {
    let left = usize::from(run.column) * CELL_WIDTH;
    let width = usize::from(run.cells) * CELL_WIDTH;
    if let Some(paper) = run.style.paper {
        write!(
            svg,
            r#"<rect x="{left}" y="{top}" width="{width}" height="{CELL_HEIGHT}" fill="{paper}"/>"#
        )?;
    }
    let baseline = top + BASELINE;
    write!(
        svg,
        r#"<text x="{left}" y="{baseline}" textLength="{width}""#
    )?;
    // Letters are set apart or together to fill their cells. Lines and blocks must touch: they are
    // stretched.
    if run.glyphs != Glyphs::Ascii {
        svg.push_str(r#" lengthAdjust="spacingAndGlyphs""#);
    }
    write_look(svg, run)?;
    write!(svg, ">{}</text>", Escaped(&run.text))
}

fn write_look(svg: &mut String, run: &Run) -> fmt::Result {
    let style = run.style;
    if style.ink != INK {
        write!(svg, r#" fill="{}""#, style.ink)?;
    }
    let classes: Vec<_> = [
        (style.bold, "b"),
        (style.italic, "i"),
        (style.underline, "u"),
    ]
    .into_iter()
    .filter_map(|(is_on, class)| is_on.then_some(class))
    .collect();
    if !classes.is_empty() {
        write!(svg, r#" class="{}""#, classes.join(" "))?;
    }
    Ok(())
}

/// Text between tags.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                // XML has no way to write these.
                '\u{FFFE}' | '\u{FFFF}' => out.write_char('\u{FFFD}')?,
                control if control.is_control() => out.write_char('\u{FFFD}')?,
                other => out.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::colour::Colour;
    use crate::record::run::Style;

    fn run(text: &str, cells: u16, glyphs: Glyphs, style: Style) -> Run {
        Run {
            column: 2,
            cells,
            text: text.into(),
            style,
            glyphs,
        }
    }

    fn check(run: &Run, expected: &str) {
        let mut svg = String::new();
        write_run(&mut svg, run, 36).expect("a string takes all");
        assert_eq!(svg, expected);
    }

    #[test]
    fn a_run_begins_at_its_column_and_fills_its_cells() {
        check(
            &run("a<b> & c", 8, Glyphs::Ascii, Style::default()),
            r#"<text x="18" y="50" textLength="72">a&lt;b&gt; &amp; c</text>"#,
        );
    }

    #[test]
    fn lines_and_blocks_are_stretched_until_they_touch() {
        check(
            &run("━━█", 3, Glyphs::Other, Style::default()),
            r#"<text x="18" y="50" textLength="27" lengthAdjust="spacingAndGlyphs">━━█</text>"#,
        );
    }

    #[test]
    fn a_style_is_seen() {
        let style = Style {
            ink: Colour(255, 0, 0),
            paper: Some(Colour(0, 0, 255)),
            bold: true,
            underline: true,
            ..Style::default()
        };
        check(
            &run("!", 1, Glyphs::Ascii, style),
            "<rect x=\"18\" y=\"36\" width=\"9\" height=\"18\" fill=\"#0000ff\"/>\
             <text x=\"18\" y=\"50\" textLength=\"9\" fill=\"#ff0000\" class=\"b u\">!</text>",
        );
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(
            Escaped("a\u{1b}\u{FFFF}b").to_string(),
            "a\u{FFFD}\u{FFFD}b"
        );
    }

    #[test]
    fn what_is_drawn_twice_is_defined_once() {
        let plain = |text| run(text, 1, Glyphs::Ascii, Style::default());
        let drawn = [plain("a"), plain("b"), plain("a")];
        let texts = Texts::of(drawn.iter());
        let mut svg = String::new();
        texts.define(&mut svg).expect("a string takes all");
        assert_eq!(svg.matches("<text").count(), 1);
        assert!(svg.contains(r#"<g id="t0"><text x="18" y="14" textLength="9">a</text></g>"#));
        svg.clear();
        for run in &drawn {
            texts.draw(&mut svg, run, 18).expect("a string takes all");
        }
        assert_eq!(svg.matches(r##"<use href="#t0" y="18"/>"##).count(), 2);
        assert_eq!(svg.matches("<text").count(), 1);
    }
}
