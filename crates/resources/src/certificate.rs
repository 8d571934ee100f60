//! The certificate of a resource's server, signed by an authority of its own.
//!
//! The authority is made once per resource and kept beside it; a client that wants to verify the server trusts
//! `authority.crt`. The server's own certificate is made anew before each start, so that it never runs out on
//! a server that is restarted now and then; it is valid for ten years.

use std::path::PathBuf;

use model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::place::{Access, Place, PlaceError};

const AUTHORITY_YEARS: i32 = 30;
const SERVER_YEARS: i32 = 10;
/// The years that a clock is believed in.
const YEAR_MIN: i32 = 1970;
const YEAR_MAX: i32 = 9000;

/// The certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read or written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The certificate library refused.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The authority's key is there and is none.
    #[error(
        "{} is not a key: remove it together with authority.crt, and a new authority is made at the next start",
        path.display()
    )]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        source: rcgen::Error,
    },
}

/// Writes the server's key and certificate into the configuration.
pub(crate) fn prepare(place: &Place, now: Timestamp) -> Result<(), CertificateError> {
    let authority = authority(place, now)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), crate::connection::HOST.to_owned()])?;
    params.distinguished_name = named(&format!("{} server", place.resource));
    limit(&mut params, now, SERVER_YEARS);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &authority)?;
    place.write(&place.config().join("server.key"), key.serialize_pem().as_bytes(), Access::Group)?;
    place.write(&place.config().join("server.crt"), certificate.pem().as_bytes(), Access::Group)?;
    Ok(())
}

fn authority(place: &Place, now: Timestamp) -> Result<Issuer<'static, KeyPair>, CertificateError> {
    let (key_path, certificate_path) = (place.folder.join("authority.key"), place.folder.join("authority.crt"));
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named(&format!("{} authority", place.resource));
    limit(&mut params, now, AUTHORITY_YEARS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let stored = sys::files::read(&key_path).map_err(PlaceError::File)?;
    let key = match &stored {
        Some(pem) => KeyPair::from_pem(&String::from_utf8_lossy(pem))
            .map_err(|source| CertificateError::Key { path: key_path.clone(), source })?,
        None => {
            let key = KeyPair::generate()?;
            place.write(&key_path, key.serialize_pem().as_bytes(), Access::Node)?;
            key
        }
    };
    if sys::files::read(&certificate_path).map_err(PlaceError::File)?.is_none() {
        let certificate = params.self_signed(&key)?;
        place.write(&certificate_path, certificate.pem().as_bytes(), Access::Node)?;
    }
    Ok(Issuer::new(params, key))
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Valid from the beginning of this day to the beginning of this month in so many years.
fn limit(params: &mut CertificateParams, now: Timestamp, years: i32) {
    let text = now.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u8>().ok());
    let year = text.get(..4).and_then(|digits| digits.parse::<i32>().ok()).unwrap_or(YEAR_MIN);
    // A clock that is out of its mind makes a certificate that nobody believes, and no panic.
    let year = year.clamp(YEAR_MIN, YEAR_MAX);
    let (month, day) = (part(5..7).unwrap_or(1), part(8..10).unwrap_or(1));
    params.not_before = date_time_ymd(year, month, day);
    params.not_after = date_time_ymd(year + years, month, 1);
}
