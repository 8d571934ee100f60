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
use std::io;
use std::path::Path;

use base64::Engine;
use model::{SecretPath, Timestamp};
use redb::{Database, ReadableDatabase, ReadableTable};
use sys::database::{DatabaseFile, opening};
use zeroize::Zeroizing;

use crate::error::{OpenError, ReadError, WriteError, open_failed, storage, unencrypted, unwritten};
use crate::key_file::{KeyFile, RecoveryRecipient, make_private_folder};
use crate::mask;
use crate::record::{VersionRecord, split_version_key, version_key};
use crate::seal::{self, Binding, KEY_BYTES, KeyBytes, Keys, MAC_BYTES, Purpose, StoreId, WrapError};
use crate::secret::SecretValue;
use crate::tables::{
    FORMAT, META, Meta, NAMES, Tables, VERSIONS, change, content_seal, decode_head, list_versions, open_name, read_meta,
};

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

/// An open vault. Its caller holds the lock of the folder that it is in.
pub struct Vault {
    file: DatabaseFile,
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
        let (vault, found) = Self::open_and_verify(&path, key)?;
        match seen {
            Some(seen) if found < seen => Err(OpenError::RolledBack { path, found, seen }),
            _ => Ok(vault),
        }
    }

    /// Everything is read once in here: no damage is left for later.
    fn open_and_verify(path: &Path, key: &KeyFile) -> Result<(Self, Generation), OpenError> {
        let file = DatabaseFile::open(path)?.ok_or_else(|| OpenError::File {
            doing: "open",
            path: path.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let verified = opening(|| file.with(|database| verify(database, path, key)));
        let (keys, generation) =
            verified.unwrap_or_else(|| Err(OpenError::Damaged { path: path.to_owned(), what: "its structure" }))?;
        Ok((Self { file, keys }, generation))
    }

    /// Makes an empty vault that the machine's key and each recovery key open. It gets its name when it
    /// is whole; one that exists is never replaced.
    pub fn create(folder: &Path, key: &KeyFile, recovery: &[RecoveryRecipient]) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        make_private_folder(folder).map_err(|source| OpenError::File {
            doing: "make",
            path: folder.to_owned(),
            source,
        })?;
        let (file, keys) = DatabaseFile::make(&path, |database| {
            fill(database, key, recovery).map_err(|source| OpenError::Make { path: path.clone(), source })
        })?;
        Ok(Self { file, keys })
    }

    /// How often this vault was changed. To be recorded elsewhere after each change, so that an older copy
    /// is noticed.
    pub fn generation(&self) -> Result<Generation, ReadError> {
        self.read(|reading| {
            let meta = reading.open_table(META).map_err(storage)?;
            let head = meta.get(b"head".as_slice()).map_err(storage)?;
            let head = head.as_ref().and_then(|head| decode_head(head.value()));
            Ok(head.ok_or(ReadError::Damaged { what: "the head" })?.0)
        })
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
        let (first, last) = match version {
            Some(SecretVersion(number)) => (number, number),
            None => (0, u32::MAX),
        };
        let (first, last) = (version_key(&index, first), version_key(&index, last));
        self.read(|reading| {
            let versions = reading.open_table(VERSIONS).map_err(storage)?;
            let mut range = versions.range(first.as_slice()..=last.as_slice()).map_err(storage)?;
            let Some(found) = range.next_back() else { return Ok(None) };
            let (key, record) = found.map_err(storage)?;
            let (_, number) = split_version_key(key.value()).ok_or(ReadError::Damaged { what: "a version's key" })?;
            let value = self.open_version(&index, number, record.value())?;
            Ok(Some((SecretVersion(number), value)))
        })
    }

    /// Every secret that has a version, by name, without values.
    pub fn list(&self) -> Result<Vec<ListedSecret>, ReadError> {
        let mut listed = self.read(|reading| {
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
            Ok(listed)
        })?;
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listed)
    }

    /// A text that may hold values, without any value of any version that is kept.
    pub fn masked(&self, text: &str) -> Result<String, ReadError> {
        let mut values = Vec::new();
        for secret in self.list()? {
            for version in &secret.versions {
                values.extend(self.get(&secret.path, Some(version.version))?.map(|(_, value)| value));
            }
        }
        Ok(mask::mask(text, values.iter().map(SecretValue::expose)))
    }

    /// Removes all versions of a secret; `false` when it has none.
    pub fn remove(&self, path: &SecretPath) -> Result<bool, WriteError> {
        match self.get(path, None)? {
            Some(_) => self.change(|tables| tables.drop_versions(path)),
            None => Ok(false),
        }
    }

    /// Gives a secret a new version of so many random bytes, as base64url without padding.
    pub fn generate(&self, path: &SecretPath, bytes: u32, now: Timestamp) -> Result<SecretVersion, WriteError> {
        self.set(path, &generate(bytes)?, now)
    }

    /// Wraps the vault's key anew: from now on the machine's key and exactly these recovery keys open it.
    pub fn rewrap(&self, key: &KeyFile, recovery: &[RecoveryRecipient]) -> Result<(), WriteError> {
        let wrapped = self.read(|reading| {
            let meta = reading.open_table(META).map_err(storage)?;
            let wrapped = meta.get(b"key".as_slice()).map_err(storage)?;
            Ok(wrapped.ok_or(ReadError::Damaged { what: "no key" })?.value().to_vec())
        })?;
        let kek =
            seal::unwrap(&wrapped, key.identity()).map_err(|error| WriteError::Encrypt { why: error.to_string() })?;
        let wrapped = wrap_for(&kek, key, recovery)?;
        self.change(|tables| tables.meta.insert(b"key".as_slice(), wrapped.as_slice()).map(drop).map_err(unwritten))
    }

    fn read<T>(&self, work: impl FnOnce(&redb::ReadTransaction) -> Result<T, ReadError>) -> Result<T, ReadError> {
        self.file.with(|database| work(&database.begin_read().map_err(storage)?))
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
        SecretValue::stored(text.to_owned()).map_err(|_| ReadError::Damaged { what: "a value" })
    }

    /// Runs one change in one transaction: afterwards all of it stands, sealed, or none.
    fn change<T>(&self, make: impl FnOnce(&mut Tables<'_>) -> Result<T, WriteError>) -> Result<T, WriteError> {
        self.file.with(|database| change(database, &self.keys, make))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.file.path().display())
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

/// Writes the first content of a new vault, whose keys these are.
fn fill(database: &Database, key: &KeyFile, recovery: &[RecoveryRecipient]) -> Result<Keys, WriteError> {
    let store = StoreId(*seal::random::<16>().map_err(unencrypted)?);
    let kek = seal::random::<KEY_BYTES>().map_err(unencrypted)?;
    let wrapped = wrap_for(&kek, key, recovery)?;
    let keys = Keys::derive(&kek, store).map_err(unencrypted)?;
    change(database, &keys, |tables| {
        let format = FORMAT.to_be_bytes();
        let fields: [(&[u8], &[u8]); 3] = [(b"format", &format), (b"store", &store.0), (b"key", &wrapped)];
        fields.into_iter().try_for_each(|(name, value)| tables.meta.insert(name, value).map(drop).map_err(unwritten))
    })?;
    Ok(keys)
}

/// The keys of a vault that this key opens, and its generation, if everything in it is what was written.
fn verify(database: &Database, path: &Path, key: &KeyFile) -> Result<(Keys, Generation), OpenError> {
    let damaged = |what| OpenError::Damaged { path: path.to_owned(), what };
    let meta = read_meta(database, path)?;
    let kek = seal::unwrap(&meta.key, key.identity()).map_err(|error| match error {
        WrapError::WrongKey => OpenError::WrongKey { path: path.to_owned(), key: key.path().to_owned() },
        _ => damaged("the wrapped key"),
    })?;
    let keys = Keys::derive(&kek, meta.store).map_err(|_| damaged("the keys"))?;
    verify_seal(database, path, &keys, &meta)?;
    Ok((keys, meta.generation))
}

fn verify_seal(database: &Database, path: &Path, keys: &Keys, meta: &Meta) -> Result<(), OpenError> {
    let refused = |error: redb::Error| open_failed(path, error);
    let reading = database.begin_read().map_err(|e| refused(e.into()))?;
    let names = reading.open_table(NAMES).map_err(|e| refused(e.into()))?;
    let versions = reading.open_table(VERSIONS).map_err(|e| refused(e.into()))?;
    let seal = content_seal(keys, meta.generation, &meta.key, &names, &versions).map_err(|e| refused(e.into()))?;
    aws_lc_rs::constant_time::verify_slices_are_equal(&seal, &meta.seal)
        .map_err(|_| OpenError::Damaged { path: path.to_owned(), what: "its seal" })
}

fn wrap_for(kek: &KeyBytes, key: &KeyFile, recovery: &[RecoveryRecipient]) -> Result<Vec<u8>, WriteError> {
    let machine = key.identity().to_public();
    let recipients: Vec<_> = std::iter::once(&machine).chain(recovery.iter().map(|recipient| &recipient.0)).collect();
    seal::wrap(kek, &recipients).map_err(|error| WriteError::Encrypt { why: error.to_string() })
}
