//! People's photos.
//!
//! A photo's address holds an id that no other photo ever has, so browsers may keep what is there for ever.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use image::error::LimitErrorKind;
use image::{ImageError, ImageReader};
use tokio::time::timeout;

use super::App;
use super::input::Path;
use super::places::{Most, Place, Places};
use super::problem::Problem;
use crate::cache::changes::Change;
use crate::cache::jobs::Job;
use crate::database::{Scope, people, unused_photos};
use crate::permission;
use crate::person::{Field, PersonId, PhotoId};
use crate::photos::{self, Format, Name, SIDE_MAX, Size};
use crate::viewer::{Account, Viewer};
use crate::with_causes;

/// The largest photo, in bytes.
pub(super) const BODY_MAX: usize = 5 * 1024 * 1024;
/// How much memory reading a photo's head may take, in bytes: what cameras write before the pixels, and some.
const HEAD_MEMORY_MAX: u64 = 4 * 1024 * 1024;
/// How many photos are taken at once in this process. Each holds its body, a copy of it and twice what its head may take:
/// together less than half of the service's memory.
const UPLOADS: Most = Most { in_all: 6, of_one: 2 };
/// How long a photo may take to arrive.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);

/// Photos never change, and are for whoever is logged in.
const KEPT: &str = "private, max-age=31536000, immutable";

/// Gives a person a photo.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(person): Path<PersonId>,
    request: Request,
) -> Result<StatusCode, Problem> {
    refuse_stranger(&app, &viewer, person).await?;
    let upload = Upload::arrive(&app, viewer.account(), request).await?.checked().await?;
    let photo = PhotoId::new();
    begin_upload(&app, &viewer, person, &photo).await?;
    let name = Name { tenant: &viewer.tenant, person, photo: &photo };
    app.photos.put(&name, Size::Original, upload.photo.clone()).await?;
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

/// The places of the photos that are taken at once.
pub(super) fn places() -> Places {
    Places::new(UPLOADS)
}

/// A photo that has arrived, with its place.
struct Upload {
    photo: Bytes,
    _place: Place,
}

impl Upload {
    /// Waits for a photo's bytes.
    async fn arrive(app: &Arc<App>, account: Account, request: Request) -> Result<Self, Problem> {
        // A place first: the body of who has none is not held.
        let place = app.uploads.take(account).ok_or(Problem::Full)?;
        let arrived = timeout(ARRIVAL_MAX, Bytes::from_request(request, app)).await;
        Ok(Self { photo: arrived.map_err(|_| Problem::TooSlow)??, _place: place })
    }

    /// The upload, if it is a photo that we take. The place is held until its head is read, also when who asked has gone.
    async fn checked(self) -> Result<Self, Problem> {
        let read = tokio::task::spawn_blocking(move || check(&self.photo).map(|()| self)).await;
        read.map_err(|error| Problem::Broken(with_causes(&error)))?
    }
}

/// Reads no more of the photo than its head.
fn check(photo: &[u8]) -> Result<(), Problem> {
    let unreadable = || Problem::NotAPhoto("A photo is a JPEG or PNG file.".to_owned());
    Format::of(photo).ok_or_else(unreadable)?;
    let mut reader = ImageReader::new(Cursor::new(photo)).with_guessed_format().map_err(|_| unreadable())?;
    reader.limits(photos::limits(HEAD_MEMORY_MAX));
    match reader.into_dimensions() {
        Ok(_) => Ok(()),
        Err(ImageError::Limits(error)) => Err(Problem::NotAPhoto(over(&error.kind()))),
        Err(_) => Err(unreadable()),
    }
}

/// What a photo has too much of.
fn over(limit: &LimitErrorKind) -> String {
    match limit {
        LimitErrorKind::DimensionError => format!("A photo is at most {SIDE_MAX} pixels wide and high."),
        _ => "This photo holds too much beside its pixels, such as a colour profile. Save it without.".to_owned(),
    }
}

/// Notes the photo as had by nobody yet: should this process die now, the worker removes what was stored of it.
async fn begin_upload(app: &App, viewer: &Viewer, person: PersonId, photo: &PhotoId) -> Result<(), Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    unused_photos::add(&scope, person, photo).await?;
    Ok(scope.commit().await?)
}

/// Gives a person another photo, or none, and gives up the one they had.
async fn replace(app: &App, viewer: &Viewer, person: PersonId, photo: Option<&PhotoId>) -> Result<(), Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    let before = people::lock_photo(&scope, person).await?.ok_or(Problem::NotFound)?;
    refuse_stranger_in(&scope, viewer, person).await?;
    people::set_photo(&scope, person, photo).await?;
    if let Some(photo) = photo
        && !unused_photos::take_off(&scope, photo).await?
    {
        // The worker removes what an upload that took so long has stored.
        return Err(Problem::Conflict("This photo took too long to be stored. Send it again."));
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

/// Refuses who may not change a photo, before any of it is taken.
async fn refuse_stranger(app: &App, viewer: &Viewer, person: PersonId) -> Result<(), Problem> {
    let mut connection = app.database.connection().await?;
    refuse_stranger_in(&connection.scope(&viewer.tenant).await?, viewer, person).await
}

async fn refuse_stranger_in(scope: &Scope<'_>, viewer: &Viewer, person: PersonId) -> Result<(), Problem> {
    let of = people::find(scope, person).await?.ok_or(Problem::NotFound)?;
    match permission::editable(viewer, &of).contains(&Field::Photo) {
        true => Ok(()),
        false => Err(Problem::Forbidden("You may not change this photo.".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::codecs::png::PngEncoder;
    use image::{ExtendedColorType, ImageEncoder};

    use super::{HEAD_MEMORY_MAX, Problem, SIDE_MAX, check};

    fn png(width: u32, height: u32, profile: Vec<u8>) -> Vec<u8> {
        let (mut bytes, pixels) = (Cursor::new(Vec::new()), vec![0; (width * height) as usize]);
        let mut encoder = PngEncoder::new(&mut bytes);
        encoder.set_icc_profile(profile).unwrap();
        encoder.write_image(&pixels, width, height, ExtendedColorType::L8).unwrap();
        bytes.into_inner()
    }

    /// Why a photo is not taken.
    fn refused(photo: &[u8]) -> String {
        match check(photo) {
            Err(Problem::NotAPhoto(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_sides_are_bounded() {
        assert!(check(&png(SIDE_MAX, 1, Vec::new())).is_ok());
        assert_eq!(refused(&png(1, SIDE_MAX + 1, Vec::new())), "A photo is at most 6000 pixels wide and high.");
    }

    #[test]
    fn what_comes_before_the_pixels_is_bounded() {
        // Bytes that do not compress, as those of SplitMix64.
        let noise = |number: u64| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).to_le_bytes();
        let profile = |bytes: u64| (0..bytes / 8).flat_map(noise).collect::<Vec<u8>>();
        assert!(check(&png(1, 1, profile(1024 * 1024))).is_ok());
        assert!(refused(&png(1, 1, profile(2 * HEAD_MEMORY_MAX))).contains("a colour profile"));
    }
}
