//! How things stand now, for the panel below the live story.

use std::time::Duration;

use super::lines::{Ink, Part};
use crate::wire::Traffic;

/// Everything the panel shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panel {
    pub(crate) elapsed: Duration,
    /// The act, and how many there are.
    pub(crate) act: (usize, usize),
    /// The round, its length, and how much of it is over.
    pub(crate) round: Option<(u64, Duration, Duration)>,
    /// Blocks seen on the wire and refused by the demo's own verifier.
    pub(crate) refused: usize,
    pub(crate) rows: Vec<Row>,
}

/// One process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) height: Option<u64>,
    pub(crate) final_height: Option<u64>,
    /// First digits of its state's root.
    pub(crate) state_root: String,
    pub(crate) meter_mwh: Option<u64>,
    /// What went over its link.
    pub(crate) traffic: Traffic,
}

/// Cells of the bar that shows the round.
const CELLS: usize = 20;

impl Panel {
    /// The panel's lines.
    pub(super) fn lines(&self) -> Vec<Vec<Part>> {
        let mut lines = vec![Vec::new(), self.head()];
        lines.extend(self.rows.iter().map(Row::line));
        lines
    }

    fn head(&self) -> Vec<Part> {
        let (act, acts) = self.act;
        let mut head = vec![(
            Ink::Dim,
            format!("act {act} of {acts}   {:>2} s   ", self.elapsed.as_secs()),
        )];
        if let Some((round, length, over)) = self.round {
            let full = over.as_millis() * CELLS as u128 / length.as_millis().max(1);
            let full = usize::try_from(full).unwrap_or(CELLS).min(CELLS);
            let left = length.saturating_sub(over).as_secs_f64();
            head.extend([
                (Ink::Dim, format!("round {round} ")),
                (Ink::True, "━".repeat(full)),
                (Ink::Dim, "━".repeat(CELLS - full)),
                (Ink::Dim, format!(" {left:.1} s left")),
            ]);
        }
        if self.refused > 0 {
            head.push((Ink::False, format!("   {} refused", self.refused)));
        }
        head
    }
}

impl Row {
    fn line(&self) -> Vec<Part> {
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |n| n.to_string());
        let meter = self.meter_mwh.map_or_else(String::new, |mwh| {
            format!("{:>8}.{:03} kWh", mwh / 1_000_000, mwh / 1_000 % 1_000)
        });
        vec![
            (Ink::Plain, format!("{:<9}", self.name)),
            (Ink::Dim, "block ".to_owned()),
            (Ink::Plain, format!("{:<3}", number(self.height))),
            (Ink::Dim, "final ".to_owned()),
            (Ink::Plain, format!("{:<3}", number(self.final_height))),
            (Ink::Dim, format!("state {:<9}", self.state_root)),
            (Ink::Plain, format!("{meter:<16}")),
            (
                Ink::Dim,
                format!(
                    "{:>5} msg {:>4} KiB",
                    self.traffic.messages,
                    self.traffic.bytes / 1024
                ),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_panel_fits_the_narrowest_terminal() {
        let row = Row {
            name: "A depot".to_owned(),
            height: Some(12),
            final_height: Some(11),
            state_root: "4f3a9c12".to_owned(),
            meter_mwh: Some(1_234_567_000),
            traffic: Traffic {
                messages: 9_999,
                bytes: 1 << 20,
            },
        };
        let panel = Panel {
            elapsed: Duration::from_secs(59),
            act: (2, 6),
            round: Some((12, Duration::from_secs(5), Duration::from_millis(1_250))),
            refused: 1,
            rows: vec![row],
        };
        let lines: Vec<String> = panel
            .lines()
            .into_iter()
            .map(|line| line.into_iter().map(|(_, text)| text).collect())
            .collect();
        assert_eq!(
            lines[1],
            "act 2 of 6   59 s   round 12 ━━━━━━━━━━━━━━━━━━━━ 3.8 s left   1 refused"
        );
        assert_eq!(
            lines[2],
            "A depot  block 12 final 11 state 4f3a9c12     1234.567 kWh 9999 msg 1024 KiB"
        );
        assert!(lines.iter().all(|line| line.chars().count() < 80));
    }
}
