//! Receipt files: written when a charge is final, and told in words a driver understands.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::Context;
use ledger::node::{Node, forget_receipt, stored_receipts};
use ledger::receipt_file::{MAX_BYTES, Proven, ReceiptFile};
use ledger::store::{Engine, Store};
use ledger::tariff::in_words;
use protocol::PublicKey;

use crate::files::{read_bounded, write_whole};

/// Receipt files that may wait for the disk.
const QUEUE: usize = 1_024;

/// Takes receipt files in; they are written elsewhere, because the engine must not wait for them.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: SyncSender<(u32, Vec<u8>)>,
}

/// The other end of a [`Writer`].
#[derive(Debug)]
pub(crate) struct Waiting(Receiver<(u32, Vec<u8>)>);

pub(crate) fn queue() -> (Writer, Waiting) {
    let (queue, files) = sync_channel(QUEUE);
    (Writer { queue }, Waiting(files))
}

impl Waiting {
    /// Writes receipt files on a thread of its own; what is safe in its file leaves the store.
    pub(crate) fn write(self, directory: PathBuf, engine: Engine<Node>) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name("receipts".to_owned());
        thread.spawn(move || write(&directory, &self.0, &engine))?;
        Ok(())
    }
}

impl Writer {
    pub(crate) fn keep(&self, seq: u32, receipt: Vec<u8>) {
        if self.queue.try_send((seq, receipt)).is_err() {
            tracing::warn!(
                seq,
                "too many receipts at once; this file follows at the next start"
            );
        }
    }
}

fn write(directory: &Path, files: &Receiver<(u32, Vec<u8>)>, engine: &Engine<Node>) {
    while let Ok((seq, receipt)) = files.recv() {
        match write_whole(directory, &file_name(seq), &receipt) {
            Ok(()) => {
                // A stopped engine leaves it in the store, and the next start sees its file.
                let _ = engine.durably(vec![forget_receipt(seq)], Vec::new(), || {});
            }
            Err(error) => {
                tracing::error!(seq, %error, "cannot write the receipt file; it is kept in the store");
            }
        }
    }
}

fn file_name(seq: u32) -> String {
    format!("charge-{seq:08}.receipt")
}

/// Writes the files that are still in the store, such as after a kill between sync and file.
pub(crate) fn restore(directory: &Path, store: &Store) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut written = Vec::new();
    let mut failed = None;
    stored_receipts(store, |seq, receipt| {
        match write_whole(directory, &file_name(seq), &receipt) {
            Ok(()) => written.push(forget_receipt(seq)),
            Err(error) => failed = Some(error),
        }
    })?;
    if !written.is_empty() {
        store.commit(&written)?;
    }
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
    let bytes = read_bounded(path, MAX_BYTES, "a receipt file")?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::store::{Table, Write};

    #[test]
    fn a_receipt_leaves_the_store_when_it_is_in_its_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::in_memory().expect("opens");
        let receipt = vec![1_u8, 2, 3];
        let kept = Write::put(Table("receipts"), 7_u32.to_be_bytes(), &receipt);
        store.commit(&[kept]).expect("stored");
        restore(directory.path(), &store).expect("restored");
        let file = std::fs::read(directory.path().join(file_name(7))).expect("the file");
        assert_eq!(file, receipt);
        let mut left = 0;
        stored_receipts(&store, |_, _| left += 1).expect("read");
        assert_eq!(left, 0);
    }
}
