//! The vault itself.
//!
//! # Stored format 1
//!
//! `vault.redb`, a redb file of mode 0600 with three tables of byte strings:
//!
//! - `meta`: `format` (a number, 4 bytes, big-endian), `store` (16 random bytes that identify this vault),
//!   `key` (the key-encryption key as an age file), `head` (the generation, 8 bytes, big-endian, and the seal).
//! - `names`: HMAC of the name → encrypted JSON `{path, last}`. It stays when the secret is removed, so that no
//!   version number is used twice.
//! - `versions`: HMAC of the name, version (4 bytes, big-endian) → time of making (8 bytes, big-endian,
//!   milliseconds since 1970), encrypted data key, encrypted value.
//!
//! The seal is an HMAC over the generation and everything in `names` and `versions`: a record that was changed,
//! dropped, added or put back from an older copy is noticed when the vault is opened. A whole file put
//! back from an older copy is noticed by its generation, which the caller records elsewhere.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use model::{SecretPath, Timestamp};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use zeroize::Zeroizing;

use crate::key_file::{KeyFile, RecoveryRecipient, make_private_folder, remove_if_there, sync_folder};
use crate::record::{NameRecord, VersionRecord, split_version_key, version_key};
use crate::seal::{self, Binding, KEY_BYTES, KeyBytes, Keys, MAC_BYTES, Purpose, SealError, StoreId, WrapError};
use crate::secret::{SecretValue, SecretValueError};

/// The vault's file within its folder.
pub const FILE_NAME: &str = "vault.redb";
/// How many versions of a secret are kept; the oldest goes when one more is made.
pub const VERSIONS_MAX: u32 = 20;
/// How many names one vault holds, removed ones included.
pub const NAMES_MAX: u64 = 10_000;
/// The fewest random bytes of a generated secret.
pub const GENERATED_BYTES_MIN: u32 = 16;
/// The most random bytes of a generated secret.
pub const GENERATED_BYTES_MAX: u32 = 1024;

const FORMAT: u32 = 1;
/// The vault is small and read rarely.
const CACHE_BYTES: usize = 1 << 20;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;
const META: Table = TableDefinition::new("meta");
const NAMES: Table = TableDefinition::new("names");
const VERSIONS: Table = TableDefinition::new("versions");

/// An open vault. It holds the file's lock: one process at a time.
pub struct Vault {
    path: PathBuf,
    database: redb::Database,
    keys: Keys,
}

/// The number of a version of one secret; the first is 1 and none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct SecretVersion(pub u32);

impl fmt::Display for SecretVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Counts the changes of one vault. A vault whose generation is below one that was seen before was put
/// back from an older copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One secret of a listing, without any value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ListedSecret {
    /// Its name.
    pub path: SecretPath,
    /// The versions that are kept, oldest first.
    pub versions: Vec<ListedVersion>,
}

/// One version of a listed secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ListedVersion {
    /// Its number.
    pub version: SecretVersion,
    /// When it was made.
    pub created: Timestamp,
}

/// What [`Vault::ensure_generated`] found or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ensured {
    /// The newest version.
    pub version: SecretVersion,
    /// Whether it was made now.
    pub made: bool,
}

