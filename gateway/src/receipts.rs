//! Receipt files: written when a charge is final, and told in words a driver understands.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::Context;
use ledger::node::{Node, forget_receipt, stored_receipts};
use ledger::receipt_file::{MAX_BYTES, Proven, ReceiptFile};
use ledger::store::{Engine, Store, Write};
use ledger::tariff::in_words;
use protocol::PublicKey;

use crate::files::{read_bounded, write_whole};
use crate::signed::{export, with_detail};

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
    pub(crate) fn write(
        self,
        directory: PathBuf,
        engine: Engine<Node>,
        store: Arc<Store>,
    ) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name("receipts".to_owned());
        thread.spawn(move || write(&directory, &self.0, &engine, &store))?;
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

fn write(directory: &Path, files: &Receiver<(u32, Vec<u8>)>, engine: &Engine<Node>, store: &Store) {
    while let Ok((seq, receipt)) = files.recv() {
        match write_files(directory, seq, &receipt, store) {
            Ok(written) => {
                // A stopped engine leaves it in the store, and the next start sees its file.
                let _ = engine.durably(written, Vec::new(), || {});
            }
            Err(error) => {
                tracing::error!(seq, %error, "cannot write the receipt file; it is kept in the store");
            }
        }
    }
}

/// Writes the files of a final charge; gives what can be forgotten then.
///
/// The receipt is last: whoever sees it sees what belongs to it.
fn write_files(
    directory: &Path,
    seq: u32,
    receipt: &[u8],
    store: &Store,
) -> std::io::Result<Vec<Write>> {
    let mut written: Vec<Write> = Vec::new();
    written.extend(export(directory, &base_name(seq), receipt, store)?);
    write_whole(directory, &file_name(seq), receipt)?;
    written.push(forget_receipt(seq));
    Ok(written)
}

fn base_name(seq: u32) -> String {
    format!("charge-{seq:08}")
}

fn file_name(seq: u32) -> String {
    format!("{}.receipt", base_name(seq))
}

