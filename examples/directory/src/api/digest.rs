//! What the last week brought.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use super::App;
use super::problem::Problem;
use crate::database::digests::{self, Digest};
use crate::viewer::Viewer;

/// The latest digest; `null` before the first.
pub(super) async fn latest(State(app): State<Arc<App>>, viewer: Viewer) -> Result<Answer<Option<Digest>>, Problem> {
    let mut connection = app.database.connection().await?;
    let scope = connection.scope(&viewer.tenant).await?;
    Ok(Answer(digests::latest(&scope).await?))
}