/// A vault could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no vault, although there was one.
    #[error(
        "{} is missing, although generation {seen} of it was seen before: put it back from a backup",
        path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// The generation that was seen.
        seen: Generation,
    },
    /// Another process has it open.
    #[error("{} is in use by another process: is a node running on this state directory?", path.display())]
    InUse {
        /// The vault's file.
        path: PathBuf,
    },
    /// The key does not open it.
    #[error(
        "the key file {} does not open {}: it belongs to another vault; use the key that this one was made with, \
         or a recovery key",
        key.display(), path.display()
    )]
    WrongKey {
        /// The vault's file.
        path: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The file is older than one that was seen.
    #[error(
        "{} is at generation {found}, although generation {seen} was seen before: it was put back from an older \
         copy, and changed secrets would be undone",
        path.display()
    )]
    RolledBack {
        /// The vault's file.
        path: PathBuf,
        /// Its generation.
        found: Generation,
        /// The generation that was seen.
        seen: Generation,
    },
    /// It was written by a newer program.
    #[error("{} has format {found}, and this program knows formats up to {FORMAT}: use a newer one", path.display())]
    Newer {
        /// The vault's file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its content is not what was written.
    #[error("{} is damaged ({what}): put it back from a backup", path.display())]
    Damaged {
        /// The vault's file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// The file system refused.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The storage layer refused.
    #[error("cannot open {}", path.display())]
    Storage {
        /// The vault's file.
        path: PathBuf,
        /// Why not.
        source: Box<redb::Error>,
    },
    /// A new vault could not be filled.
    #[error("cannot make a vault in {}", path.display())]
    Make {
        /// The vault's file.
        path: PathBuf,
        /// Why not.
        source: WriteError,
    },
}

/// A secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The storage layer refused.
    #[error("cannot read the vault")]
    Storage(#[source] Box<redb::Error>),
    /// A record is not what was written.
    #[error("a record of the vault is damaged ({what}): put the vault back from a backup")]
    Damaged {
        /// What does not fit.
        what: &'static str,
    },
}

/// A change could not be made; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What is there could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The storage layer refused.
    #[error("cannot write the vault")]
    Storage(#[source] Box<redb::Error>),
    /// The value could not be encrypted.
    #[error("cannot encrypt: {why}")]
    Encrypt {
        /// What is missing.
        why: String,
    },
    /// There are too many names.
    #[error("a vault holds at most {NAMES_MAX} names")]
    TooMany,
    /// All numbers are used up.
    #[error("the secret has had as many versions as can be counted")]
    NoNumber,
    /// So many random bytes are not made.
    #[error("a generated secret has {GENERATED_BYTES_MIN} to {GENERATED_BYTES_MAX} random bytes, not {asked}")]
    GeneratedBytes {
        /// How many were asked for.
        asked: u32,
    },
    /// The value cannot be kept.
    #[error(transparent)]
    Value(#[from] SecretValueError),
}

impl Vault {
    /// Whether a folder holds a vault.
    pub fn exists(folder: &Path) -> bool {
        folder.join(FILE_NAME).exists()
    }

    /// Opens the vault of a folder. `seen` is the newest generation that the caller knows of.
    pub fn open(folder: &Path, key: &KeyFile, seen: Option<Generation>) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        if !path.exists()
            && let Some(seen) = seen
        {
            return Err(OpenError::Missing { path, seen });
        }
        // redb asserts what a damaged file breaks. Everything is read once in here, so nothing of it is
        // left for later.
        let opening = std::panic::AssertUnwindSafe(|| Self::open_and_verify(path.clone(), key));
        let (vault, found) = std::panic::catch_unwind(opening)
            .unwrap_or_else(|_| Err(OpenError::Damaged { path: path.clone(), what: "its structure" }))?;
        match seen {
            Some(seen) if found < seen => Err(OpenError::RolledBack { path, found, seen }),
            _ => Ok(vault),
        }
    }

    fn open_and_verify(path: PathBuf, key: &KeyFile) -> Result<(Self, Generation), OpenError> {
        let mut database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .open(&path)
            .map_err(|error| open_failed(&path, error.into()))?;
        database.check_integrity().map_err(|error| open_failed(&path, error.into()))?;
        let meta = read_meta(&database, &path)?;
        let kek = seal::unwrap(&meta.key, key.identity()).map_err(|error| match error {
            WrapError::WrongKey => OpenError::WrongKey { path: path.clone(), key: key.path().to_owned() },
            _ => OpenError::Damaged { path: path.clone(), what: "the wrapped key" },
        })?;
        let keys =
            Keys::derive(&kek, meta.store).map_err(|_| OpenError::Damaged { path: path.clone(), what: "the keys" })?;
        let vault = Self { path, database, keys };
        vault.verify_seal(&meta)?;
        Ok((vault, meta.generation))
    }

    /// Makes an empty vault that the machine's key and each recovery key open. It gets its name when it
    /// is whole; one that exists is never replaced.
    pub fn create(folder: &Path, key: &KeyFile, recovery: &[RecoveryRecipient]) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        let unfinished = folder.join("vault.redb.new");
        let failed = |doing, path: &Path, source| OpenError::File { doing, path: path.to_owned(), source };
        make_private_folder(folder).map_err(|e| failed("make", folder, e))?;
        remove_if_there(&unfinished).map_err(|e| failed("remove", &unfinished, e))?;
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .map_err(|e| failed("make", &unfinished, e))?;
        let database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create_file(file)
            .map_err(|error| open_failed(&unfinished, error.into()))?;
        let vault = fill(path.clone(), database, key, recovery)
            .map_err(|source| OpenError::Make { path: path.clone(), source })?;
        fs::hard_link(&unfinished, &path).map_err(|e| failed("make", &path, e))?;
        remove_if_there(&unfinished).map_err(|e| failed("remove", &unfinished, e))?;
        sync_folder(folder).map_err(|e| failed("sync", folder, e))?;
        Ok(vault)
    }

    /// How often this vault was changed. To be recorded elsewhere after each change, so that an older copy
    /// is noticed.
    pub fn generation(&self) -> Result<Generation, ReadError> {
        let reading = self.reading()?;
        let meta = reading.open_table(META).map_err(storage)?;
        let head = meta.get(b"head".as_slice()).map_err(storage)?;
        let head = head.as_ref().and_then(|head| decode_head(head.value()));
        Ok(head.ok_or(ReadError::Damaged { what: "the head" })?.0)
    }

    /// Adds a version.
    pub fn set(&self, path: &SecretPath, value: &SecretValue, now: Timestamp) -> Result<SecretVersion, WriteError> {
        self.change(|tables| tables.add(path, value, now))
    }

    /// Adds a version of each, all or none: what an import does.
    pub fn set_all(
        &self,
        values: &[(SecretPath, SecretValue)],
        now: Timestamp,
    ) -> Result<Vec<SecretVersion>, WriteError> {
        self.change(|tables| values.iter().map(|(path, value)| tables.add(path, value, now)).collect())
    }

    /// The newest version's value, or the asked version's; `None` when it is not kept.
    pub fn get(
        &self,
        path: &SecretPath,
        version: Option<SecretVersion>,
    ) -> Result<Option<(SecretVersion, SecretValue)>, ReadError> {
        let index = self.keys.index(path);
        let reading = self.reading()?;
        let versions = reading.open_table(VERSIONS).map_err(storage)?;
        let (first, last) = match version {
            Some(SecretVersion(number)) => (number, number),
            None => (0, u32::MAX),
        };
        let (first, last) = (version_key(&index, first), version_key(&index, last));
        let mut range = versions.range(first.as_slice()..=last.as_slice()).map_err(storage)?;
        let Some(found) = range.next_back() else { return Ok(None) };
        let (key, record) = found.map_err(storage)?;
        let (_, number) = split_version_key(key.value()).ok_or(ReadError::Damaged { what: "a version's key" })?;
        let value = self.open_version(&index, number, record.value())?;
        Ok(Some((SecretVersion(number), value)))
    }

    /// Every secret that has a version, by name, without values.
    pub fn list(&self) -> Result<Vec<ListedSecret>, ReadError> {
        let reading = self.reading()?;
        let names = reading.open_table(NAMES).map_err(storage)?;
        let versions = reading.open_table(VERSIONS).map_err(storage)?;
        let mut listed = Vec::new();
        for entry in names.iter().map_err(storage)? {
            let (key, record) = entry.map_err(storage)?;
            let index = key.value().try_into().map_err(|_| ReadError::Damaged { what: "a name's key" })?;
            let name = open_name(&self.keys, &index, record.value())?;
            let kept = list_versions(&versions, &index)?;
            if !kept.is_empty() {
                listed.push(ListedSecret { path: name.path, versions: kept });
            }
        }
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listed)
    }

    /// Removes all versions of a secret; `false` when it has none.
    pub fn remove(&self, path: &SecretPath) -> Result<bool, WriteError> {
        match self.get(path, None)? {
            Some(_) => self.change(|tables| tables.drop_versions(path)),
            None => Ok(false),
        }
    }

    /// Makes a secret of so many random bytes, as base64url without padding, unless it has a version.
    pub fn ensure_generated(&self, path: &SecretPath, bytes: u32, now: Timestamp) -> Result<Ensured, WriteError> {
        if let Some((version, _)) = self.get(path, None)? {
            return Ok(Ensured { version, made: false });
        }
        let value = generate(bytes)?;
        self.set(path, &value, now).map(|version| Ensured { version, made: true })
    }

    /// Wraps the vault's key anew: from now on the machine's key and exactly these recovery keys open it.
    pub fn rewrap(&self, key: &KeyFile, recovery: &[RecoveryRecipient]) -> Result<(), WriteError> {
        let reading = self.reading()?;
        let meta = reading.open_table(META).map_err(storage)?;
        let wrapped = meta.get(b"key".as_slice()).map_err(storage)?.ok_or(ReadError::Damaged { what: "no key" })?;
        let kek = seal::unwrap(wrapped.value(), key.identity())
            .map_err(|error| WriteError::Encrypt { why: error.to_string() })?;
        let wrapped = wrap_for(&kek, key, recovery)?;
        self.change(|tables| tables.meta.insert(b"key".as_slice(), wrapped.as_slice()).map(drop).map_err(unwritten))
    }

    fn reading(&self) -> Result<redb::ReadTransaction, ReadError> {
        self.database.begin_read().map_err(storage)
    }

    fn open_version(&self, index: &[u8; MAC_BYTES], version: u32, record: &[u8]) -> Result<SecretValue, ReadError> {
        let record = VersionRecord::decode(record).ok_or(ReadError::Damaged { what: "a version's record" })?;
        let binding = |purpose| Binding { name: index, version, created: record.created, purpose };
        let damaged = |_| ReadError::Damaged { what: "an encrypted value" };
        let data_key = self.keys.decrypt(binding(Purpose::DataKey), &record.data_key).map_err(damaged)?;
        let data_key: &[u8; KEY_BYTES] =
            data_key.as_slice().try_into().map_err(|_| ReadError::Damaged { what: "a data key" })?;
        let value = self
            .keys
            .decrypt_with(&Zeroizing::new(*data_key), binding(Purpose::Value), &record.value)
            .map_err(damaged)?;
        let text = std::str::from_utf8(&value).map_err(|_| ReadError::Damaged { what: "a value's text" })?;
        SecretValue::new(text.to_owned()).map_err(|_| ReadError::Damaged { what: "a value" })
    }

    /// Runs one change in one transaction: afterwards all of it stands, sealed, or none.
    fn change<T>(&self, make: impl FnOnce(&mut Tables<'_>) -> Result<T, WriteError>) -> Result<T, WriteError> {
        change(&self.database, &self.keys, make)
    }

    fn verify_seal(&self, meta: &Meta) -> Result<(), OpenError> {
        let damaged = |what| OpenError::Damaged { path: self.path.clone(), what };
        let refused = |error: redb::Error| open_failed(&self.path, error);
        let reading = self.database.begin_read().map_err(|e| refused(e.into()))?;
        let names = reading.open_table(NAMES).map_err(|e| refused(e.into()))?;
        let versions = reading.open_table(VERSIONS).map_err(|e| refused(e.into()))?;
        let seal =
            content_seal(&self.keys, meta.generation, &meta.key, &names, &versions).map_err(|e| refused(e.into()))?;
        aws_lc_rs::constant_time::verify_slices_are_equal(&seal, &meta.seal).map_err(|_| damaged("its seal"))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.path.display())
    }
}

