//! A film to an animated picture.
//!
//! Only CSS moves it: a README's picture may not run scripts. All that is seen from and up to the
//! same step is one group. Groups that are seen equally long share one animation, which shows them
//! first and hides them for the rest, and which each group begins at its own time. Where nothing
//! moves, because the reader asked for that or the program cannot, the last screen is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::time::Duration;

use super::colour::{Colour, INK, PAPER};
use super::film::{Appearance, Film, Layer};
use super::screens::Step;
use super::session::Size;
use super::text::{CELL_HEIGHT, CELL_WIDTH, Escaped, FONT_SIZE, Texts};

/// In pixels, as all lengths.
const MARGIN: usize = 18;
const TITLE_BAR: usize = 32;

/// The recording begins this much late. At its very start the last screen ends and the first one
/// begins: which of them a group is on would be up to the browser's rounding, and previews show just
/// that moment.
const HEAD_START: Duration = Duration::from_millis(50);

const TITLE_PAPER: Colour = Colour(0x16, 0x1b, 0x22);
const TITLE_INK: Colour = Colour(0x8b, 0x94, 0x9e);
const BORDER: Colour = Colour(0x30, 0x36, 0x3d);

/// What the picture says about itself.
pub(crate) struct Caption {
    pub(crate) title: String,
    pub(crate) description: String,
}

/// Draws `film` in a window of `size`.
pub(crate) fn draw(film: &Film, size: Size, caption: &Caption) -> String {
    let mut picture = Picture {
        svg: String::new(),
        texts: Texts::of(film.appearances.iter().map(|seen| &seen.run)),
        length: film.length,
    };
    picture
        .draw(film, size, caption)
        .expect("a string takes all that is written to it");
    picture.svg
}

struct Picture<'a> {
    svg: String,
    texts: Texts<'a>,
    length: Step,
}

/// What is seen from and up to the same step.
type Groups<'a> = BTreeMap<(Step, Step), Vec<&'a Appearance>>;

fn groups(film: &Film, layer: Layer) -> Groups<'_> {
    let mut groups = Groups::new();
    for appearance in film.appearances.iter().filter(|seen| seen.layer == layer) {
        let key = (appearance.from, appearance.to);
        groups.entry(key).or_default().push(appearance);
    }
    groups
}

