//! Photos that nobody has, and whose objects are to be removed.

use super::{Error, Scope};
use crate::person::{PersonId, PhotoId};

/// How long an upload may take before its photo counts as given up.
const UPLOAD_MAX: &str = "1 hour";

/// Notes a photo as had by nobody: before its upload, and when it is given up.
pub(crate) async fn add(scope: &Scope<'_>, person: PersonId, photo: &PhotoId) -> Result<(), Error> {
    let sql = "INSERT INTO unused_photos (person, photo) VALUES ($1, $2)";
    scope.execute(sql, &[&person.0, &photo.as_str()]).await?;
    Ok(())
}

/// Takes a photo off the list: it is had by somebody, or its objects are gone. `false` when it is not on it.
pub(crate) async fn take_off(scope: &Scope<'_>, photo: &PhotoId) -> Result<bool, Error> {
    Ok(scope.execute("DELETE FROM unused_photos WHERE photo = $1", &[&photo.as_str()]).await? == 1)
}

/// So many photos that are certainly given up, the oldest first.
pub(crate) async fn given_up(scope: &Scope<'_>, limit: usize) -> Result<Vec<(PersonId, PhotoId)>, Error> {
    let sql = format!(
        "SELECT person, photo FROM unused_photos WHERE since < now() - interval '{UPLOAD_MAX}'
         ORDER BY since LIMIT {limit}"
    );
    let rows = scope.rows(&sql, &[]).await?;
    Ok(rows.iter().map(|row| (PersonId(row.get(0)), PhotoId::of_row(row.get(1)))).collect())
}
