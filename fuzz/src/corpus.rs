//! The committed corpora, `fuzz/corpus/TARGET/NAME`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::targets::{Target, targets};

/// Where the corpus of `target` is committed.
#[must_use]
pub fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name)
}

/// The files committed for `target`, by name.
///
/// # Errors
/// What the disk says.
pub fn committed(target: &Target) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder(target))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, fs::read(entry.path())?);
    }
    Ok(files)
}

/// Makes every corpus anew; what else is in its folder goes.
///
/// # Errors
/// What the disk says.
pub fn write_all() -> io::Result<()> {
    for target in targets() {
        let folder = folder(target);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&folder)?,
        }
        for (name, bytes) in target.corpus() {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
