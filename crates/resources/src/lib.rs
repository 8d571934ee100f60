//! Operates data services: finds their programs, prepares their folders, says how their servers are started
//! and asked whether they serve, and gives each service that uses one a login of its own.
//!
//! Start reading at [`postgres`]; [`redis`] and [`objects`] have the same shape. Each has a `Server` value that answers four
//! questions: what runs ([`Operated`]), what is done before each start (`prepare`), what is done once it
//! answers (`complete`), and with which variables a service reaches it (`connection`). Invariants: nothing
//! here starts or stops a server (supervision does); no data is ever removed; a data directory that was
//! there and is gone is never replaced by an empty one; no password reaches an argument, a statement, a log or a
//! file that is not encrypted or hashed.

pub mod objects;
pub mod postgres;
pub mod redis;

pub mod connection;
pub mod installation;
pub mod operated;
pub mod password;
pub mod place;

mod certificate;
mod record;

pub use connection::Variables;
pub use operated::Operated;
pub use password::{Password, PasswordError, Passwords};
pub use place::Place;
