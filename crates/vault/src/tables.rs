//! The tables of a vault's file, and what holds them together: [`change`] is the only way to write.

use std::path::Path;

use model::{SecretPath, Timestamp};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use crate::error::{OpenError, ReadError, WriteError, open_failed, storage, unencrypted, unwritten};
use crate::record::{NameRecord, VersionRecord, split_version_key, version_key};
use crate::seal::{self, Binding, KEY_BYTES, Keys, MAC_BYTES, Purpose, StoreId};
use crate::secret::SecretValue;
use crate::store::{Generation, ListedVersion, NAMES_MAX, SecretVersion, VERSIONS_MAX};

/// The format of the file, as the head of [`crate::store`] documents it.
pub(crate) const FORMAT: u32 = 1;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(crate) const META: Table = TableDefinition::new("meta");
pub(crate) const NAMES: Table = TableDefinition::new("names");
pub(crate) const VERSIONS: Table = TableDefinition::new("versions");

/// What a vault's file says about itself.
pub(crate) struct Meta {
    pub(crate) store: StoreId,
    pub(crate) key: Vec<u8>,
    pub(crate) generation: Generation,
    pub(crate) seal: [u8; MAC_BYTES],
}

pub(crate) fn read_meta(database: &redb::Database, path: &Path) -> Result<Meta, OpenError> {
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

/// The parts of a head; `None` for bytes of another length.
pub(crate) fn decode_head(bytes: &[u8]) -> Option<(Generation, [u8; MAC_BYTES])> {
    let (generation, seal) = bytes.split_first_chunk::<8>()?;
    Some((Generation(u64::from_be_bytes(*generation)), seal.try_into().ok()?))
}

/// The tables of a transaction that changes them.
pub(crate) struct Tables<'t> {
    keys: &'t Keys,
    pub(crate) meta: redb::Table<'t, &'static [u8], &'static [u8]>,
    names: redb::Table<'t, &'static [u8], &'static [u8]>,
    versions: redb::Table<'t, &'static [u8], &'static [u8]>,
}

impl Tables<'_> {
    pub(crate) fn add(
        &mut self,
        path: &SecretPath,
        value: &SecretValue,
        now: Timestamp,
    ) -> Result<SecretVersion, WriteError> {
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

    pub(crate) fn drop_versions(&mut self, path: &SecretPath) -> Result<bool, WriteError> {
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

pub(crate) fn change<T>(
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

pub(crate) fn open_name(keys: &Keys, index: &[u8; MAC_BYTES], sealed: &[u8]) -> Result<NameRecord, ReadError> {
    let binding = Binding { name: index, version: 0, created: 0, purpose: Purpose::Name };
    let plain = keys.decrypt(binding, sealed).map_err(|_| ReadError::Damaged { what: "an encrypted name" })?;
    serde_json::from_slice(&plain).map_err(|_| ReadError::Damaged { what: "a name" })
}

pub(crate) fn list_versions(
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

pub(crate) fn content_seal(
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
