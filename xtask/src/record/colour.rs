//! The terminal's colours.

use std::fmt;

/// Red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Colour(pub(crate) u8, pub(crate) u8, pub(crate) u8);

/// What text has unless it is printed in a colour.
pub(crate) const INK: Colour = Colour(0xc9, 0xd1, 0xd9);
pub(crate) const PAPER: Colour = Colour(0x0d, 0x11, 0x17);

/// Black, red, green, yellow, blue, magenta, cyan, white; then the same, bright. Each reads well on
/// `PAPER`, black included.
const NAMED: [Colour; 16] = [
    Colour(0x48, 0x4f, 0x58),
    Colour(0xff, 0x7b, 0x72),
    Colour(0x3f, 0xb9, 0x50),
    Colour(0xd2, 0x99, 0x22),
    Colour(0x58, 0xa6, 0xff),
    Colour(0xbc, 0x8c, 0xff),
    Colour(0x39, 0xc5, 0xcf),
    Colour(0xb1, 0xba, 0xc4),
    Colour(0x6e, 0x76, 0x81),
    Colour(0xff, 0xa1, 0x98),
    Colour(0x56, 0xd3, 0x64),
    Colour(0xe3, 0xb3, 0x41),
    Colour(0x79, 0xc0, 0xff),
    Colour(0xd2, 0xa8, 0xff),
    Colour(0x56, 0xd4, 0xdd),
    Colour(0xff, 0xff, 0xff),
];

impl Colour {
    /// `None` is the default of ink or paper.
    pub(crate) fn of(colour: vt100::Color) -> Option<Self> {
        match colour {
            vt100::Color::Default => None,
            vt100::Color::Idx(index) => Some(Self::indexed(index)),
            vt100::Color::Rgb(red, green, blue) => Some(Self(red, green, blue)),
        }
    }

    /// xterm's 256 colours: the named ones, a cube of six steps a side, a row of greys.
    fn indexed(index: u8) -> Self {
        let step = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
        match index {
            0..16 => NAMED[usize::from(index)],
            16..232 => {
                let cube = index - 16;
                Self(step(cube / 36), step(cube / 6 % 6), step(cube % 6))
            }
            232.. => {
                let grey = 8 + 10 * (index - 232);
                Self(grey, grey, grey)
            }
        }
    }

    /// Two fifths of the way to `paper`, as terminals print dim text.
    pub(crate) fn dimmed(self, paper: Self) -> Self {
        let mix = |ink: u8, paper: u8| {
            let mixed = (u16::from(ink) * 3 + u16::from(paper) * 2) / 5;
            u8::try_from(mixed).expect("it lies between the two")
        };
        Self(
            mix(self.0, paper.0),
            mix(self.1, paper.1),
            mix(self.2, paper.2),
        )
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_colour_are_mapped() {
        let check = |colour, expected: &str| {
            let colour = Colour::of(colour).expect("it is not the default");
            assert_eq!(colour.to_string(), expected);
        };
        check(vt100::Color::Idx(10), "#56d364");
        check(vt100::Color::Idx(16), "#000000");
        check(vt100::Color::Idx(208), "#ff8700");
        check(vt100::Color::Idx(255), "#eeeeee");
        check(vt100::Color::Rgb(1, 2, 255), "#0102ff");
        assert_eq!(Colour::of(vt100::Color::Default), None);
    }

    #[test]
    fn dim_text_is_nearer_to_the_paper() {
        let dim = Colour(200, 100, 0).dimmed(Colour(0, 100, 50));
        assert_eq!(dim, Colour(120, 100, 20));
    }
}
