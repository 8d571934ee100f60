//! What a week brought a tenant.

use jiff::civil::Date;
use serde::Serialize;

use super::{Error, Scope};

/// The week before a Monday, in numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Digest {
    pub(crate) week: Date,
    pub(crate) people: i64,
    pub(crate) joined: i64,
    pub(crate) changed: i64,
    pub(crate) anniversaries: i64,
}

/// Counts the week before this Monday, and keeps the numbers. Counting again replaces them.
pub(crate) async fn count(scope: &Scope<'_>, monday: Date) -> Result<(), Error> {
    let sql = "INSERT INTO digests (week, people, joined, changed, anniversaries)
               SELECT $1::date, count(*),
                      count(*) FILTER (WHERE started_on >= $1::date - 7 AND started_on < $1::date),
                      count(*) FILTER (WHERE changed_at >= $1::date - 7 AND changed_at < $1::date),
                      count(*) FILTER (WHERE EXISTS (
                          SELECT FROM generate_series($1::date - 7, $1::date - 1, interval '1 day') AS day
                          WHERE to_char(day, 'MM-DD') = to_char(started_on, 'MM-DD') AND started_on < day))
               FROM people
               ON CONFLICT (tenant, week) DO UPDATE SET people = excluded.people, joined = excluded.joined,
                      changed = excluded.changed, anniversaries = excluded.anniversaries";
    scope.execute(sql, &[&monday]).await?;
    Ok(())
}

/// The latest one.
pub(crate) async fn latest(scope: &Scope<'_>) -> Result<Option<Digest>, Error> {
    let sql = "SELECT week, people, joined, changed, anniversaries FROM digests ORDER BY week DESC LIMIT 1";
    Ok(scope.row(sql, &[]).await?.map(|row| Digest {
        week: row.get(0),
        people: row.get(1),
        joined: row.get(2),
        changed: row.get(3),
        anniversaries: row.get(4),
    }))
}
