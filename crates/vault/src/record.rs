//! The bytes of the vault's records; the head of [`crate::store`] documents them.

use model::SecretPath;

/// What is encrypted beside a name's index: the name, and where its version numbers stand.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct NameRecord {
    pub(crate) path: SecretPath,
    /// The number of the newest version ever made, removed ones included: no number is used twice.
    pub(crate) last: u32,
}

/// One stored version: when it was made, its data key, its value, the latter two encrypted.
pub(crate) struct VersionRecord {
    pub(crate) created: i64,
    pub(crate) data_key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Nonce, key and tag.
const DATA_KEY_BYTES: usize = 12 + 32 + 16;

impl VersionRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.created.to_be_bytes(), self.data_key.as_slice(), &self.value].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (created, rest) = bytes.split_first_chunk::<8>()?;
        let (data_key, value) = rest.split_at_checked(DATA_KEY_BYTES)?;
        Some(Self { created: i64::from_be_bytes(*created), data_key: data_key.to_vec(), value: value.to_vec() })
    }
}

/// The key of a version's record: the name's index and the number, so that versions lie in order.
pub(crate) fn version_key(index: &[u8; 32], version: u32) -> Vec<u8> {
    [index.as_slice(), &version.to_be_bytes()].concat()
}

/// The parts of a version's key; `None` for bytes of another length.
pub(crate) fn split_version_key(key: &[u8]) -> Option<([u8; 32], u32)> {
    let (index, version) = key.split_first_chunk::<32>()?;
    Some((*index, u32::from_be_bytes(version.try_into().ok()?)))
}
