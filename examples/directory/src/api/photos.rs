//! People's photos.
//!
//! A photo's address holds an id that no other photo ever has, so browsers may keep what is there for ever.

use std::io::Cursor;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use image::ImageReader;

use super::App;
use super::input::{Content, Path};
use super::problem::Problem;
use crate::cache::changes::Change;
use crate::cache::jobs::Job;
use crate::database::{Scope, people, unused_photos};
use crate::permission;
use crate::person::{Field, PersonId, PhotoId};
use crate::photos::{Format, Name, SIDE_MAX, Size};
use crate::viewer::Viewer;

/// The largest photo, in bytes.
pub(super) const BODY_MAX: usize = 5 * 1024 * 1024;

/// Photos never change, and are for whoever is logged in.
const KEPT: &str = "private, max-age=31536000, immutable";

/// Gives a person a photo.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(person): Path<PersonId>,
    Content(bytes): Content,
) -> Result<StatusCode, Problem> {
    check(&bytes)?;
    let photo = PhotoId::new();
    begin_upload(&app, &viewer, person, &photo).await?;
    let name = Name { tenant: &viewer.tenant, person, photo: &photo };
    app.photos.put(&name, Size::Original, bytes).await?;
    replace(&app, &viewer, person, Some(&photo)).await?;
    app.ask(&Job::Thumbnail { tenant: viewer.tenant, person, photo }).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a person's photo away.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(person): Path<PersonId>,
) -> Result<StatusCode, Problem> {
    replace(&app, &viewer, person, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A photo as it was uploaded, byte for byte.
pub(super) async fn original(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path((person, photo)): Path<(PersonId, PhotoId)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    stored(&app, &viewer, person, &photo, Size::Original, &headers).await
}

/// A photo's small copy.
pub(super) async fn thumbnail(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path((person, photo)): Path<(PersonId, PhotoId)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    stored(&app, &viewer, person, &photo, Size::Thumbnail, &headers).await
}

async fn stored(
    app: &App,
    viewer: &Viewer,
    person: PersonId,
    photo: &PhotoId,
    size: Size,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let tag = format!("\"{}-{size}\"", photo.as_str());
    let known = [(header::CACHE_CONTROL, KEPT), (header::ETAG, &tag)];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, known).into_response());
    }
    let name = Name { tenant: &viewer.tenant, person, photo };
    let bytes = app.photos.get(&name, size).await?.ok_or(Problem::NotFound)?;
    let format = Format::of(&bytes).ok_or_else(|| Problem::Broken(format!("photo {} is none", photo.as_str())))?;
    let typed = [(header::CONTENT_TYPE, format.media_type()), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((known, typed, bytes).into_response())
}

/// Reads no more of the photo than its head.
fn check(bytes: &Bytes) -> Result<(), Problem> {
    let unreadable = || Problem::NotAPhoto("A photo is a JPEG or PNG file.".to_owned());
    Format::of(bytes).ok_or_else(unreadable)?;
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| unreadable())?;
    let (width, height) = reader.into_dimensions().map_err(|_| unreadable())?;
    match width.max(height) <= SIDE_MAX {
        true => Ok(()),
        false => Err(Problem::NotAPhoto(format!("A photo is at most {SIDE_MAX} pixels wide and high."))),
    }
}

/// Notes the photo as had by nobody yet: should this process die now, the worker removes what was stored of it.
async fn begin_upload(app: &App, viewer: &Viewer, person: PersonId, photo: &PhotoId) -> Result<(), Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    refuse_strangers(&scope, viewer, person).await?;
    unused_photos::add(&scope, person, photo).await?;
    Ok(scope.commit().await?)
}

/// Gives a person another photo, or none, and gives up the one they had.
async fn replace(app: &App, viewer: &Viewer, person: PersonId, photo: Option<&PhotoId>) -> Result<(), Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    let before = people::lock_photo(&scope, person).await?.ok_or(Problem::NotFound)?;
    refuse_strangers(&scope, viewer, person).await?;
    people::set_photo(&scope, person, photo).await?;
    if let Some(photo) = photo {
        unused_photos::take_off(&scope, photo).await?;
    }
    if let Some(before) = &before {
        unused_photos::add(&scope, person, before).await?;
    }
    scope.commit().await?;
    app.announce(&viewer.tenant, &Change::Changed { person }).await;
    if let Some(photo) = before {
        app.ask(&Job::RemovePhoto { tenant: viewer.tenant.clone(), person, photo }).await;
    }
    Ok(())
}

async fn refuse_strangers(scope: &Scope<'_>, viewer: &Viewer, person: PersonId) -> Result<(), Problem> {
    let of = people::find(scope, person).await?.ok_or(Problem::NotFound)?;
    match permission::editable(viewer, &of).contains(&Field::Photo) {
        true => Ok(()),
        false => Err(Problem::Forbidden("You may not change this photo.".to_owned())),
    }
}
