//! `directory migrate`: brings the tables up to date, once before each release.
//!
//! It runs as the owner of the tables; the services themselves may not change one.

use crate::database::{Database, migrations};
use crate::{Failure, settings};

/// Applies what is new, and names it.
pub(crate) async fn run() -> Result<(), Failure> {
    let applied = migrations::apply(&Database::new(&settings::db_url()?)?).await?;
    tracing::info!(applied = applied.join(", "), count = applied.len(), "migrated");
    Ok(())
}
