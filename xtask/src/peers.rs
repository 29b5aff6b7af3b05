//! The Python environment of the peers in `tests/peers`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::command::run;
use crate::workspace::Workspace;

/// Where the end-to-end tests find the Python that has the peers' packages.
pub(crate) const PYTHON_VARIABLE: &str = "CHARGE_GATEWAY_PEER_PYTHON";

/// Returns the environment's Python, made anew if it is missing or the requirements have changed.
pub(crate) fn python(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let requirements = workspace.path("tests/peers/requirements.txt");
    let pinned = fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let folder = workspace.target("venv");
    let python = folder.join("bin/python");
    let stamp = folder.join("installed.txt");
    if is_installed(&pinned, &stamp) && works(Command::new(&python).arg("--version")) {
        println!("target/venv is up to date");
        return Ok(python);
    }

    check_system_python("python3")?;
    run(workspace
        .command("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder))?;
    run(workspace
        .command(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(&requirements))?;
    // Last, so that an interrupted installation is not taken for a finished one.
    fs::write(&stamp, pinned).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

fn is_installed(pinned: &str, stamp: &Path) -> bool {
    fs::read_to_string(stamp).is_ok_and(|installed| installed == pinned)
}

fn check_system_python(python: &str) -> anyhow::Result<()> {
    ensure!(
        works(
            Command::new(python).args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"])
        ),
        "python3 3.11 or newer is missing; the peers need it: apt-get install python3 python3-venv"
    );
    // Debian splits the module: `venv` alone imports, but cannot install pip.
    ensure!(
        works(Command::new(python).args(["-c", "import venv, ensurepip"])),
        "python3's venv module is missing; the peers need it: apt-get install python3-venv"
    );
    Ok(())
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_python_is_answered_with_the_command_that_installs_it() {
        let failure = check_system_python("no-such-python").expect_err("it does not exist");
        assert!(
            failure
                .to_string()
                .ends_with("apt-get install python3 python3-venv")
        );
    }

    #[test]
    fn changed_requirements_are_installed_again() {
        let stamp = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        assert!(!is_installed("ocpp==2.1.0", &stamp));
        fs::write(&stamp, "ocpp==2.1.0").expect("the temporary folder is writable");
        assert!(is_installed("ocpp==2.1.0", &stamp));
        assert!(!is_installed("ocpp==2.2.0", &stamp));
        fs::remove_file(&stamp).expect("it was written above");
    }
}
