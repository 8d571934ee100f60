//! `minimal work`: reads the notes that were written, one round after the other.

use std::pin::pin;
use std::time::Duration;

use redis::aio::ConnectionManager;

use crate::stores::{Db, Error, cache};
use crate::{Failure, asked_to_stop, notes, settings, with_causes};

/// A round starts at the latest after this long, even when Redis wakes nobody. Below the patience of
/// `stores`, so that waiting in vain is not taken for a lost connection.
const ROUND: Duration = Duration::from_secs(1);

/// Works until asked to stop. A store that is away is waited for: the next round tries again.
pub(crate) async fn run() -> Result<(), Failure> {
    let db = Db::new(settings::db_url()?);
    let mut cache = cache(&settings::cache_url()?)?;
    println!("working");
    let mut stop = pin!(asked_to_stop());
    loop {
        if let Err(error) = read(&db).await {
            eprintln!("minimal: this round failed, the next one tries again: {}", with_causes(&error));
        }
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = next_round(&mut cache) => {}
        }
    }
}

/// Reads what waits. Never interrupted half-way: the stop signal is only looked at between rounds.
async fn read(db: &Db) -> Result<(), Error> {
    let client = db.client().await?;
    for id in notes::read_all(&client).await? {
        println!("read note {id}");
    }
    Ok(())
}

/// Returns when a note was written, or when a round's time is over.
async fn next_round(cache: &mut ConnectionManager) {
    if notes::wait_for_unread(cache, ROUND.as_secs_f64()).await.is_err() {
        tokio::time::sleep(ROUND).await;
    }
}
