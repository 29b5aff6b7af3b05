//! Receipt files: written when a charge is final, and told in words a driver understands.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::Context;
use ledger::receipt_file::{MAX_BYTES, Proven, ReceiptFile};
use ledger::store::Store;
use ledger::tariff::in_words;
use protocol::PublicKey;

/// Receipt files that may wait for the disk.
const QUEUE: usize = 1_024;

/// Writes receipt files on a thread of its own: nobody waits for them, and the engine must not.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: SyncSender<(u32, Vec<u8>)>,
}

impl Writer {
    pub(crate) fn start(directory: PathBuf) -> std::io::Result<Self> {
        let (queue, files) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("receipts".to_owned())
            .spawn(move || write(&directory, &files))?;
        Ok(Self { queue })
    }

    pub(crate) fn keep(&self, seq: u32, receipt: Vec<u8>) {
        if self.queue.try_send((seq, receipt)).is_err() {
            tracing::warn!(
                seq,
                "too many receipts at once; this file follows at the next start"
            );
        }
    }
}

fn write(directory: &Path, files: &Receiver<(u32, Vec<u8>)>) {
    while let Ok((seq, receipt)) = files.recv() {
        if let Err(error) = keep(directory, seq, &receipt) {
            tracing::error!(seq, %error, "cannot write the receipt file; it is kept in the store");
        }
    }
}

/// Writes a receipt file, whole or not at all.
fn keep(directory: &Path, seq: u32, receipt: &[u8]) -> std::io::Result<()> {
    let path = directory.join(file_name(seq));
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(receipt)?;
    file.sync_all()?;
    std::fs::rename(fresh, path)
}

fn file_name(seq: u32) -> String {
    format!("charge-{seq:08}.receipt")
}

/// Writes the files that are missing, such as after a kill between sync and file.
pub(crate) fn restore(directory: &Path, store: &Store) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut failed = None;
    ledger::node::stored_receipts(store, |seq, receipt| {
        if !directory.join(file_name(seq)).exists()
            && let Err(error) = keep(directory, seq, &receipt)
        {
            failed = Some(error);
        }
    })?;
    match failed {
        Some(error) => {
            Err(error).with_context(|| format!("cannot write to {}", directory.display()))
        }
        None => Ok(()),
    }
}

/// Checks a receipt file and says what it proves.
///
/// # Errors
/// Why it proves nothing, in one line.
pub(crate) fn verify(path: &Path, provider: Option<&PublicKey>) -> anyhow::Result<String> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    if size > MAX_BYTES as u64 {
        anyhow::bail!("{} is too large for a receipt file", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = ReceiptFile::from_bytes(&bytes)?;
    let proven = file.verify(provider)?;
    Ok(tell(&file, &proven, provider.is_some()))
}

fn tell(file: &ReceiptFile, proven: &Proven, is_pinned: bool) -> String {
    let charge = &file.line.profile.body;
    let header = &file.header.body;
    let currency = &file.genesis.currency;
    let confirmed = match proven.voters {
        voters if proven.is_self_attested() => format!(
            "{} of {voters} voters (self-attested: with one or two voters the parties confirm themselves)",
            proven.votes
        ),
        voters => format!("{} of {voters} voters", proven.votes),
    };
    let key = file.genesis.provider_key;
    let provider = match is_pinned {
        true => format!("{key} (the one you asked for)"),
        false => format!("{key} (compare it with your contract)"),
    };
    let kwh = format!(
        "{}.{:03} kWh",
        charge.energy_wh / 1000,
        charge.energy_wh % 1000
    );
    format!(
        "TRUE: this charge is in the chain and nobody can change it any more.\n\
         \n\
         energy        {kwh}\n\
         from          {}\n\
         to            {}\n\
         register      {} at the start\n\
         costs         {}\n\
         owner gets    {}\n\
         charger       {}\n\
         paid by       group {}\n\
         supply point  {}\n\
         measured by   node {}, its charge number {}\n\
         block         {} of {}, header {}\n\
         confirmed by  {confirmed}\n\
         provider      {provider}\n",
        charge.start,
        charge.end(),
        charge.register_start,
        in_words(file.line.amount.into(), currency),
        in_words(file.line.credit.into(), currency),
        charge.charger,
        charge.payer,
        charge.supply_point,
        charge.node,
        charge.seq,
        header.height,
        header.time,
        header.hash(),
    )
}
