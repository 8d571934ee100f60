//! Whether the parts of a file agree: names refer to something, nothing waits for itself, nothing is
//! claimed twice.
//!
//! Each module holds one kind of rule; all of them run, whatever the others find.

mod certificate;
mod job;
mod number;
mod order;
mod port;
mod reference;
mod route;
mod site;
mod variable;

pub(crate) use reference::is_reserved;

use crate::draft::Draft;
use crate::problem::Problems;

/// Reports where the parts of an environment do not agree.
pub(crate) fn check(draft: &Draft, problems: &mut Problems<'_>) {
    reference::check(draft, problems);
    order::check(draft, problems);
    job::check(draft, problems);
    number::check(draft, problems);
    port::check(draft, problems);
    route::check(draft, problems);
    certificate::check(draft, problems);
    site::check(draft, problems);
    variable::check(draft, problems);
}