/// So many random bytes as base64url without padding: safe in a URL, a shell and a YAML file.
pub fn generate(bytes: u32) -> Result<SecretValue, WriteError> {
    if !(GENERATED_BYTES_MIN..=GENERATED_BYTES_MAX).contains(&bytes) {
        return Err(WriteError::GeneratedBytes { asked: bytes });
    }
    let random = seal::random::<{ GENERATED_BYTES_MAX as usize }>().map_err(unencrypted)?;
    let used = random.get(..bytes as usize).ok_or(WriteError::GeneratedBytes { asked: bytes })?;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(used);
    Ok(SecretValue::new(text)?)
}

struct Meta {
    store: StoreId,
    key: Vec<u8>,
    generation: Generation,
    seal: [u8; MAC_BYTES],
}

fn read_meta(database: &redb::Database, path: &Path) -> Result<Meta, OpenError> {
    let refused = |error: redb::Error| open_failed(path, error);
    let damaged = |what| OpenError::Damaged { path: path.to_owned(), what };
    let reading = database.begin_read().map_err(|e| refused(e.into()))?;
    let meta = reading.open_table(META).map_err(|e| refused(e.into()))?;
    let field = |name: &'static str| -> Result<Vec<u8>, OpenError> {
        let found = meta.get(name.as_bytes()).map_err(|e| refused(e.into()))?;
        found.map(|value| value.value().to_vec()).ok_or_else(|| damaged(name))
    };
    let format = field("format")?.as_slice().try_into().map(u32::from_be_bytes).map_err(|_| damaged("its format"))?;
    match format {
        FORMAT => {}
        0 => return Err(damaged("its format")),
        found => return Err(OpenError::Newer { path: path.to_owned(), found }),
    }
    let store = StoreId(field("store")?.try_into().map_err(|_| damaged("its id"))?);
    let (generation, seal) = decode_head(&field("head")?).ok_or_else(|| damaged("its head"))?;
    Ok(Meta { store, key: field("key")?, generation, seal })
}

