//! Small files for people: written whole or not at all.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, bail};

/// Writes a file, whole or not at all; it is durable when this returns.
pub(crate) fn write_whole(directory: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let path = directory.join(name);
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(fresh, path)?;
    std::fs::File::open(directory)?.sync_all()
}

/// Reads a file of at most `max_bytes`; `what` names it to whoever gave it.
pub(crate) fn read_bounded(path: &Path, max_bytes: usize, what: &str) -> anyhow::Result<Vec<u8>> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    if size > max_bytes as u64 {
        bail!("{} is too large for {what}", path.display());
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
