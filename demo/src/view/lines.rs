//! The story as lines of text: what stands where, and which part of it is what. Live view and
//! plain lines differ in how they draw the parts.

use std::time::Duration;

use super::Told;

/// What a part of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Heading,
    /// Checked and true.
    True,
    /// Checked and false.
    False,
    Plain,
    /// Why it matters, times, and what else one may skip.
    Dim,
}

/// A part of a line.
pub(super) type Part = (Ink, String);

/// The narrowest terminal that is still a terminal.
const WIDTH: usize = 80;
/// Room for mark and time before the text.
const INDENT: usize = 9;

/// What is told, as lines; none for what only machines want to know.
pub(super) fn lines(at: Duration, told: &Told<'_>) -> Vec<Vec<Part>> {
    match told {
        Told::Title(text) => vec![vec![(Ink::Heading, (*text).to_owned())]],
        Told::Act { number, title } => vec![
            Vec::new(),
            vec![(Ink::Heading, format!("{number}  {title}"))],
        ],
        Told::Happened { text, why } => entry(Ink::Dim, "·", at, text, why),
        Told::Claim(claim) => {
            let (ink, mark) = match claim.holds {
                true => (Ink::True, "✓"),
                false => (Ink::False, "✗"),
            };
            let mut lines = entry(ink, mark, at, &claim.says, claim.why);
            if !claim.holds {
                lines.extend(indented(Ink::False, &format!("not true: {}", claim.facts)));
            }
            lines
        }
        Told::Row(text) => vec![vec![(Ink::Plain, format!("{:INDENT$}{text}", ""))]],
        Told::Address { name, address } => {
            vec![vec![
                (Ink::Dim, format!("{:INDENT$}{name:<14} ", "")),
                (Ink::Plain, (*address).to_owned()),
            ]]
        }
        Told::Failed(text) => vec![Vec::new(), vec![(Ink::False, format!("✗  {text}"))]],
        Told::End(tally) => {
            let (ink, verdict) = match tally.falsehoods {
                0 => (Ink::True, "all of them true".to_owned()),
                false_ones => (Ink::False, format!("{false_ones} of them NOT TRUE")),
            };
            vec![
                Vec::new(),
                vec![
                    (Ink::Plain, format!("{} claims checked, ", tally.claims)),
                    (ink, verdict),
                    (Ink::Dim, format!(", in {:.1} s", at.as_secs_f64())),
                ],
            ]
        }
        Told::Message(_)
        | Told::Chain(_)
        | Told::Block(_)
        | Told::RefusedBlock(_)
        | Told::Bill(_)
        | Told::Receipt { .. }
        | Told::Evidence { .. } => Vec::new(),
    }
}

fn entry(ink: Ink, mark: &str, at: Duration, text: &str, why: &str) -> Vec<Vec<Part>> {
    let mut texts = wrapped(text).into_iter();
    let first = vec![
        (ink, mark.to_owned()),
        (Ink::Dim, format!("{:>5.1}s  ", at.as_secs_f64())),
        (Ink::Plain, texts.next().unwrap_or_default()),
    ];
    let rest = texts.map(|text| vec![(Ink::Plain, format!("{:INDENT$}{text}", ""))]);
    std::iter::once(first)
        .chain(rest)
        .chain(indented(Ink::Dim, why))
        .collect()
}

fn indented(ink: Ink, text: &str) -> Vec<Vec<Part>> {
    let lines = wrapped(text).into_iter();
    lines
        .map(|line| vec![(ink, format!("{:INDENT$}{line}", ""))])
        .collect()
}

/// Breaks a text at spaces, so that it fits beside the indent.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH - INDENT => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::claims::Claim;

    fn text(told: &Told<'_>) -> Vec<String> {
        let lines = lines(Duration::from_millis(2_140), told);
        let join = |line: Vec<Part>| line.into_iter().map(|(_, text)| text).collect();
        lines.into_iter().map(join).collect()
    }

    #[test]
    fn a_happening_has_its_time_and_its_reason_below() {
        let told = Told::Happened {
            text: "the van plugs in",
            why: "it charges elsewhere",
        };
        assert_eq!(
            text(&told),
            ["·  2.1s  the van plugs in", "         it charges elsewhere"]
        );
    }

    #[test]
    fn a_false_claim_is_shown_as_false_with_its_facts() {
        let claim = Claim {
            name: "billed",
            says: "metered is billed".to_owned(),
            why: "",
            holds: false,
            facts: json!({"metered": 5, "billed": 6}),
        };
        let lines = text(&Told::Claim(&claim));
        assert_eq!(lines[0], "✗  2.1s  metered is billed");
        assert_eq!(lines[1], r#"         not true: {"billed":6,"metered":5}"#);
    }

    #[test]
    fn no_line_is_wider_than_the_narrowest_terminal() {
        let long = "word ".repeat(60);
        let told = Told::Happened {
            text: &long,
            why: &long,
        };
        let lines = text(&told);
        assert!(lines.len() > 6);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
    }
}
