//! The Node packages of the peers in `tests/peers`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

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
    if is_installed(&pins, &folder) {
        println!("target/node is up to date");
        return Ok(modules);
    }

    check_system_node("node")?;
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

fn check_system_node(node: &str) -> anyhow::Result<()> {
    const IS_NEW_ENOUGH: &str =
        "const [major, minor] = process.versions.node.split('.').map(Number);
        process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)";
    let output = Command::new(node).args(["-e", IS_NEW_ENOUGH]).output();
    ensure!(
        output.is_ok_and(|output| output.status.success()),
        "Node 20.19 or newer is missing; the OCMF peer needs it: apt-get install nodejs npm"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_node_is_answered_with_the_command_that_installs_it() {
        let failure = check_system_node("no-such-node").expect_err("it does not exist");
        assert!(failure.to_string().ends_with("apt-get install nodejs npm"));
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
