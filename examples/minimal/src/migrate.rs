//! `minimal migrate`: brings the tables up to date, once before each release.
//!
//! It runs as the owner of the database; the services themselves may not change a table.

use crate::stores::{Db, Error};
use crate::{Failure, settings};

/// Every change ever made to the tables, oldest first. Add to the end, never edit what was released.
const STEPS: &[&str] = &[
    "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL,
                         written_at timestamptz NOT NULL DEFAULT now())",
    "ALTER TABLE notes ADD COLUMN words integer",
];

/// Applies the steps that this database has not seen yet.
pub(crate) async fn run() -> Result<(), Failure> {
    let applied = apply(&Db::new(settings::db_url()?)).await?;
    println!("{applied} of {} steps were new", STEPS.len());
    Ok(())
}

async fn apply(db: &Db) -> Result<usize, Error> {
    let client = db.client().await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS schema_steps (step integer PRIMARY KEY)").await?;
    let row = client.query_one("SELECT coalesce(max(step), 0) FROM schema_steps", &[]).await?;
    let seen: i32 = row.get(0);
    let mut applied = 0;
    for (number, step) in (1_i32..).zip(STEPS).filter(|(number, _)| *number > seen) {
        // One transaction: a step and the note that it was taken are never seen apart.
        let step = format!("BEGIN; {step}; INSERT INTO schema_steps VALUES ({number}); COMMIT");
        client.batch_execute(&step).await?;
        applied += 1;
    }
    Ok(applied)
}
