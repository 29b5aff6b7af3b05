//! Runs a command; a failure shows the line to paste into a shell.

use std::process::Command;

use anyhow::{Context, ensure};

/// Runs `command` with its output on the terminal.
///
/// # Errors
/// If it cannot be started or fails; the message holds the whole command line.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start: {}", command_line(command)))?;
    ensure!(status.success(), "{status}: {}", command_line(command));
    Ok(())
}

/// Whether `command` succeeds and prints `expected`, quietly.
pub(crate) fn prints(command: &mut Command, expected: &str) -> bool {
    command.output().is_ok_and(|output| {
        output.status.success() && output.stdout.trim_ascii() == expected.as_bytes()
    })
}

fn command_line(command: &Command) -> String {
    let variables = command.get_envs().map(|(name, value)| match value {
        Some(value) => format!("{}={}", name.display(), quoted(value)),
        None => format!("{}=", name.display()),
    });
    let words = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted);
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &std::ffi::OsStr) -> String {
    let word = word.display().to_string();
    if word.is_empty() || word.contains(|letter: char| letter.is_whitespace() || letter == '*') {
        format!("'{word}'")
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_a_line_that_a_shell_accepts() {
        let mut command = Command::new("false");
        command
            .env("RUSTDOCFLAGS", "-D warnings")
            .args(["--test", "*"]);
        let failure = run(&mut command).expect_err("false always fails");
        assert_eq!(
            failure.to_string(),
            "exit status: 1: RUSTDOCFLAGS='-D warnings' false --test '*'"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failure = run(&mut Command::new("no-such-program")).expect_err("it does not exist");
        assert_eq!(failure.to_string(), "cannot start: no-such-program");
    }

    #[test]
    fn only_the_whole_expected_output_counts() {
        let check = |word: &str, expected| {
            assert_eq!(prints(Command::new("echo").arg(word), "1.2"), expected)
        };
        check("1.2", true);
        check("1.25", false);
    }
}
