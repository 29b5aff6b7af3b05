//! The node's key: made once, kept in a file only its owner can read.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use protocol::{Hash, KeyPair};

const KEY_FILE: &str = "node.key";

/// Reads the key of `state_dir`, or makes one.
pub(crate) fn load_or_make(state_dir: &Path) -> anyhow::Result<KeyPair> {
    let path = state_dir.join(KEY_FILE);
    match std::fs::File::open(&path) {
        Ok(file) => read(file).with_context(|| format!("{} is not usable", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(&path).with_context(|| format!("cannot make the key file {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn read(mut file: std::fs::File) -> anyhow::Result<KeyPair> {
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "others can read it (mode {:o}); run chmod 600 on it",
            mode & 0o777
        );
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed)
        .context("it does not hold 64 hexadecimal digits; restore it from your backup")?;
    Ok(KeyPair::from_seed(&seed))
}

/// Written whole under another name first, so that a power cut leaves a key or none.
fn make(path: &Path) -> anyhow::Result<KeyPair> {
    let seed = random()?.0;
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(hex::encode(seed).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    if let Some(directory) = path.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(KeyPair::from_seed(&seed))
}

/// Thirty-two random bytes.
pub(crate) fn random() -> anyhow::Result<Hash> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    Ok(Hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_others_cannot_read_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let made = load_or_make(directory.path()).expect("made");
        let read = load_or_make(directory.path()).expect("read");
        assert_eq!(made.public(), read.public());
        let path = directory.path().join(KEY_FILE);
        let mode = std::fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("set");
        assert!(load_or_make(directory.path()).is_err());
    }
}
