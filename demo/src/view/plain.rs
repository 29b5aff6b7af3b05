//! Plain lines, for files, pipes and terminals that can do no more.

use std::io::Write as _;
use std::time::Duration;

use super::lines::lines;
use super::{Told, View};

/// Writes lines to stdout.
pub(super) struct Plain;

impl View for Plain {
    fn show(&self, at: Duration, told: &Told<'_>) {
        let mut out = std::io::stdout().lock();
        for line in lines(at, told) {
            let line: String = line.into_iter().map(|(_, text)| text).collect();
            // A reader that went away (`| head`) is no error.
            let _ = writeln!(out, "{line}");
        }
        let _ = out.flush();
    }
}
