//! A run of the demo in a pseudo-terminal, by `script` of util-linux: what was printed, and when.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::workspace::Workspace;

/// Of the terminal, in character cells.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
}

/// What was printed at once.
pub(crate) struct Chunk {
    /// Since the chunk before.
    pub(crate) wait: Duration,
    pub(crate) bytes: Vec<u8>,
}

/// Runs `cargo demo` and returns its output.
///
/// # Errors
/// If `script` is missing or the demo fails.
pub(crate) fn record(workspace: &Workspace, size: Size) -> anyhow::Result<Vec<Chunk>> {
    check_script("script")?;
    let folder = workspace.target("record");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let output = folder.join("output");
    let timing = folder.join("timing");
    let status = script(workspace, size, &output, &timing)
        .status()
        .context("cannot start `script`")?;
    ensure!(
        status.success(),
        "`cargo demo` ended with {status}; what it printed is in {}",
        output.display()
    );
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    chunks(&read(&output)?, &String::from_utf8(read(&timing)?)?)
}

fn script(workspace: &Workspace, size: Size, output: &Path, timing: &Path) -> Command {
    let mut command = workspace.command("script");
    command
        .args(["--quiet", "--return", "--log-out"])
        .arg(output)
        .arg("--log-timing")
        .arg(timing)
        .arg("--command")
        .arg(shell_line(size))
        // Without a terminal on its own stdin, `script` takes no size from it either.
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .envs([
            ("SHELL", "/bin/sh"),
            ("TERM", "xterm-256color"),
            ("LC_ALL", "C.UTF-8"),
        ])
        // Cargo's own lines would show where this machine builds.
        .env("CARGO_TERM_QUIET", "true");
    // Each would change how the demo looks.
    for variable in [
        "COLUMNS",
        "LINES",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "RUST_LOG",
    ] {
        command.env_remove(variable);
    }
    command
}

fn shell_line(Size { rows, columns }: Size) -> String {
    let resize = format!("stty rows {rows} cols {columns}");
    let prompt = r"printf '\033[2m$\033[0m cargo demo\n'";
    format!("{resize} && {prompt} && exec cargo demo")
}

fn check_script(program: &str) -> anyhow::Result<()> {
    let version = Command::new(program).arg("--version").output();
    // The one of BSD and macOS has other options, and no version.
    ensure!(
        version.is_ok_and(|version| version.stdout.windows(10).any(|word| word == b"util-linux")),
        "`script` of util-linux is missing; the demo runs in its terminal: apt-get install bsdutils"
    );
    Ok(())
}

/// Reads the two files of `script`: output between a first and a last line of its own, and a line
/// `SECONDS BYTES` for each chunk of it.
fn chunks(output: &[u8], timing: &str) -> anyhow::Result<Vec<Chunk>> {
    let first_line = output.split_inclusive(|byte| *byte == b'\n').next();
    let mut rest = &output[first_line.map_or(0, <[u8]>::len)..];
    timing
        .lines()
        .map(|line| {
            let (wait, length) = parse(line).with_context(|| format!("odd timing {line:?}"))?;
            let (bytes, later) = rest
                .split_at_checked(length)
                .context("the output is shorter than its timing")?;
            rest = later;
            Ok(Chunk {
                wait,
                bytes: bytes.to_owned(),
            })
        })
        .collect()
}

fn parse(line: &str) -> Option<(Duration, usize)> {
    let (wait, length) = line.split_once(' ')?;
    let wait = Duration::try_from_secs_f64(wait.parse().ok()?).ok()?;
    Some((wait, length.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_where_the_timing_says_without_the_lines_of_script() {
        let output = b"Script started on a day [COMMAND=\"x\"]\none\r\ntwo\r\n\nScript done\n";
        let chunks = chunks(output, "0.010000 5\n2.500000 5\n").expect("both files are whole");
        let cut: Vec<_> = chunks
            .iter()
            .map(|chunk| (chunk.wait.as_millis(), chunk.bytes.as_slice()))
            .collect();
        assert_eq!(cut, [(10, b"one\r\n".as_slice()), (2500, b"two\r\n")]);
    }

    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let check = |timing| assert!(chunks(b"Script started\nabc", timing).is_err());
        check("0.1 4\n");
        check("0.1\n");
        check("-1.0 3\n");
    }

    #[test]
    fn a_missing_script_is_answered_with_the_command_that_installs_it() {
        for program in ["no-such-script", "true"] {
            let failure = check_script(program).expect_err("neither is util-linux's script");
            assert!(failure.to_string().ends_with("apt-get install bsdutils"));
        }
    }
}
