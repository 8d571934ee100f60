//! `minimal digest`: prints how many notes the last day brought. Runs on a schedule.

use crate::stores::{Db, Error};
use crate::{Failure, settings};

/// Prints one line and ends.
pub(crate) async fn run() -> Result<(), Failure> {
    let written = written_since_yesterday(&Db::new(settings::db_url()?)).await?;
    println!("{written} notes in the last 24 hours");
    Ok(())
}

async fn written_since_yesterday(db: &Db) -> Result<i64, Error> {
    let count = "SELECT count(*) FROM notes WHERE written_at > now() - interval '24 hours'";
    Ok(db.client().await?.query_one(count, &[]).await?.get(0))
}
