//! Trouble that the server has, in words on standard error, where its shim takes it. Start reading at [`tell`].

use std::error::Error;
use std::io::Write;

use model::cause::chain;

/// Says what went wrong, with its causes, on one line.
pub(crate) fn tell(what: &str, error: &(dyn Error + 'static)) {
    // Where standard error is gone there is nobody to tell.
    drop(writeln!(std::io::stderr().lock(), "{what}: {}", chain(error)));
}
