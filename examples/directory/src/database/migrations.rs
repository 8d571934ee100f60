//! The tables' history: `migrations/*.sql`, each applied once, in order, in a transaction of its own.
//!
//! Runs as the owner of the tables, before a release's replicas start. What was applied is recorded with its digest:
//! a file that was edited afterwards is refused, because some databases would have the old text and others the new.

use sha2::{Digest, Sha256};

use super::{Connection, Database};
use crate::random::in_hex;

/// Every migration there ever was, oldest first. Add to the end; never edit what was released.
const ALL: &[Migration] = &[
    Migration { name: "0001_tenants", sql: include_str!("../../migrations/0001_tenants.sql") },
    Migration { name: "0002_people", sql: include_str!("../../migrations/0002_people.sql") },
    Migration { name: "0003_credentials", sql: include_str!("../../migrations/0003_credentials.sql") },
    Migration { name: "0004_digests", sql: include_str!("../../migrations/0004_digests.sql") },
    Migration { name: "0005_unused_photos", sql: include_str!("../../migrations/0005_unused_photos.sql") },
];

/// The lock that keeps two processes from migrating at once; any number that nothing else here uses.
const LOCK: i64 = 0x6469_7265_6374;

struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// The tables could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Database(#[from] super::Error),
    #[error("cannot {doing}")]
    Statement { doing: String, source: tokio_postgres::Error },
    #[error("migration {0} was edited after it was applied: put its text back, and write what is new into a new file")]
    Edited(&'static str),
    #[error("this database has migration {0}, which this program does not know: it is older than the database")]
    Unknown(String),
}

/// Applies what this database has not seen yet, and returns the names.
pub(crate) async fn apply(database: &Database) -> Result<Vec<&'static str>, Error> {
    let mut connection = database.connection().await?;
    let run = |doing: &str| {
        let doing = doing.to_owned();
        move |source| Error::Statement { doing, source }
    };
    // A migration may take longer than what a request may cost.
    let begin = format!("SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK})");
    connection.0.batch_execute(&begin).await.map_err(run("wait for another migration to end"))?;
    let table = "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, digest text NOT NULL,
                     applied_at timestamptz NOT NULL DEFAULT now())";
    connection.0.batch_execute(table).await.map_err(run("make the table of migrations"))?;
    let applied = recorded(&connection).await.map_err(run("read the table of migrations"))?;
    let mut new = Vec::new();
    for migration in pending(&applied)? {
        step(&mut connection, migration).await.map_err(run(&format!("apply migration {}", migration.name)))?;
        new.push(migration.name);
    }
    let end = format!("RESET statement_timeout; SELECT pg_advisory_unlock({LOCK})");
    connection.0.batch_execute(&end).await.map_err(run("let other migrations begin"))?;
    Ok(new)
}

/// Names and digests of what was applied, oldest first.
async fn recorded(connection: &Connection) -> Result<Vec<(String, String)>, tokio_postgres::Error> {
    let rows = connection.0.query("SELECT name, digest FROM migrations ORDER BY name", &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn pending(applied: &[(String, String)]) -> Result<Vec<&'static Migration>, Error> {
    if let Some((name, _)) = applied.iter().find(|(name, _)| ALL.iter().all(|migration| migration.name != name)) {
        return Err(Error::Unknown(name.clone()));
    }
    let mut pending = Vec::new();
    for migration in ALL {
        match applied.iter().find(|(name, _)| name == migration.name) {
            None => pending.push(migration),
            Some((_, digest)) if *digest != migration.digest() => return Err(Error::Edited(migration.name)),
            Some(_) => {}
        }
    }
    Ok(pending)
}

/// One transaction: a migration and the note that it was applied are never seen apart.
async fn step(connection: &mut Connection, migration: &Migration) -> Result<(), tokio_postgres::Error> {
    let transaction = connection.0.transaction().await?;
    transaction.batch_execute(migration.sql).await?;
    let note = "INSERT INTO migrations (name, digest) VALUES ($1, $2)";
    transaction.execute(note, &[&migration.name, &migration.digest()]).await?;
    transaction.commit().await
}

impl Migration {
    fn digest(&self) -> String {
        in_hex(&Sha256::digest(self.sql))
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, Error, pending};

    fn applied(count: usize) -> Vec<(String, String)> {
        ALL[..count].iter().map(|migration| (migration.name.to_owned(), migration.digest())).collect()
    }

    #[test]
    fn names_ascend_and_every_file_is_taken_in() {
        assert!(ALL.is_sorted_by_key(|migration| migration.name));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".sql", ""))
            .collect();
        files.sort();
        assert_eq!(files, ALL.iter().map(|migration| migration.name).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_applied_is_not_pending() {
        let names: Vec<&str> = pending(&applied(2)).unwrap().iter().map(|migration| migration.name).collect();
        assert_eq!(names, ["0003_credentials", "0004_digests", "0005_unused_photos"]);
        assert!(pending(&applied(ALL.len())).unwrap().is_empty());
    }

    #[test]
    fn an_edited_file_and_a_newer_database_are_refused() {
        let mut edited = applied(2);
        edited[1].1 = "another".to_owned();
        assert!(matches!(pending(&edited), Err(Error::Edited("0002_people"))));
        let newer = [("0099_future".to_owned(), String::new())];
        assert!(matches!(pending(&newer), Err(Error::Unknown(name)) if name == "0099_future"));
    }
}
