//! The guest book in PostgreSQL, and what Redis keeps beside it: a counter of visits and a list of notes
//! that wait for the worker.
//!
//! PostgreSQL alone says which notes exist and which were read. The list in Redis only wakes the worker, so
//! losing it loses nothing.

use redis::AsyncCommands;
use redis::aio::ConnectionManager;
use tokio_postgres::Client;

use crate::stores::Error;

/// The list that wakes the worker.
const UNREAD: &str = "unread";
/// The counter of page views.
const VISITS: &str = "visits";
/// How many notes the page shows.
const SHOWN: i64 = 20;

/// One note as the page shows it.
pub(crate) struct Note {
    pub(crate) id: i64,
    pub(crate) text: String,
    /// How many words the worker counted; absent until it has read the note.
    pub(crate) words: Option<i32>,
}

/// How many notes there are.
pub(crate) struct Totals {
    pub(crate) written: i64,
    pub(crate) read: i64,
}

/// Stores a note. It is safe once this returns `Ok`, whatever happens to Redis.
pub(crate) async fn write(db: &Client, cache: &mut ConnectionManager, text: &str) -> Result<i64, Error> {
    let row = db.query_one("INSERT INTO notes (text) VALUES ($1) RETURNING id", &[&text]).await?;
    let id: i64 = row.get(0);
    if let Err(error) = cache.rpush::<_, _, ()>(UNREAD, id).await {
        eprintln!("minimal: note {id} is stored, but the worker will only see it on its next round: {error}");
    }
    Ok(id)
}

/// The latest notes, newest first.
pub(crate) async fn latest(db: &Client) -> Result<Vec<Note>, Error> {
    let rows = db.query("SELECT id, text, words FROM notes ORDER BY id DESC LIMIT $1", &[&SHOWN]).await?;
    Ok(rows.iter().map(|row| Note { id: row.get(0), text: row.get(1), words: row.get(2) }).collect())
}

/// How many notes were written and read, ever.
pub(crate) async fn totals(db: &Client) -> Result<Totals, Error> {
    let row = db.query_one("SELECT count(*), count(words) FROM notes", &[]).await?;
    Ok(Totals { written: row.get(0), read: row.get(1) })
}

/// Removes a note; `false` when there was none of that id.
pub(crate) async fn remove(db: &Client, id: i64) -> Result<bool, Error> {
    Ok(db.execute("DELETE FROM notes WHERE id = $1", &[&id]).await? == 1)
}

/// Counts one page view and returns how many there were.
pub(crate) async fn count_visit(cache: &mut ConnectionManager) -> Result<i64, Error> {
    Ok(cache.incr(VISITS, 1).await?)
}

/// Waits until a note was written, at most `seconds`.
pub(crate) async fn wait_for_unread(cache: &mut ConnectionManager, seconds: f64) -> Result<(), Error> {
    let _woken_by: Option<(String, i64)> = cache.blpop(UNREAD, seconds).await?;
    Ok(())
}

/// Reads every note that was not read yet and returns their ids.
pub(crate) async fn read_all(db: &Client) -> Result<Vec<i64>, Error> {
    let read = "UPDATE notes SET words = cardinality(regexp_split_to_array(trim(text), '\\s+'))
                WHERE words IS NULL RETURNING id";
    Ok(db.query(read, &[]).await?.iter().map(|row| row.get(0)).collect())
}