impl Picture<'_> {
    fn draw(&mut self, film: &Film, size: Size, caption: &Caption) -> fmt::Result {
        let width = usize::from(size.columns) * CELL_WIDTH + 2 * MARGIN;
        let height = TITLE_BAR + usize::from(size.rows) * CELL_HEIGHT + 2 * MARGIN;
        write!(
            self.svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" role="img" xml:space="preserve""#
        )?;
        write!(
            self.svg,
            r#" width="{width}" height="{height}" viewBox="0 0 {width} {height}""#
        )?;
        writeln!(self.svg, r#" font-size="{FONT_SIZE}" fill="{INK}">"#)?;
        writeln!(self.svg, "<title>{}</title>", Escaped(&caption.title))?;
        writeln!(self.svg, "<desc>{}</desc>", Escaped(&caption.description))?;
        self.style(film)?;
        self.texts.define(&mut self.svg)?;
        self.window(width, height, &caption.title)?;
        let top = TITLE_BAR + MARGIN;
        writeln!(self.svg, r#"<g transform="translate({MARGIN},{top})">"#)?;
        self.layer(&groups(film, Layer::Screen))?;
        self.svg.push_str("<g class=\"page\">\n");
        self.layer(&groups(film, Layer::Page))?;
        self.svg.push_str("</g>\n</g>\n</svg>\n");
        Ok(())
    }

    fn style(&mut self, film: &Film) -> fmt::Result {
        self.svg.push_str(
            "<style>\n\
             text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;\
             font-variant-ligatures:none;white-space:pre}\n\
             .b{font-weight:bold}.i{font-style:italic}.u{text-decoration:underline}\n",
        );
        let stays: BTreeSet<u32> = film
            .appearances
            .iter()
            .map(|seen| seen.to.0 - seen.from.0)
            .collect();
        for stay in stays {
            self.stay(stay)?;
        }
        self.page(film)?;
        self.svg.push_str(
            ".last{visibility:visible}\n\
             @media(prefers-reduced-motion:reduce){g{animation:none!important}}\n\
             </style>\n",
        );
        Ok(())
    }

    /// The animation of what is seen for `stay` steps.
    fn stay(&mut self, stay: u32) -> fmt::Result {
        let length = self.length.duration().as_secs_f64();
        let gone = self.percent(Step(stay));
        writeln!(
            self.svg,
            ".s{stay}{{visibility:hidden;animation:s{stay} {length}s step-end infinite}}\
             @keyframes s{stay}{{0%{{visibility:visible}}{gone}%{{visibility:hidden}}}}"
        )
    }

    /// The animation of the page.
    fn page(&mut self, film: &Film) -> fmt::Result {
        let length = self.length.duration().as_secs_f64();
        let begun = HEAD_START.as_secs_f64();
        let up = |top: usize| format!("{{transform:translateY(-{}px)}}", top * CELL_HEIGHT);
        let last = film.scrolls.last().map_or(0, |scroll| scroll.top);
        write!(
            self.svg,
            ".page{}.page{{animation:page {length}s -{begun}s step-end infinite}}\
             @keyframes page{{0%{}",
            up(last),
            up(0)
        )?;
        for scroll in &film.scrolls {
            let from = self.percent(scroll.from);
            write!(self.svg, "{from}%{}", up(scroll.top))?;
        }
        self.svg.push_str("}\n");
        Ok(())
    }

    /// How much of the recording is over at `step`, to some hundredths of a millisecond.
    fn percent(&self, step: Step) -> f64 {
        let percent = f64::from(step.0) * 100.0 / f64::from(self.length.0);
        (percent * 10_000.0).round() / 10_000.0
    }

    fn window(&mut self, width: usize, height: usize, title: &str) -> fmt::Result {
        // Half a pixel in, where a line of one pixel is sharp.
        let (right, bottom, middle) = (width - 1, height - 1, width / 2);
        let top_edge = right - 20;
        writeln!(
            self.svg,
            "<g stroke=\"{BORDER}\">\
             <rect x=\".5\" y=\".5\" width=\"{right}\" height=\"{bottom}\" rx=\"10\" fill=\"{PAPER}\"/>\
             <path fill=\"{TITLE_PAPER}\" d=\"M.5 {TITLE_BAR}V10.5a10 10 0 0 1 10-10h{top_edge}\
             a10 10 0 0 1 10 10V{TITLE_BAR}z\"/></g>"
        )?;
        for x in [20, 38, 56] {
            writeln!(
                self.svg,
                r#"<circle cx="{x}" cy="16" r="5.5" fill="{BORDER}"/>"#
            )?;
        }
        let title = Escaped(title);
        writeln!(
            self.svg,
            r#"<text x="{middle}" y="21" text-anchor="middle" fill="{TITLE_INK}">{title}</text>"#
        )
    }

    fn layer(&mut self, groups: &Groups<'_>) -> fmt::Result {
        for ((from, to), group) in groups {
            self.open_group(*from, *to)?;
            for appearance in group {
                let top = appearance.row * CELL_HEIGHT;
                self.texts.draw(&mut self.svg, &appearance.run, top)?;
            }
            self.svg.push_str("</g>\n");
        }
        Ok(())
    }

    fn open_group(&mut self, from: Step, to: Step) -> fmt::Result {
        let stay = to.0 - from.0;
        let last = if to == self.length { " last" } else { "" };
        // Negative, as if it had begun in the round before: until a delay is over, an animation
        // does not hide anything.
        let begun = Step(self.length.0 - from.0).duration() + HEAD_START;
        let begun = begun.as_secs_f64();
        write!(
            self.svg,
            r#"<g class="s{stay}{last}" style="animation-delay:-{begun}s">"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::film::Scroll;
    use crate::record::run::{Glyphs, Run, Style};

    const SIZE: Size = Size {
        rows: 4,
        columns: 10,
    };

    fn appearance(text: &str, layer: Layer, row: usize, from: u32, to: u32) -> Appearance {
        Appearance {
            run: Run {
                column: 0,
                cells: 1,
                text: text.into(),
                style: Style::default(),
                glyphs: Glyphs::Ascii,
            },
            layer,
            row,
            from: Step(from),
            to: Step(to),
        }
    }

    /// 20 s: "a" from 2 s for 1 s, "b" from 10 s to the end, when the page is 2 rows up.
    fn picture() -> String {
        let film = Film {
            appearances: vec![
                appearance("a", Layer::Screen, 3, 10, 15),
                appearance("b", Layer::Page, 5, 50, 100),
            ],
            scrolls: vec![Scroll {
                from: Step(50),
                top: 2,
            }],
            length: Step(100),
        };
        let caption = Caption {
            title: "demo".into(),
            description: "a < b".into(),
        };
        draw(&film, SIZE, &caption)
    }

    #[track_caller]
    fn check(expected: &str) {
        let picture = picture();
        assert!(picture.contains(expected), "{picture}");
    }

    #[test]
    fn a_group_is_seen_in_its_time_only() {
        check(".s5{visibility:hidden;animation:s5 20s step-end infinite}");
        check("@keyframes s5{0%{visibility:visible}5%{visibility:hidden}}");
        check(r#"<g class="s5" style="animation-delay:-18.05s"><text x="0" y="68""#);
    }

    #[test]
    fn the_last_screen_is_seen_where_nothing_moves() {
        check(r#"<g class="s50 last" style="animation-delay:-10.05s">"#);
        check(".last{visibility:visible}");
        check(".page{transform:translateY(-36px)}");
    }

    #[test]
    fn the_page_is_moved_when_it_scrolls() {
        check("@keyframes page{0%{transform:translateY(-0px)}50%{transform:translateY(-36px)}}");
        check("<g class=\"page\">\n<g class=\"s50 last\"");
    }

    #[test]
    fn the_picture_is_as_large_as_the_terminal_and_describes_itself() {
        check(r#"width="126" height="140" viewBox="0 0 126 140""#);
        check("<title>demo</title>\n<desc>a &lt; b</desc>");
    }

    #[test]
    fn a_readme_may_show_it() {
        let picture = picture();
        for refused in ["<script", "@import", "url(", "<foreignObject", "http"] {
            let allowed = usize::from(refused == "http");
            assert_eq!(picture.matches(refused).count(), allowed, "{refused}");
        }
    }
}
