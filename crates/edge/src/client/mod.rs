//! The client's side, in the two versions of HTTP that clients speak.

pub(crate) mod h1;
pub(crate) mod h2;
