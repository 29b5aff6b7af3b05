//! The small files of the state directory: the provider's key, the operator's token, the
//! addresses in use.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use protocol::KeyPair;
use serde::{Deserialize, Serialize};

use crate::error::Error;

const KEY: &str = "provider.key";
const TOKEN: &str = "operator.token";
const ADDRESSES: &str = "addresses.json";
const STORE: &str = "provider.redb";

/// Where a running provider can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// The billing links.
    pub(crate) gateways: SocketAddr,
    /// The operator API.
    pub(crate) operator: SocketAddr,
}

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    /// The directory at `path`, whether it exists or not.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Makes the directory where there is none, for this user only.
    pub(crate) fn create(&self) -> Result<(), Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(|source| self.refused("", source))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.join(STORE)
    }

    /// The provider's key; `None` where there is none yet.
    pub(crate) fn key(&self) -> Result<Option<KeyPair>, Error> {
        let Some(text) = self.read_secret(KEY)? else {
            return Ok(None);
        };
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| Error::DamagedFile {
            path: self.0.join(KEY),
        })?;
        Ok(Some(KeyPair::from_seed(&seed)))
    }

    /// Makes a key and keeps it.
    pub(crate) fn create_key(&self) -> Result<KeyPair, Error> {
        let seed = random()?;
        self.write(KEY, &format!("{}\n", hex::encode(seed)))?;
        Ok(KeyPair::from_seed(&seed))
    }

    /// The operator's token; makes one where there is none.
    pub(crate) fn operator_token(&self) -> Result<String, Error> {
        if let Some(token) = self.stored_operator_token()? {
            return Ok(token);
        }
        let token = hex::encode(random::<32>()?);
        self.write(TOKEN, &format!("{token}\n"))?;
        Ok(token)
    }

    /// The operator's token of a provider that ran here.
    pub(crate) fn stored_operator_token(&self) -> Result<Option<String>, Error> {
        let text = self.read_secret(TOKEN)?;
        Ok(text.map(|text| text.trim().to_owned()))
    }

    pub(crate) fn write_addresses(&self, addresses: Addresses) -> Result<(), Error> {
        let text = serde_json::to_string(&addresses).expect("two addresses are always JSON");
        self.write(ADDRESSES, &format!("{text}\n"))
    }

    /// Where the provider listens that was started last; `None` where it stopped.
    pub(crate) fn addresses(&self) -> Result<Option<Addresses>, Error> {
        let Some(text) = self.read(ADDRESSES)? else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|_| Error::DamagedFile {
                path: self.0.join(ADDRESSES),
            })
    }

    pub(crate) fn forget_addresses(&self) -> Result<(), Error> {
        fs::remove_file(self.0.join(ADDRESSES)).map_err(|source| self.refused(ADDRESSES, source))
    }

    /// Reads a file that nobody else may: whoever has it is the provider, or its operator.
    fn read_secret(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.0.join(name);
        if let Ok(metadata) = fs::metadata(&path) {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(Error::Exposed { path, mode });
            }
        }
        self.read(name)
    }

    fn read(&self, name: &str) -> Result<Option<String>, Error> {
        match fs::read_to_string(self.0.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.refused(name, error)),
        }
    }

    /// Writes a whole file, for this user only, or leaves the old one.
    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let write = || {
            let (new, path) = (self.0.join(format!("{name}.new")), self.0.join(name));
            // One that a crash left behind might have been made with another mode.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|source| self.refused(name, source))
    }

    fn refused(&self, name: &str, source: io::Error) -> Error {
        Error::StateFile {
            path: self.0.join(name),
            source,
        }
    }
}

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes)
}
