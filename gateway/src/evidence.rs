//! Evidence files: written when the provider breaks a rule, and told in words anybody understands.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ledger::evidence::{EvidenceFile, Exhibit, ForgedCharge, MAX_BYTES};
use ledger::node::stored_evidence;
use ledger::store::Store;
use protocol::PublicKey;

use crate::files::{read_bounded, write_whole};

/// The evidence files of a state directory. The store has them, too.
#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
}

impl Files {
    /// Writes the files that the store holds, such as after a kill between sync and file.
    pub(crate) fn restore(directory: PathBuf, store: &Store) -> anyhow::Result<Self> {
        let files = Self { directory };
        let mut failed = None;
        stored_evidence(store, |height, file| {
            failed = failed.take().or(files.write(height, &file).err());
        })?;
        match failed {
            Some(error) => {
                Err(error).with_context(|| format!("cannot write to {}", files.directory.display()))
            }
            None => Ok(files),
        }
    }

    /// Keeps the evidence about the block at `height`. A provider breaks the rules once, if ever:
    /// whoever calls can wait for the disk.
    pub(crate) fn keep(&self, height: u64, file: &[u8]) {
        match self.write(height, file) {
            Ok(()) => tracing::error!(
                file = %self.directory.join(file_name(height)).display(),
                "evidence against the provider; charge-gateway evidence verify tells what it proves"
            ),
            Err(error) => {
                tracing::error!(height, %error, "cannot write the evidence file; it is kept in the store");
            }
        }
    }

    fn write(&self, height: u64, file: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.directory)?;
        write_whole(&self.directory, &file_name(height), file)
    }
}

fn file_name(height: u64) -> String {
    format!("block-{height:08}.evidence")
}

/// Checks an evidence file and says what it proves.
///
/// # Errors
/// Why it proves nothing, in one line.
pub(crate) fn verify(path: &Path, provider: Option<&PublicKey>) -> anyhow::Result<String> {
    let bytes = read_bounded(path, MAX_BYTES, "an evidence file")?;
    let file = EvidenceFile::from_bytes(&bytes)?;
    file.verify(provider)?;
    let Exhibit::ForgedCharge(forged) = &file.exhibit;
    Ok(tell(&file, forged, provider.is_some()))
}

fn tell(file: &EvidenceFile, forged: &ForgedCharge, is_pinned: bool) -> String {
    let charge = &forged.line.profile.body;
    let header = &forged.header.body;
    let key = file.genesis.provider_key;
    let provider = match is_pinned {
        true => format!("{key} (the one you asked for)"),
        false => format!("{key} (compare it with your contract)"),
    };
    format!(
        "PROVEN: the provider sealed a charge that was never measured like this.\n\
         \n\
         It signed block {}, and in it is a charge under the name of node {}, which that node\n\
         did not sign. No honest node builds on this block, and nobody owes what it says.\n\
         \n\
         charge says   {}.{:03} kWh from {}\n\
         measured by   node {}, its charge number {}, by what the block claims\n\
         block         {} of {}, header {}\n\
         provider      {provider}\n",
        header.height,
        charge.node,
        charge.energy_wh / 1000,
        charge.energy_wh % 1000,
        charge.start,
        charge.node,
        charge.seq,
        header.height,
        header.time,
        header.hash(),
    )
}
