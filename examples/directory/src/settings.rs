//! What the node tells the program: one function per environment variable. Never a default for an address.

use std::env;
use std::path::PathBuf;

use crate::photos::Place;

/// The shortest `JWT_KEY`, in bytes: as long as the signature it makes.
const JWT_KEY_MIN: usize = 32;

/// The environments that have test people. Any other one may have real ones, whatever it is called.
pub(crate) const SEEDED: [&str; 3] = ["development", "bench", "test"];

/// A variable is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} is not set: start this through `mainstay up`, or set it by hand")]
    Missing(&'static str),
    #[error("{name} is not {wanted}")]
    Invalid { name: &'static str, wanted: &'static str },
}

/// The port to listen on; 0 for any that is free.
pub(crate) fn port() -> Result<u16, Error> {
    text("PORT")?.parse().map_err(|_| Error::Invalid { name: "PORT", wanted: "a number from 0 to 65535" })
}

/// Where PostgreSQL is, user and password included.
pub(crate) fn db_url() -> Result<String, Error> {
    text("DB_URL")
}

/// Where Redis is, user and password included.
pub(crate) fn cache_url() -> Result<String, Error> {
    text("CACHE_URL")
}

/// What tokens are signed with.
pub(crate) fn jwt_key() -> Result<String, Error> {
    let key = text("JWT_KEY")?;
    match key.len() >= JWT_KEY_MIN {
        true => Ok(key),
        false => Err(Error::Invalid { name: "JWT_KEY", wanted: "at least 32 bytes long" }),
    }
}

/// The domain below which each tenant has a host: `directory.example` for `acme.directory.example`.
pub(crate) fn domain() -> Result<String, Error> {
    text("DIRECTORY_DOMAIN").map(|domain| domain.to_ascii_lowercase())
}

/// Where photos are kept: in a folder when `PHOTOS_FOLDER` is set, else in the bucket that `uses: [photos]` gives.
pub(crate) fn photos() -> Result<Place, Error> {
    if let Ok(folder) = text("PHOTOS_FOLDER") {
        return Ok(Place::Folder(PathBuf::from(folder)));
    }
    Ok(Place::Bucket {
        endpoint: text("PHOTOS_ENDPOINT")?,
        bucket: text("PHOTOS_BUCKET")?,
        access_key: text("PHOTOS_ACCESS_KEY")?,
        secret_key: text("PHOTOS_SECRET_KEY")?,
    })
}

/// The name by which this process is known among workers.
pub(crate) fn unit() -> String {
    text("MAINSTAY_UNIT").unwrap_or_else(|_| format!("process-{}", std::process::id()))
}

/// Whether test people may be made here.
pub(crate) fn may_seed() -> bool {
    text("MAINSTAY_ENVIRONMENT").is_ok_and(|environment| SEEDED.contains(&environment.as_str()))
}

fn text(name: &'static str) -> Result<String, Error> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or(Error::Missing(name))
}
