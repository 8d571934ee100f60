//! The people of a tenant.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::App;
use super::input::{Json, Path, Query};
use super::problem::Problem;
use crate::cache::answers;
use crate::cache::changes::Change;
use crate::cache::jobs::Job;
use crate::database::{self, Scope, credentials, people, unused_photos};
use crate::person::{Field, Person, PersonId, Summary};
use crate::validation::{self, Changes, ChangesDraft, FieldErrors, NewPersonDraft};
use crate::viewer::{Account, Viewer};
use crate::{permission, with_causes};

/// How many people a part of the list has unless told.
const PART: i64 = 50;
/// How many at most.
const PART_MAX: i64 = 100;

/// Which people, as the query says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    search: String,
    #[serde(default)]
    department: String,
    /// `next` of the part before.
    after: Option<String>,
    limit: Option<i64>,
}

/// A part of the list.
#[derive(Serialize)]
struct Part {
    people: Vec<Summary>,
    /// How many there are in all.
    total: i64,
    /// What to ask for the next part by, unless this is the last.
    next: Option<String>,
}

/// A person, and what who asks may do with them.
#[derive(Serialize)]
pub(super) struct Profile {
    #[serde(flatten)]
    person: Person,
    reports: Vec<Summary>,
    may_edit: &'static [Field],
    may_remove: bool,
}

/// A part of the list of people.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let query = query.check()?;
    let slot = match answers::find(&app.cache, &viewer.tenant, &query).await {
        Ok((_, Some(kept))) => {
            app.metrics.count_kept_answer(true);
            return Ok(json(kept, "hit"));
        }
        Ok((slot, None)) => Some(slot),
        Err(error) => {
            tracing::warn!(error = with_causes(&error), "kept answers cannot be had");
            None
        }
    };
    app.metrics.count_kept_answer(false);
    let part = serde_json::to_string(&part(&app, &viewer, &query).await?)
        .map_err(|error| Problem::Broken(with_causes(&error)))?;
    if let Some(slot) = slot
        && let Err(error) = answers::keep(&app.cache, &slot, &part).await
    {
        tracing::warn!(error = with_causes(&error), "an answer is not kept");
    }
    Ok(json(part, "miss"))
}

fn json(body: String, cache: &'static str) -> Response {
    ([(header::CONTENT_TYPE.as_str(), "application/json"), ("x-cache", cache)], body).into_response()
}

async fn part(app: &App, viewer: &Viewer, query: &people::Query) -> Result<Part, Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    let (people, more) = people::list(&scope, query).await?;
    let total = people::count(&scope, query).await?;
    let next = people.last().filter(|_| more).map(cursor);
    Ok(Part { people, total, next })
}

impl ListQuery {
    fn check(self) -> Result<people::Query, FieldErrors> {
        let words = validation::search(&self.search)?;
        let department = validation::department(&self.department)?;
        let limit = self.limit.unwrap_or(PART);
        if !(1..=PART_MAX).contains(&limit) {
            return Err(FieldErrors::one("limit", format!("1 to {PART_MAX}")));
        }
        let after = self.after.as_deref().map(read_cursor);
        let after = after.transpose().map_err(|()| FieldErrors::one("after", "is not the `next` of another part"))?;
        Ok(people::Query { words, department, after, limit })
    }
}

fn cursor(last: &Summary) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{} {}", last.id, last.name))
}

fn read_cursor(text: &str) -> Result<(String, PersonId), ()> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(drop)?;
    let text = String::from_utf8(bytes).map_err(drop)?;
    let (id, name) = text.split_once(' ').ok_or(())?;
    if name.contains(char::is_control) {
        return Err(());
    }
    Ok((name.to_owned(), PersonId(id.parse().map_err(drop)?)))
}

/// The departments of the tenant.
pub(super) async fn departments(State(app): State<Arc<App>>, viewer: Viewer) -> Result<Answer<Vec<String>>, Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    Ok(Answer(people::departments(&scope).await?))
}

/// Everything about a person.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(id): Path<PersonId>,
) -> Result<Answer<Profile>, Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    Ok(Answer(profile(&scope, &viewer, id).await?))
}

async fn profile(scope: &Scope<'_>, viewer: &Viewer, id: PersonId) -> Result<Profile, Problem> {
    let person = people::find(scope, id).await?.ok_or(Problem::NotFound)?;
    let reports = people::reports(scope, id).await?;
    let (may_edit, may_remove) = (permission::editable(viewer, &person), permission::may_remove(viewer, &person));
    Ok(Profile { person, reports, may_edit, may_remove })
}

