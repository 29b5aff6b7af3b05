//! What is printed: one line for each figure, with its limit or its peer of the same run.

use std::fmt;

/// One figure.
#[derive(Clone, Debug)]
pub struct Row {
    what: String,
    measured: String,
    against: String,
    ratio: Option<f64>,
    is_within: Option<bool>,
}

impl Row {
    /// A figure that has to stay at or below `limit`.
    #[must_use]
    pub fn at_most(what: impl Into<String>, measured: f64, limit: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            measured: quantity(measured, unit),
            against: format!("≤ {}", quantity(limit, unit)),
            ratio: Some(measured / limit),
            is_within: Some(measured <= limit),
        }
    }

    /// A rate that has to reach `share` of what its peer reaches in the same run.
    #[must_use]
    pub fn rate(what: impl Into<String>, rate: f64, peer: f64, share: f64) -> Self {
        Self {
            what: what.into(),
            measured: quantity(rate, "/s"),
            against: format!("≥ {:.0} % of {}", share * 100.0, quantity(peer, "/s")),
            ratio: Some(rate / peer),
            is_within: Some(rate / peer >= share),
        }
    }

    /// A figure beside another of the same run, without a limit.
    #[must_use]
    pub fn beside(what: impl Into<String>, measured: f64, peer: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            measured: quantity(measured, unit),
            against: format!("beside {}", quantity(peer, unit)),
            ratio: Some(measured / peer),
            is_within: None,
        }
    }

    /// A figure to know.
    #[must_use]
    pub fn plain(what: impl Into<String>, measured: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            measured: quantity(measured, unit),
            against: String::new(),
            ratio: None,
            is_within: None,
        }
    }

    /// A line above others.
    #[must_use]
    pub fn head(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            measured: String::new(),
            against: String::new(),
            ratio: None,
            is_within: None,
        }
    }

    /// Whether it misses its limit.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_within == Some(false)
    }
}

fn quantity(value: f64, unit: &str) -> String {
    let digits = match value {
        _ if unit == "B" || unit == "/s" => 0,
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}").trim_end().to_owned()
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = self.ratio.map_or(String::new(), |r| format!("{r:.2}"));
        let verdict = match self.is_within {
            Some(true) => "ok",
            Some(false) => "over",
            None => "",
        };
        let Self {
            what,
            measured,
            against,
            ..
        } = self;
        let line = format!("{what:<58} {measured:>14} {against:>24} {ratio:>6} {verdict}");
        out.write_str(line.trim_end())
    }
}
