//! The cryptography of the vault: which key does what, and what each ciphertext is bound to.
//!
//! A random key-encryption key (KEK) is stored only as an age file, wrapped to the machine's key and to the
//! recovery recipients. Three keys are derived from it by HKDF-SHA256: one wraps data keys and encrypts
//! names (AES-256-GCM), one finds names (HMAC-SHA256), one seals the whole content (HMAC-SHA256). Each
//! version of a secret has a random data key of its own that encrypts one message, ever. Every ciphertext is
//! bound by its associated data to the store, the name, the version and its purpose, so that none can be
//! put in another's place.

use std::io::{Read, Write};

use aws_lc_rs::{aead, hkdf, hmac, rand};
use model::SecretPath;
use zeroize::Zeroizing;

/// Bytes of every symmetric key here.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of a MAC.
pub(crate) const MAC_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// A symmetric key, wiped when dropped.
pub(crate) type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// Identifies one vault among all; random, made with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreId(pub(crate) [u8; 16]);

/// What a ciphertext is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Name,
    DataKey,
    Value,
}

/// An operation of the cryptographic library failed: a ciphertext is not what was sealed here, or the
/// machine gives no randomness. The library says no more on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("the encrypted bytes are damaged or belong elsewhere")]
    Refused,
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    #[error("the cryptographic library refused to encrypt")]
    Encrypt,
}

/// The key-encryption key could not be unwrapped or wrapped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrapError {
    #[error("no given key opens it")]
    WrongKey,
    #[error("the wrapped key is damaged")]
    Damaged,
    #[error("cannot wrap the key")]
    Wrap(#[source] age::EncryptError),
    #[error("cannot write the wrapped key")]
    Write(#[source] std::io::Error),
}

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, SealError> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| SealError::NoRandomness)?;
    Ok(bytes)
}

/// Encrypts the KEK so that each of the recipients can open it: an ordinary age file.
pub(crate) fn wrap(kek: &KeyBytes, recipients: &[&age::x25519::Recipient]) -> Result<Vec<u8>, WrapError> {
    let recipients = recipients.iter().map(|recipient| *recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(WrapError::Wrap)?;
    let mut wrapped = Vec::new();
    let mut writer = encryptor.wrap_output(&mut wrapped).map_err(WrapError::Write)?;
    writer.write_all(kek.as_slice()).map_err(WrapError::Write)?;
    writer.finish().map_err(WrapError::Write)?;
    Ok(wrapped)
}

/// Opens a wrapped KEK.
pub(crate) fn unwrap(wrapped: &[u8], identity: &age::x25519::Identity) -> Result<KeyBytes, WrapError> {
    let decryptor = age::Decryptor::new(wrapped).map_err(|_| WrapError::Damaged)?;
    let identities = std::iter::once(identity as &dyn age::Identity);
    let mut reader = decryptor.decrypt(identities).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys | age::DecryptError::KeyDecryptionFailed => WrapError::WrongKey,
        _ => WrapError::Damaged,
    })?;
    let mut kek = Zeroizing::new([0_u8; KEY_BYTES]);
    reader.read_exact(kek.as_mut_slice()).map_err(|_| WrapError::Damaged)?;
    match reader.read(&mut [0_u8; 1]) {
        Ok(0) => Ok(kek),
        _ => Err(WrapError::Damaged),
    }
}

/// Everything derived from one KEK for one store.
pub(crate) struct Keys {
    store: StoreId,
    wrap: KeyBytes,
    index: hmac::Key,
    seal: hmac::Key,
}

impl Keys {
    pub(crate) fn derive(kek: &KeyBytes, store: StoreId) -> Result<Self, SealError> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, &store.0).extract(kek.as_slice());
        let derive = |purpose: &[u8]| -> Result<KeyBytes, SealError> {
            let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
            let info = [b"mainstay vault 1 ".as_slice(), purpose];
            let material = root.expand(&info, hkdf::HKDF_SHA256).map_err(|_| SealError::Encrypt)?;
            material.fill(key.as_mut_slice()).map_err(|_| SealError::Encrypt)?;
            Ok(key)
        };
        let mac = |purpose: &[u8]| derive(purpose).map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()));
        Ok(Self { store, wrap: derive(b"wrap")?, index: mac(b"index")?, seal: mac(b"seal")? })
    }

    /// Under which key a name's records are found, without the name being seen.
    pub(crate) fn index(&self, path: &SecretPath) -> [u8; MAC_BYTES] {
        mac_bytes(hmac::sign(&self.index, path.to_string().as_bytes()))
    }

    /// A seal to be fed piece by piece.
    pub(crate) fn sealing(&self) -> Sealing {
        let mut context = hmac::Context::with_key(&self.seal);
        context.update(&self.store.0);
        Sealing(context)
    }

    /// Encrypts under the key that is derived for wrapping.
    pub(crate) fn encrypt(&self, binding: Binding<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        encrypt(&self.wrap, &binding.bytes(self.store), plain)
    }

    /// Opens what [`Keys::encrypt`] made with the same binding.
    pub(crate) fn decrypt(&self, binding: Binding<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        decrypt(&self.wrap, &binding.bytes(self.store), sealed)
    }

    /// Encrypts under a data key.
    pub(crate) fn encrypt_with(
        &self,
        key: &KeyBytes,
        binding: Binding<'_>,
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        encrypt(key, &binding.bytes(self.store), plain)
    }

    /// Opens what [`Keys::encrypt_with`] made with the same data key and binding.
    pub(crate) fn decrypt_with(
        &self,
        key: &KeyBytes,
        binding: Binding<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        decrypt(key, &binding.bytes(self.store), sealed)
    }
}

