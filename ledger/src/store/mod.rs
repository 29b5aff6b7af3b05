//! The store: one redb file, tables of bytes, many writes in one synced transaction.
//!
//! The only part of this crate that touches a disk.

mod engine;
mod map;
mod pieces;

use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use pieces::Bytes;
use protocol::{DecodeError, UnixMillis, canonical, decode};
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};

pub use engine::{Engine, EngineThread, Stopped, Surroundings};

/// The version of what the store holds. A newer one is refused, an older one migrated.
pub const FORMAT: u32 = 2;

/// Pages redb keeps in memory. Its default of 1 GiB would fill a gateway box.
const CACHE_BYTES: usize = 4 << 20;

const META: Table = Table("meta");
const FORMAT_KEY: &[u8] = b"format";

/// A named table of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table(pub &'static str);

impl Table {
    fn definition(self) -> TableDefinition<'static, Bytes, Bytes> {
        TableDefinition::new(self.0)
    }
}

/// One change to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub table: Table,
    /// Which entry.
    pub key: Vec<u8>,
    /// What it becomes; `None` deletes it.
    pub value: Option<Vec<u8>>,
}

impl Write {
    /// Sets an entry to the canonical bytes of `value`.
    pub fn put<T: BorshSerialize>(table: Table, key: impl Into<Vec<u8>>, value: &T) -> Self {
        Self {
            table,
            key: key.into(),
            value: Some(canonical(value)),
        }
    }

    /// Deletes an entry.
    pub fn delete(table: Table, key: impl Into<Vec<u8>>) -> Self {
        Self {
            table,
            key: key.into(),
            value: None,
        }
    }
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it open.
    #[error("{path} is in use by another process; stop that one first")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer version of this program.
    #[error(
        "{path} was written by a newer version (format {found}, this program reads {FORMAT}); \
         install that version or restore an older state directory"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Written by a version of this program whose entries mean something else.
    #[error(
        "{path} was written by an earlier version (format {found}, this program reads {FORMAT}) and \
         cannot be read; keep it, and begin with a new state directory"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The file cannot be opened.
    #[error("cannot open {path}; check that the directory exists, is writable and has space")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: redb::Error,
    },
    /// A read or a write failed.
    #[error("the disk refused to read or write; check its space and health")]
    Disk(#[from] Box<redb::Error>),
    /// A stored block does not follow the one before it.
    #[error("block {height} is damaged or missing; restore the state directory from a backup")]
    BrokenChain {
        /// Its height.
        height: u64,
    },
    /// An entry is not what was written.
    #[error("table {table} holds a damaged entry; restore the state directory from a backup")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What the decoder said.
        #[source]
        source: DecodeError,
    },
}

fn disk(source: impl Into<redb::Error>) -> StoreError {
    StoreError::Disk(Box::new(source.into()))
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    backend: Backend,
}

/// Where a store's entries are.
#[derive(Debug)]
enum Backend {
    Redb(Database),
    Map(map::Map),
}

