//! `minimal serve`: the guest book's web page.
//!
//! `GET /` shows the notes, `POST /notes` adds one, `DELETE /notes/{id}` removes one for whoever has the
//! editor's key. `GET /readyz` answers once both stores do; `GET /healthz` only says that the process lives, because
//! starting it again would not mend a store.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};
use axum::{Router, serve};
use redis::aio::ConnectionManager;

use crate::notes::{self, Note, Totals};
use crate::stores::{Db, Error, cache};
use crate::{Failure, asked_to_stop, settings, with_causes};

/// The longest note, in characters.
const NOTE_MAX: usize = 2000;

struct App {
    db: Db,
    cache: ConnectionManager,
    editor_key: String,
}

#[derive(serde::Deserialize)]
struct NewNote {
    text: String,
}

/// Serves until asked to stop, then finishes the requests that are open.
pub(crate) async fn run() -> Result<(), Failure> {
    let port = settings::port()?;
    let app = App {
        db: Db::new(settings::db_url()?),
        cache: cache(&settings::cache_url()?)?,
        editor_key: settings::editor_key()?,
    };
    let routes = Router::new()
        .route("/", get(page))
        .route("/notes", post(add))
        .route("/notes/{id}", delete(remove))
        .route("/readyz", get(ready))
        .route("/healthz", get(|| async { "alive\n" }))
        .with_state(Arc::new(app));
    let failed = |error| Failure::Serve(port, error);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
    println!("serving on http://127.0.0.1:{port}");
    serve(listener, routes).with_graceful_shutdown(asked_to_stop()).await.map_err(failed)
}

async fn page(State(app): State<Arc<App>>) -> Result<Html<String>, Unavailable> {
    let db = app.db.client().await?;
    let totals = notes::totals(&db).await?;
    let latest = notes::latest(&db).await?;
    // The page is worth showing without its counter.
    let visits = notes::count_visit(&mut app.cache.clone()).await.ok();
    Ok(Html(render(&totals, &latest, visits)))
}

async fn add(State(app): State<Arc<App>>, Form(note): Form<NewNote>) -> Result<Response, Unavailable> {
    let text = note.text.trim();
    if text.is_empty() || text.chars().count() > NOTE_MAX {
        let why = format!("a note has 1 to {NOTE_MAX} characters\n");
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, why).into_response());
    }
    notes::write(&*app.db.client().await?, &mut app.cache.clone(), text).await?;
    Ok(Redirect::to("/").into_response())
}

async fn remove(
    State(app): State<Arc<App>>,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Result<(StatusCode, &'static str), Unavailable> {
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    if given != Some(format!("Bearer {}", app.editor_key).as_bytes()) {
        return Ok((StatusCode::UNAUTHORIZED, "the editor's key is needed: mainstay secret get EDITOR_KEY\n"));
    }
    match notes::remove(&*app.db.client().await?, id).await? {
        true => Ok((StatusCode::OK, "removed\n")),
        false => Ok((StatusCode::NOT_FOUND, "there is no such note\n")),
    }
}

async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Unavailable> {
    app.db.client().await?.simple_query("SELECT 1").await.map_err(Error::from)?;
    redis::cmd("PING").query_async::<()>(&mut app.cache.clone()).await.map_err(Error::from)?;
    Ok("ready\n")
}

fn render(totals: &Totals, latest: &[Note], visits: Option<i64>) -> String {
    let items: String = latest.iter().map(render_note).collect();
    let visits = visits.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Guest book</title>
<style>body {{ font: 1.1rem/1.5 system-ui; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}</style>
<h1>Guest book</h1>
<form method=post action=/notes><input name=text required maxlength={NOTE_MAX} autofocus> <button>Write</button></form>
<p>Notes written: {written}. Read by the worker: {read}. Visits: {visits}. This page is by process {pid}.</p>
<ol reversed start={written}>{items}</ol></html>
",
        written = totals.written,
        read = totals.read,
        pid = std::process::id(),
    )
}

fn render_note(note: &Note) -> String {
    let words = note.words.map_or_else(|| "not read yet".to_owned(), |count| format!("{count} words"));
    format!("<li id=note-{}>{} <small>({words})</small></li>", note.id, escape(&note.text))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A store could not be asked: 503, with the cause for whoever operates this.
struct Unavailable(Error);

impl From<Error> for Unavailable {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Unavailable {
    fn into_response(self) -> Response {
        let cause = with_causes(&self.0);
        eprintln!("minimal: a request failed: {cause}");
        (StatusCode::SERVICE_UNAVAILABLE, format!("a store did not answer: {cause}\n")).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::{escape, render_note};
    use crate::notes::Note;

    #[test]
    fn markup_in_a_note_stays_text() {
        assert_eq!(escape("<b a=\"&\">"), "&lt;b a=&quot;&amp;&quot;&gt;");
    }

    #[test]
    fn a_note_says_whether_it_was_read() {
        let note = |words| render_note(&Note { id: 7, text: "hi there".to_owned(), words });
        assert_eq!(note(None), "<li id=note-7>hi there <small>(not read yet)</small></li>");
        assert_eq!(note(Some(2)), "<li id=note-7>hi there <small>(2 words)</small></li>");
    }
}
