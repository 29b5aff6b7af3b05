//! The command line, and the pace that follows from it.

use std::time::Duration;

use clap::Parser;

/// Shows a fleet and a household billed for charging at somebody else's outlet, for real.
#[derive(Clone, Copy, Debug, Parser)]
#[command(name = "cargo demo", bin_name = "cargo demo")]
pub(crate) struct Arguments {
    /// Plain lines: no colours, no live panel (as where the output is no terminal)
    #[arg(long)]
    pub(crate) plain: bool,
    /// One JSON object a line, for machines
    #[arg(long, conflicts_with = "plain")]
    pub(crate) json: bool,
    /// Leave everything running at the end, with all addresses printed, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// Rounds of one second, for tests
    #[arg(long)]
    pub(crate) fast: bool,
}

/// How fast the story goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Length of a round.
    pub(crate) interval_s: u32,
    /// How long it takes to charge an empty car.
    pub(crate) full: Duration,
    /// How many groups a crowd has.
    pub(crate) sybils: usize,
}

impl Arguments {
    pub(crate) fn pace(&self) -> Pace {
        match self.fast {
            true => Pace {
                interval_s: 1,
                full: Duration::from_millis(800),
                sybils: 5,
            },
            // About until the groups are enrolled, which takes two rounds.
            false => Pace {
                interval_s: 5,
                full: Duration::from_secs(9),
                sybils: 12,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
