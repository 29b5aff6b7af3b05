//! The programs that meters are tried against and that no package of ours can bring: a compiler with
//! libmodbus, socat for pairs of serial ports, mbpoll.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::command::{prints, run};

/// A program, how it is called to see that it is there, and the Debian packages it comes with.
struct Needed {
    program: &'static str,
    arguments: &'static [&'static str],
    packages: &'static [&'static str],
}

const NEEDED: [Needed; 4] = [
    Needed {
        program: "socat",
        arguments: &["-V"],
        packages: &["socat"],
    },
    Needed {
        program: "mbpoll",
        arguments: &["-V"],
        packages: &["mbpoll"],
    },
    Needed {
        program: "cc",
        arguments: &["--version"],
        packages: &["gcc", "libc6-dev"],
    },
    Needed {
        program: "pkg-config",
        arguments: &["--exists", "libmodbus"],
        packages: &["pkg-config", "libmodbus-dev"],
    },
];

/// Installs what is missing where root may, as in a container of CI; elsewhere says what to install.
///
/// Where nothing is missing nothing is asked of apt, so a machine without a network or of another
/// distribution does as well.
///
/// # Errors
/// What is missing, and the command that brings it.
pub(crate) fn provide() -> anyhow::Result<()> {
    let is_root = prints(Command::new("id").arg("-u"), "0");
    provide_all(&NEEDED, is_root.then_some(install))
}

fn provide_all(
    needed: &[Needed],
    install: Option<impl FnOnce(&[&str]) -> anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let missing = missing(needed);
    if let (Some(install), false) = (install, missing.is_empty()) {
        install(&packages(&missing)).with_context(|| what_to_do(&missing))?;
    }
    let missing = self::missing(needed);
    ensure!(missing.is_empty(), what_to_do(&missing));
    Ok(())
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    println!("installing {}", packages.join(" "));
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let arguments = ["install", "--yes", "--no-install-recommends"];
    let mut arguments = arguments.to_vec();
    arguments.extend(packages);
    // A fresh container has no lists of packages, and old lists name files that are gone.
    if run(&mut apt_get(&arguments)).is_err() {
        run(&mut apt_get(&["update"]))?;
        run(&mut apt_get(&arguments))?;
    }
    Ok(())
}

fn missing(needed: &[Needed]) -> Vec<&Needed> {
    needed.iter().filter(|needed| !needed.is_there()).collect()
}

fn packages(missing: &[&Needed]) -> Vec<&'static str> {
    missing
        .iter()
        .flat_map(|needed| needed.packages.iter().copied())
        .collect()
}

fn what_to_do(missing: &[&Needed]) -> String {
    let names: Vec<_> = missing.iter().map(|needed| needed.name()).collect();
    format!(
        "{} missing; the tests with meters need it: sudo apt-get install {}",
        names.join(", "),
        packages(missing).join(" ")
    )
}

impl Needed {
    /// What is missing where it is.
    fn name(&self) -> &'static str {
        match self.arguments {
            ["--exists", library] => library,
            _ => self.program,
        }
    }

    fn is_there(&self) -> bool {
        let status = Command::new(self.program)
            .args(self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match status {
            // pkg-config answers by its status; how the others end when asked for their version differs.
            Ok(status) => status.success() || !self.arguments.contains(&"--exists"),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const THERE: Needed = Needed {
        program: "true",
        arguments: &[],
        packages: &["coreutils"],
    };
    const MISSING: [Needed; 3] = [
        THERE,
        Needed {
            program: "no-such-program",
            arguments: &[],
            packages: &["no-such-package"],
        },
        Needed {
            program: "false",
            arguments: &["--exists", "no-such-library"],
            packages: &["one-package", "other-package"],
        },
    ];
    const WHAT_TO_DO: &str = "no-such-program, no-such-library missing; the tests with meters need it: \
                              sudo apt-get install no-such-package one-package other-package";

    type Install = fn(&[&str]) -> anyhow::Result<()>;

    #[test]
    fn what_is_missing_is_named_with_the_package_that_brings_it() {
        let failure = provide_all(&MISSING, None::<Install>).expect_err("two are missing");
        assert_eq!(failure.to_string(), WHAT_TO_DO);
    }

    #[test]
    fn root_installs_what_is_missing_and_nothing_else() {
        let installed = RefCell::new(Vec::new());
        let install = |packages: &[&str]| {
            let packages = packages.iter().map(ToString::to_string);
            installed.borrow_mut().extend(packages);
            Ok(())
        };
        // Still missing: whoever installs may have done something else.
        let failure = provide_all(&MISSING, Some(install)).expect_err("nothing changed");
        assert_eq!(failure.to_string(), WHAT_TO_DO);
        let expected = ["no-such-package", "one-package", "other-package"];
        assert_eq!(installed.into_inner(), expected);
    }

    #[test]
    fn nothing_is_installed_where_nothing_is_missing() {
        let install: Install = |_| panic!("nobody needs apt");
        provide_all(&[THERE], Some(install)).expect("it is there");
    }

    #[test]
    fn a_failed_installation_says_what_to_install() {
        let install: Install = |_| anyhow::bail!("no network");
        let failure = provide_all(&MISSING, Some(install)).expect_err("it fails");
        assert_eq!(format!("{failure:#}"), format!("{WHAT_TO_DO}: no network"));
    }
}