impl Store {
    /// Opens the store at `path` and creates it where there is none.
    ///
    /// # Errors
    /// `InUse`, `Newer`, `Open`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        let database = match opened {
            Ok(database) => database,
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(StoreError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(error) => {
                return Err(StoreError::Open {
                    path: path.to_owned(),
                    source: error.into(),
                });
            }
        };
        let backend = Backend::Redb(database);
        let store = Self { backend };
        store.check_format(path)?;
        Ok(store)
    }

    /// A store that is gone with the process: for simulations.
    ///
    /// # Errors
    /// `Disk`
    pub fn in_memory() -> Result<Self, StoreError> {
        let backend = redb::backends::InMemoryBackend::new();
        let database = Database::builder().create_with_backend(backend);
        let backend = Backend::Redb(database.map_err(disk)?);
        Ok(Self { backend })
    }

    /// A store in plain memory, without redb: for simulators, where opening and syncing must cost
    /// nothing.
    #[must_use]
    pub fn simulated() -> Self {
        let backend = Backend::Map(map::Map::default());
        Self { backend }
    }

    /// A copy of a [simulated](Self::simulated) store as it is now; `None` of any other.
    #[must_use]
    pub fn copy(&self) -> Option<Self> {
        match &self.backend {
            Backend::Redb(_) => None,
            Backend::Map(map) => {
                let backend = Backend::Map(map.copy());
                Some(Self { backend })
            }
        }
    }

    fn check_format(&self, path: &Path) -> Result<(), StoreError> {
        match self.get::<u32>(META, FORMAT_KEY)? {
            None => self.commit(&[Write::put(META, FORMAT_KEY, &FORMAT)]),
            Some(found) if found > FORMAT => Err(StoreError::Newer {
                path: path.to_owned(),
                found,
            }),
            Some(found) if found < FORMAT => Err(StoreError::Older {
                path: path.to_owned(),
                found,
            }),
            Some(_) => Ok(()),
        }
    }

    /// Makes all of `writes` durable, or none.
    ///
    /// # Errors
    /// `Disk`; nothing was written then.
    pub fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let database = match &self.backend {
            Backend::Redb(database) => database,
            Backend::Map(map) => {
                map.commit(writes);
                return Ok(());
            }
        };
        // By table and key: opening a table costs more than a write, and neighbours share pages.
        // The sort is stable, so that of two writes to one key the later one stands.
        let mut sorted: Vec<&Write> = writes.iter().collect();
        sorted.sort_by_key(|write| (write.table.0, &write.key));
        let mut transaction = database.begin_write().map_err(disk)?;
        transaction.set_quick_repair(true);
        write_all(&transaction, &sorted)?;
        transaction.commit().map_err(disk)
    }

    /// Reads one entry.
    ///
    /// # Errors
    /// `Disk` or `Damaged`.
    pub fn get<T: BorshDeserialize>(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        let database = match &self.backend {
            Backend::Redb(database) => database,
            Backend::Map(map) => {
                let value = map.get(table, key);
                return value.map(|value| read(table, &value)).transpose();
            }
        };
        let transaction = database.begin_read().map_err(disk)?;
        let opened = match transaction.open_table(table.definition()) {
            Ok(opened) => opened,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(disk(error)),
        };
        let pieces = open_pieces(&transaction)?;
        match opened.get(key).map_err(disk)? {
            Some(entry) => {
                let value = pieces::value(entry.value(), table, key, pieces.as_ref())?;
                read(table, &value).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Gives every entry of a table to `take`, in the order of the keys.
    ///
    /// # Errors
    /// `Disk` or `Damaged`.
    pub fn for_each<T: BorshDeserialize>(
        &self,
        table: Table,
        mut take: impl FnMut(&[u8], T),
    ) -> Result<(), StoreError> {
        let database = match &self.backend {
            Backend::Redb(database) => database,
            Backend::Map(map) => {
                for (key, value) in map.entries(table) {
                    take(&key, read(table, &value)?);
                }
                return Ok(());
            }
        };
        let transaction = database.begin_read().map_err(disk)?;
        let opened = match transaction.open_table(table.definition()) {
            Ok(opened) => opened,
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(disk(error)),
        };
        let pieces = open_pieces(&transaction)?;
        for entry in opened.iter().map_err(disk)? {
            let (key, entry) = entry.map_err(disk)?;
            let value = pieces::value(entry.value(), table, key.value(), pieces.as_ref())?;
            take(key.value(), read(table, &value)?);
        }
        Ok(())
    }

    /// All entries of a table.
    ///
    /// # Errors
    /// `Disk` or `Damaged`.
    pub fn all<T: BorshDeserialize>(&self, table: Table) -> Result<Vec<T>, StoreError> {
        let mut entries = Vec::new();
        self.for_each(table, |_, entry| entries.push(entry))?;
        Ok(entries)
    }
}

/// Writes all of a sorted batch.
fn write_all(transaction: &WriteTransaction, sorted: &[&Write]) -> Result<(), StoreError> {
    let mut pieces = transaction.open_table(pieces::PIECES).map_err(disk)?;
    for of_table in sorted.chunk_by(|one, next| one.table == next.table) {
        let table = of_table[0].table;
        let mut opened = transaction.open_table(table.definition()).map_err(disk)?;
        for write in of_table {
            let key = write.key.as_slice();
            let value = write.value.as_deref();
            let before = match value {
                Some(value) => opened.insert(key, pieces::entry(value).as_slice()),
                None => opened.remove(key),
            };
            let before = before.map_err(disk)?;
            let before = before.and_then(|before| pieces::length(before.value()));
            pieces::replace(&mut pieces, table, key, before, value)?;
        }
    }
    Ok(())
}

/// The pieces of long values; `None` where nothing was ever written.
fn open_pieces(
    transaction: &ReadTransaction,
) -> Result<Option<ReadOnlyTable<Bytes, Bytes>>, StoreError> {
    match transaction.open_table(pieces::PIECES) {
        Ok(opened) => Ok(Some(opened)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(disk(error)),
    }
}

fn read<T: BorshDeserialize>(table: Table, bytes: &[u8]) -> Result<T, StoreError> {
    decode(bytes).map_err(|source| StoreError::Damaged {
        table: table.0,
        source,
    })
}

/// What a machine asks its shell to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<E> {
    /// Make this durable before any effect that follows.
    Persist(Write),
    /// Do this.
    Effect(E),
}

/// A sans-IO state machine: the node's or the provider's rules.
pub trait Machine {
    /// What happens to it.
    type Input;
    /// What it wants done beside storing.
    type Effect;

    /// Takes one input in.
    fn handle(&mut self, now: UnixMillis, input: Self::Input);

    /// The next thing to do; `None` when there is nothing left.
    fn poll(&mut self) -> Option<Step<Self::Effect>>;
}

/// Runs a batch of inputs through `machine`, makes all it wants stored durable in one sync (with
/// the shell's own `writes`), and returns the effects that may now be carried out.
///
/// # Errors
/// `Disk`: nothing was stored and no effect may be carried out; the shell must stop, because the
/// machine is ahead of its disk.
pub fn drive<M: Machine>(
    machine: &mut M,
    store: &Store,
    now: UnixMillis,
    inputs: impl IntoIterator<Item = M::Input>,
    mut writes: Vec<Write>,
    watch: &dyn Watch,
) -> Result<Vec<M::Effect>, StoreError> {
    let mut effects = Vec::new();
    for input in inputs {
        machine.handle(now, input);
        while let Some(step) = machine.poll() {
            match step {
                Step::Persist(write) => writes.push(write),
                Step::Effect(effect) => effects.push(effect),
            }
        }
    }
    if !writes.is_empty() {
        watch.syncing();
        store.commit(&writes)?;
        watch.synced();
    }
    Ok(effects)
}

/// Looks on while a shell works: crash tests stop the process at an exact point.
pub trait Watch: Send + Sync {
    /// Something is about to be made durable; nothing that relies on it may be out yet.
    fn syncing(&self) {}
    /// Something was just made durable.
    fn synced(&self) {}
    /// Something is about to be sent.
    fn sending(&self) {}
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWatch;

impl Watch for NoWatch {}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: Table = Table("numbers");

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store.redb");
        let store = Store::open(&path).expect("opens");
        let writes: Vec<_> = (0..3_u32)
            .map(|n| Write::put(NUMBERS, n.to_be_bytes(), &n))
            .collect();
        store.commit(&writes).expect("commits");
        store
            .commit(&[Write::delete(NUMBERS, 1_u32.to_be_bytes())])
            .expect("commits");
        drop(store);
        let store = Store::open(&path).expect("reopens");
        assert_eq!(store.all::<u32>(NUMBERS).expect("reads"), [0, 2]);
    }

    #[test]
    fn of_two_writes_to_one_key_the_later_one_stands() {
        let store = Store::in_memory().expect("memory is there");
        let other = Table("other");
        let writes = [
            Write::put(NUMBERS, [2], &1_u32),
            Write::put(other, [2], &9_u32),
            Write::put(NUMBERS, [1], &7_u32),
            Write::put(NUMBERS, [2], &2_u32),
            Write::delete(NUMBERS, [1]),
        ];
        store.commit(&writes).expect("commits");
        assert_eq!(store.all::<u32>(NUMBERS).expect("reads"), [2]);
        assert_eq!(store.all::<u32>(other).expect("reads"), [9]);
    }

    #[test]
    fn a_simulated_store_and_its_copy_tell_what_was_committed() {
        let store = Store::simulated();
        let write = |n: u32| Write::put(NUMBERS, n.to_be_bytes(), &n);
        store.commit(&[write(1), write(2)]).expect("commits");
        let copy = store.copy().expect("it is a simulated one");
        let gone = Write::delete(NUMBERS, 1_u32.to_be_bytes());
        store.commit(&[gone, write(3)]).expect("commits");
        assert_eq!(store.all::<u32>(NUMBERS).expect("reads"), [2, 3]);
        assert_eq!(copy.all::<u32>(NUMBERS).expect("reads"), [1, 2]);
        let one = copy.get::<u32>(NUMBERS, &1_u32.to_be_bytes());
        assert_eq!(one.expect("reads"), Some(1));
    }

    #[test]
    fn a_store_of_a_newer_version_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store.redb");
        let store = Store::open(&path).expect("opens");
        store
            .commit(&[Write::put(META, FORMAT_KEY, &(FORMAT + 1))])
            .expect("commits");
        drop(store);
        let refused = Store::open(&path).expect_err("it is newer");
        assert!(matches!(refused, StoreError::Newer { found, .. } if found == FORMAT + 1));
    }

    #[test]
    fn a_store_of_an_earlier_version_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store.redb");
        let store = Store::open(&path).expect("opens");
        store
            .commit(&[Write::put(META, FORMAT_KEY, &(FORMAT - 1))])
            .expect("commits");
        drop(store);
        let refused = Store::open(&path).expect_err("it is newer");
        assert!(matches!(refused, StoreError::Older { found, .. } if found == FORMAT - 1));
    }

    #[test]
    fn a_store_in_use_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store.redb");
        let _store = Store::open(&path).expect("opens");
        assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn a_damaged_entry_is_an_error_and_no_value() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(&directory.path().join("store.redb")).expect("opens");
        store
            .commit(&[Write::put(NUMBERS, [0], &1_u64)])
            .expect("commits");
        let read = store.all::<u32>(NUMBERS);
        assert!(matches!(
            read,
            Err(StoreError::Damaged {
                table: "numbers",
                ..
            })
        ));
    }
}
