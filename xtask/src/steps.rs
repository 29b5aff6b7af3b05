//! Named steps, one after the other, with a table of how long each took.

use std::fmt;
use std::time::{Duration, Instant};

/// The steps that have run.
#[derive(Default)]
pub(crate) struct Steps(Vec<Step>);

struct Step {
    name: &'static str,
    took: Duration,
    passed: bool,
}

impl Steps {
    /// Runs `work` between a header line and an entry in the table.
    ///
    /// # Errors
    /// Those of `work`; the table is printed before they are returned, since nothing runs after.
    pub(crate) fn run<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        println!("\n== {name} ==");
        let started = Instant::now();
        let result = work();
        self.0.push(Step {
            name,
            took: started.elapsed(),
            passed: result.is_ok(),
        });
        if result.is_err() {
            println!("{self}");
        }
        result
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out)?;
        for Step { name, took, passed } in &self.0 {
            let verdict = if *passed { "" } else { "  FAILED" };
            writeln!(out, "{name:<40}{:>8.1} s{verdict}", took.as_secs_f64())?;
        }
        let total: Duration = self.0.iter().map(|step| step.took).sum();
        write!(out, "{:<40}{:>8.1} s", "total", total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_step_its_failure_and_the_sum() {
        let step = |name, took_ms, passed| Step {
            name,
            took: Duration::from_millis(took_ms),
            passed,
        };
        let steps = Steps(vec![
            step("format", 1_200, true),
            step("clippy", 61_000, false),
        ]);
        assert_eq!(
            steps.to_string(),
            "\n\
             format                                       1.2 s\n\
             clippy                                      61.0 s  FAILED\n\
             total                                       62.2 s"
        );
    }

    #[test]
    fn a_failed_step_is_in_the_table_and_its_error_is_returned() {
        let mut steps = Steps::default();
        steps.run("passes", || Ok(())).expect("it returns Ok");
        let failure = steps.run("fails", || -> anyhow::Result<()> { anyhow::bail!("wrong") });
        assert_eq!(failure.expect_err("it bails").to_string(), "wrong");
        assert_eq!(
            steps.0.iter().map(|step| step.passed).collect::<Vec<_>>(),
            [true, false]
        );
    }
}
