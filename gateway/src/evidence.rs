//! Evidence files: written when the provider breaks a rule, and told in words anybody understands.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ledger::Header;
use ledger::evidence::{BrokenReceipt, EvidenceFile, Exhibit, ForgedCharge, MAX_BYTES, TwoHeaders};
use ledger::node::stored_evidence;
use ledger::store::Store;
use protocol::{PublicKey, Signed};

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
    let key = file.genesis.provider_key;
    let provider = match provider {
        Some(_) => format!("{key} (the one you asked for)"),
        None => format!("{key} (compare it with your contract)"),
    };
    Ok(format!("{}provider      {provider}\n", tell(&file.exhibit)))
}

fn tell(exhibit: &Exhibit) -> String {
    match exhibit {
        Exhibit::ForgedCharge(forged) => tell_forged(forged),
        Exhibit::BrokenReceipt(broken) => tell_broken(broken),
        Exhibit::TwoHeaders(two) => tell_two(two),
    }
}

fn tell_forged(forged: &ForgedCharge) -> String {
    let charge = &forged.line.profile.body;
    format!(
        "PROVEN: the provider sealed a charge that was never measured like this.\n\
         \n\
         It signed block {}, and in it is a charge under the name of node {}, which that node\n\
         did not sign. No honest node builds on this block, and nobody owes what it says.\n\
         \n\
         charge says   {} from {}\n\
         measured by   node {}, its charge number {}, as the block claims\n\
         {}",
        forged.header.body.height,
        charge.node,
        kwh(charge.energy_wh),
        charge.start,
        charge.node,
        charge.seq,
        block(&forged.header),
    )
}

fn tell_broken(broken: &BrokenReceipt) -> String {
    let charge = &broken.profile.body;
    format!(
        "PROVEN: the provider left out a charge that it had promised to seal.\n\
         \n\
         It signed a receipt for charge number {} of node {} that names round {}. The blocks up to\n\
         that round are below, signed by the provider, and the charge is in none where it has to be.\n\
         \n\
         charge        {} from {}\n\
         {}",
        charge.seq,
        charge.node,
        broken.receipt.body.round,
        kwh(charge.energy_wh),
        charge.start,
        block(&broken.header),
    )
}

fn tell_two(two: &TwoHeaders) -> String {
    format!(
        "PROVEN: the provider told two stories.\n\
         \n\
         It signed two different headers for one block. Whoever was shown one of them was not shown\n\
         the other.\n\
         \n\
         {}{}",
        block(&two.first),
        block(&two.second),
    )
}

fn block(signed: &Signed<Header>) -> String {
    let header = &signed.body;
    format!(
        "block         {} of {}, round {}, header {}\n",
        header.height,
        header.time,
        header.round,
        signed.hash(),
    )
}

fn kwh(energy_wh: u32) -> String {
    format!("{}.{:03} kWh", energy_wh / 1000, energy_wh % 1000)
}
