//! How serial lines may be set: which settings to try, in which order.

use std::fmt;

use meter_drivers::{Parity, RegisterMaps, StopBits};

/// Rate and character format of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineSettings {
    pub(crate) baud: u32,
    pub(crate) parity: Parity,
    pub(crate) stop_bits: StopBits,
}

impl LineSettings {
    /// What most meters leave the factory with.
    pub(crate) const USUAL: Self = Self {
        baud: 9_600,
        parity: Parity::None,
        stop_bits: StopBits::One,
    };
}

impl fmt::Display for LineSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{} 8{parity}{}", self.baud, bits(self.stop_bits))
    }
}

/// As many stop bits.
pub(crate) fn bits(stop_bits: StopBits) -> u8 {
    match stop_bits {
        StopBits::One => 1,
        StopBits::Two => 2,
    }
}

/// The parity as the configuration calls it.
pub(crate) fn parity_key(parity: Parity) -> &'static str {
    match parity {
        Parity::None => "none",
        Parity::Even => "even",
        Parity::Odd => "odd",
    }
}

/// The settings to try, those that most models leave the factory with first.
///
/// Only rates of `bauds` and parities of `parities`, where there are any. One number of stop bits for
/// each rate and parity: a receiver looks at the first one only, so a line with the other answers, too.
pub(crate) fn to_try(maps: &RegisterMaps, bauds: &[u32], parities: &[Parity]) -> Vec<LineSettings> {
    let mut counted: Vec<(LineSettings, usize)> = Vec::new();
    for settings in maps.iter().filter_map(|map| factory(map.connection())) {
        match counted.iter_mut().find(|(known, _)| *known == settings) {
            Some((_, count)) => *count += 1,
            None => counted.push((settings, 1)),
        }
    }
    counted.sort_by_key(|(settings, count)| (usize::MAX - count, settings.baud));
    let asked_for = |settings: &LineSettings| {
        (bauds.is_empty() || bauds.contains(&settings.baud))
            && (parities.is_empty() || parities.contains(&settings.parity))
    };
    let of_maps = counted.into_iter().map(|(settings, _)| settings);
    let mut all: Vec<LineSettings> = of_maps.filter(asked_for).collect();
    // What no model has, but somebody asked for by name.
    let either = match parities {
        [] if bauds.is_empty() => &[][..],
        [] => &[Parity::None, Parity::Even],
        some => some,
    };
    let of_bauds = match bauds {
        [] => all.iter().map(|settings| settings.baud).collect(),
        some => some.to_vec(),
    };
    let crossed = of_bauds
        .into_iter()
        .flat_map(|baud| either.iter().map(move |&parity| (baud, parity)));
    all.extend(crossed.map(|(baud, parity)| LineSettings {
        baud,
        parity,
        stop_bits: StopBits::One,
    }));
    let mut tried: Vec<LineSettings> = Vec::new();
    for settings in all {
        let same =
            |known: &LineSettings| (known.baud, known.parity) == (settings.baud, settings.parity);
        if !tried.iter().any(same) {
            tried.push(settings);
        }
    }
    tried
}

/// What a model leaves the factory with, where its rate is known.
fn factory(connection: &meter_drivers::Connection) -> Option<LineSettings> {
    Some(LineSettings {
        baud: connection.baud?,
        parity: connection.parity.unwrap_or(Parity::None),
        stop_bits: match connection.stop_bits {
            Some(2) => StopBits::Two,
            _ => StopBits::One,
        },
    })
}

/// The unit ids that models leave the factory with, most common first.
pub(crate) fn factory_units(maps: &RegisterMaps) -> Vec<u8> {
    let mut counted: Vec<(u8, usize)> = Vec::new();
    for unit in maps.iter().filter_map(|map| map.connection().unit_id) {
        match counted.iter_mut().find(|(known, _)| *known == unit) {
            Some((_, count)) => *count += 1,
            None => counted.push((unit, 1)),
        }
    }
    counted.sort_by_key(|&(unit, count)| (usize::MAX - count, unit));
    counted.into_iter().map(|(unit, _)| unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bauds: &[u32], parities: &[Parity], first: &[&str]) {
        let tried = to_try(RegisterMaps::builtin(), bauds, parities);
        let shown: Vec<String> = tried.iter().map(ToString::to_string).collect();
        assert_eq!(shown[..first.len()], *first, "{shown:?}");
        let mut unique = shown.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), shown.len());
    }

    #[test]
    fn what_most_meters_are_set_to_comes_first() {
        check(&[], &[], &["9600 8N1", "9600 8E1"]);
        check(&[19_200], &[], &["19200 8N2", "19200 8E1"]);
        check(&[4_800], &[], &["4800 8N1", "4800 8E1"]);
        check(&[9_600], &[Parity::Odd], &["9600 8O1"]);
        let only = to_try(RegisterMaps::builtin(), &[38_400], &[Parity::Even]);
        assert_eq!(only.len(), 1);
    }

    #[test]
    fn the_usual_unit_id_is_tried_first() {
        let units = factory_units(RegisterMaps::builtin());
        assert_eq!(units[0], 1);
        assert!(units.contains(&33) && units.contains(&126));
    }
}