/// A seal that is being computed.
pub(crate) struct Sealing(hmac::Context);

impl Sealing {
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.0.update(&(piece.len() as u64).to_le_bytes());
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> [u8; MAC_BYTES] {
        mac_bytes(self.0.sign())
    }
}

/// What one ciphertext belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    /// The index of the name.
    pub(crate) name: &'a [u8; MAC_BYTES],
    /// The version; 0 for the name itself.
    pub(crate) version: u32,
    /// When the version was made, in milliseconds since 1970; 0 for the name itself.
    pub(crate) created: i64,
    pub(crate) purpose: Purpose,
}

impl Binding<'_> {
    /// All parts have a fixed length, so that the sequence reads only one way.
    fn bytes(&self, store: StoreId) -> Vec<u8> {
        let purpose = match self.purpose {
            Purpose::Name => 1_u8,
            Purpose::DataKey => 2,
            Purpose::Value => 3,
        };
        [store.0.as_slice(), self.name.as_slice(), &self.version.to_be_bytes(), &self.created.to_be_bytes(), &[purpose]]
            .concat()
    }
}

fn encrypt(key: &KeyBytes, binding: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let key = gcm(key).ok_or(SealError::Encrypt)?;
    let nonce = random::<NONCE_BYTES>()?;
    let mut sealed = nonce.to_vec();
    let mut body = plain.to_vec();
    key.seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(*nonce), aead::Aad::from(binding), &mut body)
        .map_err(|_| SealError::Encrypt)?;
    sealed.append(&mut body);
    Ok(sealed)
}

fn decrypt(key: &KeyBytes, binding: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Refused)?;
    let key = gcm(key).ok_or(SealError::Refused)?;
    let mut body = Zeroizing::new(body.to_vec());
    let nonce = aead::Nonce::assume_unique_for_key(*nonce);
    let length = key.open_in_place(nonce, aead::Aad::from(binding), &mut body).map_err(|_| SealError::Refused)?.len();
    body.truncate(length);
    Ok(body)
}

/// The key as the cipher takes it; `None` only where it had another length, which its type rules out.
fn gcm(key: &KeyBytes) -> Option<aead::LessSafeKey> {
    aead::UnboundKey::new(&aead::AES_256_GCM, key.as_slice()).ok().map(aead::LessSafeKey::new)
}

fn mac_bytes(tag: hmac::Tag) -> [u8; MAC_BYTES] {
    let mut bytes = [0_u8; MAC_BYTES];
    for (to, from) in bytes.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(kek: u8, store: u8) -> Keys {
        Keys::derive(&Zeroizing::new([kek; KEY_BYTES]), StoreId([store; 16])).unwrap()
    }

    const HERE: Binding<'static> = Binding { name: &[7; MAC_BYTES], version: 1, created: 5, purpose: Purpose::Value };

    #[test]
    fn a_ciphertext_opens_only_in_its_place() {
        let sealed = keys(1, 1).encrypt(HERE, b"value").unwrap();
        assert_eq!(keys(1, 1).decrypt(HERE, &sealed).unwrap().as_slice(), b"value");
        let elsewhere = [
            keys(1, 1).decrypt(Binding { name: &[8; MAC_BYTES], ..HERE }, &sealed),
            keys(1, 1).decrypt(Binding { version: 2, ..HERE }, &sealed),
            keys(1, 1).decrypt(Binding { created: 6, ..HERE }, &sealed),
            keys(1, 1).decrypt(Binding { purpose: Purpose::DataKey, ..HERE }, &sealed),
            keys(1, 2).decrypt(HERE, &sealed),
            keys(2, 1).decrypt(HERE, &sealed),
            keys(1, 1).decrypt(HERE, &[]),
        ];
        for outcome in elsewhere {
            assert_eq!(outcome.err(), Some(SealError::Refused));
        }
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let sealed = keys(1, 1).encrypt(HERE, b"value").unwrap();
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(keys(1, 1).decrypt(HERE, &flipped).err(), Some(SealError::Refused), "byte {at}");
        }
    }

    #[test]
    fn a_wrapped_key_opens_for_each_recipient_and_nobody_else() {
        let [machine, recovery, stranger] = std::array::from_fn(|_| age::x25519::Identity::generate());
        let kek = random::<KEY_BYTES>().unwrap();
        let wrapped = wrap(&kek, &[&machine.to_public(), &recovery.to_public()]).unwrap();
        assert_eq!(*unwrap(&wrapped, &machine).unwrap(), *kek);
        assert_eq!(*unwrap(&wrapped, &recovery).unwrap(), *kek);
        assert!(matches!(unwrap(&wrapped, &stranger), Err(WrapError::WrongKey)));
        for at in 0..wrapped.len() {
            let mut flipped = wrapped.clone();
            flipped[at] ^= 1;
            assert!(unwrap(&flipped, &machine).is_err(), "byte {at}");
        }
    }
}
