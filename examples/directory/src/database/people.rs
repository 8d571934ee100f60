//! A tenant's people.

use serde::Serialize;
use tokio_postgres::Row;

use super::{Error, Scope};
use crate::person::{Person, PersonId, Photo, PhotoId, Role, Summary, Thumbnail};
use crate::validation::{Changes, NewPerson};

/// The columns of a [`Summary`], for [`summary`].
const SUMMARY: &str = "p.id, p.name, p.email, p.title, p.department, p.location, p.photo, p.thumbnail";

/// Which people, and which part of the list of them.
#[derive(Debug, Serialize)]
pub(crate) struct Query {
    /// Each occurs in the name, title, department, address or location.
    pub(crate) words: Vec<String>,
    pub(crate) department: Option<String>,
    /// The name and number of the last one of the part before.
    pub(crate) after: Option<(String, PersonId)>,
    pub(crate) limit: i64,
}

/// The people of a query, by name, and whether there are more after them.
pub(crate) async fn list(scope: &Scope<'_>, query: &Query) -> Result<(Vec<Summary>, bool), Error> {
    let sql = format!(
        "SELECT {SUMMARY} FROM people p
         WHERE search LIKE ALL ($1::text[]) AND ($2::text IS NULL OR department = $2)
           AND ($3::text IS NULL OR (name, id) > ($3, $4::bigint))
         ORDER BY name, id LIMIT $5"
    );
    let after = query.after.as_ref();
    let name = after.map(|(name, _)| name);
    let id = after.map(|(_, id)| id.0);
    let one_more = query.limit + 1;
    let rows = scope.rows(&sql, &[&patterns(&query.words), &query.department, &name, &id, &one_more]).await?;
    let mut people: Vec<Summary> = rows.iter().map(summary).collect();
    let more = i64::try_from(people.len()).is_ok_and(|count| count == one_more);
    if more {
        people.pop();
    }
    Ok((people, more))
}

/// How many people a query has, all parts of the list together.
pub(crate) async fn count(scope: &Scope<'_>, query: &Query) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM people
               WHERE search LIKE ALL ($1::text[]) AND ($2::text IS NULL OR department = $2)";
    Ok(scope.one_row(sql, &[&patterns(&query.words), &query.department]).await?.get(0))
}

/// A LIKE pattern for each word. What a pattern gives a meaning to is taken literally.
fn patterns(words: &[String]) -> Vec<String> {
    let literal = |word: &String| word.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    words.iter().map(|word| format!("%{}%", literal(word))).collect()
}

