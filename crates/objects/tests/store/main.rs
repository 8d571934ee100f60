//! The store, driven as the server drives it: what is kept, listed, read, refused, and left after a crash.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod damage;
mod folder;
mod full;
mod list;
mod mounted;
mod parts;
mod power_cut;
mod scratch;
mod syncs;
mod versions;
