//! The Node packages of the peers in `tests/peers`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow, ensure};

use crate::command::run;
use crate::workspace::Workspace;

/// Where the end-to-end tests find the peers' Node packages.
pub(crate) const MODULES_VARIABLE: &str = "CHARGE_GATEWAY_PEER_NODE_MODULES";

/// What names the packages, with every one that they need pinned in the second.
const PINNED: [&str; 2] = ["package.json", "package-lock.json"];

/// Returns the folder of the packages, installed anew if it is missing or the pins have changed.
pub(crate) fn modules(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let pins = workspace.path("tests/peers/node");
    let folder = workspace.target("node");
    let modules = folder.join("node_modules");
    // Before all else: the tests start it whether the packages are there or not.
    check_is_there("node", OLDEST_NODE)?;
    if is_installed(&pins, &folder) {
        println!("target/node is up to date");
        return Ok(modules);
    }

    check_is_there("npm", OLDEST_NPM)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // The stamp is the pins themselves: copied last, where an interrupted installation has none.
    let stamps = PINNED.map(|name| (pins.join(name), folder.join(stamp(name))));
    for (_, stamp) in &stamps {
        if stamp.exists() {
            fs::remove_file(stamp)?;
        }
    }
    for name in PINNED {
        copy(&pins.join(name), &folder.join(name))?;
    }
    run(workspace
        .command("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .arg("--prefix")
        .arg(&folder))?;
    for (pin, stamp) in &stamps {
        copy(pin, stamp)?;
    }
    Ok(modules)
}

fn stamp(name: &str) -> String {
    format!("installed-{name}")
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to)
        .map(|_| ())
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn is_installed(pins: &Path, folder: &Path) -> bool {
    PINNED.into_iter().all(|name| {
        let read = |path: PathBuf| fs::read(path).ok();
        let pinned = read(pins.join(name));
        pinned.is_some() && pinned == read(folder.join(stamp(name)))
    })
}

/// Major and minor version.
type Version = (u32, u32);

/// What the packages ask for, in their `engines`.
const OLDEST_NODE: Version = (20, 19);

/// The first that reads version 3 of the lock file.
const OLDEST_NPM: Version = (7, 0);

const HOW_TO_INSTALL: &str = "apt-get install nodejs npm, or where those are older (Debian 12) https://nodejs.org/en/download";

fn check_is_there(program: &str, oldest: Version) -> anyhow::Result<()> {
    let (major, minor) = oldest;
    let output = Command::new(program).arg("--version").output();
    let output = output.ok().filter(|output| output.status.success());
    let output = output.ok_or_else(|| {
        anyhow!("{program} is missing; the peers need {major}.{minor} or newer: {HOW_TO_INSTALL}")
    })?;
    let found = String::from_utf8_lossy(&output.stdout);
    let found = found.trim();
    ensure!(
        version(found).is_some_and(|version| version >= oldest),
        "{program} {found} is too old; the peers need {major}.{minor} or newer: {HOW_TO_INSTALL}"
    );
    Ok(())
}

/// Reads `v20.19.2` or `10.8.2`.
fn version(text: &str) -> Option<Version> {
    let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_answered_with_the_way_to_install_it() {
        let failure = check_is_there("no-such-node", OLDEST_NODE).expect_err("it does not exist");
        assert_eq!(
            failure.to_string(),
            format!("no-such-node is missing; the peers need 20.19 or newer: {HOW_TO_INSTALL}")
        );
    }

    #[test]
    fn an_old_program_is_named_with_its_version() {
        // A program that is there on every machine that builds this one.
        let failure = check_is_there("cargo", (9, 9)).expect_err("it prints another form");
        let failure = failure.to_string();
        assert!(failure.starts_with("cargo cargo 1."), "{failure}");
        assert!(failure.contains(" is too old; the peers need 9.9 or newer: apt-get"));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let is_new_enough = |text: &str| version(text).is_some_and(|it| it >= OLDEST_NODE);
        for text in ["v20.19.0", "20.19.0", "v20.20.2", "v22.0.0", "v100.1.0"] {
            assert!(is_new_enough(text), "{text}");
        }
        for text in [
            "v20.9.0", "v20.18.3", "v18.20.4", "v9.99.0", "", "v20", "vx.y",
        ] {
            assert!(!is_new_enough(text), "{text}");
        }
    }

    #[test]
    fn the_pins_name_no_registry() {
        let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/node");
        let lock = fs::read_to_string(pins.join("package-lock.json")).expect("it is kept");
        assert!(
            !lock.contains("\"resolved\""),
            "see tests/peers/node/.npmrc"
        );
        assert!(lock.contains("\"integrity\""), "but their hashes");
    }

    #[test]
    fn changed_pins_are_installed_again() {
        let place = std::env::temp_dir().join(format!("xtask-node-{}", std::process::id()));
        let (pins, folder) = (place.join("pins"), place.join("node"));
        for made in [&pins, &folder] {
            fs::create_dir_all(made).expect("the temporary folder is writable");
        }
        for name in PINNED {
            fs::write(pins.join(name), "1").expect("writable");
            assert!(!is_installed(&pins, &folder));
            fs::write(folder.join(stamp(name)), "1").expect("writable");
        }
        assert!(is_installed(&pins, &folder));
        fs::write(pins.join(PINNED[1]), "2").expect("writable");
        assert!(!is_installed(&pins, &folder));
        fs::remove_dir_all(&place).expect("it was made above");
    }
}