/// The departments that have people, by name.
pub(crate) async fn departments(scope: &Scope<'_>) -> Result<Vec<String>, Error> {
    let rows = scope.rows("SELECT DISTINCT department FROM people ORDER BY department", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The person of this number.
pub(crate) async fn find(scope: &Scope<'_>, id: PersonId) -> Result<Option<Person>, Error> {
    let sql = format!(
        "SELECT {SUMMARY}, p.phone, p.about, p.manager, m.name, p.role, p.started_on, p.version
         FROM people p LEFT JOIN people m ON m.tenant = p.tenant AND m.id = p.manager WHERE p.id = $1"
    );
    Ok(scope.row(&sql, &[&id.0]).await?.map(|row| person(&row)))
}

/// Those who report to a person, by name.
pub(crate) async fn reports(scope: &Scope<'_>, id: PersonId) -> Result<Vec<Summary>, Error> {
    let sql = format!("SELECT {SUMMARY} FROM people p WHERE manager = $1 ORDER BY name, id");
    Ok(scope.rows(&sql, &[&id.0]).await?.iter().map(summary).collect())
}

/// Whether the second person is the first, or above them.
pub(crate) async fn is_at_or_above(scope: &Scope<'_>, person: PersonId, other: PersonId) -> Result<bool, Error> {
    let sql = "WITH RECURSIVE above AS (
                   SELECT id, manager FROM people WHERE id = $2
                   UNION SELECT p.id, p.manager FROM people p JOIN above ON p.id = above.manager)
               SELECT EXISTS (SELECT FROM above WHERE id = $1)";
    Ok(scope.one_row(sql, &[&other.0, &person.0]).await?.get(0))
}

/// Adds a person.
pub(crate) async fn add(scope: &Scope<'_>, person: &NewPerson) -> Result<PersonId, Error> {
    let sql = "INSERT INTO people (name, email, title, department, location, manager, role, started_on)
               VALUES ($1, $2, $3, $4, nullif($5, ''), $6, $7, $8) RETURNING id";
    let NewPerson { name, email, title, department, location, manager, role, started_on, .. } = person;
    let manager = manager.map(|id| id.0);
    let row =
        scope.one_row(sql, &[name, email, title, department, location, &manager, &role.as_str(), started_on]).await?;
    Ok(PersonId(row.get(0)))
}

/// Changes a person who has the given version; `false` when there is none.
pub(crate) async fn change(scope: &Scope<'_>, id: PersonId, version: i32, changes: &Changes) -> Result<bool, Error> {
    let sql = "UPDATE people SET
                   name = coalesce($3, name), email = coalesce($4, email), title = coalesce($5, title),
                   department = coalesce($6, department), role = coalesce($7, role),
                   started_on = coalesce($8, started_on),
                   location = CASE WHEN $9::text IS NULL THEN location ELSE nullif($9, '') END,
                   phone = CASE WHEN $10::text IS NULL THEN phone ELSE nullif($10, '') END,
                   about = CASE WHEN $11::text IS NULL THEN about ELSE nullif($11, '') END,
                   manager = CASE WHEN $12 THEN $13::bigint ELSE manager END,
                   version = version + 1, changed_at = now()
               WHERE id = $1 AND version = $2";
    let Changes { name, email, title, department, location, phone, about, manager, role, started_on } = changes;
    let role = role.map(Role::as_str);
    let another_manager = manager.is_some();
    let manager = manager.flatten().map(|id| id.0);
    let changed = scope
        .execute(
            sql,
            &[
                &id.0,
                &version,
                name,
                email,
                title,
                department,
                &role,
                started_on,
                location,
                phone,
                about,
                &another_manager,
                &manager,
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Removes a person; `false` when there is none. Their reports have no manager then.
pub(crate) async fn remove(scope: &Scope<'_>, id: PersonId) -> Result<bool, Error> {
    let orphan = "UPDATE people SET manager = NULL, version = version + 1, changed_at = now() WHERE manager = $1";
    scope.execute(orphan, &[&id.0]).await?;
    Ok(scope.execute("DELETE FROM people WHERE id = $1", &[&id.0]).await? == 1)
}

/// Gives a person a photo, or takes it; its thumbnail waits for the worker. `false` when there is no such person.
pub(crate) async fn set_photo(scope: &Scope<'_>, id: PersonId, photo: Option<&PhotoId>) -> Result<bool, Error> {
    let sql = "UPDATE people SET photo = $2, thumbnail = CASE WHEN $2::text IS NULL THEN NULL ELSE $3 END,
                   version = version + 1, changed_at = now() WHERE id = $1";
    Ok(scope.execute(sql, &[&id.0, &photo.map(PhotoId::as_str), &Thumbnail::Waiting.as_str()]).await? == 1)
}

/// Notes what became of a photo's thumbnail; `false` when the person has another photo by now.
pub(crate) async fn set_thumbnail(
    scope: &Scope<'_>,
    id: PersonId,
    photo: &PhotoId,
    thumbnail: Thumbnail,
) -> Result<bool, Error> {
    let sql = "UPDATE people SET thumbnail = $3 WHERE id = $1 AND photo = $2";
    Ok(scope.execute(sql, &[&id.0, &photo.as_str(), &thumbnail.as_str()]).await? == 1)
}

/// The photo that a person has, who stays as they are until the transaction ends; `None` when there is no such person.
pub(crate) async fn lock_photo(scope: &Scope<'_>, id: PersonId) -> Result<Option<Option<PhotoId>>, Error> {
    let row = scope.row("SELECT photo FROM people WHERE id = $1 FOR UPDATE", &[&id.0]).await?;
    Ok(row.map(|row| row.get::<_, Option<String>>(0).map(PhotoId::of_row)))
}

/// So many photos whose thumbnail is yet to be made.
pub(crate) async fn waiting_photos(scope: &Scope<'_>, limit: usize) -> Result<Vec<(PersonId, PhotoId)>, Error> {
    let sql = format!("SELECT id, photo FROM people WHERE thumbnail = $1 ORDER BY id LIMIT {limit}");
    let rows = scope.rows(&sql, &[&Thumbnail::Waiting.as_str()]).await?;
    Ok(rows.iter().map(|row| (PersonId(row.get(0)), PhotoId::of_row(row.get(1)))).collect())
}

/// A column for each field that the test people have, all of the same length, and the address of each one's manager.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    pub(crate) names: Vec<String>,
    pub(crate) emails: Vec<String>,
    pub(crate) titles: Vec<String>,
    pub(crate) departments: Vec<String>,
    pub(crate) locations: Vec<String>,
    pub(crate) phones: Vec<String>,
    pub(crate) roles: Vec<&'static str>,
    pub(crate) starts: Vec<jiff::civil::Date>,
    pub(crate) managers: Vec<Option<String>>,
}

/// Adds those whose address is not taken, and says who that was. (COPY does not go together with row-level security.)
pub(crate) async fn add_all(scope: &Scope<'_>, people: &Columns) -> Result<Vec<PersonId>, Error> {
    let sql = "INSERT INTO people (name, email, title, department, location, phone, role, started_on)
               SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                                    $8::date[])
               ON CONFLICT DO NOTHING RETURNING id";
    let Columns { names, emails, titles, departments, locations, phones, roles, starts, managers } = people;
    let added = scope.rows(sql, &[names, emails, titles, departments, locations, phones, roles, starts]).await?;
    let link = "UPDATE people p SET manager = m.id
                FROM unnest($1::text[], $2::text[]) AS link (email, manager)
                JOIN people m ON m.email = link.manager
                WHERE p.email = link.email AND p.manager IS NULL AND p.version = 1";
    scope.execute(link, &[emails, managers]).await?;
    Ok(added.iter().map(|row| PersonId(row.get(0))).collect())
}

fn summary(row: &Row) -> Summary {
    Summary {
        id: PersonId(row.get(0)),
        name: row.get(1),
        email: row.get(2),
        title: row.get(3),
        department: row.get(4),
        location: row.get(5),
        photo: photo_of(row.get(6), row.get(7)),
    }
}

fn photo_of(id: Option<String>, thumbnail: Option<&str>) -> Option<Photo> {
    Some(Photo { id: PhotoId::of_row(id?), thumbnail: Thumbnail::of_row(thumbnail?) })
}

fn person(row: &Row) -> Person {
    Person {
        summary: summary(row),
        phone: row.get(8),
        about: row.get(9),
        manager: row.get::<_, Option<i64>>(10).map(PersonId),
        manager_name: row.get(11),
        role: Role::of_row(row.get(12)),
        started_on: row.get(13),
        version: row.get(14),
    }
}

#[cfg(test)]
mod tests {
    use super::patterns;

    #[test]
    fn a_search_for_a_wildcard_finds_the_wildcard() {
        let words = ["Ada", "50%", "a_b", "\\"].map(str::to_owned);
        assert_eq!(patterns(&words), ["%ada%", "%50\\%%", "%a\\_b%", "%\\\\%"]);
    }
}