fn decode_head(bytes: &[u8]) -> Option<(Generation, [u8; MAC_BYTES])> {
    let (generation, seal) = bytes.split_first_chunk::<8>()?;
    Some((Generation(u64::from_be_bytes(*generation)), seal.try_into().ok()?))
}

/// The tables of a transaction that changes them.
struct Tables<'t> {
    keys: &'t Keys,
    meta: redb::Table<'t, &'static [u8], &'static [u8]>,
    names: redb::Table<'t, &'static [u8], &'static [u8]>,
    versions: redb::Table<'t, &'static [u8], &'static [u8]>,
}

impl Tables<'_> {
    fn add(&mut self, path: &SecretPath, value: &SecretValue, now: Timestamp) -> Result<SecretVersion, WriteError> {
        let index = self.keys.index(path);
        let version = self.next_version(&index, path)?;
        let created = now.as_millis();
        let binding = |purpose| Binding { name: &index, version, created, purpose };
        let data_key = seal::random::<KEY_BYTES>().map_err(unencrypted)?;
        let plain = value.expose().as_bytes();
        let record = VersionRecord {
            created,
            data_key: self.keys.encrypt(binding(Purpose::DataKey), data_key.as_slice()).map_err(unencrypted)?,
            value: self.keys.encrypt_with(&data_key, binding(Purpose::Value), plain).map_err(unencrypted)?,
        };
        let (key, record) = (version_key(&index, version), record.encode());
        self.versions.insert(key.as_slice(), record.as_slice()).map_err(unwritten)?;
        let kept_from = version.saturating_sub(VERSIONS_MAX - 1);
        self.retain_versions(&index, |number| number >= kept_from)?;
        Ok(SecretVersion(version))
    }

    fn drop_versions(&mut self, path: &SecretPath) -> Result<bool, WriteError> {
        let index = self.keys.index(path);
        self.retain_versions(&index, |_| false)
    }

    /// Whether any version was removed.
    fn retain_versions(&mut self, index: &[u8; MAC_BYTES], keep: impl Fn(u32) -> bool) -> Result<bool, WriteError> {
        let mut removed = false;
        let (first, last) = (version_key(index, 0), version_key(index, u32::MAX));
        self.versions
            .retain_in(first.as_slice()..=last.as_slice(), |key, _| {
                let kept = split_version_key(key).is_some_and(|(_, number)| keep(number));
                removed |= !kept;
                kept
            })
            .map_err(unwritten)?;
        Ok(removed)
    }

    fn next_version(&mut self, index: &[u8; MAC_BYTES], path: &SecretPath) -> Result<u32, WriteError> {
        let known = match self.names.get(index.as_slice()).map_err(unwritten)? {
            Some(record) => Some(open_name(self.keys, index, record.value())?),
            None => None,
        };
        if known.is_none() && redb::ReadableTableMetadata::len(&self.names).map_err(unwritten)? >= NAMES_MAX {
            return Err(WriteError::TooMany);
        }
        let last = known.map_or(0, |known| known.last).checked_add(1).ok_or(WriteError::NoNumber)?;
        let name = NameRecord { path: path.clone(), last };
        let plain = serde_json::to_vec(&name).map_err(|_| WriteError::Encrypt { why: "the name".to_owned() })?;
        let binding = Binding { name: index, version: 0, created: 0, purpose: Purpose::Name };
        let sealed = self.keys.encrypt(binding, &plain).map_err(unencrypted)?;
        self.names.insert(index.as_slice(), sealed.as_slice()).map_err(unwritten)?;
        Ok(last)
    }

    fn seal(&mut self) -> Result<(), WriteError> {
        let field = |name: &'static str| -> Result<Vec<u8>, WriteError> {
            let found = self.meta.get(name.as_bytes()).map_err(unwritten)?;
            Ok(found.map(|value| value.value().to_vec()).unwrap_or_default())
        };
        let before = decode_head(&field("head")?).map_or(0, |(generation, _)| generation.0);
        let generation = Generation(before + 1);
        let seal = content_seal(self.keys, generation, &field("key")?, &self.names, &self.versions)
            .map_err(|error| WriteError::Storage(Box::new(error.into())))?;
        let head = [generation.0.to_be_bytes().as_slice(), &seal].concat();
        self.meta.insert(b"head".as_slice(), head.as_slice()).map_err(unwritten)?;
        Ok(())
    }
}