/// Writes the files that are still in the store, such as after a kill between sync and file.
pub(crate) fn restore(directory: &Path, store: &Store) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut written = Vec::new();
    let mut failed = None;
    stored_receipts(store, |seq, receipt| {
        match write_files(directory, seq, &receipt, store) {
            Ok(done) => written.extend(done),
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
    let mut told = tell(&file, &proven, provider.is_some());
    if let Some(signed) = with_detail(path, file.line.profile.body.detail)? {
        let _ = writeln!(told, "signed data   {signed}");
    }
    Ok(told)
}

fn tell(file: &ReceiptFile, proven: &Proven, is_pinned: bool) -> String {
    let charge = &file.line.profile.body;
    let header = &file.header.body;
    let currency = &file.genesis.currency;
    let confirmed = confirmed_by(file, proven);
    let claim = match proven.dormant {
        0 => "this charge is in the chain and nobody can change it any more.",
        _ => "this charge is in the chain. It is final without voters that had fallen silent.",
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
        "TRUE: {claim}\n\
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

/// Who confirmed the block, and whom that is said without.
fn confirmed_by(file: &ReceiptFile, proven: &Proven) -> String {
    let mut words = format!("{} of {} voters", proven.votes, proven.voters);
    if proven.is_self_attested() {
        words.push_str(" (self-attested: with one or two voters the parties confirm themselves)");
    }
    if let (1.., Some(closing)) = (proven.dormant, &file.finality.closing) {
        // Lines that go on below the first one's words.
        let _ = write!(
            words,
            "\n              {} of the others had cast no ballot for {} and did not count\n\
             final         on {}, when its dispute period of {} was over",
            proven.dormant,
            lasting(file.genesis.dormancy_s),
            closing.anchor.header.body.time,
            lasting(file.genesis.dispute_period_s),
        );
    }
    words
}

fn lasting(seconds: u32) -> String {
    // From two on, so that no number meets a plural that is not its own.
    match seconds {
        _ if seconds >= 2 * 86_400 && seconds.is_multiple_of(86_400) => {
            format!("{} days", seconds / 86_400)
        }
        _ if seconds >= 2 * 3_600 && seconds.is_multiple_of(3_600) => {
            format!("{} hours", seconds / 3_600)
        }
        _ => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::block::{ChargeLine, Header};
    use ledger::merkle::Way;
    use ledger::receipt_file::{Anchor, Closing, FinalityProof};
    use ledger::state::Totals;
    use ledger::store::Table;
    use protocol::{
        ChargeProfile, ChargerId, EnergyWh, Genesis, GrantId, GroupId, Hash, KeyPair, NodeId,
        PowerW, Signed, SupplyPointId, TariffId, UnixSeconds,
    };

    /// A file that proves nothing and tells everything: closed eight days after its block.
    fn file() -> ReceiptFile {
        let key = KeyPair::from_seed(&[1; 32]);
        let genesis = Genesis {
            provider_key: key.public(),
            time: UnixSeconds(1_800_000_000),
            interval_s: 900,
            witnesses: 8,
            dormancy_s: Genesis::DORMANCY_S,
            dispute_period_s: Genesis::DISPUTE_PERIOD_S,
            currency: "EUR".to_owned(),
            test: false,
        };
        let anchor = |time| Anchor {
            header: Signed::new(header(time), &key, &genesis.chain_id()),
            totals: Totals {
                voters: 5,
                final_height: 1,
                confirmed_height: 1,
                tariff: TariffId(1),
            },
            way: Way::default(),
        };
        let sealed = 1_800_000_900;
        let profile = ChargeProfile {
            charger: ChargerId([1; 16]),
            payer: GroupId(1),
            node: NodeId(1),
            seq: 1,
            previous: Hash::ZERO,
            supply_point: SupplyPointId(1),
            start: UnixSeconds(sealed - 600),
            duration_s: 60,
            register_start: EnergyWh(1_000),
            energy_wh: 5_013,
            max_power: PowerW(11_000),
            grant: GrantId([1; 16]),
            detail: Hash::ZERO,
        };
        ReceiptFile {
            line: ChargeLine {
                profile: Signed::new(profile, &key, &genesis.chain_id()),
                late: false,
                amount: 201,
                credit: 150,
                tariff: TariffId(1),
            },
            index: 0,
            path: Vec::new(),
            sections: [Hash::ZERO; 4],
            header: anchor(sealed).header,
            finality: FinalityProof {
                anchor: anchor(sealed - 1),
                votes: Vec::new(),
                closing: Some(Closing {
                    anchor: anchor(sealed + 8 * 86_400),
                    log_path: Vec::new(),
                    dormant: Vec::new(),
                }),
            },
            genesis,
        }
    }

    fn header(time: u64) -> Header {
        Header {
            version: 1,
            height: 2,
            previous: Hash::ZERO,
            round: 1,
            time: UnixSeconds(time),
            body_root: Hash::ZERO,
            state_root: Hash::ZERO,
            log_root: Hash::ZERO,
            charges: 1,
            group_blocks: 0,
            records: 0,
            ballots: 0,
        }
    }

    #[test]
    fn a_driver_is_told_whom_finality_is_said_without() {
        let told = |voters, votes, dormant| {
            let proven = Proven {
                voters,
                votes,
                dormant,
            };
            tell(&file(), &proven, true)
        };
        let silent = told(5, 2, 3);
        for words in [
            "TRUE: this charge is in the chain. It is final without voters that had fallen silent.",
            "confirmed by  2 of 5 voters\n",
            "\n              3 of the others had cast no ballot for 30 days and did not count\n",
            "\nfinal         on 2027-01-23T08:15:00Z, when its dispute period of 7 days was over\n",
            "\nprovider      ",
        ] {
            assert!(silent.contains(words), "{words} in {silent}");
        }
        assert!(!silent.contains("nobody can change it"));
        assert!(told(2, 1, 1).contains("1 of 2 voters (self-attested"));
        let confirmed = told(5, 3, 0);
        assert!(confirmed.starts_with("TRUE: this charge is in the chain and nobody can change"));
        assert!(confirmed.contains("confirmed by  3 of 5 voters\nprovider"));
    }

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
