//! The programs that meters are tried against and that no package of ours can bring: a compiler with
//! libmodbus, socat for pairs of serial ports, mbpoll.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::ensure;

/// A program, how it is called to see that it is there, and the Debian packages it comes with.
type Needed = (&'static str, &'static [&'static str], &'static str);

const NEEDED: [Needed; 4] = [
    ("socat", &["-V"], "socat"),
    ("mbpoll", &["-V"], "mbpoll"),
    ("cc", &["--version"], "gcc libc6-dev"),
    (
        "pkg-config",
        &["--exists", "libmodbus"],
        "pkg-config libmodbus-dev",
    ),
];

/// Says what is missing and how to get it.
pub(crate) fn check() -> anyhow::Result<()> {
    check_all(&NEEDED)
}

fn check_all(needed: &[Needed]) -> anyhow::Result<()> {
    let missing: Vec<_> = needed
        .iter()
        .filter(|(program, arguments, _)| !is_there(program, arguments))
        .collect();
    let programs: Vec<_> = missing
        .iter()
        .map(|(program, arguments, _)| match arguments {
            ["--exists", library] => *library,
            _ => *program,
        })
        .collect();
    let packages: Vec<_> = missing.iter().map(|(_, _, packages)| *packages).collect();
    ensure!(
        missing.is_empty(),
        "{} missing; the tests with meters need it: apt-get install {}",
        programs.join(", "),
        packages.join(" ")
    );
    Ok(())
}

fn is_there(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        // pkg-config answers by its status; how the others end when asked for their version differs.
        Ok(status) => status.success() || !arguments.contains(&"--exists"),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_package_that_brings_it() {
        let needed: [Needed; 3] = [
            ("true", &[], "coreutils"),
            ("no-such-program", &[], "no-such-package"),
            ("false", &["--exists", "no-such-library"], "other-package"),
        ];
        let failure = check_all(&needed).expect_err("two are missing");
        assert_eq!(
            failure.to_string(),
            "no-such-program, no-such-library missing; the tests with meters need it: apt-get \
             install no-such-package other-package"
        );
    }
}
