//! `directory digest`: what the last week brought each tenant. Runs on a schedule, on Mondays.

use jiff::Zoned;
use jiff::civil::{Date, Weekday};

use crate::database::{Database, digests, tenants};
use crate::{Failure, settings};

/// Counts for every tenant, and ends. Run again in the same week, it counts anew.
pub(crate) async fn run() -> Result<(), Failure> {
    let database = Database::new(&settings::db_url()?)?;
    let monday = monday_of(Zoned::now().date());
    let mut connection = database.connection().await?;
    let tenants = tenants::all(&connection).await?;
    for tenant in &tenants {
        let scope = connection.scope(&tenant.id).await?;
        digests::count(&scope, monday).await?;
        scope.commit().await?;
    }
    tracing::info!(%monday, tenants = tenants.len(), "counted the week");
    Ok(())
}

/// The Monday that begins a day's week.
fn monday_of(day: Date) -> Date {
    let days = day.weekday().since(Weekday::Monday);
    day.saturating_sub(jiff::Span::new().days(days))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::monday_of;

    #[test]
    fn a_week_begins_on_monday() {
        assert_eq!(monday_of(date(2026, 11, 23)), date(2026, 11, 23));
        assert_eq!(monday_of(date(2026, 11, 29)), date(2026, 11, 23));
        assert_eq!(monday_of(date(2027, 1, 1)), date(2026, 12, 28));
    }
}
