//! The store, driven as the server drives it: what is kept, listed, read, refused, and left after a crash.

mod damage;
mod folder;
mod full;
mod list;
mod parts;
mod power_cut;
mod scratch;
mod versions;
