//! Log lines: one JSON object each on standard output, with the request's ids where there is a request.

use tracing::Level;

/// From now on, what the program says goes to standard output.
pub(crate) fn start() {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_max_level(Level::INFO)
        .init();
}
