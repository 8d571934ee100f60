//! Connections of clients. Start reading at [`h1::connection`]; [`h2::connection`] does the same for many requests at once.

pub(crate) mod h1;
pub(crate) mod h2;

mod carry;
mod forward;
mod origin;
mod prepare;
mod progress;
mod record;
mod respond;
mod translate;
mod tunnel;

use std::time::Duration;

pub(crate) use forward::Forwarded;
pub(crate) use origin::Origin;
pub(crate) use record::Record;
pub(crate) use respond::{Added, Additions, Own};

/// How long a connection may be idle between requests.
pub(crate) const IDLE_TIME_MAX: Duration = Duration::from_secs(75);
/// How long what a client still sends is read and dropped after an early answer, so that it gets to read the answer.
pub(crate) const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes that are read and dropped so at the most.
pub(crate) const LINGER_BYTES_MAX: usize = 1 << 20;
/// Requests of one connection; more are made over a new one, so that clients find their way to a new edge.
pub(crate) const REQUESTS_MAX: u32 = 10_000;
/// The largest body of a request where the route says nothing.
pub(crate) const BODY_BYTES_MAX: u64 = 1 << 40;