fn change<T>(
    database: &redb::Database,
    keys: &Keys,
    make: impl FnOnce(&mut Tables<'_>) -> Result<T, WriteError>,
) -> Result<T, WriteError> {
    let writing = database.begin_write().map_err(unwritten)?;
    let outcome = {
        let mut tables = Tables {
            keys,
            meta: writing.open_table(META).map_err(unwritten)?,
            names: writing.open_table(NAMES).map_err(unwritten)?,
            versions: writing.open_table(VERSIONS).map_err(unwritten)?,
        };
        let outcome = make(&mut tables)?;
        tables.seal()?;
        outcome
    };
    writing.commit().map_err(unwritten)?;
    Ok(outcome)
}

/// Writes the first content of a new vault.
fn fill(
    path: PathBuf,
    database: redb::Database,
    key: &KeyFile,
    recovery: &[RecoveryRecipient],
) -> Result<Vault, WriteError> {
    let store = StoreId(*seal::random::<16>().map_err(unencrypted)?);
    let kek = seal::random::<KEY_BYTES>().map_err(unencrypted)?;
    let wrapped = wrap_for(&kek, key, recovery)?;
    let keys = Keys::derive(&kek, store).map_err(unencrypted)?;
    change(&database, &keys, |tables| {
        let format = FORMAT.to_be_bytes();
        let fields: [(&[u8], &[u8]); 3] = [(b"format", &format), (b"store", &store.0), (b"key", &wrapped)];
        fields.into_iter().try_for_each(|(name, value)| tables.meta.insert(name, value).map(drop).map_err(unwritten))
    })?;
    Ok(Vault { path, database, keys })
}

fn wrap_for(kek: &KeyBytes, key: &KeyFile, recovery: &[RecoveryRecipient]) -> Result<Vec<u8>, WriteError> {
    let machine = key.identity().to_public();
    let recipients: Vec<_> = std::iter::once(&machine).chain(recovery.iter().map(|recipient| &recipient.0)).collect();
    seal::wrap(kek, &recipients).map_err(|error| WriteError::Encrypt { why: error.to_string() })
}

fn open_name(keys: &Keys, index: &[u8; MAC_BYTES], sealed: &[u8]) -> Result<NameRecord, ReadError> {
    let binding = Binding { name: index, version: 0, created: 0, purpose: Purpose::Name };
    let plain = keys.decrypt(binding, sealed).map_err(|_| ReadError::Damaged { what: "an encrypted name" })?;
    serde_json::from_slice(&plain).map_err(|_| ReadError::Damaged { what: "a name" })
}

fn list_versions(
    versions: &impl ReadableTable<&'static [u8], &'static [u8]>,
    index: &[u8; MAC_BYTES],
) -> Result<Vec<ListedVersion>, ReadError> {
    let (first, last) = (version_key(index, 0), version_key(index, u32::MAX));
    let mut kept = Vec::new();
    for entry in versions.range(first.as_slice()..=last.as_slice()).map_err(storage)? {
        let (key, record) = entry.map_err(storage)?;
        let (_, number) = split_version_key(key.value()).ok_or(ReadError::Damaged { what: "a version's key" })?;
        let record = VersionRecord::decode(record.value()).ok_or(ReadError::Damaged { what: "a version's record" })?;
        kept.push(ListedVersion { version: SecretVersion(number), created: Timestamp::from_millis(record.created) });
    }
    Ok(kept)
}

fn content_seal(
    keys: &Keys,
    generation: Generation,
    wrapped_key: &[u8],
    names: &impl ReadableTable<&'static [u8], &'static [u8]>,
    versions: &impl ReadableTable<&'static [u8], &'static [u8]>,
) -> Result<[u8; MAC_BYTES], redb::StorageError> {
    let mut sealing = keys.sealing();
    sealing.add(&generation.0.to_be_bytes());
    sealing.add(wrapped_key);
    for entry in names.iter()? {
        let (key, value) = entry?;
        sealing.add(key.value());
        sealing.add(value.value());
    }
    // Between the tables, so that a record cannot wander from one to the other.
    sealing.add(b"versions");
    for entry in versions.iter()? {
        let (key, value) = entry?;
        sealing.add(key.value());
        sealing.add(value.value());
    }
    Ok(sealing.finish())
}

fn open_failed(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen => OpenError::InUse { path },
        redb::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
            OpenError::Damaged { path, what: "it is not a vault's file" }
        }
        redb::Error::Io(source) => OpenError::File { doing: "open", path, source },
        redb::Error::Corrupted(_) | redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. } => {
            OpenError::Damaged { path, what: "its structure" }
        }
        source => OpenError::Storage { path, source: Box::new(source) },
    }
}

fn storage(error: impl Into<redb::Error>) -> ReadError {
    ReadError::Storage(Box::new(error.into()))
}

fn unwritten(error: impl Into<redb::Error>) -> WriteError {
    WriteError::Storage(Box::new(error.into()))
}

fn unencrypted(error: SealError) -> WriteError {
    WriteError::Encrypt { why: error.to_string() }
}
