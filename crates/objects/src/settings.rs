//! What the node tells the object server: its buckets, and who may use which. Start reading at [`Settings`].
//!
//! Secrets are in memory only: they come over the control socket and are told to nobody.

use std::collections::BTreeMap;
use std::fmt;

use model::stack::BUCKETS_MAX;
use zeroize::Zeroizing;

/// The most keys.
pub const KEYS_MAX: usize = 1000;

/// What an object server works by.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Counts the settings of one stack; a later one is higher.
    pub number: u64,
    /// What `GetBucketLocation` answers. Requests may be signed for any region.
    pub region: String,
    /// The buckets. One that is no longer named keeps its objects, out of reach.
    pub buckets: Vec<Bucket>,
    /// Who may use them.
    pub keys: Vec<Key>,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bucket {
    /// Its name, by the rules of S3.
    pub name: String,
    /// Whether it keeps the versions of its objects.
    pub versioning: bool,
}

/// An access key, usually of one service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Key {
    /// Its id, which requests name.
    pub id: String,
    /// Its secret, which requests are signed with.
    pub secret: Secret,
    /// The names of the buckets that it may use.
    pub buckets: Vec<String>,
}

/// The secret of a key. It prints as dots.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret of this text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Settings that an object server cannot work by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A bucket's name is not one of S3's.
    #[error("{0:?} is no name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens")]
    BucketName(String),
    /// A name or an id is there twice.
    #[error("{0:?} is named twice")]
    Twice(String),
    /// A key is for a bucket that is not there.
    #[error("key {key:?} is for the bucket {bucket:?}, which is not named")]
    NoBucket {
        /// The key's id.
        key: String,
        /// The bucket.
        bucket: String,
    },
    /// There are too many.
    #[error("more than {BUCKETS_MAX} buckets or {KEYS_MAX} keys")]
    TooMany,
}

impl Settings {
    /// Checks what a program that sends settings can get wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.buckets.len() > BUCKETS_MAX || self.keys.len() > KEYS_MAX {
            return Err(SettingsError::TooMany);
        }
        let mut buckets = BTreeMap::new();
        for bucket in &self.buckets {
            if !s3s::path::check_bucket_name(&bucket.name) {
                return Err(SettingsError::BucketName(bucket.name.clone()));
            }
            if buckets.insert(&bucket.name, ()).is_some() {
                return Err(SettingsError::Twice(bucket.name.clone()));
            }
        }
        let mut keys = BTreeMap::new();
        for key in &self.keys {
            if keys.insert(&key.id, ()).is_some() {
                return Err(SettingsError::Twice(key.id.clone()));
            }
            if let Some(bucket) = key.buckets.iter().find(|bucket| !buckets.contains_key(bucket)) {
                return Err(SettingsError::NoBucket { key: key.id.clone(), bucket: bucket.clone() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(buckets: &[&str], keys: &[(&str, &str)]) -> Settings {
        let bucket = |name: &&str| Bucket { name: (*name).to_owned(), versioning: false };
        let key = |(id, bucket): &(&str, &str)| Key {
            id: (*id).to_owned(),
            secret: Secret::new("hush".to_owned()),
            buckets: vec![(*bucket).to_owned()],
        };
        Settings {
            number: 1,
            region: "local".to_owned(),
            buckets: buckets.iter().map(bucket).collect(),
            keys: keys.iter().map(key).collect(),
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(settings(&["photos"], &[("api", "photos")]).check(), Ok(()));
        let wrong = |buckets: &[&str], keys: &[(&str, &str)]| settings(buckets, keys).check().unwrap_err().to_string();
        assert_eq!(
            wrong(&["Photos"], &[]),
            "\"Photos\" is no name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens"
        );
        assert_eq!(wrong(&["photos", "photos"], &[]), "\"photos\" is named twice");
        assert_eq!(wrong(&["photos"], &[("api", "photos"), ("api", "photos")]), "\"api\" is named twice");
        assert_eq!(wrong(&["photos"], &[("api", "x")]), "key \"api\" is for the bucket \"x\", which is not named");
        let many: Vec<String> = (0..=BUCKETS_MAX).map(|number| format!("bucket-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(wrong(&many, &[]), "more than 1000 buckets or 1000 keys");
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        assert!(!format!("{:?}", settings(&["photos"], &[("api", "photos")])).contains("hush"));
    }
}