/// Adds a person.
pub(super) async fn add(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Json(draft): Json<NewPersonDraft>,
) -> Result<(StatusCode, Answer<Profile>), Problem> {
    if !permission::may_add_people(&viewer) {
        return Err(Problem::Forbidden("Only an admin adds people.".to_owned()));
    }
    let mut new = draft.check()?;
    let hash = match new.password.take() {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    let id = people::add(&scope, &new).await.map_err(refused)?;
    if let Some(hash) = hash {
        credentials::set(&scope, id, &hash).await?;
    }
    let profile = profile(&scope, &viewer, id).await?;
    scope.commit().await?;
    app.announce(&viewer.tenant, &Change::Changed { person: id }).await;
    Ok((StatusCode::CREATED, Answer(profile)))
}

/// Changes a person.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(id): Path<PersonId>,
    Json(draft): Json<ChangesDraft>,
) -> Result<Answer<Profile>, Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    let person = people::find(&scope, id).await?.ok_or(Problem::NotFound)?;
    refuse_fields(&draft.fields(), permission::editable(&viewer, &person))?;
    let version = draft.version;
    let changes = draft.check()?;
    refuse_circle(&scope, id, &changes).await?;
    if !people::change(&scope, id, version, &changes).await.map_err(refused)? {
        return Err(Problem::Conflict("Somebody else has changed this person meanwhile. Look again."));
    }
    let profile = profile(&scope, &viewer, id).await?;
    match changes.role {
        Some(_) => app.commit_and_log_out(scope, &Account::Person(viewer.tenant.clone(), id)).await?,
        None => scope.commit().await?,
    }
    app.announce(&viewer.tenant, &Change::Changed { person: id }).await;
    Ok(Answer(profile))
}

fn refuse_fields(asked: &[Field], allowed: &[Field]) -> Result<(), Problem> {
    if allowed.is_empty() {
        return Err(Problem::Forbidden("You may not change this person.".to_owned()));
    }
    let refused: Vec<&str> =
        asked.iter().filter(|field| !allowed.contains(field)).map(|field| field.as_str()).collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Problem::Forbidden(format!("You may not change: {}.", refused.join(", ")))),
    }
}

/// Nobody is above themselves.
async fn refuse_circle(scope: &Scope<'_>, id: PersonId, changes: &Changes) -> Result<(), Problem> {
    let Some(Some(manager)) = changes.manager else { return Ok(()) };
    match people::is_at_or_above(scope, manager, id).await? {
        true => Err(FieldErrors::one("manager", "reports to this person").into()),
        false => Ok(()),
    }
}

/// A constraint that the request broke, as a problem of a field.
fn refused(error: database::Error) -> Problem {
    if error.is_of_constraint("people_email") {
        FieldErrors::one("email", "is somebody else's").into()
    } else if error.is_of_constraint("people_manager") {
        FieldErrors::one("manager", "is nobody here").into()
    } else {
        error.into()
    }
}

/// Removes a person, their password and their photo.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(id): Path<PersonId>,
) -> Result<StatusCode, Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    // Locked first: a photo that is being given to this person is theirs now, or is refused.
    let photo = people::lock_photo(&scope, id).await?.ok_or(Problem::NotFound)?;
    let person = people::find(&scope, id).await?.ok_or(Problem::NotFound)?;
    if !permission::may_remove(&viewer, &person) {
        return Err(Problem::Forbidden("You may not remove this person.".to_owned()));
    }
    people::remove(&scope, id).await?;
    if let Some(photo) = &photo {
        unused_photos::add(&scope, id, photo).await?;
    }
    app.commit_and_log_out(scope, &Account::Person(viewer.tenant.clone(), id)).await?;
    if let Some(photo) = photo {
        app.ask(&Job::RemovePhoto { tenant: viewer.tenant.clone(), person: id, photo }).await;
    }
    app.announce(&viewer.tenant, &Change::Removed { person: id }).await;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::{cursor, read_cursor};
    use crate::person::{PersonId, Summary};

    #[test]
    fn a_cursor_is_read_back() {
        let last = Summary {
            id: PersonId(7),
            name: "Ada Byron".to_owned(),
            email: String::new(),
            title: String::new(),
            department: String::new(),
            location: None,
            photo: None,
        };
        assert_eq!(read_cursor(&cursor(&last)), Ok(("Ada Byron".to_owned(), PersonId(7))));
        for text in ["", "!", "YQ", "eCB5"] {
            assert_eq!(read_cursor(text), Err(()), "{text}");
        }
    }
}
